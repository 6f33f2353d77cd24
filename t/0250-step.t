#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Tasks of srun: saved and restored through the new step, with all that goes through their standard files.
# timeout: 180
. "$(dirname "$0")/lib.sh"

# task_once FILE LABEL - the steps that task LABEL: printed are 1, 2, 3 ...
task_once() {
    awk -v p="$2:" '$1 == p && $2 == "step" { if ($3 != ++n) { print "step " $3 " instead of " n; bad = 1; n = $3 } }
        END { if (!n) print "no step"; exit bad || !n }' "$1"
}
err_once() {
    awk '$1 == "err" { if ($2 != ++n) { print "err " $2 " instead of " n; bad = 1; n = $2 } }
        END { if (!n) print "no err"; exit bad || !n }' "$1"
}
rerun_done() { wait_until 60 restored_times "$1" "$2"; }
rows() { grep -acE "$2" "$HOME_DIR/$1"; }
grows() { local n; n=$(stat -c %s "$1"); wait_until 60 larger "$1" $((n + 200)); }
larger() { [ "$(stat -c %s "$1" 2>/dev/null || echo 0)" -gt "$2" ]; }

# Two tasks side by side in the batch script, labelled
labels() {
    local job stop=$HOME_DIR/labels.stop
    job=$(submit -n2 --checkpoint=interval=0 -- "$(put_script labels.sh <<<"#!/bin/bash
srun -l -n2 --cpu-bind=none --mem=100 $PROGS/counter $stop 7
echo \"srun ended with \$?\"")")
    ok "labels: starts" wait_out "$job" '^1: step 3'
    ok "labels: requeue" requeue "$job"
    ok "labels: both are restored" rerun_done "$job" 2
    ok "labels: they go on" grows "$HOME_DIR/$job.out"
    ok "labels: requeue again" requeue "$job"
    ok "labels: both are restored again" rerun_done "$job" 4
    touch "$stop"
    ok "labels: ends" wait_out "$job" '^srun ended with 7'
    ok "labels: the script ends well" wait_state "$job" COMPLETED
    ok "labels: task 0 wrote each line once" task_once "$HOME_DIR/$job.out" 0
    ok "labels: task 1 wrote each line once" task_once "$HOME_DIR/$job.out" 1
    is "labels: each was started once" "$(out "$job" | grep -c ': start')" 2
    ok "labels: nothing is left" wait_until 20 no_images "$job"
}

# Output and error without a pause, unlabelled, to files of the tasks
files() {
    local job stop=$HOME_DIR/files.stop
    job=$(submit -n2 --checkpoint=interval=0 -- "$(put_script files.sh <<<"#!/bin/bash
srun -n2 --cpu-bind=none --mem=100 -o $HOME_DIR/files.%t.out -e $HOME_DIR/files.%t.err $PROGS/talker $stop
echo \"srun ended with \$?\"")")
    ok "files: starts" wait_until 60 larger "$HOME_DIR/files.1.out" 2000
    ok "files: requeue" requeue "$job"
    ok "files: they go on" wait_until 60 gone_on "$job"
    touch "$stop"
    ok "files: ends" wait_out "$job" '^srun ended with 4'
    for t in 0 1; do
        ok "files: task $t: no line of output is lost or doubled" once "$HOME_DIR/files.$t.out"
        ok "files: task $t: nor of error" err_once "$HOME_DIR/files.$t.err"
        is "files: task $t: it was started once" "$(rows files.$t.out '^start')" 1
    done
}
gone_on() { [ "$(cat "$HOME_DIR"/files.?.err | grep -c 'checkpoint: restored')" = 2 ] && grows "$HOME_DIR/files.0.out"; }

# What srun reads is given to the task once
input() {
    local job
    seq 1 700 >"$HOME_DIR/input.txt"
    job=$(submit --checkpoint=interval=0 -- "$(put_script input.sh <<<"#!/bin/bash
srun -n1 --mem=100 --input=$HOME_DIR/input.txt $PROGS/talker - 1
echo \"srun ended with \$?\"")")
    ok "input: starts" wait_step "$job" 100
    ok "input: requeue" requeue "$job"
    ok "input: restored" restored "$job"
    ok "input: goes on" goes_on "$job" 50
    ok "input: ends at the end of the input" wait_out "$job" '^srun ended with 4'
    ok "input: each line once" each_once "$job"
    is "input: all of it came" "$(last_step "$job")" 700
    unlike "input: none was lost or came twice" "$(out "$job")" 'bad input'
}

# Input that is piped, and a great deal of it in flight
piped() {
    local job
    job=$(submit --checkpoint=interval=0 -- "$(put_script piped.sh <<<"#!/bin/bash
seq 1 100000 | head -n 800 | srun -n1 --mem=100 $PROGS/talker - 1
echo \"srun ended with \$?\"")")
    ok "piped: starts" wait_step "$job" 100
    ok "piped: requeue" requeue "$job"
    ok "piped: restored" restored "$job"
    ok "piped: ends at the end of the input" wait_out "$job" '^srun ended with 4'
    ok "piped: each line once" each_once "$job"
    is "piped: all of it came" "$(last_step "$job")" 800
    unlike "piped: none was lost or came twice" "$(out "$job")" 'bad input'
}

# A file of programs: each task has its own.
multi_prog() {
    local job stop=$HOME_DIR/multi.stop
    printf '%s\n' "0 $PROGS/counter $stop" "1 $PROGS/talker $stop" >"$HOME_DIR/multi.conf"
    job=$(submit -n2 --checkpoint=interval=0 -- "$(put_script multi.sh <<<"#!/bin/bash
srun -l -n2 --cpu-bind=none --mem=100 --multi-prog $HOME_DIR/multi.conf
echo \"srun ended with \$?\"")")
    ok "multi-prog: starts" wait_out "$job" '^1: step 3'
    ok "multi-prog: requeue" requeue "$job"
    ok "multi-prog: both are restored" rerun_done "$job" 2
    touch "$stop"
    ok "multi-prog: ends" wait_out "$job" '^srun ended with 4'
    ok "multi-prog: task 0 wrote each line once" task_once "$HOME_DIR/$job.out" 0
    ok "multi-prog: task 1 wrote each line once" task_once "$HOME_DIR/$job.out" 1
}

tb_up --nodes 2
together labels files input piped multi_prog
done_testing
