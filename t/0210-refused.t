#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# timeout: 400
#
# What cannot be checkpointed is found before the job is stopped, and told by process, descriptor and remedy; once
# it is gone the job is checkpointed.
. "$(dirname "$0")/lib.sh"

# refused NAME WHERE WHAT REMEDY THING [ARGUMENT] - regular expressions
refused() {
    local name=$1 where=$2 what=$3 remedy=$4 job said line stop=$HOME_DIR/$1.stop
    shift 4
    job=$(submit --checkpoint=interval=0 --mem=100 -- "$(job_script "$name.job" "$PROGS/hazard" "$stop" "$@")")
    wait_until 60 out_has "$job" '^(step 3|cannot)'
    if out_has "$job" '^cannot'; then
        skip "$name: refused" "the kernel here $(out "$job" | grep '^cannot')"
        return
    fi
    ok "$name: starts" wait_step "$job" 3
    said=$(checkpoint "$job" 2>&1; echo "status $?")
    line="process [0-9]+ \\([a-z-]+\\)$where $what.*; .*$remedy"
    like "$name: create names process, place and remedy" "$said" "not saved: $line"
    like "$name: create exits with 1" "$said" '^status 1$'
    like "$name: the job's stderr has it in one line" "$(out "$job")" "^checkpoint: not saved \\(request\\): $line"
    like "$name: scheckpoint error has it" "$(run scheckpoint error "$job" 2>&1)" "$line"
    is "$name: nothing is left" "$(find "$(taskdir "$job")" -name 'gen-*')" ""
    is "$name: CRIU was never started" "$(find "$(taskdir "$job")/log" -type f)" ""
    ok "$name: the job runs on" goes_on "$job"
    touch "$stop.undo"
    ok "$name: it is undone" wait_out "$job" '^undone'
    ok "$name: then the checkpoint is made" checkpoint "$job"
    touch "$stop"
    ok "$name: ends" wait_state "$job" COMPLETED
    like "$name: well" "$(out "$job")" '^result ok'
}

# fine NAME THING [ARGUMENT] - what may look like one of those
fine() {
    local name=$1 job stop=$HOME_DIR/$1.stop
    shift
    job=$(submit --checkpoint=interval=0 --mem=100 -- "$(job_script "$name.job" "$PROGS/hazard" "$stop" "$@")")
    ok "$name: starts" wait_step "$job" 3
    ok "$name: is checkpointed" checkpoint "$job"
    touch "$stop"
    ok "$name: ends" wait_state "$job" COMPLETED
}

D=', descriptor [0-9]+:'
kernel_objects() {
    refused uring "$D" 'an io_uring' 'UV_USE_IO_URING=0' io_uring
    refused perf "$D" 'a performance counter' 'without perf' perf
    refused userfaultfd "$D" 'a userfaultfd' 'UCX_MEM_EVENTS' userfaultfd
    refused inotify "$D" 'a watch over files \(inotify\)' 'poll' inotify /tmp
    refused sysv ', mapping [0-9a-f]+-[0-9a-f]+:' 'System V shared memory .*key 0x[0-9a-f]+, id [0-9]+' \
        '--mca shmem mmap' sysv
}
sockets() {
    local port
    port=$(cat "$HOME_DIR/port")
    refused tcp "$D" "a TCP connection to 127\\.0\\.0\\.1:$port" 'UCX_TLS' tcp "127.0.0.1:$port"
    refused stream "$D" "a connection to the Unix socket $HOME_DIR/stream " 'close it' unix "$HOME_DIR/stream"
    refused datagram "$D" "a connection to the Unix socket $HOME_DIR/datagram " 'close it' datagram "$HOME_DIR/datagram"
    fine listen listen
    fine short unix "$HOME_DIR/munge.socket" # it is waited for
}
processes() {
    install -m 711 /bin/sleep "$TB/unreadable"
    refused namespace '' 'lives in namespaces of its own \(user, uts\)' 'outside the container' namespace
    refused seccomp '' 'has restricted its system calls' 'no-sandbox' seccomp
    refused closed '' 'nobody may look into it' 'ssh-agent' closed
    refused unreadable '' "its program $TB/unreadable may be run but not read" 'chmod \+r' exec "$TB/unreadable"
    refused traced '' 'is traced by process [0-9]+' 'strace' traced
}
files() {
    mknod -m 666 "$TB/device" c 10 229 # /dev/fuse, which its own name may not let everybody open
    refused device "$D" "the device $TB/device" 'close the device' device "$TB/device"
    refused renamed "$D" "$HOME_DIR/renamed\\.file.* was deleted, but the file has other names" 'other names' \
        renamed "$HOME_DIR/renamed.file"
    refused ghost "$D" "$HOME_DIR/ghost\\.file.* is deleted but open and has 1100 MiB" 'keep a name' \
        ghost "$HOME_DIR/ghost.file"
    fine deleted deleted "$HOME_DIR/deleted.file"
    fine inotify-idle inotify-idle
}

tb_up --nodes 2
run "$PROGS/services.py" "$HOME_DIR" &
services=$!
disown "$services" # `together` waits for all others
wait_until 60 test -s "$HOME_DIR/port"
together kernel_objects sockets processes files
kill "$services"
done_testing
