#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# isolation: host
# timeout: 600
#
# criu gets SIGKILL at its Nth ptrace() call of a dump, for N from the first to the last: before it has stopped anything,
# while a process of the job is made to run calls for the snapshot, while the snapshot is born, and after.  Each time the
# program runs on as it was, or the whole tree is ended at once and goes on from the last checkpoint; no snapshot process
# stays, no stopped process, and no child that the program did not make, not even one that only __WALL shows.
#
# Each run takes every sixteenth of them, from a place of its own; CKPT_ROUNDS=all takes each.
. "$(dirname "$0")/snaplib.sh"

only_the_program() { [ "$(group_pids | wc -l)" = "$WANTED" ] && ! group_pids | sed 's|.*|/proc/&/status|' | xargs grep -qs '^State:.*[tTZ] '; }
all_gone() { [ -z "$(group_pids)" ]; }
fired() { [ -e "$HOME_DIR/$NAME.fired" ] || { ! succeeded "$1" && grep -q 'signal 9' <<<"$1"; }; }
doom() { echo "$1 $CRIU $HOME_DIR/$NAME.fired" >"$TB/$NAME.criu.conf"; }

# after N REPLY - what must be true when criu was killed at its Nth call
after() {
    local reply
    ! succeeded "$2" || echo "$1: a generation came of it: $2"
    if program_lives; then
        wait_until 30 only_the_program || { echo "$1: left behind:"; ps -o pid,ppid,stat,comm -p "$(group_pids | paste -sd,)"; }
        runs_on >/dev/null || echo "$1: does not run on"
        lived=$((lived + 1))
        [ "$(error_of "$2")" != 0 ] || echo "$1: $2"
    else
        wait_until 30 all_gone || { echo "$1: not all is gone:"; ps -o pid,ppid,stat,comm -p "$(group_pids | paste -sd,)"; }
        grep -q 'did not survive it' <<<"$2" || echo "$1: the tree is gone, but: $2"
        kill_tree
        lost=$((lost + 1))
        # What it wrote after the checkpoint that failed is undone with it (a job's output is cut back).
        truncate -s "$size" "$TREE_OUT"
        doom 0
        reply=$(ask restore)
        succeeded "$reply" || echo "$1: not restored: $reply"
        wait_until 30 program_lives || echo "$1: not there after the restore"
        runs_on >/dev/null || echo "$1: does not run on after the restore"
    fi
    unbroken || echo "$1: broken"
}

# sweep NAME KIND PROCESSES STEP
sweep() (
    NAME=$1 WANTED=$3
    local kind=$2 step=$4 n bad='' reply lived=0 lost=0 odd=0 size
    install -m 755 "$CKPT_BUILDDIR/t/attack/doomed" "$TB/$NAME.criu"
    doom 0
    session "$NAME" "$(new_dir "$NAME")" --criu "$TB/$NAME.criu" -- "$HELPERS/ckpt-init" "$PROGS/snapped" \
        "$HOME_DIR/$NAME.stop" "$kind"
    ok "$NAME: a good generation" succeeded "$(ask dump)"
    for ((n = RANDOM % step + 1; n < 5000; n += step)); do
        rm -f "$HOME_DIR/$NAME.fired"
        size=$(stat -c %s "$TREE_OUT")
        doom "$n"
        reply=$(ask dump)
        if ! fired "$reply" >/dev/null; then
            ! succeeded "$reply" || break
            # criu does not like to be traced itself: at times it fails on its own.
            odd=$((odd + 1))
            [ $odd -lt 20 ] || break
            continue
        fi
        bad+=$(after "$n" "$reply" && echo "counts $lived $lost" >"$TEST_TMP/$NAME.counts")
        read -r _ lived lost <"$TEST_TMP/$NAME.counts"
    done
    diag "$NAME: up to $n calls; it lived $lived times and was lost $lost times; criu failed $odd times by itself"
    is "$NAME: wherever criu is killed, nothing is wrong afterwards" "$bad" ""
    ok "$NAME: it did not fire after the last call (control)" succeeded "$reply"
    ok "$NAME: it lived at times (control)" test "$lived" -ge 3
    ok "$NAME: it was lost at times (control)" test "$lost" -ge 1
    doom 0
    reply=$(ask dump)
    ok "$NAME: the next one is made" succeeded "$reply"
    is "$NAME: with a snapshot" "$(how "$(generation_of "$reply")")" copy-on-write
    kill_tree
    ok "$NAME: and restored" succeeded "$(ask restore)"
    touch "$HOME_DIR/$NAME.stop"
    like "$NAME: ends well" "$(ask wait 20000)" 'exit 0'
    ok "$NAME: its memory was right all the time, and it saw no child but its own" unbroken
    session_end
)

# It has ended before dump wants it, which is while it still waits for dump: that is the reason, and no other.
early() {
    local reply
    session early "$(new_dir early)" --criu /usr/bin/false -- "$HELPERS/ckpt-init" "$PROGS/snapped" "$HOME_DIR/early.stop" plain
    reply=$(ask dump)
    like "early: criu's end is the reason" "$(text_of "$reply")" 'criu ended with status 1'
    is "early: EIO, after which a last checkpoint is tried once more" "$(error_of "$reply")" 5
    ok "early: the program runs on" runs_on
    is "early: nothing is left behind" "$(find "$SESSION_DIR" -name 'gen-*')" ""
    touch "$HOME_DIR/early.stop"
    like "early: ends well" "$(ask wait 20000)" 'exit 0'
    session_end
}

fault_up
CRIU=$(sed -n 's/^Criu=//p' "$TB/etc/checkpoint.conf")
every=16
[ "${CKPT_ROUNDS:-}" != all ] || every=1
plain() { sweep plain plain 2 $every; }
children() { sweep children fork 4 $((every * 3)); }
together plain children early
done_testing
