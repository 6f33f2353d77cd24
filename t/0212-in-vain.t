#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# isolation: private
# timeout: 300
#
# A job that is restarted again and again without a new checkpoint is started later and later, then held.
. "$(dirname "$0")/lib.sh"

start_later() { show "$1" | sed -n 's/.* StartTime=\([^ ]*\).*/\1/p' | date -f - +%s; }

# again JOB LEAST - requeue it; it is not to start before LEAST seconds have passed; then it is started all the same
again() {
    local n now
    n=$(restarts "$1")
    now=$(date +%s)
    ok "requeued ($n)" run scontrol requeue "$1"
    ok "it waits ($n)" wait_until 60 state_is "$1" PENDING
    ok "at least $2 s ($n)" wait_until 60 later "$1" $((now + $2))
    sleep 1.5
}
by_hand() { ok "started by hand ($1)" wait_until 60 restarted "$job" "$1"; }
later() { [ "$(start_later "$1")" -ge "$2" ]; }

tb_up
# What makes each checkpoint fail, also the last one before a requeue: a ring of io_uring that stays.
stop=$HOME_DIR/vain.stop
job=$(submit --checkpoint=interval=0 -- "$(put_script vain.sh <<END
#!/bin/bash
[ -e "$stop.clean" ] && exec $PROGS/counter "$stop"
exec $PROGS/hazard "$stop" io_uring
END
)")
ok "starts" wait_step "$job" 3
again "$job" 115
by_hand 1
ok "the first restart" wait_out "$job" 'starts from the beginning'
ok "runs" goes_on "$job"
like "it was told why nothing was saved" "$(out "$job")" 'not saved \(requeue\): process .*io_uring'
again "$job" 235
by_hand 2
ok "the second restart runs" goes_on "$job"
again "$job" 475
ok "instead of the third it is held" wait_held_by_us "$job"
like "the reason is in its output" "$(out "$job")" \
    '^checkpoint: 2 restarts in a row brought no checkpoint .*held: scontrol release [0-9]+'
like "and in its comment" "$(show "$job")" 'Comment=.*2 restarts in a row brought no checkpoint'
like "and in scheckpoint error" "$(run scheckpoint error "$job" 2>&1)" '2 restarts in a row brought no checkpoint'
# Somebody has looked, and mended it.
touch "$stop.clean"
ok "it is released" release "$job"
ok "it runs again" wait_out "$job" '^checkpoint: no checkpoint to restore from'
ok "it goes on" goes_on "$job"
ok "now a checkpoint is made" checkpoint "$job"
ok "requeue" requeue "$job"
ok "restored" restored "$job"
ok "goes on" goes_on "$job"
touch "$stop"
ok "ends" wait_state "$job" COMPLETED
done_testing
