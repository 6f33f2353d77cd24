#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# isolation: host
# timeout: 300
#
# A pid of the job is somebody else's: who has it is told, the job goes to another node, and in the end it is held.
. "$(dirname "$0")/lib.sh"

cat >"$TEST_TMP/conf" <<'END'
BusyRetries=2
BusyWait=8
END
tb_up --nodes 3 --conf "$TEST_TMP/conf"

begin() { # NAME NODE - sets job, pid; it is held then, and the pid somebody else's
    job=$(submit --checkpoint=interval=0 -x "$2" -- "$(job_script "$1.job" "$PROGS/counter" "$HOME_DIR/$1.stop")")
    ok "$1: starts" wait_step "$job" 3
    pid=$(job_pid "$job" counter)
    ok "$1: requeued and held" requeue_hold "$job"
}
finish() {
    touch "$HOME_DIR/$1.stop"
    ok "$1: ends" wait_state "$job" COMPLETED
    ok "$1: each step once" each_once "$job"
}
excluded() { show "$1" | sed -n 's/.* ExcNodeList=\([^ ]*\).*/\1/p'; }
nodes() { run_root scontrol show hostnames "$1" | sort | paste -s -d ' '; }

# It goes to another node, without the one that could not have it, and is restored when it may be.
elsewhere() {
    local job pid squatter first fails
    begin elsewhere "${NODE}3"
    squatter=$(squat "$pid" 600)
    is "elsewhere: somebody else has the pid" "$squatter" "$pid"
    fails=$(run scheckpoint check "$job")
    like "elsewhere: check tells who" "$fails" "fail +pids +pid $pid .*\\(squatter|sleep|uid 0"
    run scontrol release "$job"
    ok "elsewhere: requeued" wait_until 60 tried "$job" 1
    like "elsewhere: who has the pid is told" "$(out "$job")" "before the restore of .*pid $pid of the job is taken.*\\((sleep|squatter), uid 0\\)"
    like "elsewhere: in its comment" "$(show "$job")" "Comment=.*pid $pid of the job is taken.* on $NODE"
    first=$(out "$job" | grep -c 'requeued, without this node, not before 30 s')
    is "elsewhere: the node is excluded, after 30 s" "$first" 1
    ok "elsewhere: once more" wait_until 60 tried "$job" 2
    like "elsewhere: the delay has doubled" "$(out "$job")" 'not before 60 s'
    like "elsewhere: that was the last node" "$(out "$job")" 'there is no other node, not before 60 s'
    like "elsewhere: excluded are the user's and the first" "$(nodes "$(excluded "$job")")" "^${NODE}[12] ${NODE}3\$"
    kill "$squatter"
    ok "elsewhere: restored" wait_until 60 again "$job" restored_times "$job" 1
    ok "elsewhere: goes on" goes_on "$job"
    is "elsewhere: with its pid" "$(job_pid "$job" counter)" "$pid"
    finish elsewhere
}
# as often as BusyRetries says, then held
held_at_last() {
    local job pid squatter
    begin held "${NODE}1"
    squatter=$(squat "$pid" 600)
    is "held: somebody else has the pid" "$squatter" "$pid"
    run scontrol release "$job"
    ok "held: held after two more nodes" wait_until 90 again "$job" held_by_us "$job"
    is "held: sent on twice" "$(out "$job" | grep -c 'this node cannot have the job')" 2
    like "held: the reason, in its comment" "$(show "$job")" "Comment=.*pid $pid of the job is taken.*held: scontrol release $job"
    is "held: it did not start over" "$(out "$job" | grep -c '^start')" 1
    kill "$squatter"
    run scontrol release "$job"
    ok "held: released, restored" wait_until 60 again "$job" restored_times "$job" 1
    is "held: with its pid" "$(job_pid "$job" counter)" "$pid"
    finish held
}
# One that is about to go is waited for.
waited() {
    local job pid squatter
    begin waited "${NODE}2"
    squatter=$(squat "$pid" 6 zombie) # whose parent reaps it when the job waits for it
    is "waited: a zombie has the pid" "$squatter" "$pid"
    run scontrol release "$job"
    ok "waited: restored when it has ended" wait_until 60 again "$job" restored_times "$job" 1
    unlike "waited: not sent on" "$(out "$job")" 'cannot have the job'
    is "waited: with its pid" "$(job_pid "$job" counter)" "$pid"
    finish waited
}
tried() { again "$1" true; [ "$(out "$1" | grep -c 'this node cannot have the job')" -ge "$2" ]; }
# again JOB COMMAND... - lifts the time before which it does not start
again() {
    [ "$(state "$1")" != PENDING ] || start_now "$1"
    shift
    "$@"
}

together elsewhere held_at_last waited
done_testing
