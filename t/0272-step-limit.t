#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# isolation: private
#
# The time limit of a script with steps, signals of the user's own for steps, and a hook that is against the last
# checkpoint before the limit.  Slurm's limits are whole minutes, looked at twice a minute.
# timeout: 300
. "$(dirname "$0")/lib.sh"

task_once() {
    awk -v p="$2:" '$1 == p && $2 == "step" { if ($3 != ++n) { print "step " $3 " instead of " n; bad = 1; n = $3 } }
        END { if (!n) print "no step"; exit bad || !n }' "$1"
}
runs() { out_has "$1" '^0: step 3 ' && out_has "$1" '^1: step 3 '; }
ends() { # NAME JOB
    ok "$1: ends well" wait_state "$2" COMPLETED
    is "$1: it was restarted once" "$(restarts "$2")" 1
    ok "$1: nothing is left" wait_until 20 no_images "$2"
}

# A step has ended, one runs: its tasks are saved before the limit, the job requeues itself, and goes on.
limit() {
    local job
    job=$(submit -n2 --time=1 --checkpoint=interval=0 -- "$(put_script limit.sh <<END
#!/bin/bash
srun -n1 --mem=100 bash -c "echo ran >>$HOME_DIR/limit.ran; exit 2"
echo "first gave \$?"
srun -l -n2 --cpu-bind=none --mem=100 $PROGS/counter $HOME_DIR/limit.stop 7
echo "second gave \$?"
END
)")
    ok "limit: starts" wait_until 60 runs "$job"
    ok "limit: saved before, without being asked" wait_out "$job" '^0: checkpoint: gen-.* saved \(timelimit\)' 90
    ok "limit: requeued by itself" wait_until 90 restarted "$job" 1
    ok "limit: the script is started once more" wait_out "$job" 'checkpoint: the script is started once more'
    ok "limit: both tasks are restored" wait_until 60 restored_times "$job" 2
    touch "$HOME_DIR/limit.stop"
    ok "limit: the step ends as it should" wait_out "$job" '^second gave 7'
    is "limit: the first step ran once" "$(wc -l <"$HOME_DIR/limit.ran")" 1
    is "limit: and gave its exit code twice" "$(out "$job" | grep -c '^first gave 2')" 2
    ok "limit: task 0 wrote each line once" task_once "$HOME_DIR/$job.out" 0
    ok "limit: task 1 wrote each line once" task_once "$HOME_DIR/$job.out" 1
    nok "limit: Slurm never ran into it" grep -q "[Tt]ime limit exhausted for JobId=$job\b" "$TB/log/slurmctld.log"
    ends limit "$job"
}

# --signal without B: is for the steps: it reaches their programs, is no wish for a checkpoint, and changes nothing about
# the limit.  So does what scancel sends to a step.
own_signal() {
    local job
    put_script signal.prog >/dev/null <<END
#!/bin/bash
trap 'echo "usr1 seen"' USR1
trap 'echo "usr2 seen"' USR2
for ((n = 1; ; n++)); do echo "step \$n pid \$\$"; [ ! -e $HOME_DIR/signal.stop ] || exit 9; sleep 0.19; done
END
    job=$(submit --time=1 --signal=USR1@10 --checkpoint=interval=0 -- "$(put_script signal.sh <<END
#!/bin/bash
srun -n1 --mem=100 $HOME_DIR/signal.prog
echo "srun gave \$?"
END
)")
    ok "signal: starts" wait_step "$job" 3
    ok "signal: one is sent to the step" run scancel --signal=USR2 "$job.0"
    ok "signal: the program gets it" wait_out "$job" '^usr2 seen$'
    ok "signal: it goes on" goes_on "$job"
    is "signal: no checkpoint is made for it" "$(find "$(jobdir "$job")" -name 'gen-*' | wc -l)" 0
    ok "signal: the user's own warning reaches the program" wait_out "$job" '^usr1 seen$' 90
    ok "signal: requeued by itself at the limit" wait_until 90 restarted "$job" 1
    ok "signal: restored" restored "$job"
    is "signal: one checkpoint was made in all, the last one" "$(out "$job" | grep -c 'gen-.* saved')" 1
    ok "signal: it goes on" goes_on "$job"
    touch "$HOME_DIR/signal.stop"
    ok "signal: it ends as it should" wait_out "$job" '^srun gave 9'
    ok "signal: each step once" each_once "$job"
    is "signal: the warning came once" "$(out "$job" | grep -c '^usr1 seen$')" 1
    ends signal "$job"
}

# A hook that is always against it: asked again, and overruled when Slurm ends the job, because nothing else is saved.
vetoed() {
    local job h
    h=$(put_script vetoed.hook <<END
#!/bin/sh
echo asked >>$HOME_DIR/vetoed.asked
echo "never"
exit 1
END
)
    job=$(submit --time=1 --checkpoint="interval=0,hook-before=$h" -- \
        "$(job_script vetoed.sh "$PROGS/counter" "$HOME_DIR/vetoed.stop")")
    ok "vetoed: starts" wait_step "$job" 3
    ok "vetoed: the last checkpoint before the limit is" wait_out "$job" 'not saved \(timelimit\): vetoed by a hook: .*never' 90
    ok "vetoed: at Slurm's SIGTERM it is made all the same" wait_out "$job" 'but nothing is saved yet' 120
    ok "vetoed: the job is requeued" wait_until 90 restarted "$job" 1
    ok "vetoed: restored" restored "$job"
    ok "vetoed: the hook was asked more than once" test "$(wc -l <"$HOME_DIR/vetoed.asked")" -ge 2
    touch "$HOME_DIR/vetoed.stop"
    ok "vetoed: each step once" each_once "$job"
    ends vetoed "$job"
}

echo 'KillWait=20' >"$TEST_TMP/slurm"
tb_up --nodes 2 --slurm-conf "$TEST_TMP/slurm"
together limit own_signal vetoed
done_testing
