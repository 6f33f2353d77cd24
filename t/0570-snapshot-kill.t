#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# isolation: host
# timeout: 300
#
# SIGKILL while a copy-on-write snapshot is made or written: to dump, to criu, to the snapshot itself, sooner and later.
# No generation comes of it that is not whole, no snapshot process and no stopped process stays behind, and the program
# runs on, or is gone at once and restored from the last good generation: never does it run on with something broken.
. "$(dirname "$0")/snaplib.sh"

only_the_program() { [ "$(group_pids | wc -l)" = 2 ] && ! group_pids | sed 's|.*|/proc/&/status|' | xargs grep -qs '^State:.*[tTZ] '; }
settled() { only_the_program || ! program_lives; }
# shoot NAME MS - the first process of that name (not the program itself) is killed so long after it has come
shoot() {
    local p end=$((SECONDS + 20))
    while [ $SECONDS -lt $end ]; do
        p=$(named "$1" | grep -vx "$PROGRAM" | head -n 1)
        if [ -n "$p" ]; then
            sleep "$(printf '0.%03d' "$2")"
            kill -KILL "$p" 2>/dev/null && echo shot
            return
        fi
    done
}

# begin NAME - a session with one good generation
begin() {
    session "$1" "$(new_dir "$1")" --compress zstd:6 -- "$HELPERS/ckpt-init" "$PROGS/snapped" "$HOME_DIR/$1.stop" plain 32
    runs_on >/dev/null
    PROGRAM=$(named snapped)
    ok "$1: a good generation" succeeded "$(ask dump)"
}

# after NAME I REPLY BEFORE - what must be true after a shot
after() {
    local newest
    wait_until 40 settled >/dev/null ||
        { echo "$1 $2: left behind:"; ps -o pid,ppid,stat,comm -p "$(group_pids | paste -sd,)"; }
    newest=$(complete | tail -n 1)
    succeeded "$3" || [ "$newest" = "$4" ] || echo "$1 $2: $newest is there, and the answer was: $3"
    if program_lives; then
        runs_on >/dev/null || echo "$1 $2: does not run on"
    else
        kill_tree
        # What it wrote after the checkpoint that failed is undone with it (a job's output is cut back).
        truncate -s "$size" "$TREE_OUT"
        died=$((died + 1))
        reply=$(ask restore)
        succeeded "$reply" || echo "$1 $2: is gone and not restored: $reply"
        wait_until 10 program_lives
        PROGRAM=$(named snapped)
    fi
    unbroken || echo "$1 $2: broken"
}

finish() {
    local reply
    reply=$(ask dump)
    ok "$1: the next one is made" succeeded "$reply"
    is "$1: with a snapshot" "$(jq -r .snapshot "$SESSION_DIR/$(generation_of "$reply")/manifest.json")" copy-on-write
    is "$1: nothing half-written is left" "$(partial)" ""
    kill_tree
    ok "$1: it restores" succeeded "$(ask restore)"
    touch "$HOME_DIR/$1.stop"
    like "$1: ends well" "$(ask wait 20000)" 'exit 0'
    ok "$1: its memory was right all the time" unbroken
    session_end
}

# victims NAME PROCESS DELAYS... - a dump each time
victims() (
    local name=$1 victim=$2 ms reply before bad='' shots=0 failed=0 died=0 shooter size
    shift 2
    begin "$name"
    for ms; do
        before=$(complete | tail -n 1)
        size=$(stat -c %s "$TREE_OUT")
        shoot "$victim" "$ms" >"$TEST_TMP/$name.shot" &
        shooter=$!
        reply=$(ask dump)
        # It may have missed its victim.
        wait_until 1 [ -s "$TEST_TMP/$name.shot" ] >/dev/null 2>&1
        kill "$shooter" 2>/dev/null
        wait "$shooter" 2>/dev/null
        [ ! -s "$TEST_TMP/$name.shot" ] || shots=$((shots + 1))
        succeeded "$reply" || failed=$((failed + 1))
        bad+=$(after "$name" "$ms" "$reply" "$before")
    done
    diag "$name: $shots shots, $failed dumps failed"
    is "$name: after each shot all is as it was" "$bad" ""
    ok "$name: shots were fired (control)" test $shots -ge 3
    ok "$name: dumps failed (control)" test $failed -ge 2
    finish "$name"
)

dump() { victims dump dump 0 5 10 20 30 40 60 80 120 200; }
criu() { victims criu criu 0 2 4 6 8 10 12 15 20 30 40; }
snapshot() { victims snapshot snapped 0 2 5 10 20 40 80; }

fault_up
together criu dump snapshot
done_testing
