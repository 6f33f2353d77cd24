# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# survive.sh - one story for all programs (after lib.sh).

# survive NAME [sbatch options] -- COMMAND... - runs COMMAND as a job of its own, checkpoints it twice while it runs
# on, requeues it, and lets it end by making HOME_DIR/NAME.stop.  A function NAME_alive WHEN JOB is called while it
# runs, after each of these.  SURVIVE_TREE=processes: threads may come and go.
survive() {
    local name=$1 opts=() job before with=threads when
    shift
    while [ "$1" != -- ]; do opts+=("$1"); shift; done
    shift
    [ "${SURVIVE_TREE:-}" = processes ] && with=
    job=$(submit --checkpoint=interval=0 "${opts[@]}" -- "$(job_script "$name.job" "$@")")
    ok "$name: starts" wait_step "$job" 3
    before=$(tree "$job" $with)
    for when in "a checkpoint" "another checkpoint"; do
        ok "$name: $when" checkpoint "$job"
        ok "$name: it runs on after $when" goes_on "$job"
        survive_alive "$name" "after $when" "$job"
    done
    is "$name: the same processes run on" "$(tree "$job" $with)" "$before"
    unlike "$name: the program noticed nothing" "$(out "$job")" '^broken'
    ok "$name: requeue" requeue "$job"
    ok "$name: restored" restored "$job"
    ok "$name: it goes on" goes_on "$job"
    survive_alive "$name" "after the restore" "$job"
    is "$name: the same pids, parents, groups, sessions${with:+, threads}" "$(tree "$job" $with)" "$before"
    touch "$HOME_DIR/$name.stop"
    ok "$name: ends well" wait_state "$job" COMPLETED
    like "$name: with the right result" "$(out "$job" | grep -E '^(result|broken)')" '^result ok$'
    ok "$name: no step is missing or repeated" each_once "$job"
    is "$name: it was started once" "$(out "$job" | grep -c '^start')" 1
    is "$name: one pid all the time" "$(pids_printed "$job" | wc -w)" 1
    ok "$name: the images are deleted" wait_until 20 no_images "$job"
}

survive_alive() {
    local name=$1
    shift
    if [ "$(type -t "${name}_alive")" = function ]; then "${name}_alive" "$@"; fi
}
