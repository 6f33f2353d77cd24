#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# A job that needs more time than its limit: the last checkpoint comes before the limit, the job requeues itself
# and goes on. Slurm's limits are whole minutes, so this takes one.
# isolation: private
. "$(dirname "$0")/lib.sh"

tb_up

stop=$HOME_DIR/limit.stop
job=$(submit --checkpoint=interval=0 --time=1 -- "$(job_script limit.sh "$PROGS/counter" "$stop" 3)")
ok "starts" wait_step "$job" 3
before=$(tree "$job")
ok "saved before the limit, without being asked" wait_out "$job" 'gen-0000-000001 saved \(timelimit\)' 75
sleep 2 # slurmd refuses a credential made in the very second in which it revoked the one before
ok "requeued by itself" wait_until 30 restarted "$job" 1
ok "restored" wait_until 60 restored_times "$job" 1
ok "goes on" goes_on "$job"
is "same processes" "$(tree "$job")" "$before"
touch "$stop"
ok "ends" wait_state "$job" FAILED
is "exit status" "$(exit_code "$job")" 3:0
ok "each step once" each_once "$job"
unlike "Slurm never ran into the limit" "$(out "$job")" "DUE TO TIME LIMIT"
done_testing
