#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The main story: a job is checkpointed while it runs, is requeued, and goes on where it was.
. "$(dirname "$0")/lib.sh"

# Everything about one job: pids, output, control group, limit, three requeues, exit status
main_story() {
    local job stop=$HOME_DIR/main.stop before group limit i
    job=$(submit --checkpoint=interval=0 --mem=300 -- \
        "$(job_script main.sh "$PROGS/counter" "$stop" 7)")
    ok "starts" wait_step "$job" 3
    is "no checkpoint that nobody asked for" "$(n_generations "$job")" 0
    like "create answers with its verdict" "$(checkpoint "$job" 2>&1; echo "status $?")" \
        'gen-0000-000001.*status 0|status 0'
    is "there is one generation" "$(generations "$job")" gen-0000-000001
    ok "the job runs on" goes_on "$job"
    group=$(grep -vE ':(|name=[a-z]*):/$' "/proc/$(job_pid "$job" counter)/cgroup" | sort)
    like "the job is in its step's control group" "$group" "job_$job/step_batch"
    limit=$(memory_limit "$job")
    before=$(tree "$job" threads)
    like "there are ckpt-init, the script and the program" "$(wc -l <<<"$before")" '^3$'
    for i in 1 2 3; do
        ok "requeue $i" requeue "$job"
        ok "requeue $i: restored" wait_until 60 restored_times "$job" "$i"
        ok "requeue $i: the job goes on" goes_on "$job"
        is "requeue $i: same pids, parents, groups and sessions" "$(tree "$job" threads)" "$before"
        is "requeue $i: in the new step's control group" \
            "$(grep -vE ':(|name=[a-z]*):/$' "/proc/$(job_pid "$job" counter)/cgroup" | sort)" "$group"
        is "requeue $i: every process is in it" "$(outside_group "$job")" ""
        is "requeue $i: Slurm's memory limit holds there" "$(memory_limit "$job")" "$limit"
    done
    is "slurmctld counts three restarts" "$(restarts "$job")" 3
    touch "$stop"
    ok "ends as failed, because its program does" wait_state "$job" FAILED
    is "exit status 7 comes through" "$(exit_code "$job")" 7:0
    ok "no step is missing or repeated" each_once "$job"
    is "the program was started once" "$(out "$job" | grep -c '^start')" 1
    is "it saw one pid" "$(pids_printed "$job" | wc -w)" 1
    unlike "nothing failed" "$(out "$job")" 'not saved|cannot|held'
    ok "a failed job keeps its images" test -n "$(newest "$job")"
    is "keep=2 generations" "$(n_generations "$job")" 2
}

# The step's limit, wherever this machine's control groups are
memory_limit() {
    local pid path
    pid=$(job_pid "$1" counter) || return 1
    path=$(sed -n 's/^[0-9]*:memory:\(.*step_batch\).*/\1/p' "/proc/$pid/cgroup")
    if [ -n "$path" ]; then
        cat "/sys/fs/cgroup/memory$path/memory.limit_in_bytes"
    else
        cat "/sys/fs/cgroup$(sed -n 's/^0::\(.*step_batch\).*/\1/p' "/proc/$pid/cgroup")/memory.max"
    fi
}

# Processes of the user below the restored root that are not in the step
outside_group() {
    local pid
    for pid in $(pgrep -u ckptest -x counter); do
        grep -qszx "SLURM_JOB_ID=$1" "/proc/$pid/environ" || continue
        grep -qszxF "CKPT_TESTBED=$TB" "/proc/$pid/environ" || continue
        job_pids "$1" | grep -qx "$pid" || echo "$pid"
    done
}

by_the_clock() {
    local job stop=$HOME_DIR/clock.stop start made
    job=$(submit --checkpoint=0:05 -- "$(job_script clock.sh "$PROGS/counter" "$stop")")
    ok "clock: starts" wait_step "$job" 1
    start=$(stat -c %Y "$(taskdir "$job")/ckpt-init")
    ok "clock: a checkpoint is made by the interval" wait_until 30 test -n "$(wait_generation "$job")"
    made=$(stat -c %Y "$(taskdir "$job")/$(generations "$job" | head -n 1)")
    ok "clock: none before the first interval has passed" test $((made - start)) -ge 4
    ok "clock: further ones follow" wait_until 30 has_generation "$job" gen-0000-000003
    ok "clock: the job runs on" goes_on "$job"
    like "clock: they are listed" "$(run scheckpoint list "$job" 2>&1)" 'gen-0000-000003.*interval'
    is "clock: older ones are removed" "$(n_generations "$job")" 2
    touch "$stop"
    ok "clock: ends" wait_state "$job" COMPLETED
    ok "clock: each step once" each_once "$job"
    ok "clock: images of a job that ended well are deleted" wait_until 20 no_images "$job"
}
has_generation() { generations "$1" | grep -qx "$2"; }
wait_generation() { wait_until 30 some_generation "$1" >/dev/null; newest "$1"; }
some_generation() { [ "$(n_generations "$1")" -gt 0 ]; }

# exit 0 and death by a signal, after a restore
ends_by_signal() {
    local job stop=$HOME_DIR/signal.stop
    # The program is the batch task itself: exec.
    job=$(submit --checkpoint=interval=0 -- "$(put_script signal.sh <<<"#!/bin/bash
exec $PROGS/counter $stop -10")")
    ok "signal: starts" wait_step "$job" 3
    ok "signal: requeue without an earlier checkpoint" requeue "$job"
    ok "signal: restored" restored "$job"
    ok "signal: goes on" goes_on "$job"
    touch "$stop"
    ok "signal: ends as failed" wait_state "$job" FAILED
    is "signal: the signal comes through" "$(exit_code "$job")" 0:10
    ok "signal: each step once" each_once "$job"
    ok "signal: a job that died keeps its images" test -n "$(newest "$job")"
}

ends_well() {
    local job stop=$HOME_DIR/well.stop
    job=$(submit --checkpoint=interval=0 -- "$(job_script well.sh "$PROGS/counter" "$stop")")
    ok "well: starts" wait_step "$job" 3
    ok "well: requeue" requeue "$job"
    ok "well: restored" restored "$job"
    ok "well: goes on" goes_on "$job"
    touch "$stop"
    ok "well: ends" wait_state "$job" COMPLETED
    is "well: exit status 0" "$(exit_code "$job")" 0:0
    ok "well: images are deleted" wait_until 20 no_images "$job"
    ok "well: each step once" each_once "$job"
}

tb_up --nodes 1
together main_story by_the_clock ends_by_signal ends_well
ok "the node is as it was" node_fine
done_testing
