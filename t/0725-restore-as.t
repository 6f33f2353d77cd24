#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# isolation: private
#
# sbatch --checkpoint=restore=JOBID[.GENERATION]: a new job begins where an old one was saved; and what is refused.
# timeout: 400
. "$(dirname "$0")/lib.sh"

count() { job_script "$1.sh" "$PROGS/counter" "$HOME_DIR/$1.stop" "${2:-0}"; }
# saved NAME [sbatch options] -- a job that counts, with two generations; sets job, after1: the step of the first
saved() {
    local name=$1
    shift
    job=$(submit --checkpoint=interval=0 "$@" -- "$(count "$name")")
    wait_step "$job" 3 >/dev/null
    checkpoint "$job" >/dev/null
    after1=$(last_step "$job")
    goes_on "$job" 20 >/dev/null
    checkpoint "$job" >/dev/null
    is "$name: two generations" "$(generations "$job" | paste -s -d ' ')" "gen-0000-000001 gen-0000-000002"
}
cancelled() { run scancel "$1" && wait_state "$1" CANCELLED && wait_until 20 no_process "$1"; }
# restore_as SPEC [sbatch options] - submits the new job; its own script must never run
restore_as() {
    local spec=$1
    shift
    submit --checkpoint="interval=0,restore=$spec" "$@" -- "$own"
}
# refused NAME SPEC REGEX [sbatch options] - at submission
refused() {
    local name=$1 spec=$2 want=$3 said
    shift 3
    said=$(restore_as "$spec" "$@" 2>&1; echo "status $?")
    like "$name: refused" "$said" "$want"
    unlike "$name: no job" "$said" '^status 0$'
}
# held_as NAME JOB REGEX
held_as() {
    ok "$1: held" wait_held_by_us "$2"
    like "$1: the reason is told" "$(out "$2")" "^checkpoint: .*$3"
    like "$1: and in the comment" "$(show "$2")" "Comment=\\[checkpoint .*Z: .*held"
    unlike "$1: nothing else ran" "$(out "$2")" 'the new script runs|^step '
    run scancel "$2"
}
steps_of() { out "$1" | awk '/^step / { print $2 }' | sed -n "$2p"; }

# A cancelled job's newest one; the new job has checkpoints of its own and needs the old one no more.
newest_one() {
    local job after1 new old before first
    saved newest
    before=$(tree "$job")
    refused "newest: while it runs" "$job" "job $job has not ended \\(RUNNING\\)"
    ok "newest: the old one is cancelled" cancelled "$job"
    old=$(cksum <"$HOME_DIR/$job.out")
    new=$(restore_as "$job")
    ok "newest: restored" restored "$new"
    like "newest: tells from which" "$(out "$new")" "begins with a checkpoint of job $job"
    ok "newest: it goes on, in the new job's file" goes_on "$new"
    first=$(steps_of "$new" 1)
    ok "newest: where it was saved" [ "$first" -gt "$after1" ]
    is "newest: the old job's file is as it was" "$(cksum <"$HOME_DIR/$job.out")" "$old"
    is "newest: same processes" "$(tree "$new")" "$before"
    ok "newest: a checkpoint of its own" checkpoint "$new"
    is "newest: under its own key" "$(generations "$new")" gen-0000-000001
    rm -rf "$(jobdir "$job")"
    ok "newest: requeue, without the old job's directory" requeue "$new"
    ok "newest: restored from its own" wait_until 60 restored_times "$new" 2
    like "newest: that it made last" "$(out "$new" | grep 'checkpoint: restored' | tail -n 1)" 'restored gen-0000-000002'
    ok "newest: goes on" goes_on "$new"
    touch "$HOME_DIR/newest.stop"
    ok "newest: ends" wait_state "$new" COMPLETED
    ok "newest: each step once" contiguous "$new"
    unlike "newest: the new script never ran" "$(out "$new")" 'the new script runs'
    ok "newest: its images are deleted" wait_until 20 no_images "$new"
}
contiguous() { out "$1" | awk '/^step / { if (n && $2 != n + 1) bad = 1; n = $2 } END { exit bad || !n }'; }

# An older one, of a job that failed, and from there once more; output and errors to files of their own.
older_one() {
    local job after1 new again dir=$HOME_DIR/olderdir
    install -d -o ckptest -g ckptest -m 700 "$dir"
    SCRATCH=$dir
    job=$(submit --checkpoint=interval=0 --checkpoint-dir="$dir" -e "$HOME_DIR/%j.err" -- "$(count older 3)")
    wait_step "$job" 3 >/dev/null
    checkpoint -d "$dir" "$job" >/dev/null
    after1=$(last_step "$job")
    goes_on "$job" 20 >/dev/null
    checkpoint -d "$dir" "$job" >/dev/null
    touch "$HOME_DIR/older.stop"
    ok "older: the old job fails" wait_state "$job" FAILED
    rm "$HOME_DIR/older.stop"
    new=$(restore_as "$job.0.1" --checkpoint-dir="$dir" -e "$HOME_DIR/%j.err")
    ok "older: restored" wait_until 60 grep -q 'restored gen-0000-000001' "$HOME_DIR/$new.err"
    ok "older: it goes on" wait_until 60 test -s "$HOME_DIR/$new.out"
    ok "older: from there" [ "$(steps_of "$new" 1)" -le $((after1 + 2)) ]
    like "older: scheckpoint list shows none of its own yet" "$(run scheckpoint list -d "$dir" "$new" 2>&1)" "no checkpoints of job $new in $dir"
    cancelled "$new" >/dev/null
    # Never saved itself: the old job's name leads on.
    again=$(restore_as "$job.gen-0000-000002" --checkpoint-dir="$dir")
    ok "older: another job from another one, at once" restored "$again"
    ok "older: requeued before it was saved" run scheckpoint disable -d "$dir" "$again"
    ok "older: requeue" requeue "$again"
    ok "older: begins there again" wait_until 60 restored_times "$again" 2
    touch "$HOME_DIR/older.stop"
    ok "older: ends as the old one would have" wait_state "$again" FAILED
    is "older: exit status" "$(exit_code "$again")" 3:0
}

wrong_words() {
    local spec
    for spec in 0 -1 +1 01 4294967296 99999999999999999999 '' x ../77 77/../78 '77.' 77.0 77.0.0 77.0.1.2 77.gen-0000-000001/.. \
        77.../.. 77.gen-0-1 77.GEN-0000-000001 '77.0.1 ' $'77\n78' 77.10000.1 77%j; do
        refused "word '$(printf %q "$spec")'" "$spec" "restore must be a job's id|not understood"
    done
    refused "unknown job" 4000000 "no checkpoints of job 4000000 in "
}

# What belongs to another user, or to another job.
foreign() {
    local mine theirs new dir=$HOME_DIR/foreign job after1 base
    theirs=$(run_as ckptest2 sbatch --parsable --requeue --mem=200 -o "$TB/home/ckptest2/%j.out" \
        --checkpoint=interval=0 "$PROGS/background.sh" "$TB/home/ckptest2/stop")
    ok "foreign: another user's job is saved" wait_until 60 run_as ckptest2 scheckpoint create "$theirs"
    run_root scancel "$theirs"
    wait_state "$theirs" CANCELLED >/dev/null
    refused "foreign: by its id" "$theirs" "no checkpoints of job $theirs in "
    new=$(restore_as "$theirs" --checkpoint-dir="$TB/scratch/ckptest2")
    held_as "foreign: in his directory" "$new" 'ckptest2.*(owned|denied|belong|owner|Permission)'
    # Copied by somebody who could, root: the files are mine, the seal is his.
    base=$(basename "$(jobdir "$theirs" "$TB/scratch/ckptest2")")
    cp -a "$TB/scratch/ckptest2/$base" "$SCRATCH/"
    chown -R -h ckptest:ckptest "$SCRATCH/$base"
    new=$(restore_as "$theirs")
    held_as "foreign: copied" "$new" '(seal|munge)'
    # One of mine under another job's name.
    saved foreign
    cancelled "$job" >/dev/null
    mine=$(basename "$(jobdir "$job")")
    cp -a "$SCRATCH/$mine" "$SCRATCH/${mine/.$job./.900900.}"
    new=$(restore_as 900900)
    held_as "foreign: renamed" "$new" "job"
    # A link in its place.
    rm -rf "${SCRATCH:?}/${mine/.$job./.900900.}"
    run ln -s "$mine" "$SCRATCH/${mine/.$job./.900901.}"
    new=$(restore_as 900901 2>&1)
    [[ $new =~ ^[0-9]+$ ]] && held_as "foreign: a link" "$new" "no checkpoints of job 900901"
    # A byte changed.
    printf X | dd of="$(taskdir "$job")/gen-0000-000002/manifest.json" bs=1 seek=20 conv=notrunc 2>/dev/null
    new=$(restore_as "$job.0.2")
    held_as "foreign: changed" "$new" 'gen-0000-000002: '
    new=$(restore_as "$job")
    ok "foreign: the older one is taken when none is named" wait_out "$new" 'restored gen-0000-000001'
    run scancel "$new"
}

# Less than it needs, and a file that is gone: told, and mended it goes on.
lacking() {
    local job new data=$HOME_DIR/lacking.data
    job=$(submit --mem=600 --checkpoint=interval=0 -- "$(job_script big.sh "$PROGS/invariant" "$HOME_DIR/big.stop" 120)")
    ok "memory: starts" wait_step "$job" 3
    ok "memory: saved" checkpoint "$job"
    cancelled "$job" >/dev/null
    new=$(restore_as "$job" --mem=60)
    ok "memory: held" wait_held_by_us "$new"
    like "memory: the reason is told" "$(out "$new")" 'needs 1[0-9][0-9] MiB of memory, and this job may use [0-9]+ MiB'
    run scancel "$new"
    job=$(submit --checkpoint=interval=0,files-small=0 -- "$(put_script reader.sh <<END
#!/bin/bash
echo data >$data
exec 5<$data
for ((n = 1; n < 2000; n++)); do
    echo "step \$n pid \$\$"; sleep 0.1; [ ! -e $HOME_DIR/reader.stop ] || break
done
END
)")
    ok "file: starts" wait_step "$job" 3
    ok "file: saved" checkpoint "$job"
    cancelled "$job" >/dev/null
    mv "$data" "$data.away"
    new=$(restore_as "$job")
    ok "file: held" wait_held_by_us "$new"
    like "file: which one is told" "$(out "$new")" "lacking\\.data"
    mv "$data.away" "$data"
    sleep 1.5
    ok "file: there again, released" release "$new"
    ok "file: restored" restored "$new"
    touch "$HOME_DIR/reader.stop"
    ok "file: ends" wait_state "$new" COMPLETED
}

# Within: what was asked for before counts, and a job knows which it is.
within() {
    local job new
    job=$(submit --checkpoint=interval=0 -- "$(put_script inside.sh <<END
#!/bin/bash
echo "step 1 pid \$\$"
scheckpoint create >/dev/null; echo "create \$?"
while [ ! -e $HOME_DIR/inside.stop ]; do sleep 0.1; done
scheckpoint disable; echo "disable \$?"
scheckpoint enable; echo "enable \$?"
scheckpoint create \$SLURM_JOB_ID; echo "old id \$?"
END
)")
    ok "within: saved" wait_out "$job" '^create 0$'
    cancelled "$job" >/dev/null
    new=$(restore_as "$job")
    ok "within: the create that is in the checkpoint succeeds there" wait_out "$new" '^create 0$'
    touch "$HOME_DIR/inside.stop"
    ok "within: ends" wait_state "$new" COMPLETED
    like "within: disables the new job" "$(out "$new")" "^job $new: checkpoints disabled \\(1\\)\$"
    like "within: and enables it" "$(out "$new")" "^enable 0$"
    like "within: by the old id the new one is named" "$(out "$new")" "job $job: it has ended .*this process runs in job $new"
}

other_isolation() {
    local job after1 new other=host
    [ "$CKPT_ISOLATION" = private ] || other=private
    saved isolation
    cancelled "$job" >/dev/null
    new=$(restore_as "$job,isolation=$other")
    held_as "isolation" "$new" "made under isolation=$CKPT_ISOLATION, this job has isolation=$other"
}

tb_up --nodes 3
own=$(put_script own.sh <<<'#!/bin/bash
echo "the new script runs"')
together newest_one older_one wrong_words foreign lacking within other_isolation
done_testing
