#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Preemption by a partition of higher priority, and a restore on another node.
. "$(dirname "$0")/lib.sh"

preempted() {
    local job high n stop=$HOME_DIR/low.stop before
    job=$(submit --checkpoint=interval=0 --exclusive -w "${NODE}1" -- \
        "$(job_script low.sh "$PROGS/counter" "$stop" 5)")
    ok "preempt: starts" wait_step "$job" 5
    before=$(tree "$job")
    for n in 1 2; do
        high=$(submit -p high --exclusive -w "${NODE}1" -- "$(job_script "high$n.sh" "$PROGS/counter" "$HOME_DIR/high$n.stop")")
        ok "preempt $n: the job of the higher partition runs" wait_state "$high" RUNNING
        is "preempt $n: the other one waits" "$(state "$job")" PENDING
        like "preempt $n: it was saved before" "$(out "$job")" "gen-000$((n - 1))-00000$n saved \\(preempt\\)"
        ok "preempt $n: that job runs undisturbed" wait_step "$high" 10
        touch "$HOME_DIR/high$n.stop"
        ok "preempt $n: it ends" wait_state "$high" COMPLETED
        ok "preempt $n: the first one starts again" wait_until 60 restarted "$job" "$n"
        ok "preempt $n: restored" wait_until 60 restored_times "$job" "$n"
        ok "preempt $n: it goes on" goes_on "$job"
        is "preempt $n: same processes" "$(tree "$job")" "$before"
    done
    touch "$stop"
    ok "preempt: ends" wait_state "$job" FAILED
    is "preempt: exit status" "$(exit_code "$job")" 5:0
    ok "preempt: each step once" each_once "$job"
}

other_node() {
    local job stop=$HOME_DIR/move.stop before on i
    job=$(submit --checkpoint=interval=0 -x "${NODE}1" -- "$(job_script move.sh "$PROGS/pipeline.sh" "$stop")")
    ok "move: starts" wait_step "$job" 5
    on=$(job_node "$job")
    is "move: on the second node" "$on" "${NODE}2"
    before=$(tree "$job")
    for i in 3 3 2; do
        ok "move to $i: requeue" move "$job" "$i"
        is "move to $i: it runs there" "$(job_node "$job")" "$NODE$i"
        ok "move to $i: it goes on" goes_on "$job"
        is "move to $i: same processes" "$(tree "$job")" "$before"
    done
    is "move: restored each time" "$(n_restored "$job")" 3
    touch "$stop"
    ok "move: ends" wait_state "$job" COMPLETED
    like "move: right result" "$(out "$job" | tail -n 1)" '^result ok'
    ok "move: each step once" each_once "$job"
    ok "move: images are deleted" wait_until 20 no_images "$job"
}
# move JOB NODENUMBER - requeues it while all other nodes are drained
move() {
    local n times
    times=$(($(n_restored "$1") + 1))
    for n in 2 3; do
        [ "$n" = "$2" ] || run_root scontrol update nodename="$NODE$n" state=drain reason=test
    done
    requeue "$1" && wait_until 60 restored_times "$1" "$times"
    n=$?
    run_root scontrol update nodename="${NODE}[2-3]" state=resume
    return $n
}

# A job that comes back to a node before this is over is counted wrongly there (spank/state.h).
echo 'AuthInfo=socket=@DIR@/munge/munge.sock,cred_expire=5' >"$TEST_TMP/slurm"
tb_up --nodes 3 --slurm-conf "$TEST_TMP/slurm"
together preempted other_node
done_testing
