#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# isolation: host
#
# A program whose data is in scalable vector registers, which CRIU does not save: no checkpoint, with the reason, and it
# goes on unharmed. Beside it on the same processor, one without: checkpointed, restored.
. "$(dirname "$0")/../../t/snaplib.sh"

fault_up
install -m 755 /ckpt/sve "$PROGS"

with() {
    local reply
    session with "$(new_dir with)" -- "$HELPERS/ckpt-init" "$PROGS/sve" "$HOME_DIR/with.stop"
    if grep -q '^cannot' "$TREE_OUT"; then
        skip "with SVE" "$(cat "$TREE_OUT")"
        session_end
        return
    fi
    ok "with SVE: starts" runs_on
    reply=$(ask dump)
    like "with SVE: no checkpoint, and why" "$(error_of "$reply") $(text_of "$reply")" '^[1-9][0-9]* .*\(SVE, SME\).*computes with SVE registers'
    ok "with SVE: runs on" runs_on
    touch "$HOME_DIR/with.stop"
    like "with SVE: ends well" "$(ask wait 600000)" 'exit 0'
    ok "with SVE: its registers were always right" unbroken
    session_end
}
without() { kind plain "^copy-on-write$" 2 2; }

together with without
done_testing
