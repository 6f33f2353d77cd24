#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The package is upgraded, and then removed, under running jobs: they are checkpointed and restored across the upgrade,
# and run to their end, with the reason why nothing is saved any more, after the removal.
# isolation: private
#
. "$(dirname "$0")/lib.sh"

# upgrade - what a package manager does to every file: a new one beside it, with other bytes in it (no debugging symbols),
# renamed over it; the file capability comes last, and is away until then.
upgrade() {
    local file
    find "$TB/inst" -type f | while read -r file; do
        cp -p "$file" "$file.dpkg-new" || return
        ! head -c 4 "$file" | grep -q ELF || strip --strip-unneeded "$file.dpkg-new" || return
        mv "$file.dpkg-new" "$file" || return
    done
    setcap cap_checkpoint_restore=i "$TB/inst/libexec/slurm-spank-checkpoint/keeper"
}
# What of the job runs a file that is there no more
of_old_files() {
    local pid n=0
    for pid in $(job_pids "$1"); do
        [[ $(readlink "/proc/$pid/exe") != "$TB/inst/"*' (deleted)' ]] || n=$((n + 1))
    done
    echo "$n"
}

tb_up
inst=$TB/inst/libexec/slurm-spank-checkpoint
cp "$TB/inst/bin/scheckpoint" "$TEST_TMP/scheckpoint"
job=$(submit --checkpoint=interval=0 -- "$(job_script job.sh "$PROGS/counter" "$HOME_DIR/stop")")
other=$(submit --checkpoint=interval=0 -- "$(job_script other.sh "$PROGS/counter" "$HOME_DIR/stop-other")")
ok "two jobs run" wait_step "$job" 3
ok "the other one, too" wait_step "$other" 3
ok "one is checkpointed by the old files" checkpoint "$other"
before=$(tree "$job") before_other=$(tree "$other")
old=$(stat -c %i "$inst/keeper") bytes=$(cksum <"$inst/keeper")

ok "the upgrade" upgrade
isnt "the keeper is another file" "$(stat -c %i "$inst/keeper")" "$old"
isnt "with other bytes" "$(cksum <"$inst/keeper")" "$bytes"
like "the jobs run on, of the old files" "$(of_old_files "$job")" '^[1-9]'
ok "the job runs on" goes_on "$job"
like "it is checkpointed" "$(checkpoint "$job" 2>&1; echo "status $?")" '^status 0'
ok "and runs on" goes_on "$job"
for it in "$job" "$other"; do
    ok "job $it is requeued" requeue "$it"
    ok "job $it is restored" restored "$it"
    ok "job $it goes on" goes_on "$it"
done
is "with the same processes" "$(tree "$job")" "$before"
is "the other one, too" "$(tree "$other")" "$before_other"
like "it can be checkpointed again" "$(checkpoint "$job" 2>&1; echo "status $?")" '^status 0'
ok "and runs on after that" goes_on "$job"
touch "$HOME_DIR/stop-other"
ok "the other one ends well" wait_state "$other" COMPLETED
ok "it missed and repeated nothing" each_once "$other"

last=$(newest "$job")
rm -rf "$TB/inst"
ok "after the removal the job runs on" goes_on "$job"
words=$(run "$TEST_TMP/scheckpoint" create "$job" 2>&1; echo "status $?")
unlike "a checkpoint is refused or fails" "$words" '^status 0$'
like "and says why" "$words" 'dump cannot be started: was the package removed'
is "the last one is still there" "$(newest "$job")" "$last"
ok "and the job runs on" goes_on "$job"
touch "$HOME_DIR/stop"
ok "to its end" wait_state "$job" COMPLETED
ok "it missed and repeated nothing, either" each_once "$job"
plain=$(submit -- "$(put_script plain.sh <<<$'#!/bin/bash\necho plain')" 2>"$TEST_TMP/sbatch")
like "sbatch tells that the plugin is away, and submits" "$(cat "$TEST_TMP/sbatch")" 'checkpoint\.so: .*cannot open'
ok "a job that does not ask runs without the plugin" wait_state "$plain" COMPLETED
is "and says nothing of it" "$(out "$plain")" plain
done_testing
