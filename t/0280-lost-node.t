#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Nodes that are lost: slurmd alone, all of a node, its network.  The job goes on elsewhere from its newest checkpoint; a
# copy of it that still runs on the lost node commits nothing any more, and ends.
# isolation: private
# timeout: 240
. "$(dirname "$0")/lib.sh"

# node_pids JOB N - its processes on node N, all steps
node_pids() { grep -lsE "$NODE$2[_/].*job_$1/step_" /proc/[0-9]*/cgroup | cut -d / -f 3; }
none_on() { [ -z "$(node_pids "$@")" ]; }
runs_on() { [ "$(job_node "$1")" = "$NODE$2" ] && [ "$(state "$1")" = RUNNING ]; }
node_is() { [ "$(run_root sinfo -h -n "$NODE$1" -N -o %T | head -n 1)" = "$2" ]; }
# saved DIR N - at least N generations have been made there
saved() { [ "$(find "$1" -maxdepth 1 -name 'gen-*' ! -name '*.partial' | sed 's/.*-0*//' | sort -n | tail -n 1)" -ge "$2" ]; }
# of_old DIR - the newest generation that the first start has ever committed, by the history
of_old() { cat "$1"/events* | grep '"checkpoint"' | grep -oE 'gen-0000-[0-9]{6}' | sort | tail -n 1; }
# of_new DIR
of_new() { find "$1" -maxdepth 1 -name 'gen-0001-*' ! -name '*.partial' | grep -q .; }
restored_from() { out "$1" | sed -n 's/^checkpoint: restored \(gen-[0-9-]*\):.*/\1/p' | head -n 1; }
elsewhere() { # NAME JOB FROM TO
    ok "$1: the job starts again" wait_until 90 restarted "$2" 1
    ok "$1: on node $4" wait_until 60 runs_on "$2" "$4"
    ok "$1: restored" restored "$2"
}
ends() { # NAME JOB
    ok "$1: it goes on there" goes_on "$2" 5
    touch "$HOME_DIR/$1.stop"
    ok "$1: it ends well" wait_state "$2" COMPLETED
    is "$1: it was started once more, not oftener" "$(restarts "$2")" 1
    ok "$1: nothing is left" wait_until 20 no_images "$2"
}

# The job on the node lives on, and can ask slurmctld.
slurmd_killed() {
    local job
    job=$(submit -p a --checkpoint=0:04,keep=10 -- "$(job_script slurmd.sh "$PROGS/counter" "$HOME_DIR/slurmd.stop")")
    ok "slurmd: starts" wait_step "$job" 3
    ok "slurmd: saved" wait_until 60 saved "$(taskdir "$job")" 1
    "$TESTBED" kill --dir "$TB" slurmd:1 >/dev/null 2>&1
    isnt "slurmd: its job lives on (control)" "$(node_pids "$job" 1)" ""
    elsewhere slurmd "$job" 1 2
    ok "slurmd: the old copy ends by itself" wait_until 60 none_on "$job" 1
    like "slurmd: it says why" "$(out "$job")" 'started again elsewhere: this copy of it ends'
    is "slurmd: it committed nothing that came too late" "$(of_old "$(taskdir "$job")")" "$(restored_from "$job")"
    "$TESTBED" restart --dir "$TB" slurmd:1 >/dev/null 2>&1
    ok "slurmd: the node comes back" wait_until 60 node_is 1 idle
    ends slurmd "$job"
}

# lost_with NAME N PARTITION - a job, saved, runs on and is lost with all of node N; sets job
lost_with() {
    job=$(submit -p "$3" --checkpoint=interval=0 -- "$(job_script "$1.sh" "$PROGS/counter" "$HOME_DIR/$1.stop")")
    ok "$1: starts" wait_step "$job" 3
    ok "$1: saved" checkpoint "$job"
    ok "$1: it runs on" goes_on "$job" 5
    "$TESTBED" kill --dir "$TB" "node:$2" >/dev/null 2>&1
}

power_cut() {
    local job
    lost_with power 3 b
    elsewhere power "$job" 3 4
    "$TESTBED" restart --dir "$TB" slurmd:3 >/dev/null 2>&1
    ok "power: the node comes back" wait_until 60 node_is 3 idle
    ok "power: each step once, what came after the checkpoint is made again" each_once "$job"
    ends power "$job"
}

# Its partition has no other node: it comes back to the one that was lost with it.
back() {
    local job
    lost_with back 7 d
    ok "back: slurmctld finds out" wait_until 60 state_in "$job" PENDING
    "$TESTBED" restart --dir "$TB" slurmd:7 >/dev/null 2>&1
    elsewhere back "$job" 7 7
    ok "back: each step once, what came after the checkpoint is made again" each_once "$job"
    ends back "$job"
}

# Neither slurmctld nor the other node can be reached: the files can.
network_cut() {
    local job step old
    job=$(submit -p c --checkpoint=0:04,keep=10 -- "$(job_script cut.sh "$PROGS/counter" "$HOME_DIR/cut.stop")")
    step=$(submit -p c --checkpoint=0:04,keep=10 -- "$(job_script cutstep.sh srun --mem=100 "$PROGS/counter" "$HOME_DIR/cutstep.stop")")
    ok "cut: starts" wait_step "$job" 3
    ok "cut: the one with a step" wait_step "$step" 3
    ok "cut: saved" wait_until 60 saved "$(taskdir "$job")" 1
    ok "cut: the step is saved" wait_until 60 saved "$(step_dir "$step")" 1
    "$TESTBED" cut --dir "$TB" node:5
    ok "cut: the job runs on without a network" goes_on "$job" 5
    elsewhere cut "$job" 5 6
    isnt "cut: the old copy is there (control)" "$(node_pids "$job" 5)" ""
    ok "cut: it stands still" wait_until 90 stands_still "$job" 5
    like "cut: it says why" "$(out "$job")" 'started again elsewhere, and slurmctld does not answer: this copy of it stands still'
    is "cut: it committed nothing that came too late" "$(of_old "$(taskdir "$job")")" "$(restored_from "$job")"
    elsewhere cutstep "$step" 5 6
    ok "cut: the step's old copy stands still" wait_until 90 stands_still "$step" 5
    is "cut: it committed nothing that came too late either" "$(of_old "$(step_dir "$step")")" "$(restored_from "$step")"
    ok "cut: the new ones are saved" wait_until 60 of_new "$(taskdir "$job")"
    ok "cut: the step too" wait_until 60 of_new "$(step_dir "$step")"
    "$TESTBED" mend --dir "$TB" node:5
    ok "cut: when the network is back the old copy ends" wait_until 90 none_on "$job" 5
    ok "cut: the step's too" wait_until 90 none_on "$step" 5
    "$TESTBED" restart --dir "$TB" slurmd:5 >/dev/null 2>&1 # sooner than slurmctld looks for it
    ok "cut: the node is used again" wait_until 60 node_is 5 idle
    ok "cut: the new one runs" runs_on "$job" 6
    old=$(of_old "$(taskdir "$job")")
    is "cut: nothing was committed in between" "$old" "$(restored_from "$job")"
    ends cut "$job"
    ends cutstep "$step"
}
step_dir() { echo "$(jobdir "$1")"/step-*.0; }
# stands_still JOB N - the program there is stopped
stands_still() {
    local pid n=0
    for pid in $(node_pids "$@"); do
        [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = counter ] || continue
        grep -q '^State:	T' "/proc/$pid/status" || return 1
        n=$((n + 1))
    done
    [ $n -gt 0 ]
}

cat >"$TEST_TMP/slurm" <<'END'
SlurmdTimeout=15
PartitionName=a Nodes=@NODE@[1-2] MaxTime=60 DefaultTime=5
PartitionName=b Nodes=@NODE@[3-4] MaxTime=60 DefaultTime=5
PartitionName=c Nodes=@NODE@[5-6] MaxTime=60 DefaultTime=5
PartitionName=d Nodes=@NODE@7 MaxTime=60 DefaultTime=5
END
tb_up --nodes 7 --netns --slurm-conf "$TEST_TMP/slurm"
together slurmd_killed power_cut network_cut back
done_testing
