#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# timeout: 240
#
# CLOCK_MONOTONIC on a node that was started later: it goes on; with JobClock=no it is told that it has gone back.  The
# other node's slurmd has a clock of its own (a time namespace of the kernel).
. "$(dirname "$0")/lib.sh"

[ -e /proc/self/ns/time ] || skip_all "this kernel has no time namespaces"
tb_up --nodes 2
BEHIND=5000
uptime=$(cut -d . -f 1 /proc/uptime)
[ "$uptime" -gt $((BEHIND + 60)) ] || BEHIND=$((uptime / 2))

put_script clock.py <<END >/dev/null
import os, select, sys, time
n = 0
while not os.path.exists(sys.argv[1]):
    n += 1
    print("step", n, "pid", os.getpid(), "clock", int(time.monotonic()), flush=True)
    # a time from now: sleeping until a moment of that clock would last until the node has caught up with the old one
    select.select([], [], [], 0.1) if sys.argv[2] == "relative" else time.sleep(0.1)
END
cat >"$TB/etc/slurmd.2.wrap" <<END
#!/bin/sh
exec unshare --time --monotonic=-$BEHIND "\$@"
END
chmod 755 "$TB/etc/slurmd.2.wrap"
ok "the other node has another clock" "$TESTBED" restart --dir "$TB" slurmd:2

# clocks JOB - the first, the last, and by how much it went back at most
clocks() {
    out "$1" | awk '/^step / { if (n++ && last - $6 > back) back = last - $6; if (n == 1) first = $6; last = $6 }
        END { print first + 0, last + 0, back + 0 }'
}
# move NAME HOW - sets job, first, last, back
move() {
    job=$(submit --checkpoint=interval=0 -w "${NODE}1" -- "$(job_script "$1.job" python3 "$HOME_DIR/clock.py" \
        "$HOME_DIR/$1.stop" "$2")")
    ok "$1: starts" wait_step "$job" 3
    ok "$1: saved and held" requeue_hold "$job"
    ok "$1: sent to the other node" run_root scontrol update job="$job" ReqNodeList="${NODE}2"
    ok "$1: released" release "$job"
    ok "$1: restored" restored "$job"
    is "$1: on the other node" "$(job_node "$job")" "${NODE}2"
    ok "$1: goes on" goes_on "$job"
    read -r first last back <<<"$(clocks "$job")"
    diag "first $first, last $last, back $back, behind $BEHIND"
    ok "$1: a checkpoint there, too" checkpoint "$job"
    touch "$HOME_DIR/$1.stop"
    ok "$1: ends well" wait_state "$job" COMPLETED
    ok "$1: each step once" each_once "$job"
}
own() {
    local job first last back
    move own absolute
    is "own: the clock never went back" "$back" 0
    ok "own: nor leapt ahead" test $((last - first)) -lt 600
    ok "own: it counts from the same day everywhere" test $(($(date +%s) - 1577836800 - last)) -lt 600
    unlike "own: nothing is told" "$(out "$job")" 'CLOCK_MONOTONIC'
}
nodes() {
    local job first last back
    echo JobClock=no >>"$TB/etc/checkpoint.conf"
    move nodes relative
    ok "nodes: the clock has gone back" test "$back" -gt $((BEHIND / 2))
    like "nodes: that is told, and by how much" "$(out "$job")" 'CLOCK_MONOTONIC\) is [0-9]+\.[0-9]{3} s behind'
}
own
nodes
done_testing
