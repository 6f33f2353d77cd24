#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# isolation: none
#
# Why a job is not given pids of a band of its own (doc/nodes.md): what the kernel does, and the simulation.
. "$(dirname "$0")/lib.sh"

[ "$(id -u)" -eq 0 ] || skip_all "needs root"
tool=$TEST_TOP/contrib/pid-collisions
like "children of a process in a band get the node's next pids" "$(unshare --pid --fork "$tool" --kernel; echo "status $?")" \
    '^status 0$'
like "with set_tid for the first one" "$(unshare --pid --fork "$tool" --kernel)" 'a process with pid 20000, its children [0-9]{1,3} to'
figures=$("$tool" --nodes 100 --jobs 1000 --rounds 3)
diag "$figures"
# rows of: pid_max, nodes (one or more words), kernel, first, band
row() { awk -v max="$1" -v nodes="$2" '$1 == max && $2 == nodes { print $(NF - 2), $(NF - 1), $NF }' <<<"$figures"; }
for nodes in together one; do
    read -r kernel first _ <<<"$(row 32768 $nodes)"
    read -r large _ _ <<<"$(row 4194304 $nodes)"
    ok "$nodes: the first one in a band is no gain" awk "BEGIN { exit !($first > 0.8 * $kernel) }"
    ok "$nodes: a large pid_max is one" awk "BEGIN { exit !($kernel > 5 * $large) }"
done
done_testing
