#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# isolation: host
# order: first
# timeout: 300
#
# Copy-on-write snapshots: memory and processes of every kind, each either taken right or left to CRIU, and what the
# manifest says of it.  After each dump the program runs on; then its tree is killed, restored from that dump, and checks
# all its memory to the end.
. "$(dirname "$0")/snaplib.sh"

cow='^copy-on-write$'
plain() { kind plain "$cow" 2 8; }
areas() { kind dontfork "$cow" 2; kind wipeonfork "$cow" 2; kind hidden "$cow" 2; kind guard "$cow" 2; }
files() { kind shared "$cow" 2; kind memfd "$cow" 2; kind file "$cow" 2; }
pages() { kind huge "$cow" 2; kind locked "$cow" 2; }
children() { kind zombie "$cow" 3; kind stopped '^copy-on-write' 3; kind fork "$cow" 4 6; }
threads() { kind threads "$cow" 2 6; }
refused() { kind subreaper '^none: process [0-9]+: it or a process above it is a subreaper$' 2; }

fault_up
together plain areas
together files pages
together children threads refused

# Where none can be made of it
limited() {
    session nproc "$(new_dir nproc)" -- "$HELPERS/ckpt-init" "$PROGS/snapped" "$HOME_DIR/nproc.stop" nproc
    local reply
    reply=$(ask dump)
    ok "nproc: dumped" succeeded "$reply"
    like "nproc: the limit on processes is left alone" "$(how "$(generation_of "$reply")")" '^none: .*RLIMIT_NPROC'
    ok "nproc: runs on" runs_on
    touch "$HOME_DIR/nproc.stop"
    like "nproc: ends well" "$(ask wait 20000)" 'exit 0'
    session_end
}
small() {
    session small "$(new_dir small)" -- "$HELPERS/ckpt-init" "$PROGS/invariant" "$HOME_DIR/small.stop" 1
    local reply
    reply=$(ask dump)
    is "small: CRIU's copy is as fast" "$(how "$(generation_of "$reply")")" 'none: no process is large enough'
    reply=$(ask dump stop)
    is "stop: nothing runs on that could gain by it" "$(how "$(generation_of "$reply")")" 'none: the job ends here anyway'
    kill_tree
    session_end
}
no_init() { # the root is the program itself, and no subreaper
    session noinit "$(new_dir noinit)" -- "$PROGS/snapped" "$HOME_DIR/noinit.stop" plain
    local reply
    reply=$(ask dump)
    like "no init: left to CRIU" "$(how "$(generation_of "$reply")")" '^none: .*the root of the tree itself$'
    ok "no init: runs on" runs_on
    touch "$HOME_DIR/noinit.stop"
    like "no init: ends well" "$(ask wait 20000)" 'exit 0'
    ok "no init: noticed nothing" unbroken
    session_end
}
together limited small no_init
done_testing
