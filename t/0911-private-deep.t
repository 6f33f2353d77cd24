#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# isolation: private
# timeout: 240
#
# Isolation=private among what else a site has: job_container/tmpfs (a /tmp of the job's own), an automounted home (autofs
# and its daemon), what is mounted when a job already runs, mpirun, debuggers inside and outside, signals through Slurm.
export TMPDIR=/var/tmp # /tmp is the job's own here
. "$(dirname "$0")/lib.sh"

command -v mpirun strace gdb automount >/dev/null || bail "openmpi-bin, strace, gdb, autofs: contrib/install-deps --test"
tb_up --nodes 2
install -d -o ckptest -g ckptest "$TB/auto" "$TB/nfs" "$TB/nfs/home"
mount --bind "$TB/auto" "$TB/auto"
mount --make-shared "$TB/auto"
mkdir "$TB/auto/user"

# The job's own /tmp
container() {
    local job
    put_script container.job <<END >/dev/null
#!/bin/bash
echo "tmp \$(ls /tmp | wc -l)"
echo written >/tmp/ckpt-test.$$
echo "tmp then \$(ls /tmp | wc -l)"
$PROGS/counter $HOME_DIR/container.stop
END
    job=$(submit --checkpoint=interval=0 -w "${NODE}1" -- "$HOME_DIR/container.job")
    ok "container: starts" wait_step "$job" 3
    like "container: /tmp is its own" "$(out "$job")" '^tmp 0$'
    like "container: and can be written to" "$(out "$job")" '^tmp then 1$'
    nok "container: unseen from outside" test -e "/tmp/ckpt-test.$$"
    ok "container: held" requeue_hold "$job"
    ok "container: to the other node" run_root scontrol update job="$job" ReqNodeList="${NODE}2"
    ok "container: released" release "$job"
    ok "container: restored" restored "$job"
    ok "container: goes on" goes_on "$job"
    touch "$HOME_DIR/container.stop"
    ok "container: ends well" wait_state "$job" COMPLETED
    ok "container: each step once" each_once "$job"
}

# Mounted after the job has begun, as an automounter does it: seen inside, and part of a checkpoint.
mounted() {
    local job
    put_script mounted.job <<END >/dev/null
#!/bin/bash
echo "begins with \$(ls $TB/auto/user | wc -l)"
until [ -d "$TB/auto/user/home" ]; do sleep 0.1; done
cd "$TB/auto/user/home"
exec 3>>log
echo "seen"
while [ ! -e $HOME_DIR/mounted.stop ]; do
    n=\$((n + 1)); echo "step \$n pid \$\$"; echo "line \$n" >&3
    sleep 0.1
done
END
    job=$(submit --checkpoint=interval=0 -- "$HOME_DIR/mounted.job")
    ok "mounted: not there at first" wait_out "$job" '^begins with 0'
    ok "mounted: mounted outside" mount --bind "$TB/nfs" "$TB/auto/user"
    ok "mounted: seen inside" wait_out "$job" '^seen'
    ok "mounted: works in it" wait_step "$job" 3
    ok "mounted: held" requeue_hold "$job"
    ok "mounted: released" release "$job"
    ok "mounted: restored" restored "$job"
    ok "mounted: goes on" goes_on "$job"
    touch "$HOME_DIR/mounted.stop"
    ok "mounted: ends well" wait_state "$job" COMPLETED
    ok "mounted: each step once" each_once "$job"
    is "mounted: each line once in the file there" \
        "$(awk '$2 != ++n { bad = 1 } END { print (n > 5 && !bad) }' "$TB/nfs/home/log")" 1
}

# A home that the automounter mounts when somebody looks into it, and takes away again: the job's directory, its script,
# output, an open file. What it is mounted from is a directory of this machine.
automounted() {
    local job home=$TB/auto/home/user saved_home=$HOME_DIR
    install -d -o ckptest -g ckptest "$TB/homes/user"
    echo "$TB/auto/home file,sun:$TB/auto.map --timeout=2" >"$TB/auto.master"
    echo "* -fstype=bind :$TB/homes/&" >"$TB/auto.map"
    # in a process group of its own: what is in the daemon's sees the bare directory
    setsid automount -f -v -C -p "$TB/auto.pid" -M 1 "$TB/auto.master" >"$TB/automount.log" 2>&1 &
    nok "automounted: not mounted at first" mounted_at "$home"
    ok "automounted: when it is looked at" wait_until 60 run test -d "$home"
    ok "automounted: it is" mounted_at "$home"
    HOME_DIR=$home
    put_script home.job <<END >/dev/null
#!/bin/bash
exec 3>>log
while [ ! -e $home/stop ]; do
    n=\$((n + 1)); echo "step \$n pid \$\$"; echo "line \$n" >&3
    sleep 0.1
done
END
    HOME_DIR=$saved_home
    # Slurm opens the output, the job's namespace is made afterwards.
    job=$(run env HOME="$home" sbatch --parsable --requeue --mem=400 -o "$home/%j.out" -D "$home" \
        --checkpoint=interval=0 "$home/home.job")
    HOME_DIR=$home
    ok "automounted: the job starts" wait_step "$job" 3
    ok "automounted: a checkpoint" checkpoint_home "$saved_home" "$job"
    ok "automounted: held" hold_home "$saved_home" "$job"
    ok "automounted: nobody uses it, and it is taken away" wait_until 60 not mounted_at "$home"
    HOME_DIR=$saved_home
    ok "automounted: released" release "$job"
    HOME_DIR=$home
    ok "automounted: restored" restored "$job"
    ok "automounted: goes on" goes_on "$job"
    touch "$home/stop"
    ok "automounted: ends well" wait_state "$job" COMPLETED
    ok "automounted: each step once" each_once "$job"
    is "automounted: each line once in the file there" \
        "$(awk '$2 != ++n { bad = 1 } END { print (n > 5 && !bad) }' "$home/log")" 1
    kill "$(cat "$TB/auto.pid")"
    wait
}
mounted_at() { awk -v at="$1" '$5 == at { found = 1 } END { exit !found }' /proc/self/mountinfo; }
# run() begins in HOME_DIR, which would keep the automounted one in use.
checkpoint_home() { local HOME_DIR=$1; checkpoint "$2"; }
hold_home() { local HOME_DIR=$1; requeue_hold "$2"; }

# mpirun and debuggers: the job's own inside, root's outside.
tools() {
    local job pid when
    put_script tools.job <<END >/dev/null
#!/bin/bash
trap 'echo "got usr1"' USR1
echo "mpi \$(env -i PATH="\$PATH" HOME="\$HOME" mpirun --oversubscribe -n 2 printenv OMPI_COMM_WORLD_RANK | sort | paste -s)"
$PROGS/counter $HOME_DIR/tools.stop &
child=\$!
for i in \$(seq 600); do grep -q counter /proc/\$child/comm && break; sleep 0.1; done
echo "strace \$(timeout 20 strace -e trace=clock_nanosleep,nanosleep,write -p \$child 2>&1 | grep -m 1 -cE 'sleep|write')"
echo "gdb \$(gdb -nx -batch -p \$child -ex 'info proc' 2>/dev/null | sed -n 's/^process //p')" "is \$child"
echo ready
while kill -0 \$child 2>/dev/null; do wait \$child; done
END
    job=$(submit --checkpoint=interval=0 -- "$HOME_DIR/tools.job")
    ok "tools: ready" wait_out "$job" '^ready' 120
    like "tools: mpirun works inside" "$(out "$job")" "^mpi 0.1$"
    like "tools: strace works inside" "$(out "$job")" '^strace 1$'
    like "tools: gdb works inside" "$(out "$job")" '^gdb ([0-9]+) is \1$'
    look_outside "at first"
    ok "tools: a checkpoint after all that" checkpoint "$job"
    look_outside "after a checkpoint"
    ok "tools: held" requeue_hold "$job"
    ok "tools: released" release "$job"
    ok "tools: restored" restored "$job"
    look_outside "after a restore"
    ok "tools: a checkpoint of what was restored" checkpoint "$job"
    touch "$HOME_DIR/tools.stop"
    ok "tools: ends well" wait_state "$job" COMPLETED
}

# look_outside WHEN - root's tools, with the pids that it sees, and Slurm's signal
look_outside() {
    local when=$1 got
    got=$(n_usr1 "$job")
    pid=$(job_pid "$job" counter)
    like "tools, $when: scontrol listpids has it, by its number outside" "$(run_root scontrol listpids "$job" "$(job_node "$job")" |
        awk '{ print $1 }' | paste -s -d ' ')" "(^| )$pid( |$)"
    like "tools, $when: root's strace works from outside" \
        "$(timeout 60 strace -p "$pid" 2>&1 | grep -m 1 -E 'sleep|write')" 'sleep|write'
    like "tools, $when: root's gdb works from outside" \
        "$(timeout 60 gdb -nx -batch -p "$pid" -ex 'info proc' -ex 'print (int) getpid()' 2>&1)" "^process $pid\$"
    ok "tools, $when: it runs on after that" goes_on "$job"
    unlike "tools, $when: the user's from outside does not" \
        "$(run timeout 20 strace -p "$pid" 2>&1 | head -n 5)" '^(clock_nanosleep|nanosleep|write)'
    ok "tools, $when: a signal by Slurm" run scancel --batch --signal=USR1 "$job"
    ok "tools, $when: it arrives" wait_until 60 usr1_after "$job" "$got"
}
n_usr1() { out "$1" | grep -c '^got usr1'; }
usr1_after() { [ "$(n_usr1 "$1")" -gt "$2" ]; }

together mounted tools automounted
umount "$TB/auto/user"
umount "$TB/auto"
# Slurm 22.05 mounts privately in it: from here on nothing that is mounted later would be seen, with or without us.
printf '%s\n' JobContainerType=job_container/tmpfs PrologFlags=Contain >>"$TB/etc/slurm.conf"
printf '%s\n' AutoBasePath=true "BasePath=$TB/container" >"$TB/etc/job_container.conf"
chmod 644 "$TB/etc/job_container.conf"
ok "slurmctld with job_container/tmpfs" "$TESTBED" restart --dir "$TB" slurmctld
ok "slurmd with job_container/tmpfs" "$TESTBED" restart --dir "$TB" slurmd
container
done_testing
