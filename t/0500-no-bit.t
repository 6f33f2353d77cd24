#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# What a user's program is given: nothing.  Deny matrix rows 1, 2, 16, and what leaks besides (descriptors,
# environment, files of root's).
. "$(dirname "$0")/seclib.sh"

caps='grep -E "^Cap(Inh|Prm|Eff|Amb):" /proc/self/status | tr "\t" " " | paste -s -d " "'

# Each of these writes "WHAT CapInh: ... " to HOME/caps.JOBID
write_probes() {
    local what
    for what in task_prolog task_epilog user_prolog user_epilog; do
        put_script "$what" >/dev/null <<END
#!/bin/bash
echo "$what.\${SLURM_STEP_ID:-x} \$($caps) bash=\$(grep CapInh /proc/\$\$/status)" >>"$HOME_DIR/caps.\$SLURM_JOB_ID"
ls -l /proc/\$\$/fd >"$HOME_DIR/fds.$what.\$SLURM_JOB_ID"
env >"$HOME_DIR/env.$what.\$SLURM_JOB_ID"
END
    done
    put_script probe >/dev/null <<END
#!/bin/bash
echo "\$1 \$($caps) bash=\$(grep CapInh /proc/\$\$/status)" >>"$HOME_DIR/caps.\${SLURM_JOB_ID:-\$PROBE_JOB}"
END
    printf '0 %s multi-prog\n' "$HOME_DIR/probe" >"$HOME_DIR/multi.conf"
}

# Row 1: every program that Slurm or the job starts, in a job with checkpoints
row_1() {
    local job text what
    job=$(submit --checkpoint -- "$(put_script row1.sh <<END
#!/bin/bash
cd $HOME_DIR
ls -l /proc/\$\$/fd >"fds.program.\$SLURM_JOB_ID"
env >"env.program.\$SLURM_JOB_ID"
./probe program
bash -c './probe bash'
srun -n1 ./probe srun
srun -n1 --task-prolog=$HOME_DIR/user_prolog --task-epilog=$HOME_DIR/user_epilog ./probe srun2
srun -n1 --multi-prog multi.conf
srun -n1 --checkpoint ./probe srun-with-option
# Without Slurm's variables mpirun forks its ranks itself.
! command -v mpirun >/dev/null ||
    env -i PATH="\$PATH" HOME="\$HOME" PROBE_JOB=\$SLURM_JOB_ID mpirun --oversubscribe -n 2 ./probe mpirun
echo "main: \$(grep CapInh /proc/\$\$/status)"
echo ready
until [ -e row1.stop ]; do sleep 0.2; done
END
)")
    ok "row 1: the job runs" wait_out "$job" '^ready' 90 || return
    ok "row 1: its keeper holds the capability (control)" has_keeper "$job"
    is "row 1: no other process of the job does" "$(holders "$job")" ""
    like "row 1: there were processes to look at (control)" "$(own_threads "$job")" '^[2-9]'
    touch "$HOME_DIR/row1.stop"
    ok "row 1: it ends" wait_state "$job" COMPLETED
    wait_until 10 grep -q '^task_epilog' "$HOME_DIR/caps.$job"
    text=$(cat "$HOME_DIR/caps.$job")
    for what in task_prolog program bash srun srun2 user_prolog user_epilog multi-prog srun-with-option task_epilog; do
        like "row 1: $what has empty sets" "$(grep -E "^$what(\.[0-9x]*)? " <<<"$text")" \
            "CapInh: 0{16} CapPrm: 0{16} CapEff: 0{16} CapAmb: 0{16} bash=CapInh:.0{16}"
    done
    if command -v mpirun >/dev/null; then
        is "row 1: two mpirun children have empty sets" "$(grep '^mpirun ' <<<"$text" |
            grep -cE "CapInh: 0{16} CapPrm: 0{16} CapEff: 0{16} CapAmb: 0{16} bash=CapInh:.0{16}")" 2
    else
        skip "row 1: two mpirun children have empty sets" "no mpirun here (Debian: openmpi-bin)"
    fi
    unlike "row 1: nobody has a bit" "$(sed 's/^[^ ]* //' <<<"$text")" '[1-9a-f][0-9a-f]{0,15} Cap|CapInh:.0*[1-9]'
    # A pipeline would show bash's own pipes: the list is written by ls.
    is "the program has no descriptor that it should not have" \
        "$(grep -- '->' "$HOME_DIR/fds.program.$job" | grep -vE ' [012] -> | 255 -> .*(script|row1)')" ""
    unlike "nothing of ours is in the program's environment" "$(cat "$HOME_DIR/env.program.$job")" \
        '^(CHECKPOINT_(FDS|PROGRAM)|CKPT_STREAM_FD|CKPT_OOM|LD_PRELOAD)='
    is "TaskProlog, which sees their numbers, has neither the keeper's socket nor the facts" \
        "$(grep -- '->' "$HOME_DIR/fds.task_prolog.$job" | grep -vE ' 0 -> /dev/null| [12] -> pipe:| 255 -> ')" ""
}

# A job without --checkpoint: nothing at all
untouched() {
    local job
    job=$(submit -- "$(put_script plain.sh <<END
#!/bin/bash
ls -l /proc/self/fd/; cat /proc/\$PPID/comm; readlink /proc/self/ns/user /proc/\$\$/ns/pid; grep Cap /proc/\$\$/status
END
)")
    ok "a job without --checkpoint ends" wait_state "$job" COMPLETED
    like "its parent is slurmstepd" "$(out "$job")" '^slurmstepd'
    like "it is in the node's namespaces" "$(out "$job")" "^$(readlink /proc/self/ns/user | sed 's/[][]/\\&/g')\$"
    unlike "it holds nothing" "$(out "$job")" 'Cap(Inh|Prm|Eff|Amb):.0*[1-9a-f]'
    unlike "nothing of ours is said" "$(out "$job")" 'checkpoint'
}

# Row 2: after a restore, every thread
row_2() {
    local job stop=$HOME_DIR/row2.stop
    job=$(submit --checkpoint=interval=0 -- "$(job_script row2.sh "$PROGS/threads" "$stop")")
    ok "row 2: a program with threads starts" wait_step "$job" 3
    like "row 2: more than three threads (control)" "$(own_threads "$job")" '^([4-9]|[1-9][0-9]+)$'
    is "row 2: none holds anything before" "$(holders "$job")" ""
    ok "row 2: requeue" requeue "$job"
    ok "row 2: restored" restored "$job"
    ok "row 2: it goes on" goes_on "$job"
    is "row 2: no thread of any process holds anything after the restore" "$(holders "$job")" ""
    like "row 2: they are all there (control)" "$(own_threads "$job")" '^([4-9]|[1-9][0-9]+)$'
    ok "row 2: the keeper of the new step holds it (control)" keeper_holds "$job"
    touch "$stop"
    ok "row 2: ends" wait_state "$job" COMPLETED
}

# Row 16: root is refused at the door, and on the node when the door was someone else's
row_16() {
    local job evil=$TB/evil-client
    like "row 16: sbatch refuses root" "$(run_root sbatch --checkpoint --wrap 'true' 2>&1)" \
        'jobs of root are not checkpointed'
    mkdir "$evil"
    sed "s|^PlugStackConfig=.*|PlugStackConfig=$evil/plugstack.conf|" "$TB/etc/slurm.conf" >"$evil/slurm.conf"
    cp "$TB/etc/cgroup.conf" "$evil/"
    echo "optional $ATTACKS/client.so" >"$evil/plugstack.conf"
    job=$(run_root env SLURM_CONF="$evil/slurm.conf" FORGE_NONCE=0123456789abcdef sbatch --parsable --checkpoint=1 \
        --checkpoint-dir=/ -o "$TB/row16.out" --wrap 'grep Cap /proc/$$/status; cat /proc/$PPID/comm')
    ok "row 16: root's own client submits it" wait_state "$job" COMPLETED
    like "row 16: the node refuses" "$(cat "$TB/row16.out")" 'runs without checkpoints: jobs of root'
    unlike "row 16: nothing inheritable" "$(cat "$TB/row16.out")" 'CapInh:.0*[1-9a-f]'
    like "row 16: no shepherd" "$(cat "$TB/row16.out")" '^slurmstepd'
    is "row 16: nothing was made in the directory" "$(find / -maxdepth 1 -name "*.$job.*")" ""
}

# Files of root's that a user may look for
places() {
    is "StateDir is root's alone" "$(stat -c '%U %a' "$TB/state-of-jobs")" "root 700"
    is "nothing in it can be read" "$(find "$TB/state-of-jobs" -type f ! -perm 600)" ""
    nok "nor listed by a user" run ls "$TB/state-of-jobs"
    is "no setuid or setgid file is installed" "$(find "$TB/inst" -perm /6000)" ""
    is "one file has capabilities" "$(getcap -r "$TB/inst" | sed "s|$HELPERS/||")" \
        "keeper cap_checkpoint_restore=i"
    is "what is installed is writable by root only" "$(find "$TB/inst" ! -type l \( -perm /022 -o ! -user root \))" ""
    is "the log directory too" "$(find "$TB/log" -maxdepth 0 \( -perm /022 -o ! -user root \))" ""
    unlike "keeper and its helpers link nothing that loads plugins" \
        "$(for f in keeper dump restore; do readelf -d "$HELPERS/$f"; done)" 'NEEDED.*lib(slurm|hwloc|nss|dl)[-._]'
}

for name in prolog epilog; do echo "Task${name^}=@DIR@/home/ckptest/task_$name"; done >"$TEST_TMP/slurm.conf"
echo 'StateDir=@DIR@/state-of-jobs' >"$TEST_TMP/checkpoint.conf" # to be made by the plugin
sec_up --slurm-conf "$TEST_TMP/slurm.conf" --conf "$TEST_TMP/checkpoint.conf"
write_probes
chown -R ckptest: "$HOME_DIR"
together row_1 untouched row_2 row_16
places
ok "no node was drained" node_fine
done_testing
