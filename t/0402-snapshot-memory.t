#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# isolation: host
# order: first
# timeout: 300
#
# Copy-on-write snapshots in memory control groups that have little room: none is made where there is too little for it
# from the start; where it gets tight while one is written the program is held until that is done, or the snapshot is given
# up.  The kernel never has to kill anything.
. "$(dirname "$0")/snaplib.sh"

v2=no
[ "$(stat -f -c %T /sys/fs/cgroup)" != cgroup2fs ] || v2=yes
[ $v2 = yes ] || [ -d /sys/fs/cgroup/memory ] || skip_all "no memory control group here"

# in_group NAME MIB - sessions from now on run in a memory control group with that limit
in_group() {
    if [ $v2 = yes ]; then
        echo +memory >/sys/fs/cgroup/cgroup.subtree_control
        MEMORY=/sys/fs/cgroup/${TEST_TMP##*/}.memory.$1
    else
        MEMORY=/sys/fs/cgroup/memory/${TEST_TMP##*/}.$1
    fi
    mkdir -p "$MEMORY"
    if [ $v2 = yes ]; then
        echo $(($2 << 20)) >"$MEMORY/memory.max"
        own_group() { echo "$MEMORY"; }
    else
        echo $(($2 << 20)) >"$MEMORY/memory.limit_in_bytes"
        # shellcheck disable=SC2016 # of the inner shell
        RUN_HELPER=(bash -c 'echo $$ >"$0/cgroup.procs" && exec "$@"' "$MEMORY" "${RUN_HELPER[@]}")
    fi
}
oom_kills() {
    if [ $v2 = yes ]; then sed -n 's/^oom_kill //p' "$MEMORY/memory.events"; else sed -n 's/^oom_kill //p' "$MEMORY/memory.oom_control"; fi
}
limit_hit() { # how often the kernel had to look for memory in the group
    if [ $v2 = yes ]; then sed -n 's/^max //p' "$MEMORY/memory.events"; else cat "$MEMORY/memory.failcnt"; fi
}

# begin NAME MIB OPTION... - 300 MiB of memory, rewritten all the time, in a group of so much
begin() {
    local name=$1
    in_group "$1" "$2"
    shift 2
    session "$name" "$(new_dir "$name")" --threads 1 "$@" -- "$HELPERS/ckpt-init" "$PROGS/snapped" "$HOME_DIR/$name.stop" gentle 300
    wait_until 60 more_steps 3
}

finish() { # NAME REPLY
    is "$1: the kernel killed nothing" "$(oom_kills)" 0
    kill_tree
    ok "$1: it is restored" succeeded "$(ask restore)"
    ok "$1: it runs on" runs_on
    touch "$HOME_DIR/$1.stop"
    like "$1: it ends well" "$(ask wait 60000)" 'exit 0'
    ok "$1: its memory was right all the time" unbroken
    is "$1: the kernel killed nothing to the end" "$(oom_kills)" 0
    session_end
    [ $v2 = yes ] || wait_until 20 rmdir "$MEMORY"
}

room() {
    local reply
    begin room 345
    reply=$(ask dump)
    ok "room: the checkpoint is made" succeeded "$reply"
    like "room: without a snapshot, and why" "$(how "$(generation_of "$reply")")" '^none: process [0-9]+: no room in memory'
    ok "room: it runs on" runs_on
    finish room
}

hold() {
    local reply i
    begin hold $LITTLE --compress zstd:6 --timeout 140
    # On a machine that is very busy it may come so late that only giving up is left; then the next one.
    for i in 1 2 3 4 5 6; do
        reply=$(ask dump)
        ! succeeded "$reply" || break
        [[ $(text_of "$reply") = "the snapshot was given up: "* ]] || break
        runs_on >/dev/null || break
    done
    ok "hold: the checkpoint is made" succeeded "$reply"
    like "hold: with a snapshot, and the program was held" "$(how "$(generation_of "$reply")")" \
        '^copy-on-write, held for [0-9]+ ms: memory was short$'
    ok "hold: it runs on" runs_on
    finish hold
}

drop() {
    local reply good
    # A first one for the restore, made while there is room.
    begin drop $LITTLE --compress lz4 --tight drop
    tell_it snapshot no
    reply=$(ask dump)
    ok "drop: a good generation" succeeded "$reply"
    good=$(complete)
    tell_it snapshot yes
    tell_it compress zstd:9
    reply=$(ask dump)
    like "drop: the snapshot is given up" "$(text_of "$reply")" \
        '^the snapshot was given up: [0-9]+ MiB of memory were left; the next checkpoint stops the job'
    is "drop: no generation comes of it" "$(complete)" "$good"
    ok "drop: it runs on" runs_on
    is "drop: no snapshot process is left" "$(named snapped | wc -l)" 1
    finish drop
}

# What the program has, what dump keeps free (dump/snapshot_policy.c: for itself, by processors), a third of the rest.
LITTLE=$((300 + 32 + 100 + 16 * $(nproc) + 95))
fault_up
together room hold drop
done_testing
