#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# isolation: private
# timeout: 120
#
# A last checkpoint for which KillWait is too short: the one before counts, and the next run says why.
. "$(dirname "$0")/lib.sh"

CUT='the last checkpoint was not done when Slurm killed the job: KillWait in slurm.conf is too short'

# cut_job NAME [SIZE]: 64 MiB that cannot be compressed, and are, hard: some 10 s of a CPU
cut_job() {
    submit --checkpoint=interval=0,compress=zstd:19 --mem=600 -- \
        "$(job_script "$1.sh" "$PROGS/invariant" "$HOME_DIR/$1.stop" "${2:-64}")"
}

earlier() {
    local job
    job=$(cut_job earlier)
    ok "earlier: starts" wait_step "$job" 3
    ok "earlier: a checkpoint" checkpoint "$job"
    ok "earlier: requeue" requeue "$job"
    ok "earlier: restored" restored "$job"
    like "earlier: from the one before" "$(out "$job")" '^checkpoint: restored gen-0000-000001'
    like "earlier: told why" "$(out "$job")" "^checkpoint: $CUT"
    like "earlier: error tells it, too" "$(run scheckpoint error "$job")" "checkpoint-failed on $NODE.*$CUT"
    ok "earlier: it goes on" goes_on "$job"
    touch "$HOME_DIR/earlier.stop"
    ok "earlier: ends" wait_state "$job" COMPLETED
    is "earlier: said once" "$(out "$job" | grep -c "$CUT")" 1
    like "earlier: its memory was never touched" "$(out "$job" | grep -aE '^(result|broken)')" '^result ok$'
}

none() {
    local job
    job=$(cut_job none)
    ok "none: starts" wait_step "$job" 3
    ok "none: requeue" requeue "$job"
    ok "none: it begins anew" wait_out "$job" 'no checkpoint to restore from: the job starts from the beginning'
    like "none: told why" "$(out "$job")" "^checkpoint: $CUT"
    touch "$HOME_DIR/none.stop"
    ok "none: ends" wait_state "$job" COMPLETED
}

# What is small enough is saved in that time, and nobody speaks of it (control).
enough() {
    local job
    job=$(cut_job enough 1)
    ok "enough: starts" wait_step "$job" 3
    ok "enough: requeue" requeue "$job"
    ok "enough: restored" restored "$job"
    unlike "enough: nothing was cut short" "$(out "$job")" 'KillWait'
    touch "$HOME_DIR/enough.stop"
    ok "enough: ends" wait_state "$job" COMPLETED
}

echo KillWait=3 >"$TEST_TMP/slurm.conf"
tb_up --nodes 2 --slurm-conf "$TEST_TMP/slurm.conf"
together earlier none
together enough
done_testing
