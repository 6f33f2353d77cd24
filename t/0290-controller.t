#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# slurmctld goes away in the middle of a checkpoint by the clock, of a last one, and of the job's own requeue before its
# time limit, and comes back: nothing is lost.  A testbed for each, as each stops its slurmctld.
# isolation: private
# order: first
# timeout: 300
. "$(dirname "$0")/lib.sh"

controller() { pgrep -f "^slurmctld -D -f $TB/etc/slurm.conf"; }
away() { kill -STOP "$(controller)"; }
back() { kill -CONT "$(controller)"; }
# Its end is orderly: what a kill -9 loses is Slurm's own.
begins_anew() { "$TESTBED" restart --dir "$TB" slurmctld >/dev/null 2>&1; }
writing() { find "$(taskdir "$1")" -maxdepth 1 -name 'gen-*.partial' | grep -q .; }
number() { newest "$1" | sed 's/.*-0*//'; }
saved_since() { [ "$(number "$1")" -ge "$2" ]; }
# start NAME [sbatch options] - a job with so much memory that a checkpoint takes a while
start() {
    local name=$1
    shift
    submit --mem=1000 "$@" -- "$(job_script "$name.sh" "$PROGS/invariant" "$HOME_DIR/$name.stop" 16)"
}

# The clock: it is away for three checkpoints, restarts in the middle of one, then is killed and starts again.
clock() {
    local job n
    job=$(start clock --checkpoint=0:02,keep=3,compress=zstd:9)
    ok "clock: starts" wait_step "$job" 3
    ok "clock: a checkpoint is being written" wait_until 60 writing "$job"
    away
    n=$(number "$job")
    ok "clock: checkpoints go on without slurmctld" wait_until 90 saved_since "$job" $((n + 3))
    ok "clock: the job too" goes_on "$job"
    back
    ok "clock: another is being written" wait_until 60 writing "$job"
    begins_anew
    n=$(number "$job")
    ok "clock: and more after its restart" wait_until 90 saved_since "$job" $((n + 2))
    is "clock: the job runs" "$(state "$job")" RUNNING
    "$TESTBED" kill --dir "$TB" slurmctld
    like "clock: prune says what is wrong with slurmctld" "$(run scheckpoint prune --dry-run "$job" 2>&1)" \
        'cannot ask slurmctld which jobs have ended: .*[Cc]ontroller'
    n=$(number "$job")
    ok "clock: and when it was killed" wait_until 90 saved_since "$job" $((n + 2))
    begins_anew
    ok "clock: requeue" requeue "$job"
    ok "clock: restored" restored "$job"
    ok "clock: it goes on" goes_on "$job"
    touch "$HOME_DIR/clock.stop"
    ok "clock: ends well" wait_state "$job" COMPLETED
    ok "clock: each step once" each_once "$job"
    unlike "clock: nothing failed" "$(out "$job")" 'not saved'
}

# The last one: slurmctld is away from the moment on in which the checkpoint is being written, and is restarted then.
last() {
    local job
    job=$(start last --checkpoint=interval=0,compress=zstd:9)
    ok "last: starts" wait_step "$job" 3
    ok "last: requeue" run scontrol requeue "$job"
    ok "last: the last checkpoint is being written" wait_until 30 begun "$job"
    away
    ok "last: it is saved" wait_until 60 saved_since "$job" 1
    ok "last: the job ends" wait_until 90 no_process "$job"
    back
    begins_anew
    ok "last: it starts again" wait_until 90 restarted "$job" 1
    ok "last: restored" restored "$job"
    ok "last: it goes on" goes_on "$job"
    touch "$HOME_DIR/last.stop"
    ok "last: ends well" wait_state "$job" COMPLETED
    ok "last: each step once" each_once "$job"
}
begun() { writing "$1" || saved_since "$1" 1; }

# The time limit comes nearer, and slurmctld cannot be asked to requeue the job: it goes on, is saved and requeued when
# slurmctld is back, before or after the limit.
limit() {
    local job
    job=$(start limit --checkpoint=interval=0,compress=zstd:9 --time=1)
    ok "limit: starts" wait_step "$job" 3
    sleep 5 # what the shepherd asks at its start
    away
    ok "limit: the job is told what is waited for" wait_out "$job" 'slurmctld does not answer: the job goes on, and is saved and requeued when it does' 120
    ok "limit: it goes on" goes_on "$job"
    is "limit: no last checkpoint that would be good for nothing" "$(n_generations "$job")" 0
    back
    ok "limit: saved and requeued" wait_out "$job" 'saved \(timelimit\)' 90
    ok "limit: starts again" wait_until 90 restarted "$job" 1
    ok "limit: restored" restored "$job"
    ok "limit: it goes on" goes_on "$job"
    touch "$HOME_DIR/limit.stop"
    ok "limit: ends well" wait_state "$job" COMPLETED
    ok "limit: each step once" each_once "$job"
}

# In the middle of the requeue: the checkpoint was begun while slurmctld answered.
requeue_retried() {
    local job
    job=$(start retried --checkpoint=interval=0,compress=zstd:9 --time=1)
    ok "retried: starts" wait_step "$job" 3
    ok "retried: the last checkpoint is being written" wait_until 90 begun "$job"
    away
    ok "retried: it is saved" wait_until 60 saved_since "$job" 1
    sleep 25 # three tries of 5 s
    back
    ok "retried: requeued in the end" wait_until 120 restarted "$job" 1
    ok "retried: restored" restored "$job"
    ok "retried: it goes on" goes_on "$job"
    touch "$HOME_DIR/retried.stop"
    ok "retried: ends well" wait_state "$job" COMPLETED
    ok "retried: each step once" each_once "$job"
}

bed() { # STORY - on a testbed of its own
    trap tb_down EXIT
    TEST_TMP=$TEST_TMP/$1
    mkdir "$TEST_TMP"
    echo "KillWait=25" >"$TEST_TMP/slurm"
    tb_up --slurm-conf "$TEST_TMP/slurm"
    "$1"
    ok "$1: the testbed goes down" tb_down
}
bed_clock() { bed clock; }
bed_last() { bed last; }
bed_limit() { bed limit; }
bed_retried() { bed requeue_retried; }
together bed_clock bed_last bed_limit bed_retried
done_testing
