#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# isolation: private
#
# Hooks: programs of the user's and the site's before and after a dump and after a restore. One that ends with anything but
# 0 before a dump is against it.
# timeout: 200
. "$(dirname "$0")/lib.sh"

# hook NAME - writes a line for each time it is run to HOME_DIR/NAME.JOBID, and is against it while HOME_DIR/NAME.veto
# is there
hook() {
    put_script "$1.hook" <<END
#!/bin/bash
read -r _ uid _ < <(grep Uid: /proc/self/status)
read -r caps < <(grep -E 'Cap(Inh|Prm|Eff|Amb)' /proc/self/status | awk '{ print \$2 }' | sort -u | paste -s -d,)
child=\$(cat /proc/\$CHECKPOINT_ROOT/task/*/children | wc -w)
echo "\$CHECKPOINT_WHEN \${CHECKPOINT_RESULT:--} \${CHECKPOINT_GENERATION:--} \$CHECKPOINT_REASON" \
    "last=\$CHECKPOINT_LAST task=\$CHECKPOINT_TASK uid=\$uid caps=\$caps root=\$(cat /proc/\$CHECKPOINT_ROOT/comm)" \
    "children=\$child" >>$HOME_DIR/$1.\$SLURM_JOB_ID
[ "\$CHECKPOINT_WHEN" != before ] || [ ! -e $HOME_DIR/$1.veto ] || { echo "busy with $1"; exit 1; }
[ -z "\$CHECKPOINT_TEXT" ] || echo "told: \$CHECKPOINT_TEXT" >>$HOME_DIR/$1.\$SLURM_JOB_ID
exit 0
END
}
hooked() { printf 'hook-before=%s,hook-after=%s,hook-restored=%s' "$1" "$1" "$1"; }
counter_job() { job_script "$1.job" "$PROGS/counter" "$HOME_DIR/$1.stop"; }
said() { cat "$HOME_DIR/$1" 2>/dev/null; }
said_has() { said "$1" | grep -qE -- "$2"; }
wait_said() { wait_until 60 said_has "$1" "$2" || { said "$1"; return 1; }; }

agree() {
    local h job
    h=$(hook agree)
    job=$(submit --checkpoint="interval=0,$(hooked "$h")" -- "$(counter_job agree)")
    ok "agree: starts" wait_step "$job" 3
    ok "agree: a checkpoint" checkpoint "$job"
    is "agree: before it and after it, as the user, without capabilities, beside the job" "$(said "agree.$job")" \
        "before - - request last=0 task=batch uid=$(id -u ckptest) caps=0000000000000000 root=ckpt-init children=1
after saved gen-0000-000001 request last=0 task=batch uid=$(id -u ckptest) caps=0000000000000000 root=ckpt-init children=1"
    is "agree: the site's hooks ran too" "$(said "site.$job" | cut -d ' ' -f 1-2)" $'before -\nafter saved'
    ok "agree: it runs on" goes_on "$job"
    ok "agree: requeue" requeue "$job"
    ok "agree: restored" restored "$job"
    ok "agree: the hooks of the restore" wait_said "agree.$job" '^restored - gen-0000-000002 .*root=ckpt-init children=1'
    ok "agree: of the site too" wait_said "site.$job" '^restored'
    like "agree: the last one is told as that" "$(said "agree.$job")" '^before - - requeue last=1'
    like "agree: and its end" "$(said "agree.$job")" '^after saved gen-0000-000002 requeue last=1'
    ok "agree: it goes on" goes_on "$job"
    touch "$HOME_DIR/agree.stop"
    ok "agree: ends" wait_state "$job" COMPLETED
    ok "agree: each step once" each_once "$job"
}

veto() {
    local h job before
    h=$(hook veto)
    job=$(submit --checkpoint="interval=0,$(hooked "$h")" -- "$(counter_job veto)")
    ok "veto: starts" wait_step "$job" 3
    ok "veto: a checkpoint" checkpoint "$job"
    touch "$HOME_DIR/veto.veto"
    before=$(checkpoint "$job" 2>&1; echo "status $?")
    like "veto: it is refused, with what the hook said" "$before" 'vetoed by a hook: .*/veto\.hook: busy with veto'
    like "veto: with the status of a refusal" "$before" '^status 3$'
    like "veto: the hook after it learns of it" "$(said "veto.$job")" '^after vetoed - request last=0'
    like "veto: and why" "$(said "veto.$job")" '^told: vetoed by a hook: .*busy with veto'
    like "veto: the job is told" "$(out "$job")" '^checkpoint: not saved \(request\): vetoed by a hook: .*busy with veto'
    like "veto: scheckpoint error tells it too" "$(run scheckpoint error "$job")" 'vetoed on .*busy with veto'
    is "veto: nothing was saved" "$(n_generations "$job")" 1
    nok "veto: nor is it requeued" run scheckpoint requeue "$job"
    ok "veto: it runs on" goes_on "$job"
    is "veto: it was not restarted" "$(restarts "$job")" 0
    rm "$HOME_DIR/veto.veto"
    ok "veto: without it, a checkpoint" checkpoint "$job"
    touch "$HOME_DIR/veto.veto"
    ok "veto: Slurm requeues it all the same" requeue "$job"
    ok "veto: it goes on from the one before" wait_out "$job" '^checkpoint: restored gen-0000-000002'
    unlike "veto: nothing was saved against it" "$(out "$job")" 'gen-.* saved \(requeue\)'
    ok "veto: it runs" goes_on "$job"
    touch "$HOME_DIR/veto.stop"
    ok "veto: ends" wait_state "$job" COMPLETED
}

# Nothing is saved yet: the job is worth more than the veto.
overruled() {
    local h job
    h=$(hook overruled)
    touch "$HOME_DIR/overruled.veto"
    job=$(submit --checkpoint="interval=0,hook-before=$h" -- "$(counter_job overruled)")
    ok "overruled: starts" wait_step "$job" 3
    nok "overruled: a checkpoint by request is vetoed" checkpoint "$job"
    ok "overruled: requeue" requeue "$job"
    ok "overruled: it was saved" wait_out "$job" 'busy with overruled: but nothing is saved yet'
    ok "overruled: restored" restored "$job"
    ok "overruled: it goes on" goes_on "$job"
    touch "$HOME_DIR/overruled.stop"
    ok "overruled: ends" wait_state "$job" COMPLETED
    ok "overruled: each step once" each_once "$job"
}

# One that never ends is killed with all that it has started, and counts as a veto.
hanging() {
    local h job got
    h=$(put_script hanging.hook <<END
#!/bin/bash
trap '' TERM
sleep 4711 &
[ ! -e $HOME_DIR/hanging.hold ] || sleep 4711
END
)
    touch "$HOME_DIR/hanging.hold"
    job=$(submit --checkpoint="interval=0,hook-before=$h,hook-timeout=0:02" -- "$(counter_job hanging)")
    ok "hanging: starts" wait_step "$job" 3
    got=$(checkpoint "$job" 2>&1; echo "status $?")
    like "hanging: told" "$got" 'hanging\.hook: it did not end within 2 s and was killed'
    like "hanging: refused" "$got" '^status 3$'
    ok "hanging: nothing of it is left" wait_until 60 no_sleeper "$job"
    ok "hanging: the job runs on" goes_on "$job"
    rm "$HOME_DIR/hanging.hold"
    ok "hanging: when it ends, a checkpoint" checkpoint "$job"
    ok "hanging: nothing of that is left" wait_until 60 no_sleeper "$job"
    touch "$HOME_DIR/hanging.hold"
    ok "hanging: a requeue does not wait for it" requeue "$job"
    ok "hanging: restored from the one before" wait_out "$job" '^checkpoint: restored gen-0000-000001'
    touch "$HOME_DIR/hanging.stop"
    ok "hanging: ends" wait_state "$job" COMPLETED
}
no_sleeper() {
    local pid
    for pid in $(job_pids "$1"); do
        ! tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null | grep -q 'sleep 4711' || return 1
    done
}

# One that is not there; a hook that fails after the dump; and what is no hook.
missing() {
    local job got
    put_script missing.after >/dev/null <<<'#!/bin/sh
echo "after all, no"; exit 1'
    job=$(submit --checkpoint="interval=0,hook-before=$HOME_DIR/missing.hook,hook-after=$HOME_DIR/missing.after" -- \
        "$(counter_job missing)")
    ok "missing: starts" wait_step "$job" 3
    got=$(checkpoint "$job" 2>&1)
    like "missing: the checkpoint is refused" "$got" 'missing\.hook: cannot be started: No such file'
    put_script missing.hook >/dev/null <<<'#!/bin/sh
exit 0'
    ok "missing: there, it is made" checkpoint "$job"
    ok "missing: what failed behind it is told" wait_out "$job" "^checkpoint: the hook 'after' failed: .*after all, no"
    run scancel "$job"
    for got in hook-before=hook hook-after=/a/../b hook-timeout=0 hook-timeout=2:00:00 hook-before= hook-never=/bin/true; do
        nok "missing: --checkpoint=$got is refused" submit --checkpoint="$got" -- "$HOME_DIR/missing.job"
    done
}

# Each task of a step has its own; of the script that runs srun nothing is dumped.
steps() {
    local h job
    h=$(hook steps)
    job=$(submit -n2 --checkpoint="interval=0,$(hooked "$h")" -- "$(put_script steps.sh <<<"#!/bin/bash
srun -l -n2 --cpu-bind=none --mem=100 $PROGS/counter $HOME_DIR/steps.stop 7
echo \"srun ended with \$?\"")")
    ok "steps: starts" wait_out "$job" '^1: step 3 '
    ok "steps: a checkpoint" checkpoint "$job"
    is "steps: one before for each task" "$(said "steps.$job" | grep -c '^before - - request last=0 task=step-.*root=ckpt-init children=1')" 2
    is "steps: one after" "$(said "steps.$job" | grep -c '^after saved gen-0000-000001 request .*task=step-.*children=1')" 2
    is "steps: none of the script" "$(said "steps.$job" | grep -c task=batch)" 0
    touch "$HOME_DIR/steps.veto"
    got=$(checkpoint "$job" 2>&1; echo "status $?")
    is "steps: a veto is told for each task" "$(grep -c "^.*job $job\.0 task [01]: vetoed by a hook: .*busy with steps" <<<"$got")" 2
    rm "$HOME_DIR/steps.veto"
    ok "steps: requeue" requeue "$job"
    ok "steps: restored" wait_until 60 restored_times "$job" 2
    ok "steps: the hooks of the restores" wait_until 60 both_restored "$job"
    touch "$HOME_DIR/steps.stop"
    ok "steps: ends" wait_out "$job" '^srun ended with 7'
}
both_restored() { [ "$(said "steps.$1" | grep -c '^restored - gen-.* task=step-')" = 2 ]; }

cat >"$TEST_TMP/conf" <<'END'
HookBefore=@DIR@/site.hook
HookAfter=@DIR@/site.hook
HookRestored=@DIR@/site.hook
HookTimeout=1
END
tb_up --nodes 2 --conf "$TEST_TMP/conf"
install -m 755 "$(hook site)" "$TB/site.hook"
together agree veto overruled hanging missing steps
done_testing
