#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# isolation: private
# timeout: 240
#
# What Slurm signals: the same processes of a job under isolation=private, the same number of times, as of a job without
# checkpoints; before a checkpoint, after it, and after a restore.  And the pids that it tells then.
. "$(dirname "$0")/lib.sh"

WHO=(first child session orphan)
# start NAME [sbatch options] - sets job
start() {
    local name=$1
    shift
    install -d -o ckptest -g ckptest "$HOME_DIR/$name"
    job=$(submit "$@" -- "$(put_script "$name.job" <<<"#!/bin/bash
exec $PROGS/signals.py $HOME_DIR/$name.stop $HOME_DIR/$name")")
    ok "$name: starts" wait_step "$job" 3
    ok "$name: all processes are there" wait_until 60 ready "$HOME_DIR/$name"
}
ready() { [ -e "$1/child.ready" ] && [ -e "$1/session.ready" ] && [ -e "$1/orphan.ready" ]; }
# counts NAME - how many signals each has got
counts() {
    local who
    for who in "${WHO[@]}"; do
        printf '%s %s ' "$who" "$(sed -n '$=' "$HOME_DIR/$1/$who" 2>/dev/null | grep . || echo 0)"
    done
}
termed() { [ -s "$HOME_DIR/$1/first.term" ] && [ -s "$HOME_DIR/$1/child.term" ]; }
counted() { [ "$(counts "$1")" = "$2" ]; }
# signals NAME JOB WHEN - one to the script, one to its process group
signals() {
    local name=$1 id=$2 when=$3
    run scancel --batch --signal=USR1 "$id"
    ok "$name, $when: to the script" wait_until 60 counted "$name" \
        "first $((2 * rounds + 1)) child $rounds session 0 orphan 0 " || diag "$(counts "$name")"
    run scancel --full --signal=USR1 "$id"
    ok "$name, $when: to its process group" wait_until 60 counted "$name" \
        "first $((2 * rounds + 2)) child $((rounds + 1)) session 0 orphan 0 " || diag "$(counts "$name")"
}
# listed JOB - scontrol listpids has all of its processes, by their numbers outside
listed() {
    local listed pid
    listed=$(run_root scontrol listpids "$1" "$(job_node "$1")" | awk 'NR > 1 { print $1 }')
    for pid in $(job_pids "$1"); do
        [[ $(cat "/proc/$pid/comm" 2>/dev/null) != signals.py ]] || grep -qx "$pid" <<<"$listed" || return 1
    done
    [ -n "$listed" ]
}

story() {
    local rounds=0 job plain before
    start plain
    plain=$job
    start saved --checkpoint=interval=0
    before=$(tree "$job" threads)
    signals plain "$plain" "at first"
    signals saved "$job" "at first"
    ok "a checkpoint" checkpoint "$job"
    rounds=1
    signals plain "$plain" "for the second time"
    signals saved "$job" "after a checkpoint"
    ok "listpids has every process" wait_until 30 listed "$job"
    ok "held" requeue_hold "$job"
    ok "released" release "$job"
    ok "restored" restored "$job"
    ok "it goes on" goes_on "$job"
    is "the same tree, by its own numbers" "$(tree "$job" threads)" "$before"
    ok "listpids has every process of the restored job" wait_until 30 listed "$job"
    # What the last checkpoint does not have was counted before it: the files are appended to, and stay.
    rounds=2
    signals plain "$plain" "for the third time"
    signals saved "$job" "after a restore"
    ok "a checkpoint after all that" checkpoint "$job"
    # Without --batch and --full it is for steps, of which there are none.
    run scancel --signal=USR1 "$plain"
    run scancel --signal=USR1 "$job"
    # SIGTERM, too, is the program's own affair when it does not end the job
    run scancel --full --signal=TERM "$plain"
    run scancel --full --signal=TERM "$job"
    ok "SIGTERM to the process group of the one" wait_until 60 termed plain
    ok "and of the other" wait_until 60 termed saved
    touch "$HOME_DIR/plain.stop" "$HOME_DIR/saved.stop"
    ok "the job without checkpoints ends well" wait_state "$plain" COMPLETED
    ok "the job ends well" wait_state "$job" COMPLETED
    ok "each step once" each_once "$job"
    is "in all, each process got as many as without checkpoints" "$(counts saved)" "$(counts plain)"
}

tb_up
story
done_testing
