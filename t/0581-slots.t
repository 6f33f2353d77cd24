#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# isolation: host
#
# MaxDumps: as many checkpoints at once as the site says, and nobody can take them all: not by dumps of all of his jobs,
# and not by stopping a keeper that has its turn (kill -STOP is allowed to whoever has the uid).
. "$(dirname "$0")/seclib.sh"

echo MaxDumps=2 >"$TEST_TMP/conf"
sec_up --conf "$TEST_TMP/conf"
stop=$HOME_DIR/slots.stop

# start NAME COMPRESS MIB - a job of the test user; sets job
start() {
    job=$(submit --mem=200 --checkpoint="interval=0,compress=$2" -- \
        "$(job_script "$1.sh" "$PROGS/invariant" "$stop" "$3")")
    ok "$1: a job starts" wait_step "$job" 2
}
# A slot is the lock on a byte of the keeper's descriptor 5.
has_slot() { grep -q '^lock:.*OFDLCK' "/proc/$1/fdinfo/5" 2>/dev/null; }
stopped() { [ "$(sed -n 's/^State:\t\(.\).*/\1/p' "/proc/$1/status" 2>/dev/null)" = T ]; }
# take_slot JOB - its keeper is stopped with a dump under way; a dump that was over before that is asked for again
take_slot() {
    local keeper
    keeper=$(keeper_pid "$1")
    run scancel --signal=URG --batch "$1"
    wait_until 10 has_slot "$keeper" && run kill -STOP "$keeper" && wait_until 5 stopped "$keeper" &&
        has_slot "$keeper" && return
    run kill -CONT "$keeper"
    return 1
}

has_one() { [ "$(n_generations "$1")" -ge 1 ]; }

# Two whose dumps take a while, and one that is quick.
start one zstd:19 30; one=$job
start two none 1; two=$job
start three zstd:19 30; three=$job
ok "one: its keeper is stopped while it has a slot" wait_until 60 take_slot "$one"
four=$(submit --mem=200 --checkpoint=interval=0 -- "$(job_script four.sh "$PROGS/counter" "$stop.four")")
ok "four: a job starts" wait_step "$four" 2
nok "four: it waits for its turn" run scheckpoint create --timeout 5 "$four"
touch "$stop.four"
began=$SECONDS
ok "four: waiting, it ends" wait_state "$four" COMPLETED
ok "four: at once" test $((SECONDS - began)) -le 10
ok "four: nothing is left" wait_until 10 no_images "$four"
other=$(run_as ckptest2 sbatch --parsable --requeue --mem=200 --checkpoint=interval=0 -o "$TB/home/ckptest2/%j.out" \
    --wrap "$PROGS/counter $TB/home/ckptest2/slots.stop; true")
ok "another user's job runs" wait_until 60 grep -q '^step 2 ' "$TB/home/ckptest2/$other.out"
nok "one user does not get the last slot: his second job waits" run scheckpoint create --timeout 15 "$two"
is "it has made none (control)" "$(n_generations "$two")" 0
like "the other user's checkpoint is made meanwhile" "$(run_as ckptest2 scheckpoint create "$other" 2>&1)" \
    'gen-0000-000001'
# Hours later, by the record of when it was taken (slots.c): longer than any dump may last.
printf '\1\0\0\0\0\0\0\0' | dd of="$TB/run/checkpoint/dumps" bs=1 seek=$((4096 + 8)) conv=notrunc status=none
ok "in the end nobody waits any more for the one that is stopped" wait_until 60 has_one "$two"
ok "three: the next one is stopped" wait_until 60 take_slot "$three"
like "and the other user's is made again" "$(run_as ckptest2 scheckpoint create "$other" 2>&1)" 'gen-0000-000002'
for job in "$one" "$three"; do run kill -CONT "$(keeper_pid "$job")"; done
touch "$stop" "$TB/home/ckptest2/slots.stop"
for job in "$one" "$two" "$three" "$other"; do ok "job $job ends" wait_state "$job" COMPLETED; done
ok "no node was drained" node_fine
done_testing
