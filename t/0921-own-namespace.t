#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# isolation: private
# timeout: 300
#
# scheckpoint run: a cluster that has not installed the plugin, and software of the user's own without a file capability.
. "$(dirname "$0")/lib.sh"

tb_up --no-plugin
INST=$HOME_DIR/inst
LIBEXEC=$INST/libexec/slurm-spank-checkpoint
# The registry's lock of contrib/testbed: two installs of one tree meet in libtool.
(
    unset MAKEFLAGS MFLAGS MAKELEVEL
    flock "/run/slurm-spank-checkpoint-testbed/install.lock" make -s -C "$CKPT_BUILDDIR" install prefix="$INST" \
        slurmplugindir="$INST/lib/slurm" sysconfdir="$HOME_DIR/etc"
) >"$TEST_TMP/install.log" 2>&1 </dev/null || { sed 's/^/# /' "$TEST_TMP/install.log"; bail "make install fails"; }
chown -R ckptest: "$INST" # which takes file capabilities away, too
is "nothing has a file capability" "$(getcap -r "$INST")" ""
is "Slurm has no plugin of ours" "$(cat "$TB/etc/plugstack.conf")" ""
CONF=$(put_script own.conf <<END
Dir=$SCRATCH
HelperDir=$LIBEXEC
Criu=$("$TEST_TOP/contrib/get-criu" 2>/dev/null)
MungeSocket=$TB/munge/munge.sock
END
)
tb_env+=("SCHECKPOINT_CONF=$CONF" "PATH=$INST/bin:/usr/local/bin:/usr/bin:/bin")

# own_script NAME SPEC COMMAND... - a batch script that ends so; prints its path
own_script() {
    local name=$1 spec=$2
    shift 2
    put_script "$name" <<<"#!/bin/bash
exec scheckpoint run --checkpoint=$spec -- $(printf '%q ' "$@")"
}
begin() { submit --open-mode=append -- "$@"; }
# Of a process's status: CapInh, CapPrm, CapEff, CapAmb
caps() { awk '/^Cap(Inh|Prm|Eff|Amb)/ { print $2 }' "/proc/$1/status" | paste -s -d ' '; }
none="0000000000000000 0000000000000000 0000000000000000 0000000000000000"
own="0000010000000000 0000010000000000 0000000000000000 0000000000000000"

# look NAME JOB - who holds what
look() {
    local keeper counter
    keeper=$(job_pid "$2" own-keeper)
    counter=$(job_pid "$2" counter)
    is "$1: the keeper holds one capability, not effective" "$(caps "$keeper")" "$own"
    is "$1: the program holds none" "$(caps "$counter")" "$none"
    is "$1: nor can it gain another" "$(awk '/^CapBnd/ { print $2 }' "/proc/$counter/status")" 0000010000000000
    is "$1: nor the shepherd" "$(caps "$(job_pid "$2" shepherd)")" "$none"
    isnt "$1: not the node's user namespace" "$(readlink "/proc/$keeper/ns/user")" "$(readlink /proc/self/ns/user)"
    is "$1: one that knows its user only" "$(awk '{ print $1, $2, $3 }' "/proc/$keeper/uid_map")" \
        "$(id -u ckptest) $(id -u ckptest) 1"
    is "$1: setgroups is denied" "$(cat "/proc/$keeper/setgroups")" deny
}

story() {
    local job before stop=$HOME_DIR/story.stop
    job=$(begin "$(own_script story.sh interval=0 "$PROGS/counter" "$stop")")
    ok "starts" wait_step "$job" 3
    before=$(tree "$job" threads)
    look "first start" "$job"
    like "create" "$(checkpoint "$job" 2>&1)" 'gen-0000-000001'
    ok "it runs on" goes_on "$job"
    ok "requeued" requeue "$job"
    ok "restored" restored "$job"
    ok "goes on" goes_on "$job"
    like "from the last one, which SIGTERM made" "$(out "$job")" '^checkpoint: restored gen-0000-000002:'
    is "the same pids" "$(tree "$job" threads)" "$before"
    look "restored" "$job"
    like "list" "$(run scheckpoint list "$job")" "^ *$job +gen-0000-000002 .* requeue "
    like "show tells the isolation" "$(run scheckpoint show "$job")" '^ *isolation +own$'
    like "check" "$(run scheckpoint check "$job")" 'good +pids +the job has its own'
    touch "$stop"
    ok "ends well" wait_state "$job" COMPLETED
    is "no step is missing or repeated" "$(once "$HOME_DIR/$job.out" 2>&1)" ""
    is "it was started once" "$(out "$job" | grep -c '^start')" 1
    ok "the images are deleted" wait_until 20 no_images "$job"
}

beyond_first() { [[ $(newest "$1") > gen-0000-000001 ]]; }

# By the clock; it loses its keeper, and all its processes with it; another exit status
lost() {
    local job stop=$HOME_DIR/lost.stop
    job=$(begin "$(own_script lost.sh interval=0:00:02,keep=1 "$PROGS/counter" "$stop" 7)")
    ok "lost: checkpoints by the clock" wait_until 60 beyond_first "$job"
    run_root kill -KILL "$(job_pid "$job" own-keeper)"
    ok "lost: without its keeper the job ends" wait_until 60 state_in "$job" "FAILED NODE_FAIL CANCELLED"
    ok "lost: its checkpoint stays" test "$(n_generations "$job")" -ge 1
    run scontrol requeue "$job"
    ok "lost: restarted" wait_until 60 restarted "$job" 1
    ok "lost: restored" restored "$job"
    ok "lost: goes on" goes_on "$job"
    touch "$stop"
    ok "lost: ends" wait_state "$job" FAILED
    is "lost: as the program ended" "$(exit_code "$job")" 7:0
}

vacate() {
    local job stop=$HOME_DIR/vacate.stop
    # The steps of srun are not ours here: while one runs there is no checkpoint.
    job=$(begin "$(own_script vacate.sh interval=0 bash -c \
        "srun -n1 --mem=100 sh -c 'echo srun; while [ ! -e $HOME_DIR/srun.stop ]; do sleep 0.2; done'; exec $PROGS/counter $stop")")
    ok "steps: srun runs in it" wait_out "$job" '^srun$'
    like "steps: no checkpoint while it does" "$(checkpoint "$job" 2>&1)" 'srun runs in it: steps are checkpointed only'
    touch "$HOME_DIR/srun.stop"
    ok "steps: it goes on" wait_step "$job" 3
    like "vacate" "$(run scheckpoint vacate "$job" 2>&1)" 'gen-0000-000001'
    ok "vacate: held" wait_held "$job"
    ok "vacate: nothing is left of it" wait_until 20 no_process "$job"
    ok "vacate: released" release "$job"
    ok "vacate: restored" restored "$job"
    touch "$stop"
    ok "vacate: ends well" wait_state "$job" COMPLETED
    ok "vacate: each step once" each_once "$job"
}

# What the program tries in there; outside the same works (control).
view() {
    local job seen
    cp /usr/bin/id "$HOME_DIR/suid-id" && chmod 4755 "$HOME_DIR/suid-id"
    cp /usr/bin/nice "$HOME_DIR/cap-nice" && setcap cap_sys_nice=ep "$HOME_DIR/cap-nice"
    is "view: outside, setuid works" "$(run ./suid-id -u)" 0
    ok "view: outside, so do file capabilities" run ./cap-nice -n -5 true
    put_script view.prog >/dev/null <<'END'
#!/bin/bash
echo "euid $(./suid-id -u)"
./cap-nice -n -5 true 2>/dev/null && echo "gained: a file capability"
mount -t tmpfs none /mnt 2>/dev/null && echo "gained: a mount"
(echo 1000 >/proc/sys/kernel/ns_last_pid) 2>/dev/null && echo "gained: a pid"
(: </proc/1/environ) 2>/dev/null && echo "gained: a look into the keeper"
kill -KILL 1; echo "first $(cat /proc/1/comm)"
awk '/^(CapPrm|CapEff|CapInh|CapAmb)/ { print $2 }' /proc/self/status | sort -u | sed 's/^/set /'
END
    job=$(begin "$(own_script view.sh interval=0 ./view.prog)")
    ok "view: it ends well" wait_state "$job" COMPLETED
    seen=$(out "$job")
    is "view: setuid has no effect" "$(grep ^euid <<<"$seen")" "euid $(id -u ckptest)"
    unlike "view: nothing is gained" "$seen" ^gained
    is "view: the keeper lives" "$(grep ^first <<<"$seen")" "first own-keeper"
    is "view: all sets are empty" "$(grep ^set <<<"$seen")" "set 0000000000000000"
}

# alone VARIABLE=VALUE... [-- OPTIONS] - as if in a batch script; tells what it says and its status
alone() {
    local env=()
    while [ $# -gt 0 ] && [ "$1" != -- ]; do env+=("$1"); shift; done
    shift
    # shellcheck disable=SC2016
    run env SLURM_JOB_ID=99999 SLURMD_NODENAME="${NODE}1" SLURM_CLUSTER_NAME=x "${env[@]}" \
        bash -c 'export SLURM_TASK_PID=$$; exec scheckpoint run "$@"' - "$@" -- echo the program ran 2>&1
    echo "status $?"
}
refused() { # NAME TEXT STATUS OUTPUT
    like "refused: $1" "$4" "$2"
    like "refused: $1: status" "$4" "^status $3\$"
    unlike "refused: $1: nothing was run" "$4" '^the program ran$'
}
refusals() {
    local other=$HOME_DIR/other
    refused "outside a job" 'not a batch script' 3 "$(alone SLURM_JOB_ID= --)"
    refused "as a command of the script" "write 'exec scheckpoint run" 3 \
        "$(run env SLURM_JOB_ID=99999 SLURM_TASK_PID=1 scheckpoint run -- echo the program ran 2>&1; echo "status $?")"
    refused "a job with the plugin's checkpoints" 'by its --checkpoint option already' 3 \
        "$(alone SLURM_SPANK_CHECKPOINT_NONCE=0123456789abcdef --)"
    refused "isolation=" 'isolation= and restore= have no meaning' 2 "$(alone -- --checkpoint=isolation=host)"
    refused "restore=" 'isolation= and restore= have no meaning' 2 "$(alone -- --checkpoint=restore=12)"
    refused "nonsense" 'nonsense' 2 "$(alone -- --checkpoint=nonsense)"
    refused "off" 'off has no meaning for run' 2 "$(alone -- --checkpoint=off)"
    refused "no program" 'a program is missing' 2 "$(run scheckpoint run 2>&1; echo "status $?")"
    like "refused: as root" "$(run_root "$INST/bin/scheckpoint" run -- true 2>&1)" "only a job's owner"
    # The kernel's own limit, in a user namespace in which it is none.
    # shellcheck disable=SC2016
    refused "no user namespaces" 'does not let you make a user, a pid and a mount namespace \(sysctls: user\.max_user_namespaces.*: No space left' 1 \
        "$(run unshare -U --map-current-user --keep-caps sh -c 'echo 0 >/proc/sys/user/max_user_namespaces && exec "$@"' - \
            env SLURM_JOB_ID=99999 SLURMD_NODENAME="${NODE}1" bash -c \
            'export SLURM_TASK_PID=$$; exec scheckpoint run -- echo the program ran' 2>&1; echo "status $?")"
    # Whom each of the programs believes
    cp -r "$LIBEXEC" "$other" && cp "$LIBEXEC/keeper" "$other/own-keeper" && chown -R ckptest: "$other"
    sed "s,^HelperDir=.*,HelperDir=$other," "$CONF" >"$HOME_DIR/other.conf"
    refused "keeper: facts that are not root's" 'keeper: facts: not made by root' 1 "$(alone -- --conf "$HOME_DIR/other.conf")"
    like "refused: own-keeper with the capability, outside of such a namespace" \
        "$(setpriv --reuid ckptest --regid ckptest --clear-groups --inh-caps -all,+checkpoint_restore --ambient-caps -all,+checkpoint_restore \
            "$LIBEXEC/own-keeper" 2>&1)" "in a user namespace of its user's own only"
    like "refused: own-keeper without it" "$(run "$LIBEXEC/own-keeper" 2>&1)" 'CAP_CHECKPOINT_RESTORE is not permitted'
}

together story lost vacate view refusals
ok "no node was drained" node_fine
done_testing
