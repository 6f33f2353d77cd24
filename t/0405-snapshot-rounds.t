#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# isolation: host
# timeout: 400
#
# No torn page: a program of several threads and processes, which share pages since their fork, changes and checks all its
# memory all the time, through many snapshots; now and then it is killed and goes on from the last one.  30 rounds;
# CKPT_ROUNDS=300 CKPT_EVERY=1 for more (some minutes).
. "$(dirname "$0")/snaplib.sh"

rounds=${CKPT_ROUNDS:-30}
every=${CKPT_EVERY:-10} # how many snapshots from one restore to the next

kill_and_restore() {
    local reply
    kill_tree
    reply=$(ask restore)
    succeeded "$reply" || echo "$1: not restored: $reply"
    runs_on >/dev/null || echo "$1: does not run on after the restore"
}

many() {
    local i reply bad='' restores=0
    session many "$(new_dir many)" --compress lz4 -- "$HELPERS/ckpt-init" "$PROGS/snapped" "$HOME_DIR/many.stop" all
    for ((i = 1; i <= rounds; i++)); do
        reply=$(ask dump)
        succeeded "$reply" || bad+="$i: $reply"$'\n'
        [ "$(how "$(generation_of "$reply")")" = copy-on-write ] || bad+="$i: $(how "$(generation_of "$reply")")"$'\n'
        runs_on >/dev/null || bad+="$i: does not run on"$'\n'
        if ((i % every == 0)); then
            bad+=$(kill_and_restore "$i")
            restores=$((restores + 1))
        fi
        unbroken >/dev/null || { bad+="$i: $(unbroken)"$'\n'; break; }
    done
    diag "$((i - 1)) snapshots, $restores restores"
    is "all snapshots were made, all restores went on, no page was torn" "$bad" ""
    is "so many there were (control)" "$((i - 1)) $restores" "$rounds $((rounds / every))"
    kill_tree
    ok "restored once more" succeeded "$(ask restore)"
    touch "$HOME_DIR/many.stop"
    like "ends well" "$(ask wait 30000)" 'exit 0'
    ok "its memory was right all the time" unbroken
    like "to the end" "$(tail -n 1 "$TREE_OUT")" '^result ok$'
    session_end
}

fault_up
together many
done_testing
