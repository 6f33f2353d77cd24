#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The keeper lives no longer than its task, whoever holds its socket: proctrack/linuxproc, where nothing else would
# end what is not below the task any more.
. "$(dirname "$0")/seclib.sh"

no_keeper() { ! kill -0 "$1" 2>/dev/null; }

# ends HOW - the job ends by HOW while a process outside it holds the keeper's socket
ends() {
    local how=$1 job stop=$HOME_DIR/$1.stop keeper shepherd thief
    job=$(submit --checkpoint=interval=0 -- "$(job_script "$how.sh" "$PROGS/counter" "$stop")")
    ok "$how: a job starts" wait_step "$job" 1
    shepherd=$(task_of "$job")
    keeper=$(pgrep -x keeper -P "${shepherd:-0}")
    ok "$how: its keeper is there (control)" test -n "$keeper"
    run "$ATTACKS/steal" "$shepherd" 15 >"$TEST_TMP/$how.thief" 2>&1 &
    thief=$!
    wait_until 10 grep -qE 'steal|stolen' "$TEST_TMP/$how.thief"
    if [ "$CKPT_ISOLATION" = host ]; then
        is "$how: its socket can be taken from the shepherd (control)" "$(head -n 1 "$TEST_TMP/$how.thief")" stolen
    else
        is "$how: from outside the namespace the socket cannot be taken" "$(head -n 1 "$TEST_TMP/$how.thief")" \
            "nothing to steal"
    fi
    case $how in
        well) touch "$stop" ;;
        cancelled) run scancel "$job" ;;
        killed) kill -KILL "$shepherd" ;;
    esac
    ok "$how: the keeper is gone with its task" wait_until 10 no_keeper "$keeper"
    kill "$thief" 2>/dev/null
    touch "$stop"
    ok "$how: the job has ended" wait_until 40 state_in "$job" "COMPLETED FAILED CANCELLED"
}
# The task, by its program and job: other testbeds have jobs of the same number.
task_of() {
    local pid
    for pid in $(pgrep -u ckptest -x shepherd); do
        [ "$(readlink "/proc/$pid/exe")" = "$HELPERS/shepherd" ] || continue
        ! tr '\0' '\n' <"/proc/$pid/environ" | grep -qx "SLURM_JOB_ID=$1" || { echo "$pid"; return; }
    done
}

sec_up --proctrack linuxproc
for how in well cancelled killed; do ends $how; done
ok "no node was drained" node_fine
done_testing
