#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# isolation: private
# timeout: 300
#
# Under proctrack/linuxproc a suspend is SIGSTOP to each process, our helpers and CRIU among them: in the middle of a
# dump, too, it does no harm.
. "$(dirname "$0")/lib.sh"

tb_up --proctrack linuxproc
stop=$HOME_DIR/stopped.stop
job=$(submit --checkpoint=interval=0,keep=5 --mem=500 -- "$(job_script stopped.sh "$PROGS/invariant" "$stop" 64)")
ok "starts" wait_step "$job" 3
(
    while [ ! -e "$stop.enough" ]; do checkpoint "$job"; done >"$TEST_TMP/storm" 2>&1
) &
for i in 1 2 3; do
    ok "suspended ($i)" run_root scontrol suspend "$job"
    ok "it is ($i)" wait_until 60 state_is "$job" SUSPENDED
    sleep 5
    ok "resumed ($i)" run_root scontrol resume "$job"
    ok "it goes on ($i)" goes_on "$job"
done
touch "$stop.enough"
wait
ok "checkpointed at rest" checkpoint "$job"
ok "all that is there verifies" run scheckpoint verify "$job"
touch "$stop"
ok "ends" wait_state "$job" COMPLETED
like "its memory was never touched" "$(out "$job" | grep -aE '^(result|broken)')" '^result ok$'
ok "each step once" each_once "$job"
done_testing
