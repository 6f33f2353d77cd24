#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# isolation: private
# timeout: 240
#
# Jobs that come back to a node before their credentials there have expired.  Of those that start within two seconds slurmd
# purges the first one's only (slurm_cred_handle_reissue()); for the others it runs no prolog, and the node's note of them
# is older than what they did elsewhere in the meantime.
. "$(dirname "$0")/lib.sh"

asked() { cat "$TEST_TMP/asked" 2>/dev/null; }
started() { restored_times "$1" "$2" || held_by_us "$1"; }

# all_to NODE - the jobs, to be started at the same time
all_to() {
    for job in "${jobs[@]}"; do
        ok "job $job: saved and held" requeue_hold "$job"
        ok "job $job: sent to node $1" run_root scontrol update job="$job" ReqNodeList="$NODE$1"
    done
    for job in "${jobs[@]}"; do run scontrol release "$job"; done
    sleep 2 # see start_now
    for job in "${jobs[@]}"; do run_root scontrol update job="$job" StartTime=now; done
}
restored_all() { # JOB's lines: of the script or its two tasks
    for job in "${jobs[@]}"; do
        ok "job $job: restored" wait_until 60 restored_times "$job" $(($1 * (job == steps ? 2 : 1)))
    done
}

echo "AuthInfo=socket=@DIR@/munge/munge.sock,cred_expire=120" >"$TEST_TMP/slurm.conf"
tb_up --nodes 2 --slurm-conf "$TEST_TMP/slurm.conf"
STOP=$HOME_DIR/stop
asks=$TB/inst/libexec/slurm-spank-checkpoint/job-restarts
mv "$asks" "$asks.good"
asks() { printf '#!/bin/sh\necho "$@" >>%s\n%s\n' "$TEST_TMP/asked" "$1" >"$asks"; chmod 755 "$asks"; }
asks "echo 'what libslurm says beside it' >&2; exec $asks.good \"\$@\""

one=$(submit --checkpoint=interval=0 -w "${NODE}1" -- "$(job_script one.sh "$PROGS/counter" "$STOP")")
two=$(submit --checkpoint=interval=0 -w "${NODE}1" -- "$(job_script two.sh "$PROGS/counter" "$STOP")")
steps=$(submit -w "${NODE}1" -n2 --checkpoint=interval=0 -- "$(put_script steps.sh <<<"#!/bin/bash
srun -l -n2 --cpu-bind=none --mem=100 $PROGS/counter $STOP
echo \"srun ended with \$?\"")")
jobs=("$one" "$two" "$steps")
ok "a job starts" wait_step "$one" 3
ok "another" wait_step "$two" 3
ok "and one of steps" wait_out "$steps" '^1: step 3'
all_to 2
restored_all 1
all_to 1
restored_all 2
like "slurmctld was asked, where slurmd had not told it (control)" "$(asked)" '^[0-9]+$'
for job in "$one" "$two"; do
    ok "job $job: a checkpoint" checkpoint "$job"
    like "job $job: it has the number of Slurm's start" "$(newest "$job")" '^gen-0002-'
done

# What cannot be learnt holds the job; it does not start over.
asks 'echo "no word from it" >&2; exit 1'
all_to 2
held=0
for job in "${jobs[@]}"; do
    n=$((job == steps ? 6 : 3))
    ok "job $job: restored or held" wait_until 60 started "$job" $n
    restored_times "$job" $n && continue
    held=$((held + 1))
    like "job $job: held with the reason" "$(out "$job")" \
        '^(slurmstepd.*)?checkpoint: .*how often the job was started is not to be learnt from slurmctld: no word from it'
done
ok "some were held" test $held -ge 1
asks "exec $asks.good \"\$@\""
for job in "${jobs[@]}"; do
    restored_times "$job" $((job == steps ? 6 : 3)) || ok "job $job: released" release "$job"
done
restored_all 3
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
done_testing
