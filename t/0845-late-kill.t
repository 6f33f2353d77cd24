#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# isolation: private
# timeout: 120
#
# A dump that is killed in the very moment in which its generation became complete: the job is told that it is saved,
# and the last checkpoint before a requeue counts.
. "$(dirname "$0")/faultlib.sh"

late() {
    local job said task
    faulty late
    install -d -o ckptest -g ckptest -m 700 "$FAULTY_SRC/ck"
    job=$(submit --checkpoint=interval=0 --checkpoint-dir="$FAULTY_MNT/ck" -- \
        "$(job_script late.sh "$PROGS/counter" "$HOME_DIR/late.stop")")
    ok "a job starts" wait_step "$job" 3
    task=$(taskdir "$job" "$FAULTY_SRC/ck")
    plan "rename 1 kill gen-0000-000001.partial"
    said=$(checkpoint -d "$FAULTY_MNT/ck" "$job" 2>&1; echo "status $?")
    is "it came to that (control)" "$(planned)" 1
    plan off
    like "the command says that it is saved" "$said" 'gen-0000-000001'
    like "and succeeds" "$said" '^status 0$'
    is "it is" "$(complete "$task")" gen-0000-000001
    ok "the job runs on" goes_on "$job"
    like "the job is told why it looked otherwise" "$(out "$job")" \
        '^checkpoint: dump was killed by signal 9, but only after it had saved gen-0000-000001'
    unlike "nobody says that it is not" "$(out "$job")" 'not saved'
    like "list has it" "$(run scheckpoint list -d "$FAULTY_MNT/ck" "$job" 2>&1)" 'gen-0000-000001 .* request '
    like "there was no failure" "$(run scheckpoint error -d "$FAULTY_MNT/ck" "$job" 2>&1)" 'no error'
    # The last one before a requeue
    plan "rename 1 kill gen-0000-000002.partial"
    ok "requeue" requeue "$job"
    is "it came to that again (control)" "$(planned)" 1
    plan off
    ok "restored" restored "$job"
    like "from the one that was just saved" "$(out "$job")" 'restored.*gen-0000-000002'
    ok "it goes on" goes_on "$job"
    touch "$HOME_DIR/late.stop"
    ok "it ends well" wait_state "$job" COMPLETED
    ok "no step is missing or repeated" each_once "$job"
}

need_fuse
fault_up
late
done_testing
