#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# isolation: private
#
# What the epilog starts as the user, to remove what has expired, runs outside of his jobs: he must not get hold of it,
# or he would have a process on the node that no job is charged for and no limit holds.
. "$(dirname "$0")/seclib.sh"

sec_up
stamp=$TB/run/checkpoint/expired.$(id -u ckptest)
report=$HOME_DIR/seize halt=$HOME_DIR/seize.halt

# The same program started by the user himself is his to trace: so the attack works.
run "$ATTACKS/seize" 9.25 "$HOME_DIR/control.halt" "$report.control" </dev/null >/dev/null 2>&1 &
ok "the attacker waits (control)" wait_until 20 grep -q started "$report.control"
run bash -c 'sleep 9.2$1; true' - 5 & # nobody else has that argument on the way there
ok "a process of his own is met (control)" wait_until 20 grep -q '^met' "$report.control"
for how in ptrace process_vm_readv pidfd_getfd /proc/.*/mem /proc/.*/environ; do
    like "and seized by $how (control)" "$(cat "$report.control")" "^BREACH: $how\$"
done
touch "$HOME_DIR/control.halt"
wait

job=$(submit --checkpoint=interval=0 -- "$(job_script failing.sh "$PROGS/counter" "$HOME_DIR/failing.stop" 3)")
ok "a job starts" wait_step "$job" 2
ok "a checkpoint" checkpoint "$job"
touch "$HOME_DIR/failing.stop"
ok "the job fails" wait_state "$job" FAILED
not_completing() { ! show "$1" | grep -q COMPLETING; }
ok "its epilog has run" wait_until 60 test -s "$stamp"
run find "$(jobdir "$job")" -exec touch -h -d "30 days ago" {} +

run "$ATTACKS/seize" --expired "$halt" "$report" </dev/null >/dev/null 2>&1 &
ok "the attacker waits" wait_until 20 grep -q started "$report"
# Once a day; each of these days gives the attacker another one.
next_day() {
    local other
    touch -d '25 hours ago' "$stamp"
    other=$(submit --checkpoint=interval=0 -- "$(job_script other.sh true)")
    wait_state "$other" COMPLETED && wait_until 60 not_completing "$other" && wait_until 2 grep -q ^met "$report"
}
ok "what the epilog started is met (control)" wait_until 120 next_day
is "nothing in it could be read or changed" "$(grep BREACH "$report")" ""
ok "it has done its work all the same" wait_until 60 no_images "$job"
touch "$halt"
wait
ok "no node was drained" node_fine
done_testing
