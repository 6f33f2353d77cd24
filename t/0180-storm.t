#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# isolation: private
#
# Ten jobs at once, each checkpointed every three seconds, half of them requeued meanwhile.
. "$(dirname "$0")/lib.sh"

tb_up --nodes 3
stop=$HOME_DIR/storm.stop
script=$(job_script storm.sh "$PROGS/counter" "$stop")
jobs=()
for _ in 1 2 3 4 5 6 7 8 9 10; do jobs+=("$(submit --checkpoint=0:03,keep=3 -- "$script")"); done

all() { # CHECK ARGUMENT... - for each job; names those for which it fails
    local job bad=0 check=$1
    shift
    for job in "${jobs[@]}"; do
        "$check" "$job" "$@" >"$TEST_TMP/all.$job" 2>&1 || { echo "job $job:"; cat "$TEST_TMP/all.$job"; bad=1; }
    done
    return $bad
}
# wait_saved JOB N - it has made its Nth generation
wait_saved() { wait_until 90 saved "$@" || { tell "$1"; return 1; }; }
saved() { [ "$(newest "$1" | sed 's/.*-0*//')" -ge "$2" ]; }
requeue_some() {
    local job pids=() rc=0
    for job in "${jobs[@]:0:5}"; do requeue "$job" & pids+=($!); done
    for job in "${pids[@]}"; do wait "$job" || rc=1; done
    return $rc
}
some_restored() {
    local job
    for job in "${jobs[@]:0:5}"; do restored "$job" || return 1; done
}
pids_kept() { [ "$(pids_printed "$1" | wc -w)" = 1 ] || { pids_printed "$1"; return 1; }; }
nothing_failed() { ! out "$1" | grep -a '^checkpoint: ' | grep -vE 'restored gen|saved \(requeue\)'; }

ok "all ten start" all wait_step 3
ok "each is checkpointed by the clock" all wait_saved 1
ok "and again" all wait_saved 2
ok "five are requeued" requeue_some
ok "and restored" some_restored
ok "all go on" all goes_on
ok "each is checkpointed again" all wait_saved 4
ok "nothing failed" all nothing_failed
touch "$stop"
ok "all end well" all wait_state COMPLETED
ok "each did each step once" all each_once
ok "each with one pid" all pids_kept
ok "all images are deleted" wait_until 20 all no_images
is "no process of ours is left" "$(for job in "${jobs[@]}"; do job_pids "$job"; done)" ""
ok "no node is drained" node_fine
done_testing
