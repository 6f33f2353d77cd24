#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# isolation: private
# timeout: 300
#
# Files that have changed while the job was not there: what may not be touched is not, what cannot be brought back
# holds the job and is named, and when it is mended the job goes on.
. "$(dirname "$0")/lib.sh"

drop_newer() {
    local gen
    for gen in $(generations "$1"); do
        [ "$gen" = "$2" ] || rm -rf "$(taskdir "$1")/${gen:?}"
    done
}
# aside NAME SPEC COMMAND... - a job of that name with one checkpoint, older than its files; prints nothing, sets job
aside() {
    local name=$1 spec=$2 first
    shift 2
    job=$(submit --checkpoint="interval=0$spec" -- "$(job_script "$name.sh" "$@")")
    ok "$name: starts" wait_step "$job" 4
    ok "$name: checkpoint" checkpoint "$job"
    first=$(newest "$job")
    ok "$name: the job runs on" goes_on "$job" 4
    ok "$name: requeued and held" requeue_hold "$job"
    drop_newer "$job" "$first"
}
# refused JOB WHAT REGEX - released, it is held again, and says why
refused() {
    local said
    said=$(out "$1" | wc -l)
    ok "$2: released" run scontrol release "$1"
    ok "$2: held again" wait_until 60 said_held "$1" "$said"
    like "$2: the reason" "$(out "$1" | tail -n +$((said + 1)))" "checkpoint: .*$3.*held: scontrol release"
    ok "$2: at rest" wait_until 60 at_rest "$1"
}
said_held() {
    out "$1" | tail -n +$(($2 + 1)) | grep -q 'held: scontrol release' && return
    [ "$(state "$1")" != PENDING ] || start_now "$1"
    return 1
}
at_rest() { held "$1" && no_process "$1"; }
# well NAME JOB STOP - released, it is restored and ends as an undisturbed one
well() {
    ok "$1: released, all is well again" release "$2"
    ok "$1: restored" restored "$2"
    ok "$1: goes on" goes_on "$2"
    touch "$3"
    ok "$1: ends" wait_state "$2" COMPLETED
    like "$1: as an undisturbed run" "$(out "$2" | grep -aE '^(result|broken)')" '^result ok$'
}
as_user() { setpriv --reuid ckptest --regid ckptest --init-groups -- "$@"; }

# What lies in the place of a file that would be put back
swapped() {
    local job file=$HOME_DIR/swapped.dat other=$HOME_DIR/precious sum holder
    aside swapped "" "$PROGS/files.py" inplace "$HOME_DIR/swapped.stop" "$file"
    as_user dd if=/dev/urandom of="$other" bs=1k count=20 status=none
    sum=$(sha256sum <"$other")
    mv "$file" "$file.own"
    as_user ln -s "$other" "$file"
    refused "$job" "row 37: swapped for a link" "swapped.dat: a symbolic link is there now"
    is "row 37: swapped for a link: where it leads nothing has changed" "$(sha256sum <"$other")" "$sum"
    rm "$file"
    as_user mkfifo "$file"
    refused "$job" "row 37: swapped for a FIFO" "swapped.dat: it is no regular file"
    rm "$file"
    as_user ln "$other" "$file"
    refused "$job" "row 37: swapped for a hard link" "swapped.dat: it has other names"
    is "row 37: swapped for a hard link: the other name has its contents" "$(sha256sum <"$other")" "$sum"
    rm "$file"
    mv "$file.own" "$file"
    setpriv --reuid ckptest --regid ckptest --init-groups sh -c 'exec 9<>"$0"; exec sleep 1000' "$file" &
    holder=$!
    sleep 0.3
    refused "$job" "row 37: open elsewhere" "another process has it open for writing"
    kill "$holder"
    wait "$holder" 2>/dev/null
    well swapped "$job" "$HOME_DIR/swapped.stop"
    is "swapped: nothing of ours is left beside it" "$(find "$HOME_DIR" -name '.ckpt*')" ""
}

# The same for one that would be cut
cut_swapped() {
    local job file=$HOME_DIR/cut.dat other=$HOME_DIR/longer sum
    aside cut "" "$PROGS/files.py" sequence "$HOME_DIR/cut.stop" "$file"
    cp -p "$file" "$other"
    sum=$(sha256sum <"$other")
    mv "$file" "$file.own"
    as_user ln -s "$other" "$file"
    refused "$job" "cut, a link" "cut.dat: a symbolic link is there now"
    rm "$file"
    ln "$other" "$file"
    refused "$job" "cut, a hard link" "cut.dat: it has other names"
    is "cut: the other file has not been touched" "$(sha256sum <"$other")" "$sum"
    rm "$file"
    as_user sh -c 'head -c 10 "$0.own" >"$0"' "$file"
    refused "$job" "cut, begun anew" "cut.dat: 10 bytes, at the checkpoint it had [0-9]+: .*files="
    mv "$file.own" "$file"
    rm -r "$(taskdir "$job")/kept"
    ln -s "$HOME_DIR" "$(taskdir "$job")/kept"
    refused "$job" "cut, kept/ is a link" "what is to be kept of .*: kept: Not a directory"
    rm "$(taskdir "$job")/kept"
    well cut "$job" "$HOME_DIR/cut.stop"
}

# No room to put a file back: nothing is half done
full() {
    local job dir=$HOME_DIR/small left
    install -d -o ckptest "$dir"
    mount -t tmpfs -o size=64k,mode=755,uid="$(id -u ckptest)" tmpfs "$dir" || { ok "full: mount" false; return; }
    aside full "" "$PROGS/files.py" inplace "$HOME_DIR/full.stop" "$dir/full.dat"
    rm "$dir/full.dat"
    head -c 60000 /dev/zero >"$dir/filler"
    refused "$job" full "full.dat: cannot be put back: No space left"
    left=$(ls -A "$dir")
    is "full: nothing is left half done" "$left" filler
    rm "$dir/filler"
    well full "$job" "$HOME_DIR/full.stop"
}

# Inputs, and the program itself
inputs() {
    local job input=$HOME_DIR/input.txt program=$HOME_DIR/mine
    as_user sh -c 'seq 1000 >"$0"' "$input"
    install -o ckptest "$PROGS/counter" "$program"
    aside input "" bash -c "exec 9<$input; exec $program $HOME_DIR/input.stop"
    as_user sh -c 'cp -p "$0" "$0.own"; sed -i s/500/999/ "$0"' "$input"
    refused "$job" "another input" "$input, which the job reads, has changed .*inputs=warn"
    as_user cp "$input.own" "$input"
    mv "$program" "$program.own"
    install -o ckptest "$PROGS/invariant" "$program"
    refused "$job" "another program" "$program, which the job runs, has changed"
    rm "$program"
    refused "$job" "no program" "$program, which the job runs, has gone"
    mv "$program.own" "$program"
    as_user sh -c 'echo more >>"$0"' "$input"
    ok "input: released, it has only grown" release "$job"
    ok "input: restored" restored "$job"
    ok "input: which is told" wait_out "$job" "checkpoint: .*input.txt has grown since the checkpoint"
    touch "$HOME_DIR/input.stop"
    ok "input: ends" wait_state "$job" COMPLETED
}
inputs_warn() {
    local job input=$HOME_DIR/warned.txt
    as_user sh -c 'seq 1000 >"$0"' "$input"
    aside warned ,inputs=warn bash -c "exec 9<$input; exec $PROGS/counter $HOME_DIR/warned.stop"
    as_user sh -c 'echo other >"$0"' "$input"
    ok "inputs=warn: released" release "$job"
    ok "inputs=warn: restored" restored "$job"
    ok "inputs=warn: which is told" wait_out "$job" "checkpoint: .*warned.txt has changed since the checkpoint"
    touch "$HOME_DIR/warned.stop"
    ok "inputs=warn: ends" wait_state "$job" COMPLETED
}

# Too large to be copied
limit() {
    local job stop=$HOME_DIR/limit.stop
    job=$(submit --checkpoint=interval=0,files-limit=1K -- \
        "$(job_script limit.sh "$PROGS/files.py" inplace "$stop" "$HOME_DIR/limit.dat")")
    ok "limit: starts" wait_step "$job" 2
    like "limit: no checkpoint, and why" "$(checkpoint "$job" 2>&1; echo "status $?")" \
        "limit.dat \(open for reading and writing.*8000 bytes\).*files-limit=SIZE.*files-over=warn"
    is "limit: none is there" "$(n_generations "$job")" 0
    ok "limit: the job runs on" goes_on "$job"
    touch "$stop"
    ok "limit: ends" wait_state "$job" COMPLETED
    job=$(submit --checkpoint=interval=0,files-limit=1K,files-over=warn -- \
        "$(job_script over.sh "$PROGS/files.py" inplace "$HOME_DIR/over.stop" "$HOME_DIR/over.dat")")
    ok "over: starts" wait_step "$job" 2
    ok "over: a checkpoint all the same" checkpoint "$job"
    ok "over: which is told" wait_out "$job" \
        "checkpoint: .*over.dat .*is not in the checkpoint: files-limit is"
    touch "$HOME_DIR/over.stop"
    ok "over: ends" wait_state "$job" COMPLETED
}

# One log of three tasks, and one output: never cut
shared_log() {
    local array jobs job log=$HOME_DIR/array.log stop=$HOME_DIR/array.stop first
    array=$(run sbatch --parsable --requeue --mem=200 --array=1-3 -o "$HOME_DIR/array.out" \
        --checkpoint=interval=0 "$(job_script array.sh "$PROGS/files.py" append "$stop" "$log")")
    ok "array: all three write" wait_until 60 tasks_write "$log" 4
    mapfile -t jobs < <(run squeue -h -r -j "$array" -o %A | grep -vx "$array")
    job=${jobs[0]} # one task's number stands for the whole array
    is "array: two more jobs" "${#jobs[@]}" 2
    ok "array: checkpoint of one" checkpoint "$job"
    first=$(newest "$job")
    ok "array: all write on" wait_until 60 tasks_write "$log" 9
    ok "array: requeued and held" requeue_hold "$job"
    drop_newer "$job" "$first"
    ok "array: released" release "$job"
    ok "array: restored" wait_until 60 grep -q 'checkpoint: restored' "$HOME_DIR/array.out"
    ok "array: all write on" wait_until 60 tasks_write "$log" 30
    touch "$stop"
    ok "array: all end" wait_until 60 no_job "$array"
    is "array: no line that others wrote is lost or twice" "$(others "$log" "$(task_of "$job")")" ""
    is "array: the one goes back, and on from there" "$(own "$log" "$(task_of "$job")")" 1
    unlike "array: their output is not cut" "$(cat "$HOME_DIR/array.out")" 'cut back'
}
no_job() { [ -z "$(run squeue -h -j "$1")" ]; }
task_of() { show "$1" | sed -n 's/.*ArrayTaskId=\([0-9]*\).*/\1/p'; }
tasks_write() {
    local t
    for t in 1 2 3; do [ "$(grep -c "^task $t " "$1")" -ge "$2" ] || return 1; done
}
others() { awk -v own="$2" '$2 != own && $4 != ++n[$2] { print; n[$2] = $4 }' "$1"; }
own() { awk -v own="$2" '$2 == own { if ($4 <= n) back++; else if ($4 != n + 1) back = 99; n = $4 } END { print back + 0 }' "$1"; }

tb_up --nodes 2
together swapped cut_swapped full limit
together inputs inputs_warn shared_log
done_testing
