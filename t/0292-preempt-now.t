#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Preemption (REQUEUE) of batch jobs without grace time, and of one whose step has a signal of the user's own.
# isolation: private
# timeout: 180
. "$(dirname "$0")/lib.sh"

# preempt NAME NODE - a job of the higher partition takes the node, and gives it back
preempt() {
    local high
    high=$(submit -p high --exclusive -w "$2" -- "$(job_script "high-$1.sh" "$PROGS/counter" "$HOME_DIR/high-$1.stop")")
    ok "$1: the job of the higher partition runs" wait_state "$high" RUNNING 90
    touch "$HOME_DIR/high-$1.stop"
    ok "$1: it ends" wait_state "$high" COMPLETED
}

at_once() {
    local job
    job=$(submit -p now --checkpoint=interval=0 --exclusive -w "${NODE}1" -- \
        "$(job_script at_once.sh "$PROGS/counter" "$HOME_DIR/at_once.stop")")
    ok "at_once: starts" wait_step "$job" 5
    preempt at_once "${NODE}1"
    like "at_once: it was saved, within KillWait" "$(out "$job")" 'gen-0000-00000[0-9] saved \((requeue|preempt)\)'
    ok "at_once: starts again" wait_until 60 restarted "$job" 1
    ok "at_once: restored" restored "$job"
    touch "$HOME_DIR/at_once.stop"
    ok "at_once: ends well" wait_state "$job" COMPLETED
    ok "at_once: each step once" each_once "$job"
}

# Without B: Slurm sends the user's signal to the steps when the grace time begins: it reaches the program, once, and the
# last checkpoint comes with the requeue.
step_signal() {
    local job
    put_script trapping.sh >/dev/null <<END
#!/bin/bash
trap 'echo "usr1 seen"' USR1
for ((n = 1; ; n++)); do
    echo "step \$n pid \$\$"
    [ ! -e $HOME_DIR/signal.stop ] || exit 0
    sleep 0.1
done
END
    job=$(submit -p low --checkpoint=interval=0 --signal=USR1@30 --exclusive -w "${NODE}2" -- \
        "$(job_script signal.sh srun --mem=100 "$HOME_DIR/trapping.sh")")
    ok "signal: starts" wait_step "$job" 5
    preempt signal "${NODE}2"
    is "signal: the user's own reached the program, once" "$(out "$job" | grep -c '^usr1 seen$')" 1
    ok "signal: starts again" wait_until 60 restarted "$job" 1
    ok "signal: restored" restored "$job"
    touch "$HOME_DIR/signal.stop"
    ok "signal: ends well" wait_state "$job" COMPLETED
    ok "signal: each step once" each_once "$job"
}

cat >"$TEST_TMP/slurm" <<'END'
SlurmctldParameters=preempt_send_user_signal
PartitionName=low Nodes=@NODES@ Default=YES MaxTime=60 DefaultTime=5 PriorityTier=1 PreemptMode=REQUEUE GraceTime=10
PartitionName=now Nodes=@NODES@ MaxTime=60 DefaultTime=5 PriorityTier=1 PreemptMode=REQUEUE
END
tb_up --nodes 2 --slurm-conf "$TEST_TMP/slurm"
together at_once step_signal
done_testing
