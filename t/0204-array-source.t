#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# isolation: private
#
# sbatch --checkpoint=restore=12_3: the old job is named as Slurm names a task of an array, also when Slurm has forgotten
# it.
. "$(dirname "$0")/lib.sh"

tb_up
own=$(put_script own.sh <<END
#!/bin/bash
echo "the new script runs"
END
)
array=$(put_script array.sh <<END
#!/bin/bash
echo "task \$SLURM_ARRAY_TASK_ID"
exec $PROGS/counter $HOME_DIR/array.stop
END
)
first=$(run sbatch --parsable --requeue --mem=200 --array=2-3 --checkpoint=interval=0 -o "$HOME_DIR/array.%a.out" "$array")
raw() { run_root scontrol -o show job "${first}_$1" | sed -n 's/^JobId=\([0-9]*\).*/\1/p'; }
file() { cat "$HOME_DIR/array.$1.out"; }
for task in 2 3; do
    ok "task $task runs" wait_until 60 grep -q '^step 3 ' "$HOME_DIR/array.$task.out"
    ok "task $task: a checkpoint" run scheckpoint create "${first}_$task"
done
two=$(raw 2) three=$(raw 3)
isnt "they have ids of their own (control)" "$two" "$three"
is "its directory is marked" "$(readlink "$(taskdir "$three")/array")" "${first}_3"

said=$(submit --checkpoint="restore=${first}_3" -- "$own" 2>&1; echo "status $?")
like "refused while it runs" "$said" "restore=${first}_3: job ${first}_3 has not ended \\(RUNNING\\)"
run scancel "$first"
for task in 2 3; do ok "task $task is cancelled" wait_state "${first}_$task" CANCELLED; done
for job in "$two" "$three"; do ok "job $job is gone" wait_until 60 no_process "$job"; done
said=$(submit --checkpoint="restore=${first}_9" -- "$own" 2>&1; echo "status $?")
like "a task that never was" "$said" "there are no checkpoints of job ${first}_9 in "
said=$(submit --checkpoint="restore=${first}_3.0.7" -- "$own" 2>&1; echo "status $?")
like "a generation that is not there" "$said" "job ${first}_3 has no gen-0000-000007"

new=$(submit --checkpoint="interval=0,restore=${first}_3" -- "$own")
ok "task 3: restored" restored "$new"
like "task 3: the new job tells from which" "$(out "$new")" "begins with a checkpoint of job $three"
ok "task 3: it goes on" goes_on "$new"
other=$(submit --checkpoint="interval=0,restore=${first}_2.last" -- "$own")
ok "task 2: restored" restored "$other"
like "task 2: from its own" "$(out "$other")" "begins with a checkpoint of job $two"
ok "task 2: it goes on" goes_on "$other"
touch "$HOME_DIR/array.stop"
for job in "$new" "$other"; do
    ok "job $job ends" wait_state "$job" COMPLETED
    unlike "job $job: its own script never ran" "$(out "$job")" 'the new script runs'
done
ok "the mark goes with the images" run scheckpoint prune --keep 0 "$three"
is "nothing is left of task 3" "$(jobdir "$three")" ""
done_testing
