#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# A node that is set up so that the capability could leak: no job gets it, each says why, and none is hurt.  Row 40 of the
# deny matrix.
# isolation: host
if [ -z "${CKPT_MASKED:-}" ]; then
    [ "$(id -u)" -eq 0 ] || { echo "1..0 # SKIP needs root"; exit 0; }
    exec env CKPT_MASKED=yes unshare --mount --propagation private "$0"
fi
. "$(dirname "$0")/seclib.sh"

# refused WHAT REASON - a job runs without checkpoints, without a bit, and says why
refused() {
    local job
    job=$(submit --checkpoint -- "$HOME_DIR/show.sh")
    ok "row 40: $1: the job ends well" wait_state "$job" COMPLETED
    like "row 40: $1: the reason is told" "$(out "$job")" "runs without checkpoints: $2"
    like "row 40: $1: it ran, and holds nothing" "$(out "$job" | paste -s -d ' ')" \
        'CapInh: 0{16} CapPrm: 0{16} CapEff: 0{16} .*slurmstepd ran$'
}
# criu_at PATH - the site's
criu_at() { sed -i "s|^Criu=.*|Criu=$1|" "$TB/etc/checkpoint.conf"; }

sec_up
put_script show.sh >/dev/null <<'END'
#!/bin/bash
grep -E '^Cap' /proc/$$/status | tr '\t' ' '
cat /proc/$PPID/comm
echo ran
END
CRIU=$(sed -n 's/^Criu=//p' "$TB/etc/checkpoint.conf")
dir=$TB/criu
install -d -m 755 "$dir"

install -m 755 "$CRIU" "$dir/criu"
criu_at "$dir/criu"
job=$(submit --checkpoint -- "$HOME_DIR/show.sh")
ok "row 40: a copy of criu that is right (control)" wait_state "$job" COMPLETED
like "row 40: is used (control)" "$(out "$job" | paste -s -d ' ')" 'ckpt-init ran$'
setcap cap_checkpoint_restore=eip "$dir/criu"
refused "criu with a file capability" ".*criu has file capabilities"
setcap cap_checkpoint_restore=i "$dir/criu"
refused "criu with an inheritable one only" ".*criu has file capabilities"
setcap -r "$dir/criu"
chmod 4755 "$dir/criu"
refused "setuid criu" 'criu: .* is not a plain file'
chmod 775 "$dir/criu"
refused "criu that a group may write" 'criu: .* writable by others'
chmod 755 "$dir/criu"
chown ckptest "$dir/criu"
refused "criu of the user's" 'criu: .* does not belong to root'
chown root "$dir/criu"
chmod 777 "$dir"
refused "criu in a directory that all may write" 'criu: .* writable by others'
chmod 755 "$dir"
chown ckptest "$dir"
refused "criu in a directory of the user's" 'criu: .* does not belong to root'
chown root "$dir"
rm "$dir/criu"
mkdir "$dir/criu"
refused "a directory for criu" 'criu: .* is not a plain file'
rmdir "$dir/criu"
refused "no criu" 'Criu: .*No such file'
# One that is too old is found at the first checkpoint, in which it fails: the job runs on.
criu_at /usr/sbin/criu
job=$(submit --checkpoint=interval=0 -- "$(job_script old.sh "$PROGS/counter" "$HOME_DIR/stop")")
ok "an old criu: the job runs" wait_step "$job" 3
like "an old criu: no checkpoint, and why" "$(run scheckpoint create "$job" 2>&1)" 'is version 3\.17.*4\.2 or later is needed'
ok "an old criu: the job runs on" goes_on "$job"
run scancel "$job"
# With its epilog: slurmd is killed below, and would owe it.
idle() { run_root sinfo -h -n "${NODE}1" -o %t | grep -qx idle; }
ok "an old criu: it has ended" wait_until 60 idle
criu_at "$CRIU"

# The kernel's own file is everybody's on this machine: another lies over it, for this Slurm's processes only.
echo 1 >"$TEST_TMP/suid_dumpable"
"$TESTBED" kill --dir "$TB" slurmd:1
mount --bind "$TEST_TMP/suid_dumpable" /proc/sys/fs/suid_dumpable || bail "cannot cover suid_dumpable"
"$TESTBED" restart --dir "$TB" slurmd:1
refused "fs.suid_dumpable=1" 'fs.suid_dumpable is 1'
umount /proc/sys/fs/suid_dumpable
job=$(submit --checkpoint -- "$HOME_DIR/show.sh")
ok "row 40: all mended (control)" wait_state "$job" COMPLETED
like "row 40: the next one has checkpoints (control)" "$(out "$job" | paste -s -d ' ')" 'ckpt-init ran$'
ok "no node was drained" node_fine
done_testing
