#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# isolation: private
#
# A job that did not ask for checkpoints is as it would be without the plugin; a broken installation hurts no job
# and no node.
. "$(dirname "$0")/lib.sh"

# --- the same job on a Slurm with the plugin and on one without

# look - what a job sees of itself, without what differs from run to run
look() {
    local job
    job=$(submit -- "$(put_script look.sh <<'END'
#!/bin/bash
env | sort
echo "umask $(umask)"
ulimit -a
grep -E '^(Cap|NoNewPrivs|Seccomp|Sig[^Q]|Shd|Uid|Gid|Groups|Umask|Threads)' /proc/self/status
for fd in /proc/self/fd/*; do echo "fd ${fd##*/} $(readlink "$fd")"; done
for ns in /proc/self/ns/*; do echo "$(readlink "$ns")"; done
echo "parent $(cat /proc/$PPID/comm)"
echo "session leader $([ "$(ps -o sid= -p $$ | tr -d ' ')" = $$ ] && echo yes || echo no)"
cat /proc/self/oom_score_adj /proc/self/timerslack_ns 2>/dev/null
ls "$TESTBED_DIR/run/checkpoint"* "$TESTBED_DIR/scratch/ckptest" 2>&1
END
)")
    wait_state "$job" COMPLETED >/dev/null
    [ "$(find "$SCRATCH" -mindepth 1)" = "" ] || echo "a file in the scratch directory"
    [ "$(find "$TB/run/checkpoint" -mindepth 1)" = "" ] || echo "a file in the state directory"
    out "$job" | sed -e "s|$TB|TB|g" -e "s|$NODE|NODE|g" -e "s|${NODE%n}|CLUSTER|g" \
        -e '/^fd /s/[0-9]\{3,\}/N/g' -e 's/^\(SLURM_WORKING_CLUSTER\|SLURM_TASK_PID\|SLURM_JOB_ID\|SLURM_JOBID\|SLURM_.*_TIME\|.*PORT.*\|SLURM_CONF\)=.*/\1/' \
        -e 's/\(SPID\|_PID\)=[0-9]*/\1/'
}

tb_up --no-plugin
without=$(look)
ok "the Slurm without the plugin goes down" tb_down
tb_up --nodes 1
with=$(look)
like "the job's environment was seen" "$with" '^SLURM_JOB_NAME=look.sh'
is "a job without --checkpoint sees what it would see without the plugin" \
    "$(diff <(echo "$without") <(echo "$with"))" ""
like "its parent is slurmstepd" "$with" '^parent slurmstepd'

# --- broken installations

H=$TB/inst/libexec/slurm-spank-checkpoint
CONF=$TB/etc/checkpoint.conf

# broken NAME REGEX - held jobs, submitted while all was well, are released: one without --checkpoint must not
# notice, one with it runs without checkpoints and says why
broken() {
    local name=$1 plain asked
    plain=$(submit -H -- "$(job_script plain.sh echo works)")
    asked=$held_job
    [ -n "$asked" ] || asked=$(submit -H --checkpoint=interval=0 -- "$(job_script asked.sh sh -c 'echo works; exit 3')")
    held_job=
    run scontrol release "$plain"
    run scontrol release "$asked"
    ok "$name: a job without --checkpoint runs" wait_state "$plain" COMPLETED
    is "$name: and says what it always said" "$(out "$plain")" works
    ok "$name: one with --checkpoint runs" wait_state "$asked" FAILED
    is "$name: with its own exit status" "$(exit_code "$asked")" 3:0
    like "$name: its output is there" "$(out "$asked")" '^works$'
    like "$name: it is told why there are no checkpoints" "$(out "$asked")" "^checkpoint: .*without checkpoints: .*$2"
    is "$name: no process is left" "$(ours keeper; ours shepherd; job_pids "$asked")" ""
    ok "$name: the node is not drained" node_fine
}
# A job that was submitted before the configuration was broken
hold_one() { held_job=$(submit -H --checkpoint=interval=0 -- "$(job_script asked.sh sh -c 'echo works; exit 3')"); }
held_job=

for helper in keeper shepherd dump restore ckpt-init criu-shim.so; do
    mv "$H/$helper" "$H/$helper.away"
    broken "no $helper" "$helper"
    mv "$H/$helper.away" "$H/$helper"
done

setcap -r "$H/keeper"
broken "keeper without its file capability" 'keeper.*setcap'
setcap cap_checkpoint_restore=i "$H/keeper"

chmod 644 "$H/keeper"
broken "keeper not executable" 'keeper'
chmod 755 "$H/keeper"

# In a pid namespace of its own the job cannot outlive its keeper: it fails with the reason then.
mv "$H/keeper" "$H/keeper.away"
printf '#!/bin/sh\nexit 1\n' >"$H/keeper"
chmod 755 "$H/keeper"
setcap cap_checkpoint_restore=i "$H/keeper"
job=$(submit --checkpoint=interval=0 -- "$(job_script asked.sh sh -c 'echo works; exit 3')")
ok "a keeper that ends at once: the job ends" wait_state "$job" FAILED
is "a keeper that ends at once: its exit status" "$(exit_code "$job")" \
    "$([ "$CKPT_ISOLATION" = host ] && echo 3:0 || echo 1:0)"
like "a keeper that ends at once: it is told" "$(out "$job")" '^checkpoint: .*keeper'
ok "a keeper that ends at once: the node is not drained" node_fine
mv "$H/keeper.away" "$H/keeper"

chmod o+w "$H/dump"
broken "a helper that others may write" 'dump'
chmod o-w "$H/dump"

cp "$CONF" "$CONF.good"
hold_one
sed -i 's|^Criu=.*|Criu=/nonexistent/criu|' "$CONF"
broken "no criu" '/nonexistent/criu'
cp "$CONF.good" "$CONF"

hold_one
echo "Bogus=1" >>"$CONF"
like "an error in checkpoint.conf refuses --checkpoint" \
    "$(run sbatch --checkpoint --test-only "$HOME_DIR/asked.sh" 2>&1)" "checkpoint.conf:[0-9]+: unknown key 'Bogus'"
broken "an error in checkpoint.conf" "checkpoint.conf:[0-9]+: unknown key 'Bogus'"
cp "$CONF.good" "$CONF"

hold_one
rm "$CONF"
broken "no checkpoint.conf" 'checkpoint.conf'
cp "$CONF.good" "$CONF"

hold_one
chown ckptest "$CONF"
broken "checkpoint.conf of another user" 'checkpoint.conf'
chown root "$CONF"

hold_one
sed -i "s|^StateDir=.*|StateDir=/proc/no/such|" "$CONF"
broken "no state directory" 'prolog.*/proc/no/such'
cp "$CONF.good" "$CONF"

# --- broken between two starts: nothing that was saved may be lost by starting over

stop=$HOME_DIR/after.stop
job=$(submit --checkpoint=interval=0 -- "$(job_script after.sh "$PROGS/counter" "$stop")")
ok "with all of it mended a job starts" wait_step "$job" 3
ok "and is checkpointed" checkpoint "$job"
for what in keeper criu; do
    case $what in
        keeper) mv "$H/keeper" "$H/keeper.away" ;;
        criu) sed -i 's|^Criu=.*|Criu=/nonexistent/criu|' "$CONF" ;;
    esac
    run scontrol requeue "$job"
    ok "$what is gone at a restart: the job is held" wait_held_by_us "$job"
    like "$what is gone at a restart: with the reason" "$(out "$job")" "checkpoint: .*$what"
    mv "$H/keeper.away" "$H/keeper" 2>/dev/null
    cp "$CONF.good" "$CONF"
    ok "$what is back: the job is released" release "$job"
    ok "$what is back: the job is restored" wait_until 60 restored_times "$job" "$([ $what = keeper ] && echo 1 || echo 2)"
    ok "$what is back: it goes on" goes_on "$job"
done
touch "$stop"
ok "it ends" wait_state "$job" COMPLETED
ok "each step once" each_once "$job"
done_testing
