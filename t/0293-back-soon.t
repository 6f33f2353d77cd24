#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# isolation: private
# timeout: 400
#
# Jobs that come back to a node that believes to know them.  While their credentials there have not expired slurmd throws the
# old ones away at most every two seconds; of jobs that start together it does so for the first, and runs no prolog for
# the others: the node's notes of them are older than what they did elsewhere, or are not there.
. "$(dirname "$0")/lib.sh"

asked() { cat "$TEST_TMP/asked" 2>/dev/null; }
restored_or_failed() { restored_times "$1" 1 || state_in "$1" FAILED; }
restored_or_held() { restored_times "$1" "$2" || held_by_us "$1"; }

# all_to NODES - the jobs, to be started at the same time
all_held() {
    for job in "${jobs[@]}"; do
        ok "job $job: saved and held" requeue_hold "$job"
        ok "job $job: sent to $1" run_root scontrol update job="$job" ReqNodeList="$1"
    done
}
all_start() {
    for job in "${jobs[@]}"; do run scontrol release "$job"; done
    sleep 2 # see start_now
    for job in "${jobs[@]}"; do run_root scontrol update job="$job" StartTime=now; done
}
all_to() { all_held "$1"; all_start; }
larger() { [ "$(wc -c <"$HOME_DIR/$1.out")" -gt "$2" ]; }
lines() { echo $(($1 * ($2 == steps ? 2 : 1))); } # STARTS JOB: it says so for each of its two tasks
# One that is sent on may not start before half a minute has gone, or two.
come_back() {
    restored_times "$1" "$2" && return
    [ "$(state "$1")" != PENDING ] || start_now "$1"
    return 1
}
all_restored() {
    for job in "${jobs[@]}"; do ok "job $job: restored" wait_until 90 come_back "$job" "$(lines "$1" "$job")"; done
}
start_of() { run scheckpoint create "$1" | sed -n 's/.*gen-0*\([0-9][0-9]*\)-.*/\1/p' | head -n 1; }
counted() { # that each knows which start this is
    for job in "$one" "$two"; do is "job $job: it knows which start this is" "$(start_of "$job")" "$(restarts "$job")"; done
}

echo "AuthInfo=socket=@DIR@/munge/munge.sock,cred_expire=120" >"$TEST_TMP/slurm.conf"
tb_up --nodes 3 --slurm-conf "$TEST_TMP/slurm.conf"
STOP=$HOME_DIR/stop
STATE_DIR=$(sed -n 's/^StateDir=//p' "$TB/etc/checkpoint.conf")
asks=$TB/inst/libexec/slurm-spank-checkpoint/job-restarts
mv "$asks" "$asks.good"
asks() { printf '#!/bin/sh\necho "$@" >>%s\n%s\n' "$TEST_TMP/asked" "$1" >"$asks"; chmod 755 "$asks"; }
good() { asks "echo 'what libslurm says beside it' >&2; exec $asks.good \"\$@\""; }
good

one=$(submit --checkpoint=interval=0 -w "${NODE}1" -- "$(job_script one.sh "$PROGS/counter" "$STOP")")
two=$(submit --checkpoint=interval=0 -w "${NODE}1" -- "$(job_script two.sh "$PROGS/counter" "$STOP")")
steps=$(submit -w "${NODE}1" -n2 --checkpoint=interval=0 -- "$(put_script steps.sh <<<"#!/bin/bash
srun -l -n2 --cpu-bind=none --mem=100 $PROGS/counter $STOP
echo \"srun ended with \$?\"")")
jobs=("$one" "$two" "$steps")
ok "a job starts" wait_step "$one" 3
ok "another" wait_step "$two" 3
ok "and one of steps" wait_out "$steps" '^1: step 3'
all_to "${NODE}2"
all_restored 1
all_to "${NODE}1"
all_restored 2
like "slurmctld was asked, where slurmd had not told it (control)" "$(asked)" "^[0-9]+ ${NODE}[12]( batch)?\$"
counted

# The notes are gone, as when the machine was booted in between.
all_held "${NODE}2"
rm -f "$STATE_DIR"/*.closed
: >"$TEST_TMP/asked"
all_start
all_restored 3
like "without a note slurmctld was asked (control)" "$(asked)" "^[0-9]+ ${NODE}[12]( batch)?\$"
counted

# What cannot be learnt holds the job; it does not start over.
all_held "${NODE}1"
asks 'echo "no word from it" >&2; exit 1'
all_start
held=0
for job in "${jobs[@]}"; do
    n=$(lines 4 "$job")
    ok "job $job: restored or held" wait_until 60 restored_or_held "$job" "$n"
    restored_times "$job" "$n" && continue
    held=$((held + 1))
    like "job $job: held with the reason" "$(out "$job")" \
        '^(slurmstepd.*)?checkpoint: .*how often the job was started is not to be learnt from slurmctld: no word from it'
done
ok "some were held" test $held -ge 1
good
for job in "${jobs[@]}"; do
    restored_times "$job" "$(lines 4 "$job")" || ok "job $job: released" release "$job"
done
all_restored 4
counted

# A note that no epilog has closed looks like this start's.  The job's own directory contradicts it.
SENT='^checkpoint: this node cannot have the job: it is not told how often the job was started'
all_held "${NODE}1"
asks 'echo "no word from it" >&2; exit 1'
for job in "${jobs[@]}"; do
    sed 's/epoch=[0-9]*/epoch=0/' "$STATE_DIR/$job.${NODE}1.closed" >"$STATE_DIR/$job.${NODE}1"
    touch -d '1 hour ago' "$STATE_DIR/$job.${NODE}1"
    rm "$STATE_DIR/$job.${NODE}1.closed"
    run_root scontrol update job="$job" ReqNodeList=
done
run_root scontrol update NodeName="${NODE}2,${NODE}3" State=DRAIN Reason=test
all_start
ok "one is sent on" wait_until 60 grep -qE "$SENT" "$HOME_DIR/$one.out" "$HOME_DIR/$two.out" "$HOME_DIR/$steps.out"
good
run_root scontrol update NodeName="${NODE}2,${NODE}3" State=RESUME
all_restored 5
for job in "$one" "$two"; do ok "job $job: goes on" goes_on "$job"; done

# The user's own SIGTERM is no requeue's.
n=$(newest "$two")
run scancel --signal=TERM --batch "$two"
ok "SIGTERM of the user's own ends a job" wait_state "$two" FAILED
is "no checkpoint was made for it" "$(newest "$two")" "$n"
touch "$STOP"
for job in "$one" "$steps"; do
    ok "job $job: ends" wait_state "$job" COMPLETED
    ok "job $job: nothing is left" wait_until 20 no_images "$job"
done
ok "each step once" each_once "$one"
is "each task was started once" "$(out "$steps" | grep -c ': start')" 2
like "srun ends as its tasks" "$(out "$steps")" '^srun ended with 0'

# So does a step's task on a node where no script runs: slurmctld is not asked for it.
rm "$STOP"
jobs=()
for _ in 1 2 3; do
    jobs+=("$(submit -N2 -n2 -w "${NODE}[1,3]" --checkpoint=interval=0 -- "$(put_script wide.sh <<<"#!/bin/bash
srun -l -N2 -n2 --cpu-bind=none --mem=60 $PROGS/counter $STOP
echo \"srun ended with \$?\"")")")
done
for job in "${jobs[@]}"; do ok "job $job: runs on two nodes" wait_out "$job" '^1: step 3'; done
all_held "${NODE}[1,3]"
for job in "${jobs[@]}"; do
    sed 's/epoch=[0-9]*/epoch=0/' "$STATE_DIR/$job.${NODE}3.closed" >"$STATE_DIR/$job.${NODE}3"
    touch -d '1 hour ago' "$STATE_DIR/$job.${NODE}3"
    rm "$STATE_DIR/$job.${NODE}3.closed"
done
all_start
requeued_again() { [ "$(restarts "$1")" -ge 2 ]; }
any_sent() { grep -qE "$SENT" "${jobs[@]/%/.out}"; }
cd "$HOME_DIR" || exit 1
SENT="^1: ${SENT#^}"
ok "a step's task sends its job on" wait_until 60 any_sent
for job in "${jobs[@]}"; do
    out_has "$job" "$SENT" || continue
    ok "job $job: requeued" wait_until 60 requeued_again "$job"
done
for job in "${jobs[@]}"; do
    ok "job $job: both tasks are restored" wait_until 90 come_back "$job" 2
    ok "job $job: they go on" wait_until 60 larger "$job" $(($(wc -c <"$job.out") + 200))
done
touch "$STOP"
for job in "${jobs[@]}"; do
    ok "job $job: ends" wait_state "$job" COMPLETED
    is "job $job: each task was started once" "$(out "$job" | grep -c ': start')" 2
    ok "job $job: nothing is left" wait_until 20 no_images "$job"
done

# What has been started elsewhere in the meantime is not wanted here, and touches nothing.
rm "$STOP"
jobs=()
for _ in 1 2 3; do
    jobs+=("$(submit -w "${NODE}1" --checkpoint=interval=0 -- "$(job_script late.sh "$PROGS/counter" "$STOP")")")
done
for job in "${jobs[@]}"; do ok "job $job: starts" wait_step "$job" 3; done
is "slurmctld tells its starts" "$(run_root "$asks.good" "${jobs[0]}" "${NODE}1" 2>&1; echo "status $?")" $'0\nstatus 0'
like "or that it is elsewhere" "$(run_root "$asks.good" "${jobs[0]}" "${NODE}2" 2>&1; echo "status $?")" '^status 3$'
like "or nothing of one that is none" "$(run_root "$asks.good" 4000000 "${NODE}2" 2>&1; echo "status $?")" '^status 1$'
all_held "${NODE}1"
asks 'echo "it has been started on other nodes since" >&2; exit 3'
all_start
ended=0
for job in "${jobs[@]}"; do
    ok "job $job: restored or ended" wait_until 60 restored_or_failed "$job"
    restored_times "$job" 1 && continue
    ended=$((ended + 1))
    like "job $job: with the reason" "$(out "$job")" \
        '^checkpoint: it has been started on other nodes since: this start of it ends'
    is "job $job: it did not start over" "$(out "$job" | grep -c '^start')" 1
    is "job $job: its checkpoint is there" "$(n_generations "$job")" 1
done
ok "some were ended" test $ended -ge 1
touch "$STOP"
for job in "${jobs[@]}"; do ok "job $job: is over" wait_until 30 state_in "$job" "COMPLETED FAILED"; done
done_testing
