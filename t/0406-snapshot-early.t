#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# isolation: host
# timeout: 300
#
# What a program's areas are like is read while it runs, and believed when it stands still. One that changes their properties
# at that moment, and nothing else about them, loses no memory by it: a checkpoint holds all, or is none.
. "$(dirname "$0")/snaplib.sh"

advised() {
    local i reply bad='' made=0 none=0
    session advised "$(new_dir advised)" -- "$HELPERS/ckpt-init" "$PROGS/snapped" "$HOME_DIR/advised.stop" advised
    for ((i = 0; i < 12; i++)); do
        reply=$(ask dump)
        if succeeded "$reply"; then
            made=$((made + 1))
        elif [[ $(text_of "$reply") =~ 'changed properties of its memory' ]]; then
            none=$((none + 1))
        else
            bad+="dump $i: $reply"$'\n'
        fi
        runs_on >/dev/null || bad+="dump $i: it does not run on"$'\n'
        # A generation that has come about is whole, whatever was in the areas' flags just then.
        if succeeded "$reply" && [ $((made % 3)) = 1 ]; then
            kill_tree
            reply=$(ask restore)
            succeeded "$reply" || bad+="restore $i: $reply"$'\n'
            runs_on >/dev/null || bad+="restore $i: it does not run on"$'\n'
            bad+=$(unbroken)
        fi
    done
    diag "$made checkpoints were made, $none were none"
    is "advised: each is made, or given up for that reason; the program runs on, and is restored whole" "$bad" ""
    ok "advised: some were made (control)" test $made -ge 1
    is "advised: nothing half-written is left" "$(partial)" ""
    touch "$HOME_DIR/advised.stop"
    like "advised: ends well" "$(ask wait 20000)" 'exit 0'
    ok "advised: all its memory was right" unbroken
    like "advised: to the end" "$(tail -n 1 "$TREE_OUT")" '^result ok$'
    session_end
}

fault_up
advised
done_testing
