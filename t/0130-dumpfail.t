#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# isolation: private
#
# A checkpoint that fails: the job runs on, the older generation stays and restores, the reason is told.
. "$(dirname "$0")/lib.sh"

# start NAME MEM COMMAND... - a job with its own checkpoint directory and one good generation; sets job, dir, good
start() {
    local name=$1 mem=$2
    shift 2
    dir=$HOME_DIR/$name
    [ -d "$dir" ] || install -d -o ckptest -g ckptest -m 700 "$dir"
    job=$(submit --checkpoint=interval=0 --checkpoint-dir="$dir" "$mem" -- "$(job_script "$name.sh" "$@")")
    ok "$name: starts" wait_step "$job" 3
    [ "$name" != full ] || too_small
    ok "$name: a good checkpoint" checkpoint -d "$dir" "$job"
    good=$(newest "$job" "$dir")
    is "$name: it is there" "$good" gen-0000-000001
}

# fails NAME REASON - a checkpoint that must fail so
fails() {
    local name=$1 reason=$2 said
    said=$(checkpoint -d "$dir" "$job" 2>&1; echo "status $?")
    like "$name: create tells why" "$said" "$reason"
    like "$name: create exits with 1" "$said" '^status 1$'
    like "$name: the job's stderr tells it" "$(out "$job" | grep -a '^checkpoint: not saved')" "$reason"
    ok "$name: the job runs on" goes_on "$job"
}

# goes_back NAME JUMPS - requeued without a last checkpoint it comes back from the good one; JUMPS is 1 where the output
# cannot be cut back to it
goes_back() {
    local name=$1 wanted=$2 jump
    ok "$name: requeue" requeue "$job"
    like "$name: the older generation is restored" "$(restored "$job" 2>&1; out "$job")" "restored $good"
    ok "$name: it goes on" goes_on "$job"
    jump=$(jumps "$job")
    ok "$name: no step is missing" jumps "$job"
    is "$name: only what followed that checkpoint is repeated, or nothing" "${jump% *}" "$wanted"
}

ends() {
    touch "$dir.stop"
    ok "$1: ends" wait_state "$job" COMPLETED
}

# Before the first one is written nobody knows how badly it compresses.
too_small() {
    mount -o remount,size=40m "$dir"
    fails full "$dir: cannot write pages.zst: No space left on device; make room there: scheckpoint prune"
    is "full: nothing of that is left" "$(find "$dir" -name '*.partial')" ""
    mount -o remount,size=100m "$dir"
}

# 64 MiB that compress badly: one generation fits, a second one beside it does not.
full() {
    local job dir=$HOME_DIR/full good said
    install -d -m 700 "$dir"
    mount -t tmpfs -o "size=100m,mode=700,uid=$(id -u ckptest),gid=$(id -g ckptest)" none "$dir"
    start full --mem=600 "$PROGS/invariant" "$dir.stop" 64
    fails full "$dir: .*MiB free, about .* needed at least, and 16.0 MiB to be left over\$"
    is "full: nothing half-written is left" "$(find "$dir" -name '*.partial')" ""
    is "full: the older generation stays" "$(newest "$job" "$dir")" "$good"
    like "full: scheckpoint error tells it" "$(run scheckpoint error -d "$dir" "$job" 2>&1)" 'MiB free'
    like "full: and the last good one" "$(run scheckpoint error -d "$dir" "$job" 2>&1)" "$good"
    run dd if=/dev/zero of="$dir/ballast" bs=4k 2>/dev/null
    said=$(checkpoint -d "$dir" "$job" 2>&1; echo "status $?")
    like "full: not even the request fits: create tells" "$said" \
        "$dir: request: .*No space left on device; make room there: scheckpoint prune"
    like "full: and exits with 1" "$said" '^status 1$'
    rm "$dir/ballast"
    goes_back full 0
    like "full: the program's memory is right" "$(out "$job" | grep -a '^broken'; echo none)" '^none$'
    mount -o remount,size=300m "$dir"
    ok "full: with room again the next one is made" checkpoint -d "$dir" "$job"
    like "full: it is newer" "$(newest "$job" "$dir")" 'gen-0001-'
    ends full
}

not_writable() {
    local job dir good task said
    start readonly --mem=400 "$PROGS/counter" "$HOME_DIR/readonly.stop"
    task=$(taskdir "$job" "$dir")
    chmod 500 "$task"
    fails readonly "$dir: .*Permission denied"
    is "readonly: the older generation stays" "$(newest "$job" "$dir")" "$good"
    goes_back readonly 1
    like "readonly: the last one's failure is told, though its reason is the same" "$(out "$job")" \
        '^checkpoint: not saved \(requeue\): .*Permission denied; the job goes on from gen-0000-000001$'
    chmod 700 "$task"
    ok "readonly: once it is writable the next one is made" checkpoint -d "$dir" "$job"
    like "readonly: scheckpoint error tells the last good one" \
        "$(run scheckpoint error -d "$dir" "$job" 2>&1)" 'gen-0001-'
    # Held, with nowhere to write down why.
    chmod 500 "$(jobdir "$job" "$dir")/steps"
    ok "readonly: requeue once more" run scontrol requeue "$job"
    ok "readonly: the job is held" wait_held_by_us "$job"
    said=$(run scheckpoint error -d "$dir" "$job" 2>&1)
    like "readonly: scheckpoint error tells why" "$said" \
        "^job $job: held since 20.*: the checkpoint directory cannot be used: .*Permission denied; scontrol release $job tries again\$"
    like "readonly: as JSON, too" "$(run scheckpoint error -d "$dir" --json "$job" | jq -r .held.text)" '^the checkpoint directory cannot'
    said=$(checkpoint -d "$dir" "$job" 2>&1; echo "status $?")
    like "readonly: create tells it" "$said" \
        "job $job: it is held: the checkpoint directory cannot be used: .*; scontrol release $job tries again\$"
    chmod 700 "$(jobdir "$job" "$dir")/steps"
    ok "readonly: released" release "$job"
    ok "readonly: restored" wait_until 60 restored_times "$job" 2
    is "readonly: it is held no more" "$(run scheckpoint error -d "$dir" --json "$job" | jq -c .held)" null
    ends readonly
}

# What must be left over for the job's own files is not asked for when the job ends.
small() {
    local job dir=$HOME_DIR/small said
    install -d -m 700 "$dir"
    mount -t tmpfs -o "size=12m,mode=700,uid=$(id -u ckptest),gid=$(id -g ckptest)" none "$dir"
    job=$(submit --checkpoint=interval=0 --checkpoint-dir="$dir" -- "$(job_script small.sh "$PROGS/counter" "$HOME_DIR/small.stop")")
    ok "small: starts" wait_step "$job" 3
    said=$(checkpoint -d "$dir" "$job" 2>&1; echo "status $?")
    like "small: refused" "$said" 'MiB free, about .* needed at least, and 16.0 MiB to be left over$'
    unlike "small: nothing is there to prune" "$said" prune
    is "small: nothing was saved" "$(n_generations "$job" "$dir")" 0
    ok "small: requeue" requeue "$job"
    like "small: the last one was made" "$(restored "$job" 2>&1; out "$job")" 'restored gen-0000-000001'
    ok "small: it goes on" goes_on "$job"
    touch "$HOME_DIR/small.stop"
    ok "small: ends" wait_state "$job" COMPLETED
}

# The very first one fails: one request is one attempt.
first() {
    local job stop=$HOME_DIR/first.stop task
    # On one node: its next run does not begin before the one before is over there.
    job=$(submit -w "${NODE}1" --checkpoint=interval=0 -- "$(job_script first.sh "$PROGS/counter" "$stop")")
    ok "first: starts" wait_step "$job" 3
    task=$(taskdir "$job")
    chmod 500 "$task"
    nok "first: create fails" checkpoint "$job"
    ok "first: the job runs on" goes_on "$job" 20
    is "first: it was tried once" "$(cat "$task"/events* | grep -c '"checkpoint-failed"')" 1
    chmod 700 "$task"
    ok "first: the next one is made" checkpoint "$job"
    ok "first: the job runs on" goes_on "$job" 20
    is "first: it was made once" "$(n_generations "$job")" 1
    task=$(jobdir "$job")
    rm -rf "$task"
    ok "first: requeue without its directory" requeue "$job"
    ok "first: it tells where nothing was" wait_out "$job" "^checkpoint: no checkpoint to restore from: this job's \
directory $task, .* not there: it was removed, or .* not mounted on this node; the job starts from the beginning\$"
    ok "first: from the beginning" wait_until 60 started_twice "$job"
    ok "first: it runs" goes_on "$job"
    rm -rf "$task"
    ok "first: once more" requeue "$job"
    ok "first: it runs once more" goes_on "$job"
    rm -rf "$task"
    ok "first: instead of the third time" run scontrol requeue "$job"
    ok "first: it is held" wait_held_by_us "$job"
    like "first: with that reason" "$(out "$job")" "^checkpoint: this job's directory $task, .* is not there: .*; held: scontrol"
    ok "first: it is released" release "$job"
    touch "$stop"
    ok "first: ends" wait_state "$job" COMPLETED
}

vanished() {
    local job dir good
    start vanished --mem=400 "$PROGS/counter" "$HOME_DIR/vanished.stop"
    mv "$dir" "$dir.away"
    # create has nowhere to put its request; an operator's ring reaches the job.
    nok "vanished: create fails" checkpoint -d "$dir" "$job"
    run scancel --signal=URG --batch "$job"
    ok "vanished: the job's stderr tells it" wait_out "$job" "^checkpoint: .*$dir: No such file or directory" 30
    ok "vanished: the job runs on" goes_on "$job"
    ok "vanished: nothing was made in its place" test ! -e "$dir"
    mv "$dir.away" "$dir"
    is "vanished: the older generation is there again" "$(newest "$job" "$dir")" "$good"
    ok "vanished: the next one is made there" checkpoint -d "$dir" "$job"
    good=$(newest "$job" "$dir")
    is "vanished: it is the second" "$good" gen-0000-000002
    # Requeued while it is away: what is saved must not be lost by a start from the beginning.
    mv "$dir" "$dir.away"
    ok "vanished: requeue" run scontrol requeue "$job"
    ok "vanished: the job is held" wait_held_by_us "$job"
    like "vanished: with the reason" "$(out "$job" | grep -a held)" "^checkpoint: .*$dir: No such file or directory"
    is "vanished: it did not start from the beginning" "$(out "$job" | grep -c ^start)" 1
    rm -rf "$dir"
    mv "$dir.away" "$dir"
    ok "vanished: it is released" release "$job"
    ok "vanished: it is restored" restored "$job"
    ok "vanished: it goes on" goes_on "$job"
    ends vanished
}
# --- the helpers are killed in the middle of a dump; hard compression gives the time for it

killed() {
    local job dir=$SCRATCH good stop=$HOME_DIR/killed.stop victim before
    job=$(submit --checkpoint=interval=0,compress=zstd:9,snapshot=no --mem=600 -- \
        "$(job_script killed.sh "$PROGS/invariant" "$stop" 64)")
    ok "killed: starts" wait_step "$job" 3
    ok "killed: a good checkpoint" checkpoint "$job"
    good=$(newest "$job")
    before=$(tree "$job" threads)
    for victim in dump criu; do
        kill_helper "$job" "$victim" >"$TEST_TMP/killed.$victim" &
        fails "killed $victim" '.'
        wait $!
        is "killed $victim: it was there, and killed" "$(cat "$TEST_TMP/killed.$victim")" killed
        ok "killed $victim: no helper is left" wait_until 20 no_helper "$job"
        is "killed $victim: the same processes go on" "$(tree "$job" threads)" "$before"
        is "killed $victim: none is stopped or traced" "$(stopped "$job")" ""
        is "killed $victim: the older generation stays" "$(newest "$job")" "$good"
    done
    ok "killed: the next one is made" checkpoint "$job"
    ok "killed: nothing half-written is left" test -z "$(find "$(taskdir "$job")" -name '*.partial')"
    ok "killed: requeue" requeue "$job"
    ok "killed: restored" restored "$job"
    ok "killed: it goes on" goes_on "$job"
    touch "$stop"
    ok "killed: ends" wait_state "$job" COMPLETED
    like "killed: its memory was never touched" "$(out "$job" | grep -aE '^(result|broken)')" '^result ok$'
    ok "killed: each step once" each_once "$job"
}
# kill_helper JOB NAME - SIGKILL to it as soon as criu holds the job
kill_helper() {
    local end=$((SECONDS + 30)) program pid
    program=$(job_pid "$1" invariant)
    until grep -q '^TracerPid:.*[1-9]' "/proc/$program/status"; do
        [ $SECONDS -lt $end ] || return
    done
    sleep 0.1
    for pid in $(pgrep -u ckptest -x "$2"); do
        grep -qsE "${NODE}[0-9]+[_/].*job_$1/step_batch" "/proc/$pid/cgroup" || continue
        kill -KILL "$pid" && echo killed
        return
    done
}
no_helper() { ! job_pid "$1" dump && ! job_pid "$1" criu; }
stopped() {
    local pid
    for pid in $(job_pids "$1"); do
        grep -HE '^(State:.*[Tt] \(|TracerPid:.*[1-9])' "/proc/$pid/task"/*/status 2>/dev/null
    done
}

started_twice() { [ "$(out "$1" | grep -c ^start)" -eq 2 ]; }

tb_up --nodes 2
together full not_writable small first vanished killed
done_testing
