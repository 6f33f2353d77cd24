#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# isolation: private
#
# Scripts with steps: preempted with and without grace time, and slurmctld away meanwhile.
# timeout: 240
. "$(dirname "$0")/lib.sh"

step_script() { # NAME - a script with one step after one that has ended
    put_script "$1.sh" <<END
#!/bin/bash
srun -n1 --mem=100 bash -c "echo ran >>$HOME_DIR/$1.ran; exit 2"
echo "first gave \$?"
srun -l -n2 --cpu-bind=none --mem=100 $PROGS/counter $HOME_DIR/$1.stop 7
echo "second gave \$?"
END
}
task_once() {
    awk -v p="$2:" '$1 == p && $2 == "step" { if ($3 != ++n) { print "step " $3 " instead of " n; bad = 1; n = $3 } }
        END { if (!n) print "no step"; exit bad || !n }' "$1"
}
runs() { out_has "$1" '^1: step 3 '; }

# preempted NAME PARTITION NODE
preempted() {
    local name=$1 job high
    job=$(submit -n2 -p "$2" --checkpoint=interval=0 --exclusive -w "$3" -- "$(step_script "$name")")
    ok "$name: starts" wait_until 60 runs "$job"
    high=$(submit -p high --exclusive -w "$3" -- "$(job_script "high-$name.sh" "$PROGS/counter" "$HOME_DIR/high-$name.stop")")
    ok "$name: the job of the higher partition runs" wait_state "$high" RUNNING
    touch "$HOME_DIR/high-$name.stop"
    ok "$name: the first one starts again" wait_until 60 restarted "$job" 1
    ok "$name: both are restored" wait_until 60 restored_times "$job" 2
    touch "$HOME_DIR/$name.stop"
    ok "$name: it ends as it should" wait_out "$job" '^second gave 7'
    ok "$name: task 0 wrote each line once" task_once "$HOME_DIR/$job.out" 0
    ok "$name: task 1 wrote each line once" task_once "$HOME_DIR/$job.out" 1
    is "$name: the first step ran once" "$(wc -l <"$HOME_DIR/$name.ran")" 1
}
at_once() { preempted at_once now "${NODE}1"; }
grace() { preempted grace low "${NODE}2"; }

# slurmctld is away while checkpoints are made, and comes back.
controller() {
    local job pid
    job=$(submit -n2 -w "${NODE}3" --checkpoint=0:02,keep=3 -- "$(step_script controller)")
    ok "controller: starts" wait_until 60 runs "$job"
    pid=$(pgrep -f "^slurmctld -D -f $TB/etc/slurm.conf")
    kill -STOP "$pid"
    ok "controller: checkpoints go on without it" wait_until 60 goes_on_saving "$job"
    kill -CONT "$pid"
    "$TESTBED" restart --dir "$TB" slurmctld >/dev/null 2>&1
    ok "controller: the job runs" wait_state "$job" RUNNING
    ok "controller: requeue" requeue "$job"
    ok "controller: both are restored" wait_until 60 restored_times "$job" 2
    touch "$HOME_DIR/controller.stop"
    ok "controller: it ends as it should" wait_out "$job" '^second gave 7'
    is "controller: the first step ran once" "$(wc -l <"$HOME_DIR/controller.ran")" 1
}
goes_on_saving() { [ -n "$(find "$(jobdir "$1")" -path '*step-*' -name 'gen-0000-00000[3-9]')" ]; }

# Each task of an array is a job of its own.
array() {
    local id n=100
    id=$(run sbatch --parsable --requeue --mem=20 --array="1-$n" --checkpoint=interval=0 -o "$HOME_DIR/array.%a" \
        "$(put_script array.sh <<'END'
#!/bin/bash
echo "task $SLURM_ARRAY_TASK_ID"
srun --mem=20 true
echo "gave $?"
END
)")
    array_over() { [ -z "$(run squeue -h -j "$id" 2>/dev/null)" ]; }
    ok "array: all tasks end" wait_until 150 array_over
    is "array: all of them well" "$(cat "$HOME_DIR"/array.* | grep -c '^gave 0$')" "$n"
    is "array: each once" "$(cat "$HOME_DIR"/array.* | grep '^task' | sort -u | wc -l)" "$n"
    is "array: nothing is left" "$(find "$SCRATCH" -mindepth 1 -maxdepth 1 | wc -l)" 0
}

cat >"$TEST_TMP/slurm" <<'END'
KillWait=20
PartitionName=now Nodes=@NODES@ MaxTime=60 DefaultTime=5 PriorityTier=1 PreemptMode=REQUEUE
END
tb_up --nodes 3 --slurm-conf "$TEST_TMP/slurm"
together at_once grace
controller
array
done_testing
