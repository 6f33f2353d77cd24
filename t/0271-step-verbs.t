#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# isolation: private
#
# scheckpoint and the tasks of steps: create and able ask them and report each; list, show, verify, error, diff and prune
# see each, by JOB.STEP/TASK.
# timeout: 120
. "$(dirname "$0")/lib.sh"

sc() { run scheckpoint "$@" 2>&1; echo "status $?"; }
json() { python3 -c "import json,sys; d=json.load(sys.stdin); print($1)"; }
pages_of() { find "$(jobdir "$1")" -path "*/step-*.$2/gen-*/pages.zst" | sort | tail -n 1; }

tb_up --nodes 2
job=$(submit -N2 -n2 --ntasks-per-node=1 --checkpoint=interval=0 -- "$(put_script verbs.sh <<END
#!/bin/bash
srun -l -n2 --cpu-bind=none --mem=100 $PROGS/counter $HOME_DIR/verbs.stop 7
echo "srun ended with \$?"
END
)")
ok "starts" wait_out "$job" '^0: step 3 '
ok "on both nodes" wait_out "$job" '^1: step 3 '
said=$(sc able "$job")
like "able looks at task 0" "$said" "^job $job\.0 task 0: can be checkpointed"
like "able looks at task 1" "$said" "^job $job\.0 task 1: can be checkpointed"
said=$(sc able "$job.0/1")
is "able of one task looks at that" "$(grep -c '^job' <<<"$said")" 1
said=$(sc create "$job")
like "create reports the script" "$said" "^job $job: srun runs in the script"
like "task 0" "$said" "^job $job\.0 task 0: gen-0000-000001: paused"
like "task 1, on the other node" "$said" "^job $job\.0 task 1: gen-0000-000001: paused"
said=$(sc create "$job.0/1")
like "create of one task" "$said" "^job $job\.0 task 1: gen-0000-000002: paused"
is "of that alone" "$(grep -c '^job' <<<"$said")" 1
said=$(run scheckpoint create --json "$job.0")
is "create of a step, as JSON: both" "$(json "[t['state'] for t in d['jobs']]" <<<"$said")" "['done', 'done']"
like "create of a step that is not there is refused" "$(sc create "$job.5")" "job $job has no step 5 with checkpoints"
like "create of a task that is not there, too" "$(sc create "$job.0/5")" "step $job\.0 has no task 5 that is checkpointed \\(of it 2 are\\)"
like "both are refusals" "$(sc create "$job.5" "$job.0/5")" '^status 3$'
for verb in vacate requeue disable; do
    said=$(sc $verb "$job.0")
    like "$verb is about the job" "$said" "about whole jobs, not a step of one: scheckpoint $verb $job"
    like "$verb: wrong usage" "$said" '^status 2$'
done

said=$(sc list "$job")
is "list: task 0" "$(grep -cE "^ *$job\.0/0  gen-0000-00000[12] .*${NODE}[12]" <<<"$said")" 2
is "list: task 1" "$(grep -cE "^ *$job\.0/1  gen-0000-00000[23] .*${NODE}[12]" <<<"$said")" 2
is "list: they are on two nodes" "$(grep -oE "^ *$job\.0/.*" <<<"$said" | grep -oE "${NODE}[12]" | sort -u | wc -l)" 2
is "list of one task" "$(run scheckpoint list --json "$job.0/1" | json "[(g['step'], g['task_id'], g['generation']) for g in d['generations']]")" \
    "[(0, 1, 'gen-0000-000003'), (0, 1, 'gen-0000-000002')]"
is "list, as JSON, names the tasks" "$(run scheckpoint list --json "$job" | json "sorted({g['task'][-2:] for g in d['generations']})")" "['.0', '.1']"

said=$(sc show "$job")
like "show: the last of task 0" "$said" "^job $job\.0/0, gen-0000-000002"
like "show: the last of task 1" "$said" "^job $job\.0/1, gen-0000-000003"
is "show: their processes" "$(grep -cE " counter +$PROGS/counter " <<<"$said")" 2
like "show: well" "$said" '^status 0$'
said=$(sc show "$job.0/1.0.2")
like "show of one checkpoint of a task" "$said" "^job $job\.0/1, gen-0000-000002"
is "of that alone" "$(grep -c '^job' <<<"$said")" 1
is "show of one task, as JSON" "$(run scheckpoint show --json "$job.0/0" | json "d['generation'], d['step'], d['task'][-2:]")" "gen-0000-000002 0 .0"
is "show of all, as JSON" "$(run scheckpoint show --json "$job" | json "[t['generation'] for t in d['tasks']]")" "['gen-0000-000002', 'gen-0000-000003']"
like "check of the job names the tasks that have some" "$(sc check "$job")" \
    "job $job has no checkpoint of its script; these of its tasks have some: $job\.0/0, $job\.0/1\$"
like "check of a task says of which" "$(sc check "$job.0/1")" "^job $job\.0/1, gen-0000-000003, on "
like "show of what is not there" "$(sc show "$job.0/7")" 'no checkpoints of such a step or task'
like "show of a generation that is not there" "$(sc show "$job.0/1.0.9")" "job $job\.0/1 has no generation gen-0000-000009"

said=$(sc diff "$job.0/1.0.2")
like "diff of a task" "$said" "^job $job\.0/1, gen-0000-000002 to gen-0000-000003"
like "diff: well" "$said" '^status 0$'
like "diff of two tasks is wrong usage" "$(sc diff "$job.0/1.0.2" "$job.0/0.0.2")" '^status 2$'
like "diff wants a task" "$(sc diff "$job.0.0.2" last)" "2 tasks have checkpoints there: name one, such as $job\.0/0"

said=$(sc verify "$job")
is "verify reads those of both tasks" "$(grep -cE "^job $job\.0/[01], gen-0000-00000[123]: good" <<<"$said")" 4
like "verify: well" "$said" '^status 0$'
like "verify of a task" "$(sc verify "$job.0/0")" '^2 good, 0 bad'
like "verify of one checkpoint" "$(sc verify "$job.0/0.last")" '^1 good, 0 bad'
like "verify of all jobs sees them" "$(sc verify --all)" '^4 good, 0 bad'
flip "$(pages_of "$job" 1)"
said=$(sc verify "$job")
like "verify: damage is found, with the task" "$said" "^job $job\.0/1, gen-0000-000003: BAD"
like "verify: the others are good" "$said" '^3 good, 1 bad'
like "verify: that is a failure" "$said" '^status 1$'
is "verify, as JSON" "$(run scheckpoint verify --json "$job" | json "[g['label'] for g in d['generations'] if not g['good']]")" "['$job.0/1']"
flip "$(pages_of "$job" 1)"

said=$(sc error "$job")
like "error: of the script" "$said" "^job $job: no error"
like "error: of task 1" "$said" "^job $job\.0/1: no error"
chmod 500 "$(dirname "$(dirname "$(pages_of "$job" 1)")")"
said=$(sc create "$job.0/1")
like "a task that cannot be saved" "$said" '^status 1$'
chmod 700 "$(dirname "$(dirname "$(pages_of "$job" 1)")")"
like "is found by error" "$(sc error "$job" | grep -A 1 "^job $job\.0/1: failed 1 time")" 'checkpoint-failed'
is "error, as JSON" "$(run scheckpoint error --json "$job" | json "[len(s['failures']) for s in d['steps']]")" '[0, 1]'
like "history of a task" "$(sc history "$job.0/1")" '^status 0$'

said=$(sc prune "$job")
like "prune: of task 0 one is left" "$said" "$job\.0/0 .* 2 .* 1 "
is "prune: the newest" "$(run scheckpoint list --json "$job" | json "sorted(g['generation'] for g in d['generations'])")" "['gen-0000-000002', 'gen-0000-000003']"

like "requeue by the verb tells what becomes of the script" "$(sc requeue "$job")" \
    "^job $job: the script runs srun and will begin anew, .*; requeued\$"
ok "requeued" wait_until 60 restarted "$job" 1
ok "both are restored" wait_until 60 restored_times "$job" 2
like "list names those of the run before and of this one alike" "$(sc list "$job")" "$job\.0/1  gen-0000-000003"
run scancel "$job"
ok "cancelled" wait_state "$job" CANCELLED
ok "nothing runs any more" wait_until 60 no_process "$job"
like "list of the job that has ended names them still" "$(sc list "$job.0")" "$job\.0/1  gen-0000-000004"
sc prune --keep 0 "$job" >/dev/null
ok "prune of all that it has leaves nothing" wait_until 20 no_images "$job"
done_testing
