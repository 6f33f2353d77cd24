#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# timeout: 300
#
# criu gets SIGKILL while it has a process of a real job make calls: what the job was is lost, and nothing of it runs on;
# the job is requeued and goes on from its last checkpoint, or begins anew where there is none yet; for the task of a step, too.  (t/0571 has each
# moment of it.)
. "$(dirname "$0")/lib.sh"

# doom N - criu is killed at its Nth ptrace() call from now on; 0: never
doom() { echo "$1 $CRIU $HOME_DIR/fired" >"$TB/criu.conf"; }

# lose JOB [TARGET] - checkpoints (of TARGET) until one costs the job its life
lose() {
    local n
    for n in 40 46 52 58 64 70 36 33; do
        doom "$n"
        checkpoint "${2:-$1}" >/dev/null 2>&1
        doom 0
        ! out_has "$1" 'did not survive it' || { echo "at call $n"; return 0; }
    done
    return 1
}
# comes_back JOB - it was requeued by itself, and runs again
comes_back() { wait_until 90 restarted "$1" 1 || { tell "$1"; return 1; }; }

# One after the other: there is one criu.
saved() {
    local job
    job=$(submit --checkpoint=interval=0 -- "$(job_script saved.job "$PROGS/snapped" "$HOME_DIR/saved.stop" plain)")
    ok "saved: starts" wait_step "$job" 3
    ok "saved: a good checkpoint" checkpoint "$job"
    ok "saved: a checkpoint costs it its life" lose "$job"
    like "saved: it is told so" "$(out "$job")" \
        '^checkpoint: criu was killed while it held a process of the job, which did not survive it.*requeued and goes on from gen-0000-000001$'
    ok "saved: it starts again by itself" comes_back "$job"
    ok "saved: restored" restored "$job"
    ok "saved: it goes on" goes_on "$job"
    ok "saved: the next checkpoint is made" checkpoint "$job"
    touch "$HOME_DIR/saved.stop"
    ok "saved: ends well" wait_state "$job" COMPLETED
    like "saved: with the right result" "$(out "$job" | grep -aE '^(result|broken)')" '^result ok$'
    ok "saved: no step is missing or repeated" each_once "$job"
}
fresh() {
    local job
    job=$(submit --checkpoint=interval=0 -- "$(job_script fresh.job "$PROGS/snapped" "$HOME_DIR/fresh.stop" plain)")
    ok "fresh: starts" wait_step "$job" 3
    ok "fresh: a checkpoint costs it its life" lose "$job"
    ok "fresh: it starts again by itself" comes_back "$job"
    ok "fresh: from its beginning" wait_until 60 started_twice "$job"
    touch "$HOME_DIR/fresh.stop"
    ok "fresh: ends well" wait_state "$job" COMPLETED
    like "fresh: with the right result" "$(out "$job" | grep -aE '^result')" '^result ok$'
}
# The task of a step: the job is requeued for it, and its script, which waits for srun, goes on, too.
step() {
    local job
    job=$(submit --checkpoint=interval=0 -- "$(put_script step.sh <<END
#!/bin/bash
srun -n1 --mem=200 $PROGS/snapped $HOME_DIR/step.stop plain
echo "srun gave \$?"
END
)")
    ok "step: starts" wait_step "$job" 3
    ok "step: a good checkpoint" checkpoint "$job"
    ok "step: a checkpoint costs its task its life" lose "$job" "$job.0"
    like "step: it is told so" "$(out "$job")" \
        'checkpoint: criu was killed while it held a process of the job, which did not survive it.*requeued and goes on from gen-0000-000001$'
    ok "step: the job starts again by itself" comes_back "$job"
    ok "step: the task is restored" restored "$job"
    ok "step: it goes on" goes_on "$job"
    unlike "step: srun has not seen it end" "$(out "$job")" '^srun gave'
    ok "step: the next checkpoint is made" checkpoint "$job"
    touch "$HOME_DIR/step.stop"
    ok "step: srun ends well" wait_out "$job" '^srun gave 0'
    ok "step: the job ends well" wait_state "$job" COMPLETED
    like "step: with the right result" "$(out "$job" | grep -aE '^(result|broken)')" '^result ok$'
    # What a task wrote after its checkpoint went through srun: it comes again.
    ok "step: what it wrote since its checkpoint comes again, and nothing is missing" jumps "$job"
    is "step: the task was begun once" "$(out "$job" | grep -c '^start')" 1
}
started_twice() { [ "$(out "$1" | grep -c '^start')" = 2 ]; }

tb_up --nodes 2
CRIU=$(sed -n 's/^Criu=//p' "$TB/etc/checkpoint.conf")
install -m 755 "$CKPT_BUILDDIR/t/attack/doomed" "$TB/criu"
doom 0
sed -i "s|^Criu=.*|Criu=$TB/criu|" "$TB/etc/checkpoint.conf"
saved
fresh
step
done_testing
