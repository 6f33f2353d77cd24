#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# What a program finds inside isolation=private, each point of spank-checkpoint(8): pids, /proc, ids and groups, munge,
# Slurm's commands, a nested srun, setuid programs, signals through Slurm.
# isolation: private
. "$(dirname "$0")/lib.sh"

CKPT_ISOLATION=private tb_up

script=$(put_script view.sh <<'E2'
#!/bin/bash
trap 'echo "got usr1"' USR1
echo "batch pid $$ ppid $PPID"
echo "ids $(id -u) $(id -g) $(id -G)"
echo "first $(tr '\0' ' ' </proc/1/cmdline)"
echo "others $(ls -d /proc/[0-9]* | wc -l)"
echo "map $(tr -s ' ' </proc/self/uid_map)"
echo "munge $(munge -n -S "$MUNGE_SOCKET" | unmunge -S "$MUNGE_SOCKET" | sed -n 's/^UID: *//p')"
echo "squeue $(squeue -h -j "$SLURM_JOB_ID" -o %T)"
echo "srun $(srun --mem=100 bash -c 'echo $SLURM_STEP_ID $(id -u)' 2>/dev/null)"
echo "setuid $("$HOME/suid-id" -u 2>&1)"
"$HOME/suid-nice" -n -5 true 2>/dev/null && [ "$("$HOME/suid-nice" -n -5 nice)" -lt "$(nice)" ] && echo "has CAP_SYS_NICE on the host"
touch /etc/shadow-test 2>/dev/null && echo "wrote to /etc"
kill -0 1 2>/dev/null && echo "init signalled"
kill -9 1; echo "init lives $(ls -d /proc/1)"
mount -t tmpfs none /mnt 2>/dev/null && echo "mounted" || echo "mount refused"
(setsid sleep 300 &) ; echo ready
for i in $(seq 1 600); do sleep 0.1; [ -e "$HOME/view.stop" ] && exit 4; done
E2
)
# Setuid programs of root, as a host has them (su, passwd ...); two whose words can be checked.
cp /usr/bin/id "$HOME_DIR/suid-id"
cp /usr/bin/nice "$HOME_DIR/suid-nice"
chown root: "$HOME_DIR/suid-id" "$HOME_DIR/suid-nice"
chmod 4755 "$HOME_DIR/suid-id" "$HOME_DIR/suid-nice"
ok "outside, the setuid program has the capability" test "$(run ./suid-nice -n -5 nice)" -lt "$(run nice)"

job=$(submit --checkpoint=interval=0 --export="ALL,MUNGE_SOCKET=$TB/munge/munge.sock" -- "$script")
ok "runs" wait_out "$job" "^ready" 60
text=$(out "$job")
uid=$(id -u ckptest) gid=$(id -g ckptest)
like "pids begin at 300" "$text" "^batch pid 30[0-9] ppid 300$"
like "uid, gid and groups are those outside" "$text" "^ids $uid $gid $gid"
like "the first process is the keeper" "$text" "^first keeper"
like "identity map" "$text" "^map +0 0 4294967295"
n=$(sed -n 's/^others //p' <<<"$text")
ok "/proc shows the job's processes only ($n)" test "$n" -lt 12
like "munge sees the real user" "$text" "^munge ckptest \\($uid\\)"
like "squeue works" "$text" "^squeue RUNNING"
like "a nested srun works" "$text" "^srun 0 $uid"
like "a setuid program becomes its owner" "$text" "^setuid 0$"
unlike "the job has not become root" "$text" "wrote to /etc"
like "the namespace's init cannot be killed from inside" "$text" "^init lives /proc/1"
like "the user cannot mount" "$text" "^mount refused"

pid=$(job_pids "$job" | while read -r p; do grep -qs view.sh "/proc/$p/cmdline" || grep -qs /script "/proc/$p/cmdline" && echo "$p"; done | head -n 1)
ok "seen from outside it has another pid" test -n "$pid" -a "${pid:-0}" != 302
unlike "inside, it has no capability on the host" "$text" "has CAP_SYS_NICE on the host"
listed=$(run_root scontrol listpids "$job" "$(job_node "$job")" | awk 'NR > 1 { print $1 }')
ok "scontrol listpids names the processes by their outside pids" grep -qx "${pid:-none}" <<<"$listed"
run scancel --signal=USR1 --batch "$job"
ok "a signal through Slurm reaches the script" wait_out "$job" "got usr1" 20
ok "checkpoint" checkpoint "$job"
touch "$HOME_DIR/view.stop"
ok "ends" wait_state "$job" FAILED
is "exit status" "$(exit_code "$job")" 4:0
nothing_left() { [ -z "$(job_pids "$job")" ]; }
ok "nothing of the job is left, the daemon neither" wait_until 20 nothing_left
done_testing
