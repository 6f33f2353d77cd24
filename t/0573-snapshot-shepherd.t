#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# timeout: 300
#
# The shepherd gets SIGKILL in the course of a checkpoint with a snapshot: before the tree is stopped, while it stands
# still, while its memory is written.  The job has ended then, and nothing of it is left: no snapshot, no process that
# stands still for ever.  The last good checkpoint stays, and the job goes on from it when it is requeued; or another job does.
. "$(dirname "$0")/lib.sh"

partial() { find "$(taskdir "$1")" -mindepth 1 -maxdepth 1 -name '*.partial'; }
ended() { state_in "$1" "FAILED COMPLETED CANCELLED PENDING"; }

# shoot JOB MOMENT - in the course of one checkpoint or, as it is short, a later one; the file JOB.good has what was there
# before that
shoot() {
    local pid shooter i
    pid=$(job_pid "$1" snapped)
    python3 -B "$TEST_TOP/t/faulty/shoot.py" "$(pids_file "$pid")" "$(job_pid "$1" shepherd)" "$pid" "$2" >"$TEST_TMP/$1.shot" &
    shooter=$!
    wait_until 30 test -s "$TEST_TMP/$1.shot"
    for ((i = 0; i < 30; i++)); do
        newest "$1" >"$TEST_TMP/$1.good"
        checkpoint "$1" >/dev/null 2>&1
        kill -0 $shooter 2>/dev/null || break
    done
    wait $shooter || { cat "$TEST_TMP/$1.shot"; return 1; }
}

# begin NAME - $job runs and has a good checkpoint
begin() {
    stop=$HOME_DIR/$1.stop
    job=$(submit --checkpoint=interval=0 -- "$(job_script "$1.job" "$PROGS/snapped" "$stop" plain 64)")
    ok "$1: starts" wait_step "$job" 3
    ok "$1: a good checkpoint" checkpoint "$job"
}
# lost JOB MOMENT - the shepherd is killed at that moment, and all that was the job's ends
lost() {
    ok "$2: the shepherd is killed" shoot "$1" "$2"
    good=$(cat "$TEST_TMP/$1.good")
    ok "$2: the job ends" wait_until 60 ended "$1"
    ok "$2: no process of it is left, stopped or traced or a snapshot" wait_until 60 no_process "$1" || ps -o pid,ppid,stat,comm -p "$(job_pids "$1" | paste -sd,)"
    ok "$2: its last good checkpoint is there" test -d "$(taskdir "$1")/$good"
}
# goes JOB MOMENT - it is restored from that, or a newer one that was complete, and is as it was
goes() {
    like "$2: from the last good checkpoint" "$(out "$1" | grep -a 'checkpoint: restored' | tail -n 1)" \
        "restored ($good|gen-[0-9]{4}-$(printf '%06d' $((10#${good##*-} + 1))))"
    ok "$2: it goes on" goes_on "$1"
    ok "$2: the next checkpoint is made" checkpoint "$1"
    is "$2: with a snapshot" "$(jq -r .snapshot "$(taskdir "$1")/$(newest "$1")/manifest.json")" copy-on-write
    is "$2: nothing half-written is left" "$(partial "$1")" ""
}
finish() {
    touch "$stop"
    ok "$2: ends well" wait_state "$1" COMPLETED
    like "$2: its memory was right all the time" "$(out "$1" | grep -aE '^(result|broken)')" '^result ok$'
}

# requeued NAME MOMENT...
requeued() {
    local job stop good n=0 name=$1 moment
    shift
    begin "$name"
    for moment; do
        n=$((n + 1))
        lost "$job" "$moment"
        ok "$moment: requeue" requeue "$job"
        ok "$moment: restored" wait_until 60 restored_times "$job" $n
        goes "$job" "$moment"
    done
    finish "$job" "$name"
}
early() { requeued early begun stopped; }
late() { requeued late copied; }

# The job stays failed, and another one takes its checkpoint.
another() {
    local job stop good other
    begin another
    lost "$job" written
    other=$(submit --checkpoint=interval=0,restore="$job" -- "$HOME_DIR/another.job")
    ok "written: another job is restored" restored "$other"
    goes "$other" written
    finish "$other" another
}

tb_up
together early late another
ok "no node was drained" node_fine
done_testing
