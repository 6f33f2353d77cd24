#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# C programs, each checkpointed while it runs on, again, then requeued: they go on, as they were.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/survive.sh"

invariant() { survive invariant --mem=600 -- "$PROGS/invariant" "$HOME_DIR/invariant.stop"; }
threads() { survive threads --cpus-per-task=2 -- "$PROGS/threads" "$HOME_DIR/threads.stop"; }
openmp() { survive openmp --cpus-per-task=2 -- "$PROGS/openmp" "$HOME_DIR/openmp.stop"; }
sleepers() { survive sleepers -- "$PROGS/sleepers" "$HOME_DIR/sleepers.stop"; }
# The calls are interrupted by the snapshot, too.
sleepers_alive() {
    [ "$1" = "after the restore" ] ||
        is "sleepers: $1: it was one with a snapshot" "$(jq -r .snapshot "$(taskdir "$2")/$(newest "$2")/manifest.json")" copy-on-write
}

# --- a lock must not only be there: nobody else may get it

lock_holder() {
    lock_probe=$HOME_DIR/lock
    survive locks -- "$PROGS/locks" hold "$HOME_DIR/locks.stop" "$lock_probe"
    is "locks: free after the end" "$(run "$PROGS/locks" try "$lock_probe" | paste -s -d ' ')" \
        "flock free posix free ofd free"
}
locks_alive() {
    is "locks: $1: held" "$(run "$PROGS/locks" try "$lock_probe" | paste -s -d ' ')" \
        "flock held posix held ofd held"
}

# --- a daemon that has left the script's tree

daemon() {
    daemon_out=$HOME_DIR/daemon.count
    survive daemon -- "$(put_script with-daemon.sh <<END
#!/bin/bash
$PROGS/daemon "$HOME_DIR/daemon.stop" "$daemon_out" || exit 1
$PROGS/counter "$HOME_DIR/daemon.stop"
until grep -q '^result' "$daemon_out"; do sleep 0.1; done
END
)"
    ok "daemon: it did each step once" once "$daemon_out"
    is "daemon: it was started once" "$(grep -c ^start "$daemon_out")" 1
    is "daemon: its result" "$(tail -n 1 "$daemon_out")" "result ok"
}
daemon_alive() {
    local n
    n=$(grep -c '^step' "$daemon_out")
    ok "daemon: $1: it counts on" wait_until 30 counted_on "$n"
    like "daemon: $1: it is in the tree, in a session of its own" "$(tree "$2")" ' daemon ppid'
}
counted_on() { [ "$(grep -c '^step' "$daemon_out")" -gt "$1" ]; }

tb_up --nodes 2
together invariant threads openmp sleepers lock_holder daemon
done_testing
