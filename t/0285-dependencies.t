#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Jobs that belong together: heterogeneous ones come back as a whole, dependents wait for the real end of what was requeued, an
# array that is requeued as a whole comes back task by task.
# isolation: private
# timeout: 180
. "$(dirname "$0")/lib.sh"

# Two components: the script, in the first one, is checkpointed; Slurm requeues both.
het() {
    local said job stop=$HOME_DIR/het.stop now
    job=$(run sbatch --parsable --requeue -o "$HOME_DIR/%j.out" --mem=100 --checkpoint=interval=0 -n1 : --mem=100 -n1 \
        "$(put_script het.sh <<END
#!/bin/bash
for ((n = 1; ; n++)); do echo "step \$n pid \$\$"; [ ! -e $stop ] || break; sleep 0.1; done
srun -n1 --mem=50 --checkpoint echo never
echo "asked for: \$?"
srun -n1 --mem=50 --het-group=1 echo "second component"
echo "size \$SLURM_HET_SIZE"
END
)")
    ok "het: starts" wait_step "$job" 3
    ok "het: a checkpoint" checkpoint "$job"
    ok "het: goes on" goes_on "$job"
    ok "het: requeue" run scontrol requeue "$job"
    ok "het: restored" wait_until 60 het_restored "$job" 1
    ok "het: goes on again" goes_on "$job"
    ok "het: requeued by us" run scheckpoint requeue "$job"
    ok "het: restored again" wait_until 60 het_restored "$job" 2
    ok "het: goes on at last" goes_on "$job"
    now=$(run squeue -h -o '%i %T' | grep "^${job}[+]" | sort | paste -s)
    is "het: both components run" "$now" "$job+0 RUNNING	$job+1 RUNNING"
    touch "$stop"
    ok "het: ends" wait_out "$job" '^size 2'
    like "het: a step that asks itself is refused" "$(out "$job")" '^asked for: 1'
    like "het: with the reason" "$(out "$job")" 'a step of a heterogeneous job cannot be checkpointed'
    like "het: one that does not ask runs" "$(out "$job")" '^second component'
    ok "het: each step once" each_once "$job"
    ok "het: nothing is left" wait_until 30 no_images "$job"
    for said in "$(run salloc --mem=100 --checkpoint -n1 : --mem=100 -n1 true 2>&1; echo "status $?")" \
        "$(run srun --mem=100 --checkpoint -n1 true : --mem=100 -n1 true 2>&1; echo "status $?")"; do
        like "het: refused" "$said" '^status 1$'
        like "het: with the reason" "$said" 'checkpoint: (an allocation|a step) of several components'
    done
    job=$(submit -N2 --checkpoint=interval=0 -- "$(put_script inner.sh <<'END'
#!/bin/bash
srun -l --mem=100 -N1 -n1 echo first : --mem=100 -N1 -n1 echo second
echo "gave $?"
srun --mem=100 --checkpoint -N1 -n1 true : --mem=100 -N1 -n1 true
echo "asked for: $?"
END
)")
    ok "het: a job with such a step ends" wait_state "$job" COMPLETED
    like "het: the step runs" "$(out "$job")" '^gave 0'
    like "het: both components" "$(out "$job")" '^1: second'
    like "het: it is told that there are no checkpoints of it" "$(out "$job")" \
        'the tasks of this step are not checkpointed: a step of several components'
    like "het: one that asks itself is refused" "$(out "$job")" '^asked for: 1'
}

# het_restored JOB TIMES - both components have to start, each with a time before which it does not
het_restored() {
    restored_times "$1" "$2" && return
    sleep 2
    [ "$(state "$1" | sort -u)" != PENDING ] || run_root scontrol update job="$1" StartTime=now >/dev/null 2>&1
    return 1
}

# dependents NAME JOB - jobs that wait for its end in each way
dependents() {
    local how
    for how in afterok afterany afternotok; do
        run sbatch --parsable --mem=20 --dependency="$how:$2" -o "$HOME_DIR/$1.$how" --wrap "echo began" >"$TEST_TMP/$1.$how"
    done
}
none_began() { # NAME
    local how
    for how in afterok afterany afternotok; do
        is "$1: $how has not fired" "$(state "$(cat "$TEST_TMP/$1.$how")")" PENDING
    done
}
has_begun() { grep -qs '^began$' "$1"; }
# requeued NAME COMMAND... - the command requeues the job whose number is its last argument
requeued() {
    local name=$1 job
    shift
    job=$(submit --checkpoint=interval=0 -- "$(job_script "$name.sh" "$PROGS/counter" "$HOME_DIR/$name.stop")")
    ok "$name: starts" wait_step "$job" 3
    dependents "$name" "$job"
    ok "$name: is requeued" run "$@" "$job"
    none_began "$name"
    if [ "$name" = vacated ] && ok "$name: held" wait_until 60 held "$job"; then
        none_began "$name"
        ok "$name: released" release "$job"
    fi
    ok "$name: it starts again" wait_until 60 restarted "$job" 1
    ok "$name: restored" restored "$job"
    none_began "$name"
    touch "$HOME_DIR/$name.stop"
    ok "$name: it ends" wait_state "$job" COMPLETED
    ok "$name: then what comes after its good end begins" wait_until 60 has_begun "$HOME_DIR/$name.afterok"
    ok "$name: and what comes after any" wait_until 60 has_begun "$HOME_DIR/$name.afterany"
    nok "$name: what comes after a bad one does not" has_begun "$HOME_DIR/$name.afternotok"
    run scancel "$(cat "$TEST_TMP/$name.afternotok")"
}
by_slurm() { requeued slurm scontrol requeue; }
by_us() { requeued us scheckpoint requeue; }
vacated() { requeued vacated scheckpoint vacate; }

# The number that Slurm gives a task of the array.
raw() { run squeue -h -r -j "$1" -o '%A %K' | awk -v t="$2" '$2 == t { print $1 }'; }
array() {
    local id t job all=()
    id=$(run sbatch --parsable --requeue --mem=100 --array=1-6 --checkpoint=interval=0 -o "$HOME_DIR/array.%a" \
        "$(put_script array.sh <<END
#!/bin/bash
$PROGS/counter $HOME_DIR/array.stop.\$SLURM_ARRAY_TASK_ID
END
)")
    ok "array: all run" wait_until 60 array_step 3
    for t in 1 2 3 4 5 6; do all+=("$(raw "$id" "$t")"); done
    is "array: each has a directory of its own" "$(for job in "${all[@]}"; do jobdir "$job"; done | sort -u | wc -l)" 6
    ok "array: requeued as a whole" run scontrol requeue "$id"
    for t in 1 2 3 4 5 6; do # by their own numbers the last one would be the whole array
        ok "array: task $t starts again" wait_until 90 restarted "${id}_$t" 1
    done
    ok "array: each is restored" wait_until 60 array_has 'checkpoint: restored gen-0000-000001'
    touch "$HOME_DIR"/array.stop.{1..6}
    for t in 1 2 3 4 5 6; do ok "array: task $t ends well" wait_state "${id}_$t" COMPLETED; done
    for t in 1 2 3 4 5 6; do ok "array: task $t did each step once" once "$HOME_DIR/array.$t"; done
    is "array: each began once" "$(cat "$HOME_DIR"/array.? | grep -c '^start')" 6
}
array_step() { local t; for t in 1 2 3 4 5 6; do grep -q "^step $1 " "$HOME_DIR/array.$t" || return 1; done; }
array_has() { local t; for t in 1 2 3 4 5 6; do grep -q "$1" "$HOME_DIR/array.$t" || return 1; done; }

tb_up --nodes 3
together het by_slurm by_us vacated array
done_testing
