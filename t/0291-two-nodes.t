#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# One step on two nodes: each task is saved on its node, at its time, and restored on the node that it gets then; one of
# the nodes is lost.
# isolation: private
# timeout: 240
. "$(dirname "$0")/lib.sh"

step_script() { # NAME - a step of two tasks on two nodes
    put_script "$1.sh" <<END
#!/bin/bash
srun -l -N2 -n2 --cpu-bind=none --mem=100 $PROGS/counter $HOME_DIR/$1.stop 4
echo "gave \$?"
END
}
task_dir() { echo "$(jobdir "$1")"/step-*."$2"; }
# node_of JOB TASK - where the task has run last, by its own history
node_of() { sed -n 's/.*"node": *"\([^"]*\)".*/\1/p' "$(task_dir "$1" "$2")/events" | tail -n 1; }
both_at() { out "$1" | grep -q "^0: step $2 " && out "$1" | grep -q "^1: step $2 "; }
task_number() { find "$(task_dir "$1" "$2")" -maxdepth 1 -name 'gen-*' ! -name '*.partial' | sed 's/.*-0*//' | sort -n | tail -n 1; }
both_saved() { [ "$(task_number "$1" 0)" -ge "$2" ] && [ "$(task_number "$1" 1)" -ge "$2" ]; }
# in_order JOB TASK [again] - its steps; with `again` some may come twice, none is left out
in_order() {
    out "$1" | awk -v p="$2:" -v again="${3:-}" '
        $1 == p && $2 == "step" {
            if ($3 > n + 1 || ($3 <= n && !again)) { print "step " $3 " after " n; bad = 1 }
            n = $3
        }
        END { if (!n) print "no step"; exit bad || !n }'
}
use() { # NODE... - new jobs run on these only
    local n
    for n in 1 2 3; do
        case " $* " in
            *" $n "*) run_root scontrol update nodename="$NODE$n" state=resume 2>/dev/null ;;
            *) run_root scontrol update nodename="$NODE$n" state=drain reason=test ;;
        esac
    done
    true
}
last_step() { out "$1" | awk '$1 == "0:" && $2 == "step" { n = $3 } END { print n + 0 }'; }
step_reached() { [ "$(last_step "$1")" -ge "$2" ]; }

# requeued JOB TIMES - and both tasks are restored
requeued() {
    ok "requeue $2" requeue "$1"
    ok "requeue $2: both tasks are restored" wait_until 60 restored_times "$1" $((2 * $2))
    ok "requeue $2: both go on" wait_until 60 both_at "$1" $(($(last_step "$1") + 3))
}

swapped() {
    local job said before
    use 1 2
    job=$(submit -N2 -n2 --checkpoint=interval=0 -- "$(step_script swapped)")
    ok "starts on two nodes" wait_until 60 both_at "$job" 3
    isnt "each task on its own" "$(node_of "$job" 0)" "$(node_of "$job" 1)"
    said=$(checkpoint "$job" 2>&1; echo "status $?")
    like "create reaches the first task" "$said" "^job $job.0 task 0: gen-0000-000001: paused"
    like "and the second, on the other node" "$said" "^job $job.0 task 1: gen-0000-000001: paused"
    like "it succeeds" "$said" '^status 0$'
    said=$(checkpoint "$job.0" 2>&1; echo "status $?")
    like "create of the step too" "$said" "^job $job.0 task 1: gen-0000-000002: paused"
    before="$(node_of "$job" 0) $(node_of "$job" 1)"
    use 2 3
    requeued "$job" 1
    isnt "both are on other nodes" "$(node_of "$job" 0) $(node_of "$job" 1)" "$before"
    is "the first is where the second was" "$(node_of "$job" 0)" "${before#* }"
    ok "the first wrote each line once" in_order "$job" 0
    ok "the second too" in_order "$job" 1
    lost "$job"
}

# The node of the second task loses power: Slurm ends the whole step, both go on from their newest checkpoints.
lost() {
    local job=$1 said n
    said=$(checkpoint "$job" 2>&1)
    like "one more checkpoint" "$said" "^job $job.0 task 1: gen-0001-"
    n=$(node_of "$job" 1)
    use 1 2 3
    "$TESTBED" kill --dir "$TB" "node:${n#"$NODE"}" >/dev/null 2>&1
    run_root scontrol update nodename="$n" state=down reason=test
    ok "lost: the job runs again" wait_until 60 restarted "$job" 2
    ok "lost: both tasks are restored" wait_until 60 restored_times "$job" 4
    unlike "lost: not there" "$(node_of "$job" 0) $(node_of "$job" 1)" "$n"
    touch "$HOME_DIR/swapped.stop"
    ok "lost: the step ends as it should" wait_out "$job" '^gave 4'
    ok "lost: the first left no step out" in_order "$job" 0 again
    ok "lost: the second neither" in_order "$job" 1 again
    is "lost: each was started once" "$(out "$job" | grep -c '^[01]: start')" 2
    "$TESTBED" restart --dir "$TB" "slurmd:${n#"$NODE"}" >/dev/null 2>&1
}

# By the clock: each at its own time.
clock() {
    local job
    job=$(submit -N2 -n2 --checkpoint=0:02,keep=10 -- "$(step_script clock)")
    ok "clock: starts" wait_until 60 both_at "$job" 3
    ok "clock: both are saved again and again" wait_until 90 both_saved "$job" 3
    ok "clock: requeue" requeue "$job"
    ok "clock: both are restored" wait_until 60 restored_times "$job" 2
    touch "$HOME_DIR/clock.stop"
    ok "clock: ends as it should" wait_out "$job" '^gave 4'
    ok "clock: the first wrote each line once" in_order "$job" 0
    ok "clock: the second too" in_order "$job" 1
}

# Under linuxproc SIGTERM goes to every process: what was saved before counts.
linuxproc() {
    local job
    job=$(submit -N2 -n2 --checkpoint=interval=0 -- "$(step_script linuxproc)")
    ok "linuxproc: starts" wait_until 60 both_at "$job" 3
    ok "linuxproc: create reaches both" checkpoint "$job"
    ok "linuxproc: requeue" requeue "$job"
    ok "linuxproc: both are restored" wait_until 60 restored_times "$job" 2
    is "linuxproc: from what was saved" "$(out "$job" | grep -c 'restored gen-0000-000001')" 2
    touch "$HOME_DIR/linuxproc.stop"
    ok "linuxproc: ends as it should" wait_out "$job" '^gave 4'
    ok "linuxproc: the first left no step out" in_order "$job" 0 again
    ok "linuxproc: the second neither" in_order "$job" 1 again
}

tb_up --nodes 3
swapped
clock
ok "the testbed goes down" tb_down
tb_up --nodes 2 --proctrack linuxproc
linuxproc
done_testing
