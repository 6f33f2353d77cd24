#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# isolation: private
#
# vacate, requeue, disable and enable, on real jobs: by their owner from outside, from within, by an operator; and
# what is refused.
# timeout: 400
. "$(dirname "$0")/lib.sh"

sc() { run scheckpoint "$@" 2>&1; echo "status $?"; }
root_sc() { run_root scheckpoint "$@" 2>&1; echo "status $?"; }
count() { job_script "$1.sh" "$PROGS/counter" "$HOME_DIR/$1.stop" "${2:-0}"; }
finish() { # NAME JOB - lets it end, and each step was made once
    touch "$HOME_DIR/$1.stop"
    ok "$1: ends" wait_state "$2" COMPLETED
    ok "$1: each step once" each_once "$2"
}

vacate() {
    local job said before
    job=$(submit --checkpoint=interval=0 --comment="mine, own" -- "$(count vacate)")
    ok "vacate: starts" wait_step "$job" 3
    before=$(tree "$job")
    said=$(sc vacate "$job")
    like "vacate: tells" "$said" "^job $job: gen-0000-000001: paused .*; requeued and held"
    like "vacate: with status 0" "$said" '^status 0$'
    ok "vacate: it is held" wait_held "$job"
    like "vacate: a held job is refused" "$(sc vacate "$job")" 'does not run \(PENDING, requeued\)'
    like "vacate: the job's stderr tells" "$(out "$job")" 'gen-0000-000001 saved \(vacate\)'
    like "vacate: list tells why" "$(run scheckpoint list "$job")" ' vacate '
    ok "vacate: released" release "$job"
    ok "vacate: restored" restored "$job"
    ok "vacate: goes on" goes_on "$job"
    is "vacate: same processes" "$(tree "$job")" "$before"
    finish vacate "$job"
}

# The tree asks for its own requeue, and goes on behind the command when it is restored.
from_within() {
    local job
    job=$(submit --checkpoint=interval=0 -- "$(put_script within.sh <<'END'
#!/bin/bash
n=0
step() { n=$((n + 1)); echo "step $n pid $$"; }
step
scheckpoint create; echo "create $?"
step
SLURM_JOB_ID=4242 scheckpoint requeue --json | tr -d ' \n'; echo " requeue ${PIPESTATUS[0]}"
step
scheckpoint disable; echo "disable $?"
scheckpoint create; echo "refused $?"
scheckpoint enable; echo "enable $?"
scheckpoint enable; echo "enable $?"
step
END
)")
    ok "within: asked for a requeue" wait_out "$job" 'saved \(requeue\)'
    sleep 1.5
    ok "within: it starts again" wait_until 60 restarted "$job" 1
    ok "within: ends" wait_state "$job" COMPLETED
    ok "within: each step once" each_once "$job"
    like "within: create" "$(out "$job")" '^create 0$'
    like "within: requeue succeeds behind the restore" "$(out "$job")" '"verb":"requeue".* requeue 0$'
    like "within: disable" "$(out "$job")" '^disable 0$'
    like "within: which has a request refused" "$(out "$job")" '^refused 3$'
    is "within: enable works once" "$(out "$job" | grep '^enable ' | paste -s -d ' ')" "enable 0 enable 3"
}

disable() {
    local job said n
    job=$(submit --checkpoint=0:03 -- "$(count disable)")
    ok "disable: starts" wait_step "$job" 3
    like "disable: once" "$(sc disable "$job")" "^job $job: checkpoints disabled \\(1\\)$"
    is "disable: nested, as JSON" "$(run scheckpoint disable --json "$job" | jq -c '[.state, .disabled]')" '["done",2]'
    n=$(n_generations "$job")
    said=$(sc create "$job")
    like "disable: a request is refused with the reason" "$said" 'are disabled since .* \(depth 2\): scheckpoint enable'
    like "disable: with status 3" "$said" '^status 3$'
    like "disable: so are vacate" "$(sc vacate "$job")" '^status 3$'
    like "disable: and requeue" "$(sc requeue "$job")" '^status 3$'
    like "disable: and an operator" "$(root_sc create "$job")" 'are disabled since'
    ok "disable: the clock is told to wait" wait_out "$job" 'not saved \(interval\): .*disabled'
    is "disable: no checkpoint meanwhile" "$(n_generations "$job")" "$n"
    is "disable: it is told once" "$(out "$job" | grep -c 'disabled since')" 1
    like "disable: enabled once it is still disabled" "$(sc enable "$job")" 'still disabled \(1\)'
    like "disable: indeed" "$(sc create "$job")" '^status 3$'
    like "disable: enabled twice" "$(sc enable "$job")" 'checkpoints enabled'
    ok "disable: what was missed follows" wait_until 30 more_than "$job" "$n"
    like "disable: enabled once too often" "$(sc enable "$job")" 'not disabled'
    finish disable "$job"
}
more_than() { [ "$(n_generations "$1")" -gt "$2" ]; }

# A requeue while disabled: the last checkpoint waits for the enable, and the counter is at zero afterwards; without
# an enable none is made.
disabled_requeue() {
    local job never go=$HOME_DIR/waits.go
    job=$(submit --checkpoint=interval=0 -- "$(put_script waits.sh <<END
#!/bin/bash
scheckpoint disable
for ((n = 1; n < 40; n++)); do
    echo "step \$n pid \$\$"
    while [ ! -e $go ]; do sleep .1; done
    if [ \$n = 1 ]; then scheckpoint enable; echo "enable \$?"; fi
    sleep .1
done
END
)")
    never=$(submit --checkpoint=interval=0 -- "$(count never)")
    ok "waits: starts" wait_step "$job" 1
    ok "never: starts" wait_step "$never" 3
    ok "never: disabled" run scheckpoint disable "$never"
    ok "waits: requeue" run scontrol requeue "$job" "$never"
    ok "waits: told" wait_out "$job" 'not saved \(requeue\): .*disabled'
    ok "never: told" wait_out "$never" 'not saved \(requeue\): .*disabled'
    is "waits: nothing saved yet" "$(n_generations "$job")" 0
    like "waits: refused from outside, as it is pending" "$(sc enable "$job")" '^status 3$'
    touch "$go"
    ok "waits: saved when it is enabled" wait_out "$job" 'saved \(requeue\)'
    sleep 1.5
    ok "waits: comes again" wait_until 90 restarted "$job" 1
    ok "waits: restored" restored "$job"
    ok "never: comes again" wait_until 90 restarted "$never" 1
    ok "never: it starts from the beginning" wait_out "$never" 'no checkpoint to restore from'
    ok "never: and can be checkpointed: the counter is at zero" checkpoint "$never"
    ok "waits: ends" wait_state "$job" COMPLETED
    ok "waits: each step once" each_once "$job"
    like "waits: enable succeeded" "$(out "$job")" '^enable 0$'
    touch "$HOME_DIR/never.stop"
    ok "never: ends" wait_state "$never" COMPLETED
}

# What cannot be saved runs on.
not_saved() {
    local job said verb
    job=$(submit --checkpoint=interval=0 -- "$(put_script socket.sh <<END
#!/bin/bash
python3 -u - "$HOME_DIR/socket.stop" <<'PY'
import os, socket, sys, time
s = socket.socket(); s.bind(('127.0.0.1', 0)); s.listen()
c = socket.create_connection(s.getsockname()); d = s.accept()[0]
n = 0
while not os.path.exists(sys.argv[1]):
    n += 1
    print('step', n, 'pid', os.getpid(), flush=True)
    time.sleep(.05)
PY
END
)")
    ok "not saved: starts" wait_step "$job" 3
    for verb in vacate requeue; do
        said=$(sc $verb "$job")
        like "not saved: $verb tells" "$said" "job $job: not saved: .*\\(the job runs on\\)"
        like "not saved: $verb has status 1" "$said" '^status 1$'
        ok "not saved: the job runs on after $verb" goes_on "$job"
    done
    like "not saved: an operator is told" "$(root_sc vacate "$job")" 'not saved: .*\(the job runs on\)'
    ok "not saved: the job runs on" goes_on "$job"
    is "not saved: it was never requeued" "$(restarts "$job")" 0
    finish socket "$job"
}

may_not() {
    local job
    job=$(submit --checkpoint=interval=0 -- "$(count maynot)")
    ok "no requeue: starts" wait_step "$job" 3
    run scontrol update job="$job" requeue=0
    like "no requeue: vacate is refused" "$(sc vacate "$job")" 'may not be requeued'
    like "no requeue: with status 3" "$(sc requeue "$job")" '^status 3$'
    ok "no requeue: it runs on" goes_on "$job"
    finish maynot "$job"
}

# One that takes long, so that others come meanwhile.
second() {
    local job pid
    job=$(submit --mem=600 --checkpoint=interval=0,compress=zstd:19 -- "$(job_script second.sh "$PROGS/invariant" \
        "$HOME_DIR/second.stop" 20)")
    ok "second: starts" wait_step "$job" 3
    sc create "$job" >"$TEST_TMP/second.first" &
    pid=$!
    ok "second: the first is under way" wait_until 30 has_running "$job"
    like "second: another is refused" "$(sc create "$job")" 'another request is under way \(create\)'
    like "second: with status 3" "$(sc requeue "$job")" '^status 3$'
    like "second: disable waits for it" "$(sc disable "$job")" '^job .*disabled \(1\)'
    wait $pid
    like "second: the first is made" "$(cat "$TEST_TMP/second.first")" '^status 0$'
    like "second: and enable" "$(sc enable "$job")" '^status 0$'
    like "second: then another can be made" "$(sc create "$job")" '^status 0$'
    touch "$HOME_DIR/second.stop"
    ok "second: ends" wait_state "$job" COMPLETED
}
has_running() { grep -qs '"running"' "$(taskdir "$1")"/answer/*.json; }

operator() {
    local job said job_comment
    job=$(submit --checkpoint=interval=0 --comment="my own words" -- "$(count operator)")
    ok "operator: starts" wait_step "$job" 3
    said=$(root_sc create "$job")
    like "operator: create tells the verdict" "$said" "^job $job: saved: gen-0000-000001$"
    like "operator: with status 0" "$said" '^status 0$'
    like "operator: it is in the job's comment, behind the user's" "$(show "$job")" \
        'Comment=my own words \[checkpoint [^ ]*Z: saved: gen-0000-000001\]'
    job_comment=$(show "$job" | sed -n 's/.* Comment=\(.*gen-0000-000001\]\).*/\1/p')
    ok "operator: the user writes something behind it" run scontrol update job="$job" comment="$job_comment and more"
    is "operator: another user is refused" "$(run_as ckptest2 scheckpoint vacate "$job" >/dev/null 2>&1; echo $?)" 3
    sleep 5 # else the one before answers
    said=$(root_sc vacate "$job")
    like "operator: vacate" "$said" "saved: gen-0000-000002; requeued and held"
    ok "operator: it is held" wait_held "$job"
    like "operator: what the user wrote is still there" "$(show "$job")" 'Comment=my own words and more \[checkpoint [^ ]*Z: '
    like "operator: what was done since is saved, too" "$(out "$job")" 'gen-0000-000003 saved \(requeue\)'
    sleep 1.5
    ok "operator: its owner may release it" release "$job"
    ok "operator: restored" restored "$job"
    ok "operator: goes on" goes_on "$job"
    finish operator "$job"
}

array() {
    local job said n
    job=$(submit --mem=100 --checkpoint=interval=0 --array=1-2 --output="$HOME_DIR/%A_%a.out" -- "$(count array)")
    ok "array: starts" wait_until 60 both_step "$job"
    said=$(run scheckpoint vacate --json "$job")
    is "array: all tasks are vacated" "$(jq -c '[.jobs[] | .state]' <<<"$said")" '["done","done"]'
    for n in 1 2; do
        ok "array: task $n is held" wait_until 30 held "${job}_$n"
    done
    sleep 1.5
    ok "array: released" run scontrol release "${job}_[1-2]"
    for n in 1 2; do
        wait_until 60 out_of_queue "${job}_$n"
        ok "array: task $n is restored" wait_until 60 restored "${job}_$n" 1
    done
    touch "$HOME_DIR/array.stop"
    for n in 1 2; do
        ok "array: task $n ends" wait_state "${job}_$n" COMPLETED
        ok "array: task $n made each step once" each_once "${job}_$n"
    done
}
both_step() { step_reached "${1}_1" 3 && step_reached "${1}_2" 3; }

tb_up --nodes 3
together vacate from_within disable disabled_requeue not_saved may_not second operator array
done_testing
