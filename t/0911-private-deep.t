#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# isolation: private
# timeout: 240
#
# Isolation=private among what else a site has: job_container/tmpfs (a /tmp of the job's own), directories that are mounted
# when a job already runs (automounted homes), mpirun, debuggers inside and outside, signals through Slurm.
export TMPDIR=/var/tmp # /tmp is the job's own here
. "$(dirname "$0")/lib.sh"

command -v mpirun strace gdb >/dev/null || bail "openmpi-bin, strace, gdb: contrib/install-deps --test"
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

# mpirun and debuggers: the job's own inside, root's outside.
tools() {
    local job pid
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
    pid=$(job_pid "$job" counter)
    like "tools: scontrol listpids has it, by its number outside" "$(run_root scontrol listpids "$job" "$(job_node "$job")" |
        awk '{ print $1 }' | paste -s -d ' ')" "(^| )$pid( |$)"
    like "tools: root's strace works from outside" \
        "$(timeout 20 strace -p "$pid" 2>&1 | grep -m 1 -E 'sleep|write')" 'sleep|write'
    unlike "tools: the user's from outside does not" \
        "$(run timeout 20 strace -p "$pid" 2>&1 | head -n 5)" '^(clock_nanosleep|nanosleep|write)'
    ok "tools: a signal by Slurm" run scancel --batch --signal=USR1 "$job"
    ok "tools: it arrives" wait_out "$job" '^got usr1'
    ok "tools: a checkpoint after all that" checkpoint "$job"
    touch "$HOME_DIR/tools.stop"
    ok "tools: ends well" wait_state "$job" COMPLETED
}

together mounted tools
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
