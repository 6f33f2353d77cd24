#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# timeout: 300
#
# Files fit the memory after a restore: each program keeps the same state in both, runs on after its checkpoint, is
# brought back to that checkpoint, and ends as an undisturbed run does.
. "$(dirname "$0")/lib.sh"

# newer_files JOB - a checkpoint, then the job goes on, is requeued, and has only that first checkpoint left
newer_files() {
    local job=$1 first
    ok "$2: checkpoint" checkpoint "$job" || return 1
    first=$(newest "$job")
    ok "$2: the job runs on" goes_on "$job" 6
    ok "$2: requeued and held" requeue_hold "$job"
    drop_newer "$job" "$first"
    is "$2: the checkpoint is older than the files" "$(newest "$job")" "$first"
}
drop_newer() {
    local gen
    for gen in $(generations "$1"); do
        [ "$gen" = "$2" ] || rm -rf "$(taskdir "$1")/${gen:?}"
    done
}

# back KIND PATH [SPEC] - the story of one program
back() {
    local kind=$1 path=$2 spec=${3:+,$3} job stop=$HOME_DIR/$1.stop
    job=$(submit --checkpoint="interval=0$spec" -- \
        "$(put_script "$kind.sh" <<<"#!/bin/bash
cd $HOME_DIR
export TMPDIR=\$(mktemp -d)
env > $kind.env
$PROGS/files.py $kind $stop $path")")
    ok "$kind: starts" wait_step "$job" 6
    newer_files "$job" "$kind"
    ${4:-true} "$job"
    ok "$kind: released" release "$job"
    ok "$kind: restored" restored "$job"
    ok "$kind: goes on" goes_on "$job" 8
    touch "$stop"
    ok "$kind: ends" wait_state "$job" COMPLETED
    like "$kind: as an undisturbed run" "$(out "$job" | grep -aE '^(result|broken|Traceback)')" '^result ok$'
    ok "$kind: its output has each step once" each_once "$job"
}

inplace() { back inplace "$HOME_DIR/inplace.dat"; }
sequence() {
    back sequence "$HOME_DIR/sequence.dat"
    like "sequence: the job is told what was cut" "$(cat "$HOME_DIR"/*.out)" \
        "checkpoint: .*files? cut back .*bytes kept in kept/r0001"
}
restart() { back restart "$HOME_DIR/restart.dat" files=restart.dat; }
temporary() { back temporary - "" other_node; }
# What a local directory is after a requeue to another node: not there
other_node() {
    local dir
    dir=$(sed -n 's/^TMPDIR=//p' "$HOME_DIR/temporary.env")
    ok "temporary: its directory vanishes" test -e "$dir/sub/journal"
    rm -rf "$dir"
}
delete() { back delete "$HOME_DIR/delete.db"; }
wal() { back wal "$HOME_DIR/wal.db"; }
hdf5() { back hdf5 "$HOME_DIR/hdf5.h5"; }
shared() {
    back shared "/dev/shm/ckpt-t-$$"
    nok "shared: its segment is gone" test -e "/dev/shm/ckpt-t-$$"
}

tb_up --nodes 2
together inplace sequence restart temporary
together delete wal hdf5 shared
done_testing
