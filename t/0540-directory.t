#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# isolation: private
#
# Directories and names that a user prepares: another job's generations, links, strangers' directories, one that root
# cannot enter.  Deny matrix rows 28, 29 and 34.
. "$(dirname "$0")/seclib.sh"

# forged_submit NONCE [sbatch options] -- SCRIPT: with the user's own client, which sets the job's key as it likes
forged_submit() {
    local nonce=$1 evil=$HOME_DIR/client
    shift
    if [ ! -d "$evil" ]; then
        install -d -o ckptest -g ckptest "$evil"
        sed "s|^PlugStackConfig=.*|PlugStackConfig=$evil/plugstack.conf|" "$TB/etc/slurm.conf" >"$evil/slurm.conf"
        cp "$TB/etc/cgroup.conf" "$evil/"
        echo "optional $ATTACKS/client.so" >"$evil/plugstack.conf"
    fi
    run env SLURM_CONF="$evil/slurm.conf" FORGE_NONCE="$nonce" "${forged_env[@]}" sbatch --parsable --requeue --mem=400 -o "$HOME_DIR/%j.out" "$@"
}

forged_env=()

# Row 28: what a first start may restore is nothing, whatever the environment says and the directory holds
row_28() {
    local first job stop=$HOME_DIR/row28.stop nonce dir planted
    local forged_env=(SLURM_RESTART_COUNT=3 SLURM_JOB_RESTART_COUNT=3 SPANK_SLURM_RESTART_COUNT=3)
    first=$(submit --checkpoint=interval=0 -- "$(job_script row28a.sh "$PROGS/counter" "$stop")")
    ok "row 28: a job starts" wait_step "$first" 30
    like "row 28: its checkpoint is made" "$(checkpoint "$first" 2>&1)" gen-0000-000001
    dir=$(jobdir "$first")
    nonce=${dir##*.}
    job=$(forged_submit "$nonce" --hold --checkpoint=interval=0 "$(job_script row28b.sh "$PROGS/counter" "$stop")")
    planted=${dir%".$first.$nonce"}.$job.$nonce
    run cp -a "$dir" "$planted"
    run mv "$planted/batch/gen-0000-000001" "$planted/batch/gen-0003-000001"
    run cp -a "$dir/batch/gen-0000-000001" "$planted/batch/gen-0000-000001"
    run scontrol release "$job"
    ok "row 28: one with its key, a forged restart count and its generations starts" wait_step "$job" 3
    is "row 28: from the beginning" "$(out "$job" | grep -m 1 '^step')" \
        "$(out "$job" | grep -m 1 '^step' | sed 's/^step [0-9]*/step 1/')"
    unlike "row 28: nothing was restored" "$(out "$job")" 'restored'
    like "row 28: a generation of a later epoch stops its own: the epoch is root's" "$(checkpoint "$job" 2>&1)" \
        'a newer start of this job has written checkpoints'
    run rm -r "$planted/batch/gen-0003-000001"
    ok "row 28: it is requeued and held" run scontrol requeuehold "$job"
    wait_until 60 state_is "$job" PENDING
    wait_until 30 no_process "$job"
    is "row 28: its own last checkpoint is of epoch 0" "$(newest "$job")" gen-0000-000002
    run rm -r "$planted/batch/gen-0000-000002"
    run scontrol release "$job"
    ok "row 28: then the other job's generation is refused" wait_until 60 starts_and_says "$job" \
        'cannot restore gen-0000-000001: .*of another job'
    unlike "row 28: and still nothing was restored" "$(out "$job")" 'checkpoint: restored'
    run scancel "$job"
    touch "$stop"
    ok "row 28: the first job ends" wait_state "$first" COMPLETED
    # By accident: submitted from a job that has been requeued
    job=$(run env SLURM_RESTART_COUNT=7 sbatch --parsable --requeue --checkpoint -o "$HOME_DIR/%j.out" \
        --wrap 'echo "count=$SLURM_RESTART_COUNT"')
    ok "row 28: a job submitted from a requeued one ends" wait_state "$job" COMPLETED
    like "row 28: it does not see the other's restart count" "$(out "$job")" '^count=$'
}
# It may be held again before anybody has seen it run.
starts_and_says() {
    start_now "$1"
    out_has "$1" "$2"
}
no_process() { [ -z "$(job_pids "$1")" ]; }

# A nonce is put into a path by root's facts and the user's shepherd
nonces() {
    local job nonce
    for nonce in '../../../../tmp/x' '0123456789abcdeg' '0123456789ABCDEF' 0 '' $'0123456789abcde\n'; do
        job=$(forged_submit "$nonce" --checkpoint --checkpoint-dir=/nonexistent/../etc "$(put_script nonce.sh <<'END'
#!/bin/bash
grep CapInh /proc/$$/status; cat /proc/$PPID/comm
END
)")
        ok "nonce $(printf %q "$nonce"): the job ends" wait_until 40 state_in "$job" "COMPLETED FAILED"
        like "nonce $(printf %q "$nonce"): it ran without checkpoints" "$(out "$job" | paste -s)" \
            'CapInh:.0{16}.slurmstepd'
    done
    ok "nonces: the node is fine" node_fine
}

# Row 29: directories that are not the user's alone
refused() { # WHAT DIRECTORY REASON
    local job
    job=$(submit --checkpoint=interval=0 --checkpoint-dir="$2" -- "$(put_script row29.sh <<'END'
#!/bin/bash
echo ran
END
)")
    ok "row 29: $1: the job ends well" wait_state "$job" COMPLETED
    like "row 29: $1: it says why nothing is checkpointed" "$(out "$job")" "checkpoint: nothing will be checkpointed: .*($3)"
    like "row 29: $1: it ran" "$(out "$job")" '^ran'
}
row_29() {
    local base=$HOME_DIR/row29 foreign=$TB/foreign
    run mkdir -p "$base"/{real,group,world}
    install -d -o ckptest2 -g ckptest2 -m 1777 "$foreign"
    run ln -s real "$base/link"
    run ln -s "$foreign" "$base/elsewhere"
    run chmod g+w "$base/group"
    run chmod o+w "$base/world"
    refused "a symbolic link" "$base/link" 'symbolic link|Not a directory|Too many levels'
    refused "a link to a stranger's" "$base/elsewhere" 'symbolic link|Not a directory|Too many levels'
    refused "a stranger's" "$foreign" "belongs to uid"
    refused "root's with the sticky bit" /tmp "belongs to uid"
    refused "writable by a group" "$base/group" 'writable by others'
    refused "writable by all" "$base/world" 'writable by others'
    refused "a file" /etc/passwd 'Not a directory'
    refused "a magic link" /proc/self/cwd 'symbolic link|Too many levels|belongs|Not a directory'
    is "row 29: nothing was made in any of them" \
        "$(find "$base" "$foreign" /tmp -maxdepth 1 -name 'ckpt*.*.*' -newer "$base/link" -user ckptest)" ""
}

# Row 29: changed after it was checked
swapped() {
    local job stop=$HOME_DIR/swap.stop base=$HOME_DIR/swap outside=$HOME_DIR/outside dir before
    run mkdir -p "$base" "$outside/batch/request" "$outside/batch/answer" "$outside/batch/log"
    run mkdir "$outside/batch/gen-0000-000099"
    run touch "$outside/batch/gen-0000-000099/manifest.json" "$outside/batch/precious"
    before=$(find "$outside" -printf '%p %T@ %s\n' | sort)
    job=$(submit --checkpoint=interval=0,keep=1 --checkpoint-dir="$base" -- "$(job_script swap.sh "$PROGS/counter" "$stop")")
    ok "row 29: swap: a job starts" wait_step "$job" 3
    like "row 29: swap: its checkpoint is made" "$(checkpoint "$job" -d "$base" 2>&1)" gen-0000-000001
    dir=$(jobdir "$job" "$base")
    run mv "$dir" "$base/kept"
    run ln -s "$outside" "$dir"
    run scancel --signal=URG --batch "$job"
    ok "row 29: swap: the job's directory is a link now: refused" wait_out "$job" 'not saved|cannot be read' 30
    run rm "$dir"
    run mv "$base/kept" "$dir"
    run mv "$dir/batch" "$dir/kept"
    run ln -s "$outside/batch" "$dir/batch"
    run scancel --signal=URG --batch "$job"
    ok "row 29: swap: the task's directory is one: refused" wait_until 30 refusals "$job" 2
    run rm "$dir/batch"
    run mv "$dir/kept" "$dir/batch"
    ok "row 29: swap: the job runs on" goes_on "$job"
    # To and fro, all the while checkpoints are made
    run "$(put_script swapper.sh <<END
#!/bin/bash
until [ -e "$stop" ]; do
    mv -T "$dir/batch" "$dir/kept" && ln -s "$outside/batch" "$dir/batch" && rm "$dir/batch"
    [ -e "$dir/kept" ] && mv -T "$dir/kept" "$dir/batch"
done 2>/dev/null
END
)" &
    for _ in 1 2 3 4 5; do checkpoint --timeout 10 "$job" -d "$base" >/dev/null 2>&1; done
    ok "row 29: swap: the job goes on under it" goes_on "$job"
    touch "$stop"
    wait $!
    [ ! -e "$dir/kept" ] || run mv -T "$dir/kept" "$dir/batch"
    ok "row 29: swap: the job ends" wait_until 60 state_in "$job" "COMPLETED FAILED"
    is "row 29: swap: nothing outside was touched" "$(find "$outside" -printf '%p %T@ %s\n' | sort)" "$before"
}
refusals() { [ "$(out "$1" | grep -cE 'checkpoint: (not saved|a request cannot be read)')" -ge "$2" ]; }

# Row 34: where the site's directory is a link of the user's, nobody who comes by opens anything behind it: not the
# job, not prolog or epilog, not root's scheckpoint. (t/0830-root-squash.t: root is not needed at all.)
row_34() {
    local victim=$TB/victim home=$TB/scratch/ckptest2 halt=$TEST_TMP/watch.halt report=$TEST_TMP/watch name job
    local before command
    name=$(run_root scontrol show config | sed -n 's/^ClusterName *= *//p').4711.0123456789abcdef
    # As if it were one of his own: only the link keeps everybody from it.
    install -d -o ckptest2 -g ckptest2 -m 700 "$victim/$name/batch"/{log,request,answer,gen-0000-000001}
    touch "$victim/$name/batch/gen-0000-000001"/{manifest.json,seal,index,pages.zst,images.tar.zst}
    chown -R ckptest2: "$victim"
    chmod 700 "$victim"
    rm -rf "$home"
    ln -s "$victim" "$home"
    chown -h ckptest2: "$home"
    before=$(find "$victim" -printf '%p %T@ %C@ %U %m %s\n' | sort)
    "$TEST_TOP/t/attack/watch.py" "$halt" "$report" "$victim" &
    wait_until 10 grep -q started "$report"
    job=$(run_as ckptest2 sbatch --parsable --requeue --checkpoint=interval=0 -o "$TB/home/ckptest2/%j.out" --wrap \
        'echo ran; sleep 2')
    wait_until 30 grep -q ran "$TB/home/ckptest2/$job.out"
    run_as ckptest2 scheckpoint create --timeout 5 "$job" >/dev/null 2>&1
    ok "row 34: a job whose checkpoints would lie behind a link ends well" wait_state "$job" COMPLETED
    like "row 34: it says that nothing is checkpointed" "$(cat "$TB/home/ckptest2/$job.out")" \
        'nothing will be checkpointed: .*(symbolic link|Too many levels|Not a directory)'
    for command in list error verify show; do
        run_root scheckpoint $command -d "$home" 4711 </dev/null >/dev/null 2>&1
        run_root scheckpoint $command -d "$home/" 4711 </dev/null >/dev/null 2>&1
    done
    run_root scheckpoint prune -d "$home" --older-than 0 </dev/null >/dev/null 2>&1
    run_root scheckpoint prune -d "$home/" --user ckptest2 --older-than 0 </dev/null >/dev/null 2>&1
    run_root scheckpoint prune --user ckptest2 --older-than 0 </dev/null >/dev/null 2>&1
    touch "$halt"
    wait_until 10 grep -q ended "$report"
    is "row 34: nobody has opened or touched anything behind it" "$(cat "$report")" $'started\nended'
    is "row 34: it is as it was" "$(find "$victim" -printf '%p %T@ %C@ %U %m %s\n' | sort)" "$before"
    rm -f "$halt" "$report"
    "$TEST_TOP/t/attack/watch.py" "$halt" "$report" "$victim" &
    wait_until 10 grep -q started "$report"
    ls "$victim/$name" >/dev/null
    touch "$halt"
    wait_until 10 grep -q ended "$report"
    like "row 34: one look would have been seen (control)" "$(cat "$report")" '^0x[0-9a-f]+ '
}

sec_up
together ${SEC_ONLY:-row_28 nonces row_29 swapped row_34}
ok "no node was drained" node_fine
done_testing
