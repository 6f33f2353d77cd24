#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# isolation: private
# timeout: 300
#
# The helper dump of a real job is stopped while it writes a copy-on-write snapshot, which can then be looked at: the kernel
# would kill it before anything of the job's, it holds no file of the job's open, and who writes comes after the job.  The
# snapshot is killed: that checkpoint fails and says why, the next one does without, the one after has one again.  All the
# while the program's vector registers and its code are what they were.
. "$(dirname "$0")/lib.sh"

how() { jq -r .snapshot "$(taskdir "$1")/$(newest "$1")/manifest.json"; }
shown() { run scheckpoint show "$1" | sed -n 's/^ *snapshot  *//p'; }
partial() { find "$(taskdir "$1")" -mindepth 1 -maxdepth 1 -name '*.partial'; }
state_of() { sed -n 's/^State:[[:space:]]*\(.\).*/\1/p' "/proc/$1/status"; }
lives_not() { [[ "$(state_of "$1" 2>/dev/null)" =~ ^[ZX]?$ ]]; }
# nices PID ; ioprios PID - of the main thread, and then of the others: each that there is, once
nices() {
    local task
    sed 's/.*) //' "/proc/$1/task/$1/stat" | cut -d ' ' -f 17
    for task in "/proc/$1/task"/*; do [ "${task##*/}" = "$1" ] || sed 's/.*) //' "$task/stat"; done | cut -d ' ' -f 17 | sort -u
}
ioprios() {
    local task
    for task in "/proc/$1/task"/*; do [ "${task##*/}" = "$1" ] || ionice -p "${task##*/}"; done | sort -u
}

# hold - begins a checkpoint (its process: $client) and has dump stopped in its midst: sets $dump and $snapshot
hold() {
    python3 -B "$TEST_TOP/t/faulty/hold-dump.py" "$(pids_file "$program")" "$program" >"$TEST_TMP/held" &
    local holder=$!
    wait_until 60 test -s "$TEST_TMP/held"
    checkpoint "$job" >"$TEST_TMP/client" 2>&1 &
    client=$!
    wait "$holder" || { diag "$(cat "$TEST_TMP/held" "$TEST_TMP/client")"; bail "$1: no snapshot to look at"; }
    read -r dump snapshot < <(tail -n 1 "$TEST_TMP/held")
}

looked_at() {
    is "the kernel kills the snapshot first when memory runs out" "$(cat "/proc/$snapshot/oom_score_adj")" 1000
    isnt "and not the job (control)" "$(cat "/proc/$program/oom_score_adj")" 1000
    isnt "the job has files open (control)" "$(ls "/proc/$program/fd")" ""
    is "the snapshot has none" "$(ls "/proc/$snapshot/fd")" ""
    is "the main thread of dump has its priority, all others a lower one" "$(nices "$dump" | paste -sd ' ')" "0 10"
    is "for the disk, too" "$(ioprios "$dump")" "best-effort: prio 7"
    ok "the job runs on meanwhile" goes_on "$job"
}

killed() {
    local good
    good=$(newest "$job")
    hold killed
    looked_at
    kill -KILL "$snapshot"
    ok "killed: the snapshot is dead" wait_until 60 lives_not "$snapshot"
    kill -CONT "$dump"
    wait "$client"
    is "killed: the checkpoint fails" $? 1
    like "killed: who asked for it is told why" "$(cat "$TEST_TMP/client")" "the snapshot of process $(pids_printed "$job") was killed while it was being written"
    like "killed: so is the job" "$(out "$job")" "^checkpoint: not saved \(.*\): the snapshot of process $(pids_printed "$job") was killed while it was being written"
    is "killed: the last good generation stays" "$(generations "$job")" "$good"
    is "killed: nothing half-written is left" "$(partial "$job")" ""
    ok "killed: the job runs on" goes_on "$job"
    ok "killed: the next checkpoint is made" checkpoint "$job"
    is "killed: without a snapshot, and why" "$(how "$job")" "none: the last one failed"
    like "killed: as scheckpoint shows" "$(shown "$job")" '^none: the last one failed$'
    ok "killed: and the one after" checkpoint "$job"
    is "killed: with a snapshot" "$(how "$job")" copy-on-write
}

# The job closes the only writer of a pipe that was open when the snapshot was made.
closes() {
    hold closes
    touch "$stop.close"
    ok "closes: the end is seen while there is a snapshot" wait_out "$job" '^eof$'
    is "closes: there is one, still (control)" "$(state_of "$snapshot")" t
    kill -CONT "$dump"
    wait "$client"
    is "closes: the checkpoint is made" $? 0
    is "closes: with a snapshot" "$(how "$job")" copy-on-write
}

tb_up
stop=$HOME_DIR/halfway.stop
# Compressed hard: it takes a second or two.
job=$(submit --checkpoint=interval=0,compress=zstd:12 --mem=700 -- "$(job_script halfway.job "$PROGS/registers" "$stop" 64)")
ok "starts" wait_step "$job" 3
program=$(job_pid "$job" registers)
ok "a good checkpoint" checkpoint "$job"
is "with a snapshot" "$(how "$job")" copy-on-write
killed
closes
unlike "the program noticed nothing" "$(out "$job")" '^broken'
ok "requeue" requeue "$job"
ok "restored" restored "$job"
ok "it goes on" goes_on "$job"
touch "$stop"
ok "ends well" wait_state "$job" COMPLETED
like "its memory, registers and code were right all the time" "$(out "$job" | grep -aE '^(result|broken)')" '^result ok$'
ok "no step is missing or repeated" each_once "$job"
ok "no node was drained" node_fine
done_testing
