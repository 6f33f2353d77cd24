#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# A node whose /proc is partly covered, as in most containers: the kernel lets no user namespace mount another one
# (mount_too_revealing), which is found out late, with the namespaces made and the keeper forked.  Row 3 of the
# deny matrix.
# isolation: private
if [ -z "${CKPT_MASKED:-}" ]; then
    [ "$(id -u)" -eq 0 ] || { echo "1..0 # SKIP needs root"; exit 0; }
    exec env CKPT_MASKED=yes unshare --mount --propagation private "$0"
fi
. "$(dirname "$0")/seclib.sh"
[ "$CKPT_ISOLATION" = private ] || skip_all "/proc is mounted under isolation=private only"
# Whoever else has one mounted somewhere, whole, would make it visible.
findmnt -rn -t proc -o TARGET | grep -vxF /proc | while read -r other; do umount -l "$other"; done
mount -t tmpfs none /proc/sys/fs || skip_all "cannot cover a part of /proc"

ended() { state_in "$1" "COMPLETED FAILED CANCELLED"; }
look() { submit --checkpoint -- "$HOME_DIR/masked.sh"; }

sec_up
put_script masked.sh >/dev/null <<'END'
#!/bin/bash
grep Cap /proc/self/status
cat /proc/$PPID/comm
echo ran
END
job=$(look)
ok "row 3: covered /proc: the job ends" wait_until 40 ended "$job" || run_root scancel "$job"
like "row 3: covered /proc: host isolation is used and the reason told" "$(out "$job")" \
    'checkpoint: isolation=host is used: .*/proc'
like "row 3: covered /proc: the program ran, with checkpoints" "$(out "$job" | paste -s)" 'ckpt-init.ran'
unlike "row 3: covered /proc: no bit" "$(out "$job")" 'Cap(Inh|Prm|Eff|Amb):.0*[1-9a-f]'
echo AllowIsolation=private >>"$TB/etc/checkpoint.conf"
job=$(look)
ok "row 3: covered /proc, private only: the job ends" wait_until 40 ended "$job" || run_root scancel "$job"
like "row 3: covered /proc, private only: the reason is told" "$(out "$job")" \
    'runs without checkpoints: isolation=private: .*/proc'
like "row 3: covered /proc, private only: the program ran" "$(out "$job" | paste -s)" 'slurmstepd.ran'
unlike "row 3: covered /proc, private only: no bit" "$(out "$job")" 'Cap(Inh|Prm|Eff|Amb):.0*[1-9a-f]'
is "row 3: covered /proc: nothing is left that holds anything" "$(holders "$job")" ""
ok "row 3: covered /proc: the node is fine" node_fine
done_testing
