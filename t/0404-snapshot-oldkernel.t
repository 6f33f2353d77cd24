#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# isolation: host
# timeout: 200
#
# Kernels before 6.7 have no PAGEMAP_SCAN (RHEL 9): there the job is saved in the pause, the manifest says so, and what
# is restored is right.  Here dump and criu are shown such a kernel.
. "$(dirname "$0")/snaplib.sh"

old() {
    local kind=$1 reply generation
    session "$kind" "$(new_dir "$kind")" -- "$HELPERS/ckpt-init" "$PROGS/snapped" "$HOME_DIR/$kind.stop" "$kind"
    reply=$(ask dump)
    is "$kind: with that ioctl there is a snapshot (control)" "$(how "$(generation_of "$reply")")" copy-on-write
    tell_it old-kernel
    reply=$(ask dump)
    ok "$kind: without it the checkpoint is made" succeeded "$reply"
    generation=$(generation_of "$reply")
    is "$kind: and says so" "$(how "$generation")" 'none: this kernel has no PAGEMAP_SCAN (Linux 6.7)'
    ok "$kind: it runs on" runs_on
    tell_it snapshot require
    like "$kind: where a snapshot is required, there is none" "$(text_of "$(ask dump)")" '^snapshot=require: this kernel has no PAGEMAP_SCAN'
    ok "$kind: and it runs on" runs_on
    ok "$kind: scheckpoint finds it good" verify "$HOME_DIR/$kind" 0.2
    kill_tree
    session_end
    # A session of its own, without what makes the kernel look old: it would stay with the program.
    session "$kind" "$HOME_DIR/$kind" --no-start -- none
    ok "$kind: it is restored" succeeded "$(ask restore "$generation")"
    ok "$kind: and runs on" runs_on
    touch "$HOME_DIR/$kind.stop"
    like "$kind: it ends well" "$(ask wait 20000)" 'exit 0'
    ok "$kind: its memory was right" unbroken
    session_end
}
plain() { old plain; }
shared() { old shared; }
children() { old fork; }

fault_up
together plain shared children
done_testing
