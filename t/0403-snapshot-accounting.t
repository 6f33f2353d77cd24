#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# isolation: private
# timeout: 300
#
# Slurm adds up the memory of all processes of a job, knows nothing of shared pages, and kills the job when that is more
# than it asked for (jobacct_gather/linux, OverMemoryKill): a job is not killed for its snapshot.
. "$(dirname "$0")/lib.sh"

# begin NAME MEM MIB - a job that rewrites so much memory all the time
begin() {
    job=$(submit --checkpoint=interval=0 --mem="$2" -- "$(job_script "$1.job" "$PROGS/snapped" "$HOME_DIR/$1.stop" plain "$3")")
    ok "$1: starts" wait_step "$job" 3
}
how() { jq -r .snapshot "$(taskdir "$1")/$(newest "$1")/manifest.json"; }

# survives NAME WHAT REGEX - three checkpoints; a job that is killed for its memory would be within two seconds
survives() {
    local i
    for i in 1 2 3; do
        ok "$1: checkpoint $i" checkpoint "$job"
        like "$1: $2" "$(how "$job")" "$3"
        ok "$1: it runs on after checkpoint $i" goes_on "$job"
    done
    sleep 4 # Slurm looks every second
    ok "$1: Slurm has not killed it" state_is "$job" RUNNING
    ok "$1: requeue" requeue "$job"
    ok "$1: restored" restored "$job"
    ok "$1: it goes on" goes_on "$job"
    touch "$HOME_DIR/$1.stop"
    ok "$1: ends well" wait_state "$job" COMPLETED
    like "$1: with the right memory" "$(out "$job" | grep -aE '^(result|broken)')" '^result ok$'
}

# Twice its memory is more than it may have.
large() {
    local job
    begin large 400 220
    survives large "no snapshot, and why" '^none: process [0-9]+: no room in memory'
}
small() {
    local job
    begin small 700 100
    survives small "with a snapshot" '^copy-on-write$'
}
# Such a job is killed where it does have that much: Slurm does look (control).
over() {
    local job
    job=$(submit --checkpoint=interval=0 --mem=150 -- \
        "$(job_script over.job "$PROGS/snapped" "$HOME_DIR/over.stop" plain 250)")
    ok "over: a job that has more than it asked for is killed (control)" wait_until 60 killed "$job"
    unlike "over: it did not end by itself" "$(out "$job")" '^result'
}
killed() { state_in "$1" "OUT_OF_MEMORY FAILED CANCELLED NODE_FAIL"; }

{
    echo JobAcctGatherType=jobacct_gather/linux
    echo JobAcctGatherParams=OverMemoryKill
    echo JobAcctGatherFrequency=task=1
    echo TaskPlugin=task/affinity # one of two that limit memory: the control groups must leave it to this one
} >"$TEST_TMP/slurm.conf"
tb_up --nodes 2 --slurm-conf "$TEST_TMP/slurm.conf"
together large small over
done_testing
