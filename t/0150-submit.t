#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# isolation: private
#
# What a user may say to sbatch, srun and salloc, what is refused, and where the output goes.
. "$(dirname "$0")/lib.sh"

# try [NAME=VALUE...] OPTION... - sbatch --test-only, its words and "status N"
try() {
    local env=()
    while [[ $1 == [A-Z]*=* ]]; do env+=("$1"); shift; done
    run env "${env[@]}" sbatch --test-only --mem=100 "$@" 2>&1
    echo "status $?"
}
accepted() { like "$1" "$2" '^status 0$'; }
# refused NAME WORDS REGEX - not submitted, with a reason on one line that begins as all of ours do
refused() {
    like "$1: is refused" "$2" '^status [^0]'
    like "$1: the reason" "$2" "(checkpoint|Checkpoint).*$3"
}

specs() {
    local s
    for s in 5 0:30 1:00:00 1-0 1-0:30 1-0:30:00 interval=10 interval=1:30 interval=0 keep=3 5,keep=3 \
        auto keep=2,auto keep=1,interval=0:30,compress=none compress=zstd compress=zstd:19,90 isolation=host isolation=private; do
        accepted "--checkpoint=$s" "$(try --checkpoint="$s" -- "$script")"
    done
    accepted "--checkpoint" "$(try --checkpoint -- "$script")"
    accepted "--checkpoint-dir" "$(try --checkpoint --checkpoint-dir="$HOME_DIR/elsewhere" -- "$script")"
    accepted "--checkpoint-dir with %u" "$(try --checkpoint --checkpoint-dir="$TB/scratch/%u" -- "$script")"
    for s in abc '5,,' 1:2:3:4 -5 0 5,10 interval=x interval=5,10 bogus=1 =5; do
        refused "--checkpoint=$s" "$(try --checkpoint="$s" -- "$script")" \
            "('$s'|'').*allowed: .*interval=TIME.*keep=|'.*': .*(given twice|must be|interval=0)"
    done
    refused "--checkpoint=no, with a hint at off" "$(try --checkpoint=no -- "$script")" " auto, or off alone;.*\\(see spank-checkpoint\\(8\\)\\)"
    refused "--checkpoint=keep=0" "$(try --checkpoint=keep=0 -- "$script")" 'keep must be 1\.\.100'
    refused "--checkpoint=keep=99, more than the site's" "$(try --checkpoint=keep=99 -- "$script")" 'MaxKeep=10'
    refused "--checkpoint=compress=gzip" "$(try --checkpoint=compress=gzip -- "$script")" 'none, .*zstd'
    refused "--checkpoint=isolation=vm" "$(try --checkpoint=isolation=vm -- "$script")" 'private or host'
    refused "--checkpoint-dir=relative" "$(try --checkpoint --checkpoint-dir=here -- "$script")" 'absolute'
    refused "--checkpoint-dir with .." "$(try --checkpoint --checkpoint-dir=/a/../b -- "$script")" 'absolute'
    like "sbatch --help tells the option" "$(run sbatch --help)" '--checkpoint=.*SPEC'
}

no_requeue() {
    local hashed
    refused "--no-requeue" "$(try --checkpoint --no-requeue -- "$script")" '--no-requeue'
    hashed=$(put_script hashed.sh <<<"#!/bin/bash
#SBATCH --no-requeue
true")
    refused "#SBATCH --no-requeue" "$(try --checkpoint -- "$hashed")" '--no-requeue'
    accepted "#SBATCH --no-requeue without --checkpoint" "$(try -- "$hashed")"
    refused "SBATCH_NO_REQUEUE" "$(try SBATCH_NO_REQUEUE=1 --checkpoint -- "$script")" '--no-requeue'
    hashed=$(put_script both.sh <<<"#!/bin/bash
#SBATCH --checkpoint=10
#SBATCH --no-requeue
true")
    refused "#SBATCH with both" "$(try -- "$hashed")" '--no-requeue'
}

# Environment variables as Slurm 19.05 had them; the command line wins.
environment() {
    local off
    refused "SBATCH_CHECKPOINT is read" "$(try SBATCH_CHECKPOINT=abc -- "$script")" "'abc'"
    accepted "SBATCH_CHECKPOINT" "$(try SBATCH_CHECKPOINT=10 -- "$script")"
    off=$(run env SBATCH_CHECKPOINT=interval=0 sbatch --parsable --checkpoint=off --mem=100 -o "$HOME_DIR/%j.out" \
        "$(put_script off.sh <<'END'
#!/bin/bash
#SBATCH --checkpoint=interval=0
echo "nonce ${SLURM_SPANK_CHECKPOINT_NONCE:-none}"
END
)")
    ok "--checkpoint=off: the job runs" wait_state "$off" COMPLETED
    like "--checkpoint=off wins over the environment and #SBATCH" "$(out "$off")" '^nonce none$'
    accepted "the command line wins" "$(try SBATCH_CHECKPOINT=keep=99 --checkpoint=keep=3 -- "$script")"
    refused "SBATCH_CHECKPOINT with too much" "$(try SBATCH_CHECKPOINT=keep=99 -- "$script")" 'MaxKeep=10'
    refused "SBATCH_CHECKPOINT and --no-requeue" "$(try SBATCH_CHECKPOINT=10 --no-requeue -- "$script")" \
        '--no-requeue'
    refused "SBATCH_CHECKPOINT_DIR is read" "$(try SBATCH_CHECKPOINT_DIR=here --checkpoint -- "$script")" 'absolute'
    accepted "SBATCH_CHECKPOINT_DIR" "$(try SBATCH_CHECKPOINT_DIR="$HOME_DIR/elsewhere" --checkpoint -- "$script")"
}

# srun and salloc take it too; what cannot be done is refused.
other_commands() {
    local said
    said=$(run srun --checkpoint=5 --mem=100 echo alone 2>&1; echo "status $?")
    like "srun --checkpoint on its own" "$said" '^alone$'
    like "srun --checkpoint on its own: exit code" "$said" '^status 0$'
    said=$(run srun --checkpoint=abc --mem=100 true 2>&1; echo "status $?")
    refused "srun --checkpoint=abc" "$said" "'abc'"
    said=$(run env SLURM_CHECKPOINT=keep=99 srun --mem=100 true 2>&1; echo "status $?")
    refused "SLURM_CHECKPOINT is read" "$said" 'MaxKeep=10'
    said=$(run srun --checkpoint --pty --mem=100 true 2>&1; echo "status $?")
    refused "srun --checkpoint --pty" "$said" '--pty cannot be checkpointed'
    said=$(run salloc --checkpoint=5 --mem=100 srun --mem=100 echo inside 2>&1; echo "status $?")
    like "salloc --checkpoint" "$said" '^inside$'
    like "salloc --checkpoint: exit code" "$said" '^status 0$'
    said=$(run salloc --mem=100 srun --checkpoint --mem=100 true 2>&1; echo "status $?")
    refused "srun --checkpoint in a salloc without it" "$said" 'made without --checkpoint'
    refused "sbatch --checkpoint=name=x" "$(try --checkpoint=name=x -- "$script")" 'name= is for srun'
    said=$(run srun --mem=100 echo plain 2>&1; echo "status $?")
    like "srun without it works" "$said" '^plain$'
    like "and says nothing" "$(grep -c checkpoint <<<"$said")" '^0$'
}

# The whole way for what #SBATCH, the environment and --checkpoint-dir say
by_script() {
    local job stop=$HOME_DIR/by-script.stop
    job=$(submit -- "$(put_script by-script.sh <<<"#!/bin/bash
#SBATCH --checkpoint=interval=0,keep=1,compress=none --checkpoint-dir=$HOME_DIR/by-script
env | grep -E '^SBATCH_' | sed 's/^/leaked /'
$PROGS/counter $stop")")
    whole_way "#SBATCH" "$job" "$HOME_DIR/by-script" "$stop" none
}

by_environment() {
    local job stop=$HOME_DIR/by-env.stop
    job=$(run env SBATCH_CHECKPOINT=interval=0,keep=1 SBATCH_CHECKPOINT_DIR="$HOME_DIR/by-env" \
        sbatch --parsable --requeue --mem=400 -o "$HOME_DIR/%j.out" \
        "$(job_script by-env.sh "$PROGS/counter" "$stop")")
    whole_way "environment" "$job" "$HOME_DIR/by-env" "$stop" zstd
}

# The script comes on standard input, and no directory is named.
by_stdin() {
    local job stop=$HOME_DIR/by-stdin.stop
    job=$(submit --checkpoint=interval=0,keep=1 -- <<<"#!/bin/bash
$PROGS/counter $stop")
    whole_way "standard input" "$job" "$SCRATCH" "$stop" zstd
}

# whole_way NAME JOB DIR STOP COMPRESSION
whole_way() {
    local name=$1 job=$2 dir=$3 stop=$4
    ok "$name: starts" wait_step "$job" 3
    ok "$name: checkpoint" checkpoint -d "$dir" "$job"
    ok "$name: and again" checkpoint -d "$dir" "$job"
    is "$name: keep=1" "$(generations "$job" "$dir")" gen-0000-000002
    like "$name: compression" "$(cat "$(taskdir "$job" "$dir")/gen-0000-000002/manifest.json")" \
        "\"compress\": *\"$5\""
    ok "$name: requeue" requeue "$job"
    ok "$name: restored" restored "$job"
    ok "$name: goes on" goes_on "$job"
    touch "$stop"
    ok "$name: ends" wait_state "$job" COMPLETED
    ok "$name: the output is appended to" each_once "$job"
    unlike "$name: nothing of the plugin's is in the job's environment" "$(out "$job")" '^leaked'
}

plain_truncates() {
    local job stop=$HOME_DIR/plain.stop
    job=$(submit -- "$(job_script plain.sh "$PROGS/counter" "$stop")")
    ok "plain: a job without --checkpoint starts" wait_step "$job" 3
    echo "old output" >>"$HOME_DIR/$job.out"
    ok "plain: requeue" requeue "$job"
    old_output_gone() { ! out_has "$1" '^old output'; } # when slurmstepd has opened it anew
    ok "plain: its output was truncated, as ever" wait_until 20 old_output_gone "$job"
    ok "plain: it runs again" wait_step "$job" 3
    touch "$stop"
    ok "plain: ends" wait_state "$job" COMPLETED
    is "plain: it started over" "$(out "$job" | grep -c ^start)" 1
    nok "plain: scheckpoint create refuses" checkpoint "$job"
}

# A job on standard input cannot be looked at; it says itself that it will never be restored.
never_requeued() {
    local job stop=$HOME_DIR/never.stop
    job=$(run sbatch --parsable --mem=100 --checkpoint=interval=0 -o "$HOME_DIR/%j.out" <<<"#!/bin/bash
#SBATCH --no-requeue
$PROGS/counter $stop")
    ok "never requeued: starts" wait_step "$job" 1
    ok "never requeued: the job is told" wait_out "$job" '^checkpoint: .*may not be requeued.*requeue=1' 20
    run scontrol update job="$job" requeue=1
    ok "never requeued: what it names helps" requeue "$job"
    ok "never requeued: restored" restored "$job"
    touch "$stop"
    ok "never requeued: ends" wait_state "$job" COMPLETED
    ok "never requeued: each step once" each_once "$job"
}

# What the user gives is kept.
open_mode() {
    local said
    said=$(run sbatch --checkpoint=interval=0 --open-mode=truncate --parsable --mem=100 -H -o "$HOME_DIR/%j.out" \
        "$script" 2>&1)
    like "--open-mode of the user's is accepted" "$said" '^[0-9]+$'
    run scancel "$said"
}

# --- a site without a directory of its own

no_site_dir() {
    local job stop=$HOME_DIR/no-dir.stop
    sed -i '/^Dir=/d' "$TB/etc/checkpoint.conf"
    refused "no Dir at the site" "$(try --checkpoint -- "$script")" 'default directory.*--checkpoint-dir'
    accepted "no Dir at the site, without --checkpoint" "$(try -- "$script")"
    job=$(submit --checkpoint=interval=0 --checkpoint-dir="$HOME_DIR/own" -- \
        "$(job_script no-dir.sh "$PROGS/counter" "$stop")")
    ok "with --checkpoint-dir: starts" wait_step "$job" 3
    ok "with --checkpoint-dir: checkpoint" checkpoint -d "$HOME_DIR/own" "$job"
    touch "$stop"
    ok "with --checkpoint-dir: ends" wait_state "$job" COMPLETED
    ok "with --checkpoint-dir: images are deleted" no_images "$job" "$HOME_DIR/own"
}

tb_up --nodes 2
script=$(put_script true.sh <<<"#!/bin/bash
true")
together specs no_requeue environment other_commands by_script by_environment by_stdin plain_truncates open_mode \
    never_requeued
no_site_dir
done_testing
