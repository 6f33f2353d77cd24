# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# snaplib.sh - what the tests of copy-on-write snapshots (t/0400-, t/0570-) share beside faultlib.sh.

# shellcheck source=t/faultlib.sh
. "$(dirname "${BASH_SOURCE[0]}")/faultlib.sh"

# how GENERATION - what its manifest says of the snapshot
how() { jq -r .snapshot "$SESSION_DIR/$1/manifest.json"; }

group_pids() { # all of the session but run-helper
    local p
    for p in $(cat "$SESSION_GROUP/cgroup.procs"); do
        [ "$p" = "$session_pid" ] || echo "$p"
    done
}

# kill_tree - all of the session but run-helper: ckpt-init and the program are in process groups of their own
kill_tree() {
    local p
    for p in $(group_pids); do kill -KILL "$p" 2>/dev/null; done
    tell_it signal KILL
}

named() { # NAME - pids of the session with that name
    local p
    for p in $(group_pids); do
        [ "$(cat "/proc/$p/comm" 2>/dev/null)" != "$1" ] || echo "$p"
    done
}
program_lives() { [ "$(named "${PROGRAM_NAME:-snapped}" | wc -l)" -ge 1 ]; }

# nothing_left - no snapshot process remains: below the root there are the program and its own children only
# (they may come and go)
nothing_left() { wait_until 20 are_processes "$1" "$2" >/dev/null || { pstree -T -p "$1"; return 1; }; } # ROOT WANTED
are_processes() { [ "$(pstree -T -p "$1" 2>/dev/null | grep -o '([0-9]*)' | wc -l)" = "$2" ]; }

# kind KIND HOW-REGEX PROCESSES [DUMPS [PROGRAM]] - the story of one kind: PROGRAM STOP KIND is dumped, runs on, ends, is
# restored, dumped again, and ends well
kind() {
    local kind=$1 regex=$2 processes=$3 dumps=${4:-3} program=${5:-snapped} i reply root bad=''
    (
        session "$kind" "$(new_dir "$kind")" -- "$HELPERS/ckpt-init" "$PROGS/$program" "$HOME_DIR/$kind.stop" "$kind"
        if grep -q '^cannot' "$TREE_OUT"; then
            skip "$kind" "$(cat "$TREE_OUT")"
            session_end
            return
        fi
        for ((i = 0; i < dumps; i++)); do
            reply=$(ask dump)
            succeeded "$reply" || bad+="dump $i: $reply"$'\n'
            runs_on >/dev/null || bad+="dump $i: it does not run on"$'\n'
            root=$(jq '.processes[0].pid' "$SESSION_DIR/$(generation_of "$reply")/manifest.json")
            bad+=$(nothing_left "$root" "$processes")
        done
        is "$kind: dumps, runs on, nothing is left behind" "$bad" ""
        like "$kind: $regex" "$(how "$(generation_of "$reply")")" "$regex"
        ok "$kind: scheckpoint finds it good" verify "$HOME_DIR/$kind" "0.$dumps"
        kill_tree
        reply=$(ask restore)
        ok "$kind: restored" succeeded "$reply"
        ok "$kind: runs on" runs_on
        reply=$(ask dump)
        ok "$kind: and is dumped again" succeeded "$reply"
        touch "$HOME_DIR/$kind.stop"
        like "$kind: ends well" "$(ask wait 20000)" 'exit 0'
        ok "$kind: all its memory was right, and it noticed nothing" unbroken
        like "$kind: to the end" "$(tail -n 1 "$TREE_OUT")" '^result ok$'
        session_end
    )
}
