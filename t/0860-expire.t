#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# isolation: private
# timeout: 240
#
# Checkpoints of jobs that failed or were cancelled expire; those of a job that can still come back never do.  Age is
# that of the files: they are touched back.
. "$(dirname "$0")/lib.sh"

start() { # NAME STATUS
    job=$(submit --checkpoint=interval=0 -- "$(job_script "$1.sh" "$PROGS/counter" "$HOME_DIR/$1.stop" "$2")")
    ok "$1: starts" wait_step "$job" 2
    ok "$1: a checkpoint" checkpoint "$job"
}
# aged JOB DAYS - nothing has happened to it since
aged() { run find "$(jobdir "$1")" -exec touch -h -d "$2 days ago" {} +; }
there() { [ "$(n_generations "$1")" -ge 1 ]; }
not_completing() { ! show "$1" | grep -q COMPLETING; }
stamp=
# epilog_of_another - a job with checkpoints comes and goes on this node
epilog_of_another() {
    local other
    other=$(submit --checkpoint=interval=0 -- "$(job_script other.sh true)")
    wait_state "$other" COMPLETED && wait_until 60 not_completing "$other"
}

tb_up
stamp=$TB/run/checkpoint/expired.$(id -u ckptest)
start failed 3; failed=$job
start cancelled 0; cancelled=$job
start held 0; held=$job
start running 0; running=$job
touch "$HOME_DIR/failed.stop"
ok "one job fails" wait_state "$failed" FAILED
run scancel "$cancelled"
ok "one is cancelled" wait_state "$cancelled" CANCELLED
ok "one is requeued and held" requeue_hold "$held"
for job in "$failed" "$cancelled"; do wait_until 60 not_completing "$job"; done
ok "the epilog has noted the day" wait_until 20 test -s "$stamp"
is "which is for root alone" "$(stat -c '%U %a' "$stamp")" 'root 600'

# By hand
like "--expired wants days" "$(run scheckpoint prune --expired=0 --all-jobs 2>&1; echo "status $?")" 'status 2'
like "--expired goes without --keep" "$(run scheckpoint prune --expired --keep 1 --all-jobs 2>&1; echo "status $?")" 'status 2'
is "nothing has expired" "$(run scheckpoint prune --expired --all-jobs --json | jq '.jobs | length')" 0
for job in "$failed" "$cancelled" "$held" "$running"; do aged "$job" 13; done
is "nothing has expired after 13 days" "$(run scheckpoint prune --expired --all-jobs --json | jq '.jobs | length')" 0
is "--expired=12: those that have ended have" \
    "$(run scheckpoint prune --expired=12 --all-jobs --dry-run --json | jq -c '[.jobs[].job] | sort')" "[$failed,$cancelled]"
for job in "$failed" "$cancelled" "$held" "$running"; do
    aged "$job" 15
    ok "nothing is gone yet ($job)" there "$job"
done
run touch "$(taskdir "$cancelled")/events"
is "after 15 days: not the one with something new in its history" \
    "$(run scheckpoint prune --expired --all-jobs --dry-run --json | jq -c '[.jobs[].job]')" "[$failed]"
aged "$cancelled" 15

# By the epilog of another job: only once a day
ok "another job ends" epilog_of_another
sleep 1
ok "the day's turn has been: nothing is removed" there "$failed"
touch -d '25 hours ago' "$stamp"
ok "another job ends, a day later" epilog_of_another
ok "the failed one's are gone" wait_until 60 no_images "$failed"
ok "the cancelled one's are gone" wait_until 60 no_images "$cancelled"
ok "the held one's are there" there "$held"
ok "the running one's are there" there "$running"
ok "the day is noted" test -z "$(find "$stamp" -mmin +60)"
is "no node was drained" "$(run_root sinfo -h -o %t | tr -d '*' | grep -cE 'drain|down')" 0
ok "the held one is released" release "$held"
ok "and restored from what has not expired" restored "$held"
ok "it goes on" goes_on "$held"

# Never, where the site says so
printf 'ExpireDays=0\n' >>"$TB/etc/checkpoint.conf"
run scancel "$held" "$running"
for job in "$held" "$running"; do
    wait_state "$job" CANCELLED
    wait_until 60 not_completing "$job"
    aged "$job" 400
done
like "ExpireDays=0: by hand it is refused" "$(run scheckpoint prune --expired --all-jobs 2>&1; echo "status $?")" 'ExpireDays=0'
touch -d '25 hours ago' "$stamp"
ok "another job ends" epilog_of_another
sleep 1
ok "ExpireDays=0: nothing is removed" there "$held"
ok "with days given it is" run scheckpoint prune --expired=399 --all-jobs
ok "then all is gone" test -z "$(jobdir "$held")$(jobdir "$running")"
done_testing
