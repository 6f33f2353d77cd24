#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# isolation: private
#
# timeout: 300
#
# scheckpoint doctor: good on a node where all is well, where it also tries a user's job; and each thing that a site can
# get wrong is told, with what to do.
. "$(dirname "$0")/lib.sh"

tb_up
DOCTOR_NODE=${NODE}1
# With `covered`, commands, it sees a machine over parts of which they have mounted something.
covered=
doctor() {
    if [ -n "$covered" ]; then
        set -- unshare --mount --propagation private sh -ec "$covered"'; exec "$@"' sh scheckpoint doctor "$@"
    else
        set -- scheckpoint doctor "$@"
    fi
    run_root "$@" --node "$DOCTOR_NODE"
}
# says FILE TEXT - the command that makes FILE have that TEXT
says() {
    echo "$2" >"$TEST_TMP/says.${1##*/}"
    echo "mount --bind $TEST_TMP/says.${1##*/} $1"
}
# tells NAME STATUS VERDICT POINT REGEX [OPTION...]
tells() {
    local name=$1 status=$2 verdict=$3 point=$4 what=$5 out rc
    shift 5
    out=$(doctor "$@" 2>&1)
    rc=$?
    is "$name: exit status" "$rc" "$status"
    like "$name: told" "$out" "^$verdict +$point +.*$what"
}
idle() { run_root sinfo -h -n "${NODE}1" -o %t | grep -qx idle; }
# with LINE...: a copy of checkpoint.conf with these in place of its own; prints its path
with() {
    local line
    cp "$TB/etc/checkpoint.conf" "$TEST_TMP/other.conf"
    for line; do
        sed -i "/^${line%%=*}=/d" "$TEST_TMP/other.conf"
        echo "$line" >>"$TEST_TMP/other.conf"
    done
    echo "$TEST_TMP/other.conf"
}

like "--help tells what it does" "$(run scheckpoint help doctor)" '^usage: scheckpoint doctor'
out=$(run scheckpoint doctor 2>&1)
is "for a user: refused" $? 3
like "for a user: why" "$out" 'sudo scheckpoint doctor'
run_root scheckpoint doctor 12 >/dev/null 2>&1
is "an argument: wrong usage" $? 2
run_root scheckpoint show --user x >/dev/null 2>&1
is "--user elsewhere: wrong usage" $? 2

# All is well
out=$(doctor --user ckptest 2>&1)
is "all is well: exit status" $? 0 || diag "$out"
like "it found the configuration by plugstack.conf" "$out" "^good +conf +$TB/etc/checkpoint.conf"
like "it tried it as the user" "$out" '^good +try +.*gen-0000-000001.*restored in job'
for point in slurm node plugstack proctrack kernel ptrace criu keeper helpers isolation cgroup munge space; do
    like "$point is good" "$out" "^good +$point "
done
unlike "nothing failed" "$out" '^fail'
is "it fits on a screen" "$(($(wc -l <<<"$out") < 30))" 1
is "what it tried with is gone" "$(find "$SCRATCH" -mindepth 1 -name 'gen-*' 2>&1 | wc -l)" 0
ok "so are its jobs" wait_until 60 sh -c "[ -z \"\$(env -i $(printf '%q ' "${tb_env_root[@]}") squeue -h)\" ]"
is "--json is the same" "$(doctor --json | jq -r '.verdict, (.points[] | select(.point == "keeper") | .verdict)' | tail -n 1)" good
tells "no such user" 1 fail try 'there is no user nosuch' --user nosuch
tells "root" 1 fail try 'root has no checkpoints' --user root

# What may be wrong, one by one
cp "$TB/etc/checkpoint.conf" "$TEST_TMP/own.conf"
echo MaxSize=1K >>"$TB/etc/checkpoint.conf"
tells "a job that cannot be saved" 1 fail try 'create: .*not saved: .*the site allows .* for one .MaxSize.' --user ckptest
cp "$TEST_TMP/own.conf" "$TB/etc/checkpoint.conf"
keeper=$TB/inst/libexec/slurm-spank-checkpoint/keeper
setcap -r "$keeper"
tells "the keeper without its capability" 1 fail keeper 'lost its file capability: setcap cap_checkpoint_restore=i'
tells "then it is not tried" 1 warn try 'mend the above first' --user ckptest
setcap cap_checkpoint_restore=ei "$keeper"
tells "the keeper with another one" 1 fail keeper "instead of 'cap_checkpoint_restore=i'"
setcap cap_checkpoint_restore=i "$keeper"

mount --bind "${keeper%/*}" "${keeper%/*}" && mount -o remount,bind,nosuid "${keeper%/*}"
tells "a nosuid mount" 1 fail keeper 'mounted nosuid or noexec'
umount "${keeper%/*}"

mount --bind "${keeper%/*}" "${keeper%/*}" && mount -o remount,bind,noexec "${keeper%/*}"
tells "a noexec mount" 1 fail keeper 'mounted nosuid or noexec'
umount "${keeper%/*}"

chmod o+w "${keeper%/*}/restore"
tells "a helper that anybody may write" 1 fail helpers 'writable by others than root'
chmod o-w "${keeper%/*}/restore"

tells "an old criu" 1 fail criu 'is version 3\.17.*4\.2 or later is needed' --conf "$(with Criu=/usr/sbin/criu)"
tells "no criu" 1 fail criu '/nonexistent: No such file' --conf "$(with Criu=/nonexistent)"
tells "no such directory" 1 fail space 'is it mounted on this node' --conf "$(with 'Dir=/nonexistent/%u')"
mkdir "$TEST_TMP/ro" && mount -t tmpfs -o size=1m,ro tmpfs "$TEST_TMP/ro"
tells "a directory that is read-only" 1 fail space 'is mounted read-only' --conf "$(with "Dir=$TEST_TMP/ro/%u")"
umount "$TEST_TMP/ro"
tells "no Dir" 0 warn conf 'has no Dir' --conf "$(with Keep=2 | tee "$TEST_TMP/x"; sed -i '/^Dir=/d' "$(cat "$TEST_TMP/x")")"
tells "a key that is not known" 1 fail conf "unknown key 'Keeep'" --conf "$(with Keeep=2)"
tells "the prolog has not run" 0 warn prolog 'restart slurmd' --conf "$(with "StateDir=$TEST_TMP/none")"
DOCTOR_NODE=nosuchnode tells "no such node" 1 fail node 'Slurm knows no node nosuchnode'
run_root scontrol update NodeName="${NODE}1" State=drain Reason=test
tells "a node that is drained" 0 warn node 'DRAIN.*takes no jobs'
run_root scontrol update NodeName="${NODE}1" State=undrain
ok "it takes jobs again" wait_until 60 idle
run_root scontrol update NodeName="${NODE}1" State=down Reason=test
tells "a node that is down" 1 fail node 'DOWN.*start slurmd, see its log'
run_root scontrol update NodeName="${NODE}1" State=resume
ok "it is up again" wait_until 60 idle
mount -t tmpfs -o size=1m tmpfs "$TEST_TMP/ro" && head -c 1020k /dev/zero >"$TEST_TMP/ro/full"
tells "a directory that is full" 0 warn space 'free, [0-4] %' --conf "$(with "Dir=$TEST_TMP/ro/%u")"
umount "$TEST_TMP/ro"
criu=$(sed -n 's/^Criu=//p' "$TB/etc/checkpoint.conf")
cp "${criu:-/usr/sbin/criu}" "$TB/inst/bin/criu" && setcap cap_sys_ptrace=ep "$TB/inst/bin/criu"
tells "a criu with file capabilities" 1 fail criu 'remove them .setcap -r.' --conf "$(with "Criu=$TB/inst/bin/criu")"

# The machine
covered=$(says /proc/sys/kernel/cap_last_cap 39)
tells "an old kernel" 1 fail kernel 'Linux 5\.9 or later'
covered=$(says /proc/sys/fs/suid_dumpable 1)
tells "fs.suid_dumpable" 1 fail kernel 'set it to 0 or 2'
covered=$(says /proc/cmdline 'BOOT_IMAGE=/vmlinuz no_file_caps quiet')
tells "file capabilities switched off" 1 fail keeper 'booted with no_file_caps'
covered=$(says /proc/sys/kernel/pid_max 32768)
tells "few process ids, with host isolation" 0 warn pid_max 'kernel\.pid_max=32768.*4194304'
# Whether namespaces can be made where a part of /proc is covered hangs on what else is mounted: no exit status.
like "few process ids, without it" "$(doctor --conf "$(with AllowIsolation=private)" 2>&1)" '^good +pid_max +kernel\.pid_max=32768'
covered='mount -t tmpfs none /proc/sys/kernel; mkdir /proc/sys/kernel/yama; echo 1 >/proc/sys/kernel/yama/ptrace_scope'
tells "yama" 1 fail ptrace 'sysctl kernel\.yama\.ptrace_scope=0'
covered='mount -t tmpfs none /proc/sys/kernel; mkdir /proc/sys/kernel/yama; echo 3 >/proc/sys/kernel/yama/ptrace_scope'
tells "yama for ever" 1 fail ptrace 'until the next boot'
# A whole /proc elsewhere would make up for the part that is covered here.
covered='findmnt -rn -t proc -o TARGET | grep -vxF /proc | xargs -r -n 1 umount -l; mount -t tmpfs none /proc/sys/fs'
tells "no namespaces" 0 warn isolation 'jobs fall back to isolation=host'
tells "no namespaces, and they must be" 1 fail isolation 'allows no new user, pid and mount namespace' \
    --conf "$(with AllowIsolation=private)"
covered='mount -t tmpfs none /sys/fs/cgroup'
tells "no control groups" 0 warn cgroup 'no control groups at /sys/fs/cgroup'
covered=

# Slurm's configuration: what its daemons are told anew, and cgroup.conf, which they do not tell.
like "it read cgroup.conf" "$out" '^good +signals +SignalChildrenProcesses=no'
for yes in yes True 1; do
    cp "$TB/etc/cgroup.conf" "$TEST_TMP/cgroup.conf"
    echo "signalchildrenprocesses = $yes # new" >>"$TB/etc/cgroup.conf"
    tells "SignalChildrenProcesses=$yes" 0 warn signals "=$yes in $TB/etc/cgroup.conf .*say no"
    cp "$TEST_TMP/cgroup.conf" "$TB/etc/cgroup.conf"
done
cp "$TB/etc/slurm.conf" "$TEST_TMP/slurm.conf"
# slurm LINE... - slurmctld with these in place of its own
slurm() {
    local line
    cp "$TEST_TMP/slurm.conf" "$TB/etc/slurm.conf"
    for line; do
        sed -i "/^${line%%=*}=/Id" "$TB/etc/slurm.conf"
        echo "$line" >>"$TB/etc/slurm.conf"
    done
    "$TESTBED" restart --dir "$TB" slurmctld >/dev/null 2>&1 && wait_until 60 idle
}
ok "a slurm.conf that does not suit" slurm JobRequeue=0 KillWait=10 PreemptType=preempt/partition_prio PreemptMode=REQUEUE \
    ProctrackType=proctrack/linuxproc TaskPlugin=task/none
tells "JobRequeue=0" 0 warn requeue 'only jobs submitted with --requeue'
tells "a short KillWait" 0 warn killwait 'KillWait=10 s is all'
tells "preemption without a warning" 0 warn preempt 'preempt_send_user_signal.*not warned'
tells "linuxproc" 0 warn proctrack 'no last checkpoint at a requeue'
tells "no task/cgroup" 0 warn memory 'no job has a limit'
ok "another one" slurm ProctrackType=proctrack/pgid PreemptType=preempt/partition_prio PreemptMode=REQUEUE \
    SlurmctldParameters=preempt_send_user_signal KillWait=120
tells "pgid" 1 fail proctrack 'checkpoints are refused; use proctrack/cgroup'
tells "preemption with a warning" 1 good preempt 'REQUEUE'
tells "a KillWait that suits" 1 good killwait '120 s'
ok "its own again" slurm

cp "$TB/etc/plugstack.conf" "$TEST_TMP/plugstack"
echo "# optional checkpoint.so" >"$TB/etc/plugstack.conf"
tells "the plugin is not enabled" 1 fail plugstack "no line 'optional checkpoint.so'" --conf "$TB/etc/checkpoint.conf"
sed 's/^optional/required/' "$TEST_TMP/plugstack" >"$TB/etc/plugstack.conf"
tells "it is required" 0 warn plugstack "say 'optional'"
mkdir "$TB/etc/plugstack.conf.d"
sed 's/checkpoint\.so/nosuch\/checkpoint.so/' "$TEST_TMP/plugstack" >"$TB/etc/plugstack.conf.d/x.conf"
echo 'include plugstack.conf.d/*.conf' >"$TB/etc/plugstack.conf"
tells "an included line names what is not there" 1 fail plugstack 'plugstack.conf.d/x.conf names .*which is not there'
cp "$TEST_TMP/plugstack" "$TB/etc/plugstack.conf"
sed -i '/^PlugStackConfig=/d' "$TB/etc/slurm.conf"
run_root scontrol reconfigure
slurm_names_none() { ! run_root scontrol show config | grep -q '^PlugStackConfig *= */'; }
ok "no PlugStackConfig" wait_until 60 slurm_names_none
tells "then the file beside slurm.conf counts" 0 good plugstack "in $TB/etc/plugstack.conf"
is "all is well again" "$(doctor >/dev/null 2>&1; echo $?)" 0

"$TESTBED" kill --dir "$TB" slurmctld
tells "slurmctld is down" 1 fail slurm 'scontrol show config: .*(contact|connect)' --conf "$TB/etc/checkpoint.conf"
"$TESTBED" restart --dir "$TB" slurmctld >/dev/null 2>&1
kill "$(cat "$TB/run/munged.pid")"
ok "munged has ended" wait_until 60 not test -S "$TB/munge/munge.sock"
tells "munge is down" 1 fail munge 'munged' --conf "$TB/etc/checkpoint.conf"
done_testing
