#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# isolation: private
# timeout: 400
#
# scontrol suspend and resume: no time limit of ours counts while the job stands still, and a suspend in the middle
# of a dump does no harm.
. "$(dirname "$0")/lib.sh"

suspend() { run_root scontrol suspend "$1" && wait_until 60 state_is "$1" SUSPENDED; }
resume() { run_root scontrol resume "$1" && wait_until 60 state_is "$1" RUNNING; }
# stands JOB - it makes no step
stands() {
    local before
    wait_until 30 frozen "$1" || return 1
    before=$(last_step "$1")
    sleep 1
    [ "$(last_step "$1")" = "$before" ]
}
frozen() {
    local before
    before=$(last_step "$1")
    sleep 0.5
    [ "$(last_step "$1")" = "$before" ]
}
# times JOB - when its checkpoints were made, in seconds
times() {
    grep -h '"event":"checkpoint"' "$(taskdir "$1")"/events* | sed 's/.*"time":"\([^"]*\)".*/\1/' | while read -r t; do
        date -d "$t" +%s
    done
}

refused() {
    local job said stop=$HOME_DIR/refused.stop
    job=$(submit --checkpoint=interval=0 -- "$(job_script refused.job "$PROGS/sleepers" "$stop")")
    ok "refused: starts" wait_step "$job" 3
    ok "refused: suspended" suspend "$job"
    ok "refused: it stands still" stands "$job"
    said=$(checkpoint "$job" 2>&1; echo "status $?")
    like "refused: create tells why" "$said" "job $job: it is suspended: scontrol resume $job first"
    like "refused: create exits with 3" "$said" '^status 3$'
    said=$(run scheckpoint able "$job" 2>&1; echo "status $?")
    like "refused: so does able" "$said" 'it is suspended'
    said=$(run_root scheckpoint create "$job" 2>&1; echo "status $?")
    like "refused: and create by root" "$said" 'it is suspended'
    ok "refused: resumed" resume "$job"
    ok "refused: it goes on" goes_on "$job"
    ok "refused: then it is checkpointed" checkpoint "$job"
    is "refused: once" "$(n_generations "$job")" 1
    ok "refused: requeue" requeue "$job"
    ok "refused: restored" restored "$job"
    ok "refused: a restored job is suspended" suspend "$job"
    ok "refused: it stands still" stands "$job"
    ok "refused: and resumed" resume "$job"
    ok "refused: it goes on" goes_on "$job"
    touch "$stop"
    ok "refused: ends" wait_state "$job" COMPLETED
    like "refused: well" "$(out "$job" | grep -aE '^(result|broken)')" '^result ok$'
}

# The clock of the interval: 15 s, of which none pass while it is suspended.
clock() {
    local job stop=$HOME_DIR/clock.stop first second
    job=$(submit --checkpoint=interval=0:15 -- "$(job_script clock.job "$PROGS/counter" "$stop")")
    ok "clock: starts" wait_step "$job" 3
    ok "clock: the first one by the clock" wait_until 60 made_one "$job"
    first=$(times "$job" | head -n 1)
    ok "clock: suspended" suspend "$job"
    sleep 20
    ok "clock: resumed" resume "$job"
    ok "clock: the next one" wait_until 90 made_two "$job"
    second=$(times "$job" | sed -n 2p)
    # 15 s less a tenth and two ticks, and the 20 s
    ok "clock: the time that it was suspended does not count ($((second - first)) s)" \
        test $((second - first)) -ge 29
    touch "$stop"
    ok "clock: ends" wait_state "$job" COMPLETED
}
made_one() { [ "$(times "$1" | wc -l)" -ge 1 ]; }
made_two() { [ "$(times "$1" | wc -l)" -ge 2 ]; }

# DumpTimeout is 25 s here; hard compression of 64 MiB gives Slurm the two seconds that it takes to suspend.
middle() {
    local job stop=$HOME_DIR/middle.stop
    job=$(submit --checkpoint=interval=0,compress=zstd:15 --mem=900 -- \
        "$(job_script middle.job "$PROGS/invariant" "$stop" 64)")
    ok "middle: starts" wait_step "$job" 3
    (checkpoint "$job" >"$TEST_TMP/middle" 2>&1; echo "status $?" >>"$TEST_TMP/middle") &
    ok "middle: a dump runs" wait_until 60 job_pid "$job" dump
    ok "middle: suspended" suspend "$job"
    ok "middle: it stands still" stands "$job"
    ok "middle: in the middle of the dump" job_pid "$job" dump
    sleep 28 # more than DumpTimeout
    is "middle: nothing was made meanwhile" "$(n_generations "$job")" 0
    ok "middle: resumed" resume "$job"
    ok "middle: it goes on" goes_on "$job"
    wait
    like "middle: the checkpoint is made as if nothing had been" "$(cat "$TEST_TMP/middle")" '^status 0$'
    is "middle: it is complete" "$(newest "$job")" gen-0000-000001
    is "middle: nothing half-written is left" "$(find "$(taskdir "$job")" -name '*.partial')" ""
    ok "middle: it verifies" run scheckpoint verify "$job"
    ok "middle: requeue" requeue "$job"
    ok "middle: restored" restored "$job"
    ok "middle: it goes on" goes_on "$job"
    touch "$stop"
    ok "middle: ends" wait_state "$job" COMPLETED
    like "middle: its memory was never touched" "$(out "$job" | grep -aE '^(result|broken)')" '^result ok$'
}

# What a checkpoint sees in the two seconds between Slurm's SIGTSTP and its stopping the whole job: processes that stand
# still, and nobody will send a SIGCONT to what is restored from it but us.
# own_pids JOB - all processes but ours
own_pids() {
    local pid
    for pid in $(job_pids "$1"); do
        case $(cat "/proc/$pid/comm") in slurmstepd | shepherd | keeper) ;; *) echo "$pid" ;; esac
    done
}
asleep() {
    local job stop=$HOME_DIR/asleep.stop task pid pids
    job=$(submit --checkpoint=interval=0 -- "$(job_script asleep.job "$PROGS/sleepers" "$stop")")
    ok "asleep: starts" wait_step "$job" 3
    task=$(taskdir "$job")
    mapfile -t pids < <(own_pids "$job")
    ok "asleep: it has processes (${#pids[@]})" test "${#pids[@]}" -ge 2
    for pid in "${pids[@]}"; do kill -TSTP "$pid"; kill -STOP "$pid"; done
    ok "asleep: it stands still" stands "$job"
    ok "asleep: a checkpoint" checkpoint "$job"
    is "asleep: the manifest knows" "$(jq .suspended "$task/$(newest "$job")/manifest.json")" 1
    for pid in "${pids[@]}"; do kill -CONT "$pid"; done
    ok "asleep: it goes on" goes_on "$job"
    # The next one fails, so that this one counts.
    chmod 500 "$task"
    ok "asleep: requeued and held" requeue_hold "$job"
    chmod 700 "$task"
    ok "asleep: released" release "$job"
    ok "asleep: restored" restored "$job"
    ok "asleep: it is awake" goes_on "$job"
    ok "asleep: a checkpoint of what runs" checkpoint "$job"
    is "asleep: its manifest" "$(jq .suspended "$task/$(newest "$job")/manifest.json")" 0
    touch "$stop"
    ok "asleep: ends" wait_state "$job" COMPLETED
    like "asleep: well" "$(out "$job" | grep -aE '^(result|broken)')" '^result ok$'
}

# Suspended and resumed over and over while it is checkpointed again and again: whatever is hit, the job goes on, and what
# is there is whole.
storm() {
    local job stop=$HOME_DIR/storm.stop i made=0
    job=$(submit --checkpoint=interval=0,keep=3 --mem=500 -- "$(job_script storm.job "$PROGS/invariant" "$stop" 64)")
    ok "storm: starts" wait_step "$job" 3
    (
        while [ ! -e "$stop.enough" ]; do checkpoint "$job"; done >"$TEST_TMP/storm" 2>&1
    ) &
    for i in 1 2 3 4; do
        # slurmctld tells of both at once; a resume that overtakes the suspend on its way leaves the job frozen for ever.
        run_root scontrol suspend "$job"
        wait_until 60 state_is "$job" SUSPENDED
        ok "storm: it stands still ($i)" stands "$job"
        ok "storm: resumed ($i)" resume "$job"
        ok "storm: it goes on ($i)" goes_on "$job"
    done
    touch "$stop.enough"
    wait
    made=$(n_generations "$job")
    ok "storm: checkpoints were made ($made)" test "$made" -ge 1
    ok "storm: they verify" run scheckpoint verify "$job"
    is "storm: no helper is left" "$(job_pid "$job" dump; job_pid "$job" criu)" ""
    touch "$stop"
    ok "storm: ends" wait_state "$job" COMPLETED
    like "storm: its memory was never touched" "$(out "$job" | grep -aE '^(result|broken)')" '^result ok$'
}

CONF=$TEST_TMP/checkpoint.conf
echo DumpTimeout=25 >"$CONF"
tb_up --nodes 2 --conf "$CONF"
together refused clock middle asleep storm
done_testing
