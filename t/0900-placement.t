#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# timeout: 240
#
# CPU binding across a requeue: the threads come back to the same logical places.  Two real cores are all that is
# asked for; the other node is the same machine described to hwloc differently (HWLOC_XMLFILE in the job's environment,
# exchanged between the two runs).
. "$(dirname "$0")/lib.sh"

command -v hwloc-bind numactl taskset lstopo-no-graphics >/dev/null || bail "hwloc-nox, numactl: contrib/install-deps --test"
tb_up --nodes 5
install -d -o ckptest -g ckptest "$HOME_DIR/topo"

# topo NAME SYNTHETIC - the machine as the job's hwloc sees it from now on
topo() {
    rm -f "$HOME_DIR/topo/$1.xml"
    lstopo-no-graphics --of xml --input "$2" "$HOME_DIR/topo/$1.xml" && chmod 644 "$HOME_DIR/topo/$1.xml"
}

# cpus JOB NAME - "TID CPUS" of each thread of the processes of that name, in the job's own numbers
cpus() {
    local pid
    for pid in $(job_pids "$1"); do
        [ "$(cat "/proc/$pid/comm" 2>/dev/null)" != "$2" ] || cat "/proc/$pid/task"/*/status
    done 2>/dev/null | awk '$1 == "NSpid:" { t = $NF } $1 == "Cpus_allowed_list:" { print t, $2 }' | sort -n
}
# swapped - CPUs 0 and 1 exchanged
swapped() { sed -E 's/ 0$/ x/; s/ 1$/ 0/; s/ x$/ 1/'; }

# begin NAME NODE SCRIPT... - a job of two CPUs on a node of its own
begin() {
    local name=$1 node=$2
    topo "$name" 'core:2 pu:1'
    job=$(submit --checkpoint=interval=0 -c 2 -w "$NODE$node" \
        --export="ALL,HWLOC_XMLFILE=$HOME_DIR/topo/$name.xml" -- "$(put_script "$name.job")")
    ok "$name: starts" wait_step "$job" 3
}
# again NAME - saved and brought back
again() {
    ok "$1: a checkpoint" checkpoint "$job"
    ok "$1: requeue" requeue "$job"
    ok "$1: restored" restored "$job"
    ok "$1: it goes on" goes_on "$job"
}
finish() {
    touch "$HOME_DIR/$1.stop"
    ok "$1: ends well" wait_state "$job" COMPLETED
    ok "$1: nothing is left" wait_until 20 no_images "$job"
}
n_bound() { cpus "$1" "$2" | grep -c ' [01]$'; }
placed() { wait_out "$1" 'threads are bound to CPUs as before'; }

# Two bound programs and one that is not; on another node, whose CPUs are numbered the other way round.
tasksets() {
    local job before now
    begin tasksets 1 <<END
#!/bin/bash
taskset -c 0 $PROGS/counter $HOME_DIR/tasksets.stop >/dev/null &
taskset -c 1 $PROGS/sleepers $HOME_DIR/tasksets.stop >/dev/null &
$PROGS/locks $HOME_DIR/tasksets.locked $HOME_DIR/tasksets.stop
wait
END
    ok "tasksets: bound" wait_until 60 test "$(n_bound "$job" counter)" -ge 1
    before=$(cpus "$job" counter; cpus "$job" sleepers)
    like "tasksets: one to 0, the other to 1" "$(paste -s -d ' ' <<<"$before")" ' 0 .* 1$'
    ok "tasksets: a checkpoint" checkpoint "$job"
    like "tasksets: show tells the binding" "$(run scheckpoint show "$job")" 'bound to'
    ok "tasksets: held" requeue_hold "$job"
    topo tasksets 'core:2 pu:1(indexes=1,0)'
    ok "tasksets: sent to another node" run_root scontrol update job="$job" ReqNodeList="${NODE}5"
    ok "tasksets: released" release "$job"
    ok "tasksets: restored" restored "$job"
    is "tasksets: on the other node" "$(job_node "$job")" "${NODE}5"
    ok "tasksets: told" placed "$job"
    now=$(cpus "$job" counter; cpus "$job" sleepers)
    is "tasksets: the same places, other CPUs" "$now" "$(swapped <<<"$before")"
    is "tasksets: what was not bound is not" "$(cpus "$job" locks | cut -d ' ' -f 2)" 0-1
    like "tasksets: show tells the placement before and after" \
        "$(run scheckpoint show "$job" | grep -A 3 -E 'place +0')" 'place +0.*CPU 0.*CPU 1'
    finish tasksets
}

# A team of OpenMP threads, bound by libgomp; both cores of the new node are hyperthreads of one.
openmp() {
    local job before
    begin openmp 2 <<END
#!/bin/bash
export OMP_PROC_BIND=close OMP_PLACES=threads
$PROGS/openmp $HOME_DIR/openmp.stop
END
    before=$(cpus "$job" openmp)
    is "openmp: libgomp binds all threads" "$(n_bound "$job" openmp)" 4
    is "openmp: to both" "$(cut -d ' ' -f 2 <<<"$before" | sort -u | paste -s)" "$(printf '0\t1')"
    topo openmp 'core:1 pu:2(indexes=1,0)'
    again openmp
    ok "openmp: told, and that the cores are others" wait_out "$job" '4 threads .* mapped onto another set of cores'
    is "openmp: each thread at its place" "$(cpus "$job" openmp)" "$(swapped <<<"$before")"
    is "openmp: the script is not bound" "$(cpus "$job" openmp.job; cpus "$job" bash)" ""
    finish openmp
}

# hwloc-bind; a second checkpoint after the restore knows where the threads are now.
hwlocbind() {
    local job before
    begin hwlocbind 3 <<END
#!/bin/bash
env -u HWLOC_XMLFILE hwloc-bind core:1 -- $PROGS/counter $HOME_DIR/hwlocbind.stop
END
    before=$(cpus "$job" counter)
    like "hwlocbind: bound" "$before" ' 1$'
    topo hwlocbind 'core:2 pu:1(indexes=1,0)'
    again hwlocbind
    ok "hwlocbind: told" placed "$job"
    is "hwlocbind: the same place, another CPU" "$(cpus "$job" counter)" "$(swapped <<<"$before")"
    again hwlocbind
    is "hwlocbind: and still, another time" "$(cpus "$job" counter)" "$(swapped <<<"$before")"
    finish hwlocbind
}

# Memory policy cannot be given back: it is said, and which.
memory() {
    local job
    begin memory 4 <<END
#!/bin/bash
numactl --membind=0 $PROGS/counter $HOME_DIR/memory.stop
END
    again memory
    ok "memory: the policy that is lost is named" \
        wait_out "$job" 'memory policy cannot be set from outside.*had bind of NUMA nodes 0'
    unlike "memory: nothing was bound" "$(out "$job")" 'bound to CPUs'
    finish memory
}

# Damage to the binding costs the binding only.
damaged() {
    local job file
    begin damaged 5 <<END
#!/bin/bash
taskset -c 1 $PROGS/counter $HOME_DIR/damaged.stop
END
    ok "damaged: a checkpoint" checkpoint "$job"
    file=$(taskdir "$job")/$(newest "$job")/placement.json
    ok "damaged: it is there" test -s "$file"
    sed -i 's/"places":"1"/"places":"0"/' "$file"
    nok "damaged: verify finds it" run scheckpoint verify "$job"
    ok "damaged: requeue" requeue "$job"
    ok "damaged: restored" restored "$job"
    ok "damaged: told" wait_out "$job" 'not bound to CPUs as before: .*not the one that the manifest names'
    is "damaged: it runs unbound" "$(cpus "$job" counter | cut -d ' ' -f 2)" 0-1
    finish damaged
}

together openmp hwlocbind memory
together tasksets damaged_later
done_testing
