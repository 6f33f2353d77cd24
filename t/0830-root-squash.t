#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# isolation: private
#
# Root never needs the checkpoint directory: it lies on a mount that only the user may enter; root gets EACCES, as with
# NFS and root_squash.
. "$(dirname "$0")/faultlib.sh"

# mount_bindfs DIR - the user's own bindfs over DIR.src.  The two capabilities stand in for a setuid fusermount: where
# /dev/fuse is root's alone (no udev), that cannot help.
mount_bindfs() {
    setpriv --reuid ckptest --regid ckptest --init-groups --inh-caps=+dac_override,+sys_admin \
        --ambient-caps=+dac_override,+sys_admin -- bindfs --no-allow-other "$1.src" "$1" </dev/null >"$TEST_TMP/bindfs" 2>&1
}

squashed() {
    local job dir stop=$HOME_DIR/squash.stop task
    dir=$(new_dir squash)
    new_dir squash.src >/dev/null
    ok "the user mounts his bindfs" mount_bindfs "$dir" || { cat "$TEST_TMP/bindfs"; return; }
    like "root cannot enter it (control)" "$(ls "$dir" 2>&1)" 'Permission denied'
    like "nor look at it (control)" "$(stat "$dir" 2>&1)" 'Permission denied'
    ok "the user can (control)" run test -w "$dir"
    job=$(submit --checkpoint=interval=0 --checkpoint-dir="$dir" -- "$(job_script squash.sh "$PROGS/counter" "$stop")")
    ok "a job starts" wait_step "$job" 3
    ok "a checkpoint" checkpoint -d "$dir" "$job"
    task=$(taskdir "$job" "$dir.src")
    is "it is there" "$(complete "$task")" gen-0000-000001
    is "all of it is the user's" "$(find "$dir.src" ! -user ckptest)" ""
    like "the user sees it" "$(run scheckpoint list -d "$dir" 2>&1)" "$job"
    ok "and verifies it" run scheckpoint verify -d "$dir" "$job"
    ok "requeue" requeue "$job"
    ok "restored" restored "$job"
    ok "it goes on" goes_on "$job"
    ok "another checkpoint, after the restore" checkpoint -d "$dir" "$job"
    like "of the second start" "$(complete "$task" | tail -n 1)" '^gen-0001-'
    ok "requeue again" requeue "$job"
    ok "restored again" wait_until 60 restored_times "$job" 2
    touch "$stop"
    ok "it ends well" wait_state "$job" COMPLETED
    ok "each step once" each_once "$job"
    is "it was started once" "$(out "$job" | grep -c '^start')" 1
    ok "its images are deleted" wait_until 20 no_images "$job" "$dir.src"
    like "the mount is still closed to root (control)" "$(ls "$dir" 2>&1)" 'Permission denied'
    ok "the node was not drained" node_fine
    unlike "no daemon complained of permissions" "$(cat "$TB"/log/slurm*.log)" "$dir.*Permission denied"
}

[ -e /dev/fuse ] || skip_all "needs /dev/fuse"
command -v bindfs >/dev/null || skip_all "needs bindfs"
fault_up
squashed
done_testing
