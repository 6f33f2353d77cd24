#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# isolation: private
# timeout: 180
#
# What the generation that goes holds already is not written again; each generation restores alone.
. "$(dirname "$0")/faultlib.sh"

own_bytes() { stat -c %s "$1/pages.zst"; }
links() { find "$1" -name 'pages.gen-*' -printf '%f\n' | sort | paste -s -d ' '; }
linked() { jq -r '.incremental.linked[].generation' "$1/manifest.json" | paste -s -d ' '; }
# used GENERATION - bytes that it has of others
used() { jq '[.incremental.linked[].used] | add // 0' "$1/manifest.json"; }
# turn N - the program makes turns up to the N-th
turn() {
    echo "$1" >"$STOP.turns"
    wait_until 60 grep -q "^turn $1$" "$TREE_OUT"
}

# 40 MiB, 5 of 100 change; compressions side by side
with() { # NAME OPTIONS...
    local name=$1 gen full said first
    shift
    STOP=$HOME_DIR/$name.stop
    session "$name" "$(new_dir "$name")" --incremental 8 --keep 2 "$@" -- "$PROGS/partly" "$STOP" 40 5
    ok "$name: starts" wait_until 60 grep -q '^step ' "$TREE_OUT"
    ok "$name: a first dump" succeeded "$(ask dump)"
    ok "$name: a second dump" succeeded "$(ask dump)"
    full=$(own_bytes "$SESSION_DIR/gen-0000-000002")
    is "$name: written whole while none goes" "$(links "$SESSION_DIR/gen-0000-000002")" ""
    ok "$name: a turn" turn 1
    ok "$name: a third dump" succeeded "$(ask dump)"
    gen=$SESSION_DIR/gen-0000-000003
    is "$name: the one that went is linked" "$(links "$gen")" pages.gen-0000-000001.zst
    is "$name: as its manifest says" "$(linked "$gen")" gen-0000-000001
    is "$name: and has no other name any more" "$(stat -c %h "$gen/pages.gen-0000-000001.zst")" 1
    ok "$name: little was written ($(own_bytes "$gen") of $full)" test "$(own_bytes "$gen")" -lt $((full / 5))
    ok "$name: the rest was taken over" test "$(used "$gen")" -gt $((full * 3 / 4))
    ok "$name: a turn" turn 2
    ok "$name: a fourth dump" succeeded "$(ask dump)"
    ok "$name: a turn" turn 3
    ok "$name: a fifth dump" succeeded "$(ask dump)"
    gen=$SESSION_DIR/gen-0000-000005
    is "$name: upon the third" "$(linked "$gen")" "gen-0000-000001 gen-0000-000003"
    is "$name: no two that are kept share a file" "$(find "$SESSION_DIR" -name 'pages*' -links +1)" ""
    ok "$name: little was written ($(own_bytes "$gen") of $full)" test "$(own_bytes "$gen")" -lt $((full / 4))
    said=$(run scheckpoint verify -d "$HOME_DIR/$name" 4711 2>&1)
    like "$name: verify reads all" "$said" '2 good, 0 bad'
    tell_it signal KILL
    ok "$name: the fourth restores" succeeded "$(ask restore gen-0000-000004)"
    ok "$name: its program goes on" runs_on
    ok "$name: and knows what came after" turn 4
    ok "$name: a dump of it" succeeded "$(ask dump)"
    ok "$name: goes on upon one of before the restore" test -n "$(linked "$SESSION_DIR/gen-0000-000006")"
    tell_it signal KILL
    first=$(steps)
    ok "$name: that restores" succeeded "$(ask restore gen-0000-000006)"
    ok "$name: its program goes on" wait_until 60 more_steps "$first"
    ok "$name: every page is of its turn" unbroken
    session_end 'signal KILL'
}
none() { with none --compress none; }
zstd() { with zstd --compress zstd:1; }
lz4() { with lz4 --compress lz4; }

# A real job: by snapshots, the last before the requeue by CRIU's stream, and by a snapshot again
job() {
    local job gen full last
    STOP=$HOME_DIR/job.stop
    job=$(submit --checkpoint=interval=0,incremental=yes -- "$(job_script job.sh "$PROGS/partly" "$STOP" 40 5)")
    TREE_OUT=$HOME_DIR/$job.out
    ok "job: starts" wait_step "$job" 1
    ok "job: a first checkpoint" checkpoint "$job"
    ok "job: a second checkpoint" checkpoint "$job"
    full=$(own_bytes "$(taskdir "$job")/gen-0000-000002")
    ok "job: a turn" turn 1
    ok "job: a third checkpoint" checkpoint "$job"
    gen=$(taskdir "$job")/gen-0000-000003
    is "job: by a snapshot" "$(jq -r .snapshot "$gen/manifest.json")" copy-on-write
    is "job: upon the first" "$(linked "$gen")" gen-0000-000001
    ok "job: little was written ($(own_bytes "$gen") of $full)" test "$(own_bytes "$gen")" -lt $((full / 5))
    like "job: show says what was taken over" "$(run scheckpoint show "$job.last" 2>&1)" \
        'was taken over from gen-0000-000001$'
    is "job: list has all of it" "$(run scheckpoint list --json "$job" | jq '[.. | .stored_bytes? // empty] | max > '$((full / 2)))" true
    ok "job: a turn" turn 2
    ok "job: requeue" requeue "$job"
    ok "job: restored" restored "$job"
    gen=$(taskdir "$job")/$(newest "$job")
    is "job: upon the second" "$(linked "$gen")" gen-0000-000002
    ok "job: the last one was small, too ($(own_bytes "$gen") of $full)" test "$(own_bytes "$gen")" -lt $((full / 4))
    ok "job: a turn" turn 3
    ok "job: a checkpoint after it" checkpoint "$job"
    last=$(taskdir "$job")/$(newest "$job")
    is "job: upon the one of before the requeue but one" "$(linked "$last")" "gen-0000-000001 gen-0000-000003"
    ok "job: small ($(own_bytes "$last") of $full)" test "$(own_bytes "$last")" -lt $((full / 4))
    like "job: both are good" "$(run scheckpoint verify "$job" 2>&1)" '2 good, 0 bad'
    ok "job: requeue" requeue "$job"
    ok "job: restored" wait_until 60 restarted "$job" 2
    ok "job: goes on" goes_on "$job"
    touch "$STOP"
    ok "job: ends well" wait_state "$job" COMPLETED
    ok "job: no step is missing or repeated" each_once "$job"
    ok "job: every page is of its turn" unbroken
    ok "job: nothing is left" no_images "$job"
}

fault_up
together ${ONLY:-none zstd lz4 job}
done_testing
