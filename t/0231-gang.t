#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# isolation: private
# timeout: 300
#
# Gang scheduling: two jobs take turns on the same CPUs, each suspended while the other runs; both are checkpointed,
# requeued, restored and end well.
. "$(dirname "$0")/lib.sh"

CONF=$TEST_TMP/slurm.conf
cat >"$CONF" <<'END'
PreemptMode=SUSPEND,GANG
SchedulerTimeSlice=5
SelectTypeParameters=CR_Core
DefMemPerNode=0
PartitionName=low Nodes=@NODES@ Default=YES MaxTime=60 DefaultTime=10 PriorityTier=1 OverSubscribe=FORCE:2 PreemptMode=SUSPEND
PartitionName=high Nodes=@NODES@ MaxTime=60 DefaultTime=10 PriorityTier=10 PreemptMode=SUSPEND
END
tb_up --slurm-conf "$CONF"

# both_turn - each of them has stood still at least once
both_turn() { [ -e "$TEST_TMP/stood.${jobs[0]}" ] && [ -e "$TEST_TMP/stood.${jobs[1]}" ]; }
watch() { # notes who is suspended
    local j
    while [ ! -e "$TEST_TMP/over" ]; do
        for j in "${jobs[@]}"; do [ "$(state "$j")" != SUSPENDED ] || touch "$TEST_TMP/stood.$j"; done
        sleep 0.3
    done
}
# checkpointed JOB - asked again and again until a request falls into its turn
checkpointed() {
    local end=$((SECONDS + 120))
    until checkpoint "$1"; do [ $SECONDS -lt $end ] || return 1; sleep 0.5; done
}

jobs=()
for i in 0 1; do
    jobs+=("$(submit --exclusive=user --checkpoint=interval=0:10 -c 4 -- \
        "$(job_script "gang$i.sh" "$PROGS/invariant" "$HOME_DIR/gang$i.stop" 32)")")
done
watch &
watcher=$!
disown $watcher
for j in "${jobs[@]}"; do ok "job $j starts" wait_step "$j" 3 90; done
ok "they take turns" wait_until 90 both_turn
for j in "${jobs[@]}"; do
    ok "job $j is checkpointed when asked" checkpointed "$j"
    ok "job $j goes on" goes_on "$j"
done
# By the clock, too; and whatever the turns cut in two was either made or not.
by_clock() { grep -hq '"text":"interval"' "$(taskdir "$1")"/events*; }
for j in "${jobs[@]}"; do
    ok "job $j is checkpointed by the clock" wait_until 120 by_clock "$j"
    ok "job $j: what is there verifies" run scheckpoint verify "$j"
done
ok "requeued in the middle of it" requeue "${jobs[0]}"
ok "restored" restored "${jobs[0]}" 120
for i in 0 1; do touch "$HOME_DIR/gang$i.stop"; done
for j in "${jobs[@]}"; do
    ok "job $j ends" wait_state "$j" COMPLETED 120
    like "job $j: its memory was never touched" "$(out "$j" | grep -aE '^(result|broken)')" '^result ok$'
    ok "job $j: each step once" each_once "$j"
done
touch "$TEST_TMP/over"
done_testing
