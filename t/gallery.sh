# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# gallery.sh - real applications as jobs (after lib.sh): contrib/gallery and the tests t/030x play the same stories.
#
# An application is a batch script in contrib/gallery.d: "# title:", "# packages:" and "# compare:" lines, and the verbs
# prepare (makes the input), run (the job), progress (0 to 100), result (what must come out the same), version. All of
# them are run as the test user in a directory of that application and story. SCALE is how much there is to do; STORY is
# `lost` where work is done twice, so that logs that are only appended to may hold lines twice.

GALLERY_APPS=$TEST_TOP/contrib/gallery.d
GALLERY_LIMIT=${GALLERY_LIMIT:-900} # seconds for one job

# gallery_word APP WORD - the value of a "# WORD: VALUE" line at its beginning
gallery_word() { sed -n "1,20s/^# $2: *//p" "$GALLERY_APPS/$1" | head -n 1; }

# gallery_do APP STORY VERB
gallery_do() {
    run env -C "$HOME_DIR/gallery/$1/$2" SCALE="${SCALE:-10}" STORY="$2" "$HOME_DIR/gallery/$1/app" "$3"
}

# gallery_prepare APP - copies it to where the test user can read it, and makes its input
gallery_prepare() {
    run mkdir -p "$HOME_DIR/gallery/$1/input" || return 1
    install -m 755 "$GALLERY_APPS/$1" "$HOME_DIR/gallery/$1/app" || return 1
    gallery_do "$1" input prepare
}

gallery_submit() { # APP STORY [sbatch options]
    local app=$1 story=$2 dir=$HOME_DIR/gallery/$1/$2
    shift 2
    run cp -a "$HOME_DIR/gallery/$app/input" "$dir" || return 1
    run env SCALE="${SCALE:-10}" sbatch --parsable --requeue --time=60 --job-name="$app-$story" -D "$dir" \
        -o "$HOME_DIR/%j.out" "$@" "$HOME_DIR/gallery/$app/app"
}

gallery_progress() {
    local now
    now=$(gallery_do "$1" "$2" progress 2>/dev/null)
    [[ $now =~ ^[0-9]+$ ]] || now=0
    echo "$now"
}

# gallery_reach APP STORY JOB PERCENT - waits until that much of the work is done; fails when the job ends before
gallery_reach() {
    local end=$((SECONDS + GALLERY_LIMIT)) now reached=no
    until [ $reached = yes ]; do
        [ "$(gallery_progress "$1" "$2")" -lt "$4" ] || reached=yes
        now=$(state "$3")
        case $now in
            RUNNING | PENDING | CONFIGURING) ;;
            *) echo "ended ($now) at $(gallery_progress "$1" "$2") %, before $4 %"; tell "$3"; return 1 ;;
        esac
        [ $SECONDS -lt $end ] || { echo "no $4 % within $GALLERY_LIMIT s"; tell "$3"; return 1; }
        nap 0.2
    done
}

# gallery_lose_node JOB - the node of that job loses its power; the job goes on elsewhere from what is saved
gallery_lose_node() {
    local node was
    node=$(job_node "$1")
    was=$(restarts "$1")
    "$TESTBED" kill --dir "$TB" "node:${node#"$NODE"}" >/dev/null || return 1
    run_root scontrol update nodename="$node" state=down reason=test || return 1
    wait_until 60 restarted "$1" $((was + 1)) || { tell "$1"; return 1; }
    "$TESTBED" restart --dir "$TB" "slurmd:${node#"$NODE"}" >/dev/null || return 1
    run_root scontrol update nodename="$node" state=resume 2>/dev/null
    return 0
}

# gallery_ends JOB - as an undisturbed one does
gallery_ends() {
    wait_until "$GALLERY_LIMIT" state_in "$1" "COMPLETED FAILED TIMEOUT CANCELLED OUT_OF_MEMORY NODE_FAIL SPECIAL_EXIT" ||
        held "$1" || { tell "$1"; return 1; }
    [ "$(state "$1") $(exit_code "$1")" = "COMPLETED 0:0" ] || { tell "$1"; return 1; }
}

# gallery_undisturbed APP - runs it as a job without checkpoints; keeps its result, and how long it took
gallery_undisturbed() {
    local job begin=$SECONDS
    job=$(gallery_submit "$1" undisturbed) && gallery_ends "$job" &&
        gallery_do "$1" undisturbed result >"$TEST_TMP/$1.undisturbed.result" || return 1
    [ -s "$TEST_TMP/$1.undisturbed.result" ] || { echo "its result is empty"; return 1; }
    echo $((SECONDS - begin)) >"$TEST_TMP/$1.undisturbed.seconds"
}

# gallery_play APP STORY STEP... - each STEP happens when so much per cent of the work is done: c30 (a checkpoint, the
# job runs on), r60 (requeue), l60 (the node is lost). Prints why it failed. What the job printed stays in
# TEST_TMP/APP.STORY.out, what scheckpoint said of each checkpoint (JSON) in TEST_TMP/APP.STORY.saved, its result in APP.STORY.result.
gallery_play() {
    local app=$1 story=$2 at=$TEST_TMP/$1.$2 job step restores=0 rc=0
    shift 2
    : >"$at.saved"
    job=$(gallery_submit "$app" "$story" --checkpoint=interval=0) || { echo "$job"; return 1; }
    for step; do
        gallery_step "$app" "$story" "$job" "$step" || { echo "at step $step"; rc=1; break; }
    done
    [ $rc -ne 0 ] || gallery_ends "$job" || rc=1
    out "$job" >"$at.out"
    if [ $rc -ne 0 ]; then
        run scheckpoint error "$job" 2>&1 | tail -n 3
        run scancel "$job" 2>/dev/null
        return 1
    fi
    gallery_do "$app" "$story" result >"$at.result" || { echo "its result cannot be read"; return 1; }
    wait_until 30 no_images "$job" || { echo "images are left behind"; return 1; }
}

gallery_step() { # APP STORY JOB STEP; counts in the caller's restores
    gallery_reach "$1" "$2" "$3" "${4#?}" || return 1
    case $4 in
        c*)
            run scheckpoint --json create "$3" >"$TEST_TMP/$1.$2.create" 2>"$TEST_TMP/$1.$2.create.why" ||
                { tail -n 5 "$TEST_TMP/$1.$2.create" "$TEST_TMP/$1.$2.create.why"; return 1; }
            cat "$TEST_TMP/$1.$2.create" >>"$TEST_TMP/$1.$2.saved"
            return
            ;;
        r*) requeue "$3" || return 1 ;;
        l*) gallery_lose_node "$3" || return 1 ;;
        *) echo "no such step: $4"; return 1 ;;
    esac
    restores=$((restores + 1))
    wait_until 120 gallery_restored_or_held "$3" $restores || { tell "$3"; return 1; }
    restored_times "$3" $restores || { tell "$3"; return 1; }
}

gallery_restored_or_held() { restored_times "$1" "$2" || held "$1"; }

# gallery_same APP STORY - its result is that of the undisturbed run
gallery_same() {
    [ -s "$TEST_TMP/$1.undisturbed.result" ] || { echo "no undisturbed result"; return 1; }
    cmp -s "$TEST_TMP/$1.undisturbed.result" "$TEST_TMP/$1.$2.result" && return
    diff "$TEST_TMP/$1.undisturbed.result" "$TEST_TMP/$1.$2.result" | head -n 6 | cut -c 1-200
    grep -a '^checkpoint:' "$TEST_TMP/$1.$2.out"
    return 1
}

# gallery_test APP STEP... - for the tests: undisturbed and the story at the same time
gallery_test() {
    local app=$1 undisturbed
    shift
    ok "$app: its input is made" gallery_prepare "$app" || return 1
    gallery_undisturbed "$app" >"$TEST_TMP/$app.why" 2>&1 &
    undisturbed=$!
    ok "$app: saved twice while it runs on, requeued, restored, ends well" gallery_play "$app" story "$@"
    wait "$undisturbed"
    is "$app: an undisturbed run ends well" "$? $(cat "$TEST_TMP/$app.why")" "0 "
    ok "$app: the result is that of the undisturbed run" gallery_same "$app" story
}
