#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Where the site has Slurm warn jobs of a preemption, the last checkpoint of a preempted job comes in the grace time and
# the job requeues itself; a signal of the user's own stays his.
# isolation: private
. "$(dirname "$0")/lib.sh"

cat >"$TEST_TMP/slurm.conf" <<'END'
SlurmctldParameters=preempt_send_user_signal
PartitionName=low Nodes=@NODES@ Default=YES MaxTime=60 DefaultTime=5 PriorityTier=1 PreemptMode=REQUEUE GraceTime=30
END

preempted() {
    local job high stop=$HOME_DIR/low.stop
    job=$(submit --checkpoint=interval=0 --exclusive -w "${NODE}1" -- "$(job_script low.sh "$PROGS/counter" "$stop")")
    ok "preempted: starts" wait_step "$job" 5
    high=$(submit -p high --exclusive -w "${NODE}1" -- "$(job_script high.sh "$PROGS/counter" "$HOME_DIR/high.stop")")
    ok "preempted: saved in the grace time" wait_out "$job" 'gen-0000-000001 saved \(preempt\)' 50
    ok "preempted: the other one runs" wait_state "$high" RUNNING
    unlike "preempted: before the grace time was over" "$(out "$job")" "DUE TO PREEMPTION"
    is "preempted: it waits" "$(state "$job")" PENDING
    touch "$HOME_DIR/high.stop"
    ok "preempted: the other one ends" wait_state "$high" COMPLETED
    ok "preempted: starts again" wait_until 60 restarted "$job" 1
    ok "preempted: restored" restored "$job"
    touch "$stop"
    ok "preempted: ends" wait_state "$job" COMPLETED
    ok "preempted: each step once" each_once "$job"
}

# own NAME [sbatch options] -- SCRIPT: one with a signal of its own
own() {
    local name=$1 job high
    shift
    job=$(submit --checkpoint=interval=0 --exclusive -w "${NODE}2" "$@")
    ok "$name: starts" wait_step "$job" 3
    high=$(submit -p high --exclusive -w "${NODE}2" -- "$(job_script "$name.high.sh" "$PROGS/counter" "$HOME_DIR/$name.high")")
    ok "$name: the user's own signal comes, as he asked" wait_out "$job" '^usr1 seen$' 30
    unlike "$name: and no checkpoint for it" "$(out "$job")" 'saved \(preempt\)'
    run scancel "$high"
    run scancel "$job"
    wait_state "$job" CANCELLED >/dev/null
}
body='trap "echo usr1 seen" USR1; for ((n = 1; n < 500; n++)); do echo "step $n pid $$"; sleep 0.1; done'

own_signals() {
    local script
    script=$(put_script in.sh <<<"#!/bin/bash
#SBATCH --signal=B:USR1@20
$body")
    own "in the script" -- "$script"
    script=$(put_script line.sh <<<"#!/bin/bash
$body")
    own "on the command line" --signal=B:USR1@20 -- "$script"
}

tb_up --nodes 2 --slurm-conf "$TEST_TMP/slurm.conf"
together preempted own_signals
done_testing
