#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# isolation: none
#
# scheckpoint by itself: usage, states, exit statuses, waiting, operators. A batch script plays the shepherd, so that every
# answer can be had at will; what the real one answers is in the other tests.
. "$(dirname "$0")/lib.sh"

tb_up --no-plugin
install -D -m 755 "$CKPT_BUILDDIR/scheckpoint" "$TB/inst/bin/scheckpoint"

# The directory that a shepherd would make, and its doorbell. Arguments: DELAY in seconds, VERDICT (done, failed, die,
# deaf).
fake=$(put_script fake.sh <<'END'
#!/bin/bash
delay=$1 verdict=$2
task=$3/$SLURM_CLUSTER_NAME.$SLURM_JOB_ID.0123456789abcdef/batch
mkdir -p -m 700 "$3" "$task/request" "$task/answer"
chmod 700 "${task%/batch}" "$task"/*
put() {
    printf '{"id":"%s","verb":"create","state":"%s","generation":"%s","pause_us":45000,"raw_bytes":1073741824,"stored_bytes":12345678,"total_ms":2300,"disabled":0,"text":"%s"}' \
        "$id" "$1" "$2" "$3" >"$task/answer/.$id"
    mv "$task/answer/.$id" "$task/answer/$id.json"
}
ring() {
    local file found=no
    for file in "$task"/request/*.json; do
        [ -e "$file" ] || continue
        found=yes id=$(basename "$file" .json)
        rm "$file"
        put running '' ''
        for ((i = 0; i < delay * 10; i++)); do sleep 0.1; done
        case $verdict in
            done) put done gen-0000-000001 '' ;;
            failed) put failed '' 'No space left on device' ;;
            die) exit 7 ;;
        esac
    done
    echo "rang $found"
}
if [ "$verdict" = deaf ]; then trap '' URG; else trap ring URG; fi
echo ready
while :; do sleep 0.1; done
END
)

# play DELAY VERDICT [sbatch options] - starts one; prints its id
play() {
    local delay=$1 verdict=$2
    shift 2
    submit --mem=100 "$@" -- "$fake" "$delay" "$verdict" "$SCRATCH"
}
ready() { wait_out "$1" ready 30; }

# sc ARGUMENTS... - scheckpoint's output, both streams, and "status N"
sc() { run scheckpoint "$@" 2>&1; echo "status $?"; }

usage() {
    like "no argument is wrong usage" "$(sc)" '^status 2$'
    like "an unknown verb" "$(sc frobnicate)" "unknown verb: frobnicate.*"
    like "an unknown option" "$(sc --frobnicate list)" '^status 2$'
    like "create wants a job" "$(sc create)" 'job id is missing'
    for job in x 0 -1 1_ 1_x 1.0.0 ' 1' 99999999999; do
        like "no job id: '$job'" "$(sc create -- "$job")" '^status 2$'
    done
    like "options of create elsewhere" "$(sc list --no-wait)" '^status 2$'
    like "a time-out that is none" "$(sc create --timeout 1m 5)" '^status 2$'
    like "too many arguments" "$(sc list 1 2)" '^status 2$'
    like "an escape sequence does not come through" "$(sc "$(printf '\033[2J')" | cat -v)" 'verb: \?\[2J'
    like "help" "$(sc --help)" '^status 0$'
    like "help of a verb" "$(sc create --help)" '^usage: scheckpoint create'
    like "version" "$(sc --version)" '^slurm-spank-checkpoint [0-9.]+$'
    like "a directory that is not there is a failure" "$(sc -d /nonexistent list)" '^status 1$'
    like "however it is named" "$(cd / && sc -d nonexistent list)" '^status 1$'
    like "a full device is a failure" "$(run sh -c 'scheckpoint --help >/dev/full' 2>&1; echo "status $?")" '^status 1$'
}

states() {
    local job
    like "a job that Slurm does not know" "$(sc create 4242)" 'does not know job 4242'
    job=$(submit --hold -- "$fake" 0 "done" "$SCRATCH")
    like "a pending job is refused" "$(sc create "$job")" 'does not run \(PENDING\)'
    like "with status 3" "$(sc create "$job")" '^status 3$'
    job=$(submit --mem=100 -- "$(put_script plain.sh <<<'#!/bin/bash
echo ready; exec sleep 300')")
    ready "$job"
    like "a job that does not run: of a step, too" "$(sc create "$job.0")" "job $job has no step 0 with checkpoints"
    like "a job without checkpoints is refused" "$(sc create "$job")" "no checkpoints of job $job in "
    like "with status 3, too" "$(sc create "$job")" '^status 3$'
    run_root scontrol suspend "$job"
    like "a suspended job is refused" "$(sc create "$job")" 'is suspended'
    run_root scontrol resume "$job"
    run scancel "$job"
    wait_state "$job" CANCELLED >/dev/null
    like "a job that has ended is refused" "$(sc create "$job")" 'has ended \(CANCELLED\)'
    # shellcheck disable=SC2016 # for the inner shell
    like "an interactive job is refused" \
        "$(run salloc -Q -n 1 --mem=100 sh -c 'scheckpoint create $SLURM_JOB_ID; echo "status $?"' 2>&1)" 'no batch job'
}

quiet() { [[ $(sc create "$1") == "job $1: gen-"* ]]; }
verdicts() {
    local job said
    job=$(play 0 "done")
    ok "a job starts" ready "$job"
    said=$(sc create "$job")
    like "create prints the verdict" "$said" "^job $job: gen-0000-000001: paused 45 ms, 1.0 GiB .* 12 MiB .* 2.3 s in all$"
    like "and ends with 0" "$said" '^status 0$'
    ok "a quick one shows no progress" wait_until 60 quiet "$job" # it is slow where the machine has much to do
    said=$(run scheckpoint --json create "$job" 2>/dev/null)
    is "as JSON" "$(jq -r '[.job, .state, .generation, .pause_us] | @csv' <<<"$said")" \
        "$job,\"done\",\"gen-0000-000001\",45000"
    is "the answer is fetched" "$(find "$SCRATCH"/*."$job".*/batch/answer -type f)" ""
    like "--no-wait" "$(sc create --no-wait "$job")" '^status 0$'
    like "a dot is a directory" "$(cd / && run sh -c "cd $SCRATCH && scheckpoint -d . create $job" 2>&1)" 'gen-0000-000001'
    like "the environment names the directory" "$(run env SLURM_CHECKPOINT_DIR="$SCRATCH" SCHECKPOINT_CONF=/none \
        scheckpoint create "$job" 2>&1)" 'gen-0000-000001'
    like "-d wins over it" "$(run env SLURM_CHECKPOINT_DIR="$SCRATCH" scheckpoint -d /nowhere create "$job" 2>&1)" \
        'no checkpoints.*/nowhere'
    run scancel "$job"
}

slow_and_failed() {
    local job said
    job=$(play 4 failed)
    ready "$job" >/dev/null
    said=$(sc create "$job")
    like "a failure is told" "$said" "not saved: No space left on device"
    like "with status 1" "$said" '^status 1$'
    like "progress after two seconds" "$said" 'making the checkpoint, [23] s'
    like "on a terminal a line that changes" \
        "$(run script -qec "scheckpoint create $job" /dev/null </dev/null | cat -v)" '\^M[-|/\\]+ job .*\^M'
    said=$(sc create --timeout 2 "$job")
    like "a time-out while it is made" "$said" 'no result within 2 s; the checkpoint may still be made'
    like "is status 4" "$said" '^status 4$'
    run scancel "$job"
}

deaf() {
    local job said
    job=$(play 0 deaf)
    ready "$job" >/dev/null
    said=$(sc create --timeout 3 "$job")
    like "a request that nobody takes" "$said" 'nobody took the request within 3 s; it has been withdrawn'
    like "is status 4, too" "$said" '^status 4$'
    is "it is withdrawn" "$(find "$SCRATCH"/*."$job".*/batch/request -type f)" ""
    run scancel "$job"
}

dies() {
    local job said
    job=$(play 2 die)
    ready "$job" >/dev/null
    said=$(sc create "$job")
    like "a job that ends meanwhile" "$said" "ended \(FAILED\) before the checkpoint was made"
    like "is a failure" "$said" '^status 1$'
    job=$(play 8 "done")
    ready "$job" >/dev/null
    (sleep 1; run scontrol requeue "$job") &
    like "one that is requeued meanwhile, too" "$(sc create "$job")" 'was requeued before the checkpoint was made'
    wait
    run scancel "$job"
}

arrays() {
    local job said
    job=$(submit --mem=50 --array=1-2 --output="$HOME_DIR/array.%a" -- "$fake" 0 "done" "$SCRATCH")
    ok "both tasks of an array start" wait_until 60 both_ready
    said=$(sc create "$job")
    is "an array means all its tasks" "$(grep -c '^job [0-9]*: gen-0000-000001' <<<"$said")" 2
    is "as JSON a list" "$(run scheckpoint create --json "$job" | jq -c '[.jobs[].state]')" '["done","done"]'
    is "so are two arguments" "$(run scheckpoint create --json "${job}_1" "${job}_2" 2>/dev/null | jq -c '[.jobs[].state]')" \
        '["done","done"]'
    said=$(run scheckpoint create --json "${job}_1" 4242 2>/dev/null)
    is "one that is not known spoils the status" "$?" 3
    is "but not the other one" "$(jq -c '[.jobs[].state] | sort' <<<"$said")" '["done","refused"]'
    like "nothing is asked when one is no job id" "$(sc create "${job}_1" x)" '^status 2$'
    like "a task of an array" "$(sc create "${job}_1")" 'gen-0000-000001'
    like "another one" "$(sc create "${job}_2")" 'gen-0000-000001'
    like "one that it does not have" "$(sc create "${job}_3")" '^status 3$'
    like "list knows the form" "$(sc list "${job}_2")" '^status 0$'
    run scancel "$job"
}

both_ready() { grep -q ready "$HOME_DIR/array.1" && grep -q ready "$HOME_DIR/array.2"; }

others() {
    local job
    job=$(play 0 "done")
    ready "$job" >/dev/null
    like "another user is refused" "$(run_as ckptest2 scheckpoint create "$job" 2>&1; echo "status $?")" \
        'neither yours'
    is "nobody rang" "$(out "$job" | grep -c rang)" 0
    like "root only rings" "$(run_root scheckpoint create --no-wait "$job" 2>&1)" "verdict will be in its comment"
    ok "the job heard it" wait_out "$job" 'rang no' 10
    like "a job that does not answer root, as one without checkpoints would" "$(run_root scheckpoint create "$job" 2>&1
        echo "status $?")" 'does not answer: was it submitted with --checkpoint'
    like "root disables nothing" "$(run_root scheckpoint disable "$job" 2>&1; echo "status $?")" '^status 3$'
    like "root does not show" "$(run_root scheckpoint show "$job" 2>&1; echo "status $?")" 'only a job.s owner'
    run_root strace -f -e trace=open,openat,openat2,chdir -o "$TEST_TMP/strace" \
        scheckpoint -d "$SCRATCH" show "$job" >/dev/null 2>&1
    ok "root's calls are seen" grep -q 'openat(.*libc' "$TEST_TMP/strace"
    is "root does not open a user's directory" "$(grep -F "$SCRATCH" "$TEST_TMP/strace")" ""
    run scancel "$job"
}

# Names and files that somebody put there: nothing of them is believed, nothing comes to the terminal as it is.
hostile() {
    local base=$HOME_DIR/hostile job said
    job=$base/test.77.0123456789abcdef
    run mkdir -p -m 700 "$base" "$job" "$job/batch"
    run mkdir "$job/batch/gen-0000-000001" "$job/batch/gen-0000-000002" "$job/batch/gen-0000-000003.partial"
    run sh -c "printf '\033[2J' >$job/batch/gen-0000-000001/manifest.json; mkfifo $job/batch/gen-0000-000002/manifest.json"
    run ln -s /etc "$base/test.78.0123456789abcdef"
    run sh -c "printf '%s\n' '{\"time\":\"x' '{\"time\":\"2026-01-31T23:59:59Z\",\"epoch\":0,\"node\":\"n\",\"event\":\"checkpoint-failed\",\"generation\":\"\",\"text\":\"disk full\",\"pause_us\":0,\"stored_bytes\":0,\"total_ms\":0}' >$job/batch/events"
    chmod 600 "$job/batch/events"
    said=$(timeout 20 "$TESTBED" run --dir "$TB" -- scheckpoint -d "$base" list 2>&1)
    is "damaged generations are shown as damaged" "$(grep -c ' damaged  ' <<<"$said")" 2
    unlike "partial ones are not" "$said" partial
    unlike "nor links" "$said" '^ *78 '
    unlike "no escape character comes through" "$(cat -v <<<"$said")" '\^\['
    is "as JSON" "$(run scheckpoint -d "$base" --json list 77 2>/dev/null | jq -r '[.generations[].damaged] | @csv')" \
        "true,true"
    said=$(sc -d "$base" error 77)
    like "error tells the failure and skips what is no event" "$said" 'checkpoint-failed on n: disk full'
    like "and that no generation is good" "$said" 'last good generation: none'
    run chmod 770 "$base"
    like "a directory that others may write is refused" "$(sc -d "$base" list)" '^status 1$'
}

usage
together states verdicts slow_and_failed deaf dies arrays others hostile
done_testing
