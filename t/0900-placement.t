#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# isolation: private
#
# timeout: 240
#
# CPU binding across a requeue: the threads come back to the same logical places.  Two real cores are all that is
# asked for; the other node is the same machine described to hwloc in another way (HWLOC_XMLFILE in the job's
# environment, exchanged while the job does not run).
. "$(dirname "$0")/lib.sh"

command -v hwloc-bind numactl taskset lstopo-no-graphics >/dev/null || bail "hwloc-nox, numactl: contrib/install-deps --test"
tb_up --nodes 5
install -d -o ckptest -g ckptest "$HOME_DIR/topo"

# topo NAME SYNTHETIC - the machine as the job's hwloc sees it from now on
topo() {
    rm -f "$HOME_DIR/topo/$1.xml"
    lstopo-no-graphics --of xml --input "$2" "$HOME_DIR/topo/$1.xml" 2>/dev/null && chmod 644 "$HOME_DIR/topo/$1.xml"
}

# cpus JOB NAME - "TID CPUS" of each thread of the processes of that name, in the job's own numbers
cpus() {
    local pid
    for pid in $(job_pids "$1"); do
        [ "$(cat "/proc/$pid/comm" 2>/dev/null)" != "$2" ] || cat "/proc/$pid/task"/*/status
    done 2>/dev/null | awk '$1 == "NSpid:" { t = $NF } $1 == "Cpus_allowed_list:" { print t, $2 }' | sort -n
}
# begin NAME NODE SYNTHETIC <<SCRIPT - a job of two CPUs on a node of its own
begin() {
    local name=$1 node=$2
    topo "$name" "$3"
    job=$(submit --checkpoint=interval=0 -c 2 -w "$NODE$node" \
        --export="ALL,HWLOC_XMLFILE=$HOME_DIR/topo/$name.xml" -- "$(put_script "$name.job")")
    ok "$name: starts" wait_step "$job" 3
}
# again NAME [SYNTHETIC] [NODE] - saved, and brought back on another machine
again() {
    ok "$1: held" requeue_hold "$job"
    [ -z "${2:-}" ] || topo "$1" "$2"
    [ -z "${3:-}" ] || ok "$1: sent to another node" run_root scontrol update job="$job" ReqNodeList="$NODE$3"
    ok "$1: released" release "$job"
    ok "$1: restored" wait_until 60 restored_times "$job" "$(restarts "$job")"
    ok "$1: it goes on" goes_on "$job"
}
finish() {
    touch "$HOME_DIR/$1.stop"
    ok "$1: ends well" wait_state "$job" COMPLETED
    ok "$1: nothing is left" wait_until 20 no_images "$job"
}
n_bound() { cpus "$1" "$2" | grep -c ' [01]$'; }
both_bound() { [ "$(n_bound "$1" counter)" -eq 2 ]; }

# Two bound programs and one that is not; on another node of the same shape.
tasksets() {
    local job before drawn
    begin tasksets 1 'core:2 pu:1' <<END
#!/bin/bash
taskset -c 0 $PROGS/counter $HOME_DIR/tasksets.stop >/dev/null &
taskset -c 1 $PROGS/counter $HOME_DIR/tasksets.stop >/dev/null &
$PROGS/counter $HOME_DIR/tasksets.stop
wait
END
    ok "tasksets: bound" wait_until 60 both_bound "$job"
    before=$(cpus "$job" counter)
    is "tasksets: one to 0, one to 1, one not" "$(cut -d ' ' -f 2 <<<"$before" | sort | paste -s -d ' ')" "0 0-1 1"
    ok "tasksets: a checkpoint" checkpoint "$job"
    like "tasksets: show tells the binding" "$(run scheckpoint show "$job")" 'placement: on .*, 2 threads bound to CPUs'
    again tasksets '' 5
    is "tasksets: on the other node" "$(job_node "$job")" "${NODE}5"
    ok "tasksets: told" wait_out "$job" '2 threads are bound to CPUs as before$'
    is "tasksets: the same places; what was not bound is not" "$(cpus "$job" counter)" "$before"
    drawn=$(run scheckpoint show "$job" | grep -E '^ +[01] +0 +0 +[01] +[01] +[01] +[0-9]+$')
    is "tasksets: show draws the placement before and after" "$(awk '{ print $1, $6 }' <<<"$drawn" | paste -s -d ';')" \
        "0 0;1 1;0 0;1 1"
    is "tasksets: with the same thread at each place" "$(awk '$1 == 0 { print $7 }' <<<"$drawn" | sort -u | wc -l)" 1
    finish tasksets
}

# A team of OpenMP threads, bound by libgomp; both cores of the new node are hyperthreads of one.
openmp() {
    local job before
    begin openmp 2 'core:2 pu:1' <<END
#!/bin/bash
export OMP_PROC_BIND=close OMP_PLACES=threads
$PROGS/openmp $HOME_DIR/openmp.stop
END
    before=$(cpus "$job" openmp)
    is "openmp: libgomp binds all threads" "$(n_bound "$job" openmp)" 4
    is "openmp: to both" "$(cut -d ' ' -f 2 <<<"$before" | sort -u | paste -s)" "$(printf '0\t1')"
    again openmp 'core:1 pu:2'
    ok "openmp: told, and that the cores are others" wait_out "$job" '4 threads .* mapped onto another set of cores'
    is "openmp: each thread at its place" "$(cpus "$job" openmp)" "$before"
    is "openmp: the script is not bound" "$(cpus "$job" bash | cut -d ' ' -f 2)" 0-1
    finish openmp
}

# hwloc-bind to the second hyperthread of a core; where cores have only one it goes to the first core (neighbours
# before gaps); back where they have two it has its whole core.
hwlocbind() {
    local job
    begin hwlocbind 3 'core:1 pu:2' <<END
#!/bin/bash
env -u HWLOC_XMLFILE hwloc-bind pu:1 -- $PROGS/counter $HOME_DIR/hwlocbind.stop
END
    is "hwlocbind: bound to the second" "$(cpus "$job" counter | cut -d ' ' -f 2)" 1
    again hwlocbind
    is "hwlocbind: and again, in the same shape" "$(cpus "$job" counter | cut -d ' ' -f 2)" 1
    again hwlocbind 'core:2 pu:1'
    is "hwlocbind: the first core of another shape" "$(cpus "$job" counter | cut -d ' ' -f 2)" 0
    is "hwlocbind: show draws both" "$(run scheckpoint show --json "$job" |
        jq -c '[.placement, .placement_now] | map(.bindings[0].places)')" '["1","0"]'
    again hwlocbind 'core:1 pu:2'
    is "hwlocbind: what had a core of its own has all of one" "$(cpus "$job" counter | cut -d ' ' -f 2)" 0-1
    finish hwlocbind
}

# policies JOB NAME [AREA] - the memory policy of each thread of that program, in order; of an area
policies() {
    local pid task
    pid=$(job_pid "$1" "$2") || return 1
    for task in "/proc/$pid/task"/*; do
        echo "$(basename "$task") $(head -n 1 "$task/numa_maps" | cut -d ' ' -f 2)"
    done | sort -n | cut -d ' ' -f 2
    [ -z "${3:-}" ] || sed -n "s/^$3 \\([^ ]*\\).*/\\1/p" "/proc/$pid/numa_maps"
}
# Memory policy, which CRIU does not save: of threads, of areas, and of one that was set before the program began.
memory() {
    local job area before
    begin memory 4 'core:2 pu:1' <<END
#!/bin/bash
numactl --membind=0 $PROGS/counter $HOME_DIR/memory.stop >/dev/null &
$PROGS/policy $HOME_DIR/memory.stop
wait
END
    area=$(out "$job" | sed -n 's/^area //p')
    before=$(policies "$job" policy "$area" | paste -s -d ' ')
    is "memory: three threads and an area have policies of their own" "$before" "interleave:0 bind:0 default prefer:0"
    ok "memory: numactl's program has one" wait_until 60 numactl_bound "$job"
    again memory
    ok "memory: told" wait_out "$job" 'NUMA memory policy of 3 threads and 1 areas is as before'
    is "memory: all as before" "$(policies "$job" policy "$area" | paste -s -d ' ')" "$before"
    ok "memory: numactl's too" numactl_bound "$job"
    is "memory: the script has none" "$(policies "$job" bash)" default
    like "memory: show tells it" "$(run scheckpoint show "$job")" '^memory of [0-9]+, 1 areas of 1(\.0)? MiB: prefer on NUMA nodes 0'
    unlike "memory: nothing was bound" "$(out "$job")" 'bound to CPUs'
    # and it can be saved once more
    ok "memory: a checkpoint of what was restored" checkpoint "$job"
    ok "memory: it goes on" goes_on "$job"
    finish memory
}
numactl_bound() { [ "$(policies "$1" counter)" = bind:0 ]; }

# Damage to the binding costs the binding only.
damaged() {
    local job file
    begin damaged 2 'core:2 pu:1' <<END
#!/bin/bash
taskset -c 1 $PROGS/counter $HOME_DIR/damaged.stop
END
    ok "damaged: held" requeue_hold "$job"
    file=$(taskdir "$job")/$(newest "$job")/placement.json
    ok "damaged: it is there" test -s "$file"
    sed -i 's/"places":"1"/"places":"0"/' "$file"
    nok "damaged: verify finds it" run scheckpoint verify "$job"
    ok "damaged: released" release "$job"
    ok "damaged: restored" restored "$job"
    ok "damaged: told" wait_out "$job" 'not bound to CPUs as before: .*not the one that the manifest names'
    is "damaged: it runs unbound" "$(cpus "$job" counter | cut -d ' ' -f 2)" 0-1
    finish damaged
}

# A new job that begins with another one's checkpoint: the binding lies with that one's generation.
from_source() {
    local job old
    begin from_source 3 'core:2 pu:1' <<END
#!/bin/bash
taskset -c 1 numactl --membind=0 $PROGS/counter $HOME_DIR/from_source.stop
END
    is "from_source: bound" "$(cpus "$job" counter | cut -d ' ' -f 2)" 1
    ok "from_source: a checkpoint" checkpoint "$job"
    old=$job
    run scancel "$old"
    ok "from_source: cancelled" wait_state "$old" CANCELLED
    ok "from_source: gone" wait_until 60 no_process "$old"
    job=$(submit --checkpoint="interval=0,restore=$old" -c 2 -w "${NODE}3" \
        --export="ALL,HWLOC_XMLFILE=$HOME_DIR/topo/from_source.xml" -- "$HOME_DIR/from_source.job")
    ok "from_source: restored" restored "$job"
    ok "from_source: told" wait_out "$job" '1 threads are bound to CPUs as before$'
    ok "from_source: the memory policy, too" wait_out "$job" 'NUMA memory policy of 1 threads and 0 areas is as before'
    is "from_source: bound as before" "$(cpus "$job" counter | cut -d ' ' -f 2)" 1
    ok "from_source: its memory as well" numactl_bound "$job"
    unlike "from_source: nothing was missing" "$(out "$job")" 'not bound to CPUs as before'
    ok "from_source: it goes on" goes_on "$job"
    again from_source
    is "from_source: and from its own generation" "$(cpus "$job" counter | cut -d ' ' -f 2)" 1
    finish from_source
}

together openmp hwlocbind memory
together tasksets damaged from_source
done_testing
