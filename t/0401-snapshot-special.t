#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# isolation: host
# timeout: 300
#
# Copy-on-write snapshots of processes in states in which running calls in them could be noticed: see t/progs/special.c.
# What cannot be stopped at all is refused, and runs on.  (Seccomp filters, userfaultfd and debuggers: t/0210-refused.t.)
. "$(dirname "$0")/snaplib.sh"

cow='^copy-on-write$'
PROGRAM_NAME=special
vfork() { kind vfork "$cow" 2 6 special; }
states() { kind signals "$cow" 2 4 special; kind rseq "$cow" 2 6 special; }
hugeshm() { kind hugeshm "$cow" 2 3 special; }

# Pages of hugetlbfs, where the kernel has any left: put back at the end.
huge=/proc/sys/vm/nr_hugepages
had_huge=$(cat $huge)
huge_back() { echo "$had_huge" >$huge; test_cleanup; }
trap huge_back EXIT
echo $((had_huge + 8)) >$huge

# refused KIND REASON - no generation comes of it, and it runs on
refused() {
    local kind=$1 reason=$2 i reply bad=''
    session "$kind" "$(new_dir "$kind")" -- "$HELPERS/ckpt-init" "$PROGS/special" "$HOME_DIR/$kind.stop" "$kind"
    if grep -q '^cannot' "$TREE_OUT"; then
        skip "$kind" "$(cat "$TREE_OUT")"
        session_end
        return
    fi
    for i in 1 2 3; do
        reply=$(ask dump)
        [[ $(text_of "$reply") =~ $reason ]] || bad+="dump $i: $reply"$'\n'
        runs_on >/dev/null || bad+="dump $i: it does not run on"$'\n'
    done
    is "$kind: refused with the reason, each time, and it runs on" "$bad" ""
    is "$kind: no generation" "$(complete)" ""
    touch "$HOME_DIR/$kind.stop"
    like "$kind: ends well" "$(ask wait 20000)" 'exit 0'
    ok "$kind: noticed nothing" unbroken
    session_end
}
stepped() { refused stepped 'is traced by process'; }        # its parent, so criu cannot be its tracer
hugetlb() { refused hugetlb 'huge pages of hugetlbfs'; }     # could not be restored

fault_up
together vfork states hugeshm
together hugetlb stepped
done_testing
