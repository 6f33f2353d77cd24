#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# isolation: private
#
# scheckpoint list and error of other users' jobs: root is shown them as their owner, who alone opens the directory; an
# operator is told what slurmctld knows; nothing in a directory can speak to root's terminal.
. "$(dirname "$0")/seclib.sh"

sec_up
rsc() { run_root scheckpoint "$@" </dev/null 2>&1; echo "status $?"; }
osc() { run_as ckptest2 scheckpoint "$@" 2>&1; echo "status $?"; }
stop=$HOME_DIR/operator.stop
job=$(submit --checkpoint=interval=0 --comment="the owner's" -- "$(job_script operator.sh "$PROGS/counter" "$stop")")
ok "a job starts" wait_step "$job" 2
like "an operator: nothing is told yet" "$(osc list "$job")" "job $job is ckptest's: RUNNING, restarted 0 times"
like "an operator: and how to have it tell" "$(osc error "$job")" "an operator of Slurm may ask it for one: scheckpoint create $job\$"
like "root asks for a checkpoint" "$(rsc create "$job")" 'saved: gen-0000-000001'
like "an operator: list tells the verdict" "$(osc list "$job")" 'last word .*: 20.*: saved: gen-0000-000001$'
like "an operator: and where the rest is" "$(osc list "$job")" 'open to its owner and to root only'
is "an operator: JSON" "$(run_as ckptest2 scheckpoint error --json "$job" | jq -c '[.job, .user, .state, .restarts]')" \
    "[$job,\"ckptest\",\"RUNNING\",0]"
like "an operator: JSON has the verdict" "$(run_as ckptest2 scheckpoint list --json "$job" | jq -r .told)" 'saved: gen-0000-000001$'
like "another user does not become him" "$(osc list --user ckptest)" 'only root can become another user.*'
like "with the status of a refusal" "$(osc error --user ckptest "$job")" '^status 3$'

# how long it has run differs a second later
untimed() { sed -E 's/[0-9]+:[0-9]{2}:[0-9]{2}/T/g'; }
is "root: list is the owner's" "$(rsc list "$job" | untimed)" "$( (run scheckpoint list "$job"; echo "status $?") | untimed)"
like "root: with its generation (control)" "$(rsc list "$job")" "^ *$job +gen-0000-000001 "
is "root: error is the owner's" "$(rsc error "$job")" "$(run scheckpoint error "$job"; echo "status $?")"
is "root: all of a user" "$(rsc list --user ckptest)" "$(run scheckpoint list; echo "status $?")"
like "root has none itself" "$(rsc list)" 'root has no checkpoints: scheckpoint list --user NAME'
like "root: a job that Slurm does not know" "$(rsc error 99999)" 'whose job it is is not known \(--user NAME tells\)'
like "root: a user that is not there" "$(rsc list --user nobody-of-that-name)" 'there is no user'
like "root: not root's" "$(rsc list --user root)" 'root has no checkpoints'
like "root: what is no job" "$(rsc error 12x)" '^status 2$'

# Nobody with root's rights opens it: who does is the owner.
run_root strace -f -e trace=openat,openat2,setresuid -o "$TEST_TMP/strace" scheckpoint list "$job" >/dev/null 2>&1
first=$(grep -nE "setresuid\(($(id -u ckptest), ){2}$(id -u ckptest)\) += 0" "$TEST_TMP/strace" | head -n 1)
ok "root's process became the owner" test -n "$first"
child=$(cut -d : -f 2 <<<"$first" | awk '{ print $1 }')
is "nobody else opened the directory" "$(grep -F "$SCRATCH" "$TEST_TMP/strace" | awk -v c="$child" '$1 != c')" ""
ok "he did, after that (control)" test "$(grep -nF "$SCRATCH" "$TEST_TMP/strace" | head -n 1 | cut -d : -f 1)" -gt "${first%%:*}"

# What the owner writes to have root see it
task=$(taskdir "$job")
forged() { printf '{"time":"2026-01-01T00:00:00Z","epoch":0,"node":"n","event":"checkpoint-failed","generation":"","text":"%s","pause_us":0,"stored_bytes":0,"total_ms":0}\n' "$1"; }
{ forged RED; forged 'x\u001b[31mESC\u0007'; forged $'x\033[31mraw\007'; } >"$TEST_TMP/forged"
run sh -c "cat >>'$task/events'" <"$TEST_TMP/forged"
run mkdir "$task/gen-0000-000077" "$task"/$'gen-0000-000078\033[2J'
run sh -c "printf '\033[2J{' >'$task/gen-0000-000077/manifest.json'"
run scontrol update job="$job" comment=$'x [checkpoint 2026-01-01T00:00:00Z: \033[31msaved: \033[2Jtitle\007gen]'
for verb in list error; do
    unlike "root: $verb: no control character reaches the terminal" "$(rsc $verb "$job" | tr -d '\n' | cat -v)" '\^|M-'
    unlike "an operator: $verb: nor his" "$(osc $verb "$job" | tr -d '\n' | cat -v)" '\^|M-'
done
like "root: the forged event is shown for what it is (control)" "$(rsc error "$job")" 'RED'
like "an operator: the forged comment too (control)" "$(osc error "$job")" 'title'
plain=$(submit --hold -- "$(job_script plain.sh true)")
like "an operator: of a job that does not run" "$(osc list "$plain")" "^it has told nothing of checkpoints\$"
run scancel "$plain"
touch "$stop"
ok "the job ends" wait_state "$job" COMPLETED
ok "no node was drained" node_fine
done_testing
