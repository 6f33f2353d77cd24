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

# takes DIRECTORY... - what their files take: one of several names in each place its share, as prune counts
takes() { find "$@" -type f -printf '%s %n\n' | awk '{ sum += int($1 / $2) } END { printf "%d\n", sum }'; }
# listed JOB [GENERATION] - bytes of the data as list tells them
listed() { run scheckpoint list --json "$1" | jq "[.generations[] | select(.generation == \"$2\") | .stored_bytes] | add"; }
inode() { stat -c %i "$1"; }

# keep=1: each generation upon the one before, which goes.  A dump that is killed before that leaves both, with pages that
# they share; so does this: the old one comes back, with another name of its pages.
prune() {
    local job dir old new pages said both
    STOP=$HOME_DIR/prune.stop
    job=$(submit --checkpoint=interval=0,incremental=yes,keep=1 -- "$(job_script prune.sh "$PROGS/partly" "$STOP" 40 5)")
    TREE_OUT=$HOME_DIR/$job.out
    ok "prune: starts" wait_step "$job" 1
    ok "prune: a first checkpoint" checkpoint "$job"
    dir=$(taskdir "$job") old=$dir/gen-0000-000001 new=$dir/gen-0000-000002 pages=$new/pages.gen-0000-000001.zst
    ok "prune: it is copied" run cp -a "$old" "$HOME_DIR/prune.kept"
    ok "prune: but for its pages, which get another name" run ln -f "$old/pages.zst" "$HOME_DIR/prune.kept/pages.zst"
    ok "prune: a turn" turn 1
    ok "prune: a second checkpoint" checkpoint "$job"
    is "prune: upon the first" "$(linked "$new")" gen-0000-000001
    is "prune: which went, by keep=1" "$(generations "$job")" gen-0000-000002
    like "prune: the one that is left is good" "$(run scheckpoint verify "$job" 2>&1)" '1 good, 0 bad'
    said=$(listed "$job" gen-0000-000002)
    ok "prune: list has what it took over, too" test "$said" -ge $(($(own_bytes "$new") + $(used "$new")))

    ok "prune: the first is back" run mv "$HOME_DIR/prune.kept" "$old"
    is "prune: they share its pages" "$(inode "$old/pages.zst") $(stat -c %h "$pages")" "$(inode "$pages") 2"
    like "prune: both are good" "$(run scheckpoint verify "$job" 2>&1)" '2 good, 0 bad'
    is "prune: list says the same of the second" "$(listed "$job" gen-0000-000002)" "$said"
    both=$(run scheckpoint prune --dry-run --keep 1 --json "$job")
    is "prune: it would remove the first" "$(jq -r '.jobs[0].removed | join(" ")' <<<"$both")" gen-0000-000001
    is "prune: what both take counts shared pages once" "$(jq .bytes <<<"$both")" "$(takes "$old" "$new")"
    is "prune: and half of them are the first's" "$(jq .freed_bytes <<<"$both")" "$(takes "$old")"
    ok "prune: with keep 2 none goes" run scheckpoint prune --keep 2 "$job"
    is "prune: so none went" "$(n_generations "$job")" 2
    ok "prune: with keep 1" run scheckpoint prune --keep 1 "$job"
    is "prune: the newest is left" "$(generations "$job")" gen-0000-000002
    is "prune: with its pages, which nobody shares" "$(stat -c %h "$pages")" 1
    is "prune: list says the same of it" "$(listed "$job" gen-0000-000002)" "$said"
    is "prune: now all of that is its own" "$(run scheckpoint prune --dry-run --json "$job" | jq .bytes)" \
        "$(find "$new" -type f -printf '%s\n' | awk '{ sum += $1 } END { printf "%d\n", sum }')"
    like "prune: it is good" "$(run scheckpoint verify "$job" 2>&1)" '1 good, 0 bad'

    # The last checkpoint before the requeue cannot be written, so that this one is what it goes on from.
    chmod 0500 "$dir"
    ok "prune: requeue" run scontrol requeue "$job"
    ok "prune: it waits" wait_until 60 state_is "$job" PENDING
    chmod 0700 "$dir"
    is "prune: no other came" "$(generations "$job")" gen-0000-000002
    ok "prune: it runs again" wait_until 60 restarted "$job" 1
    ok "prune: restored from it" wait_out "$job" '^checkpoint: restored .*gen-0000-000002' 60
    ok "prune: goes on" goes_on "$job"
    ok "prune: a turn" turn 2
    ok "prune: a checkpoint after it" checkpoint "$job"
    is "prune: upon both" "$(linked "$dir/$(newest "$job")")" "gen-0000-000001 gen-0000-000002"
    like "prune: the only one, and good" "$(run scheckpoint verify "$job" 2>&1)" '1 good, 0 bad'
    touch "$STOP"
    ok "prune: ends well" wait_state "$job" COMPLETED
    ok "prune: no step is missing or repeated" each_once "$job"
    ok "prune: every page is of its turn" unbroken
    ok "prune: nothing is left" no_images "$job"
}

fault_up
together ${ONLY:-none zstd lz4 job prune}
done_testing
