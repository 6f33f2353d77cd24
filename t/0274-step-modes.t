#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# isolation: private
#
# Ways to run a step beside a batch script's plain ones: without an own allocation, in a salloc, with a terminal, unbuffered;
# and tasks that are connected with each other.
# timeout: 150
. "$(dirname "$0")/lib.sh"

file_has() { grep -qE -- "$2" "$1" 2>/dev/null; }
has() { wait_until 60 file_has "$@" || { tail -n 20 "$1"; return 1; }; }
# The job that the user's command in the background has got
named_job() { run squeue -h -n "$1" -o %i | grep -m 1 .; }

# srun alone: its tasks are saved; nobody will ever restore them, which is what the documentation says.
alone() {
    local job out=$HOME_DIR/alone.out said
    run srun -J alone -n1 --mem=100 --checkpoint=interval=0 "$PROGS/counter" "$HOME_DIR/alone.stop" 5 >"$out" 2>&1 &
    ok "alone: starts" has "$out" '^step 3 '
    job=$(named_job alone)
    said=$(checkpoint "$job.0" 2>&1; echo "status $?")
    like "alone: its task is saved" "$said" "^job $job\.0 task 0: gen-0000-000001: paused"
    like "alone: scheckpoint shows it" "$(run scheckpoint show "$job" 2>&1)" "^job $job\.0/0, gen-0000-000001"
    touch "$HOME_DIR/alone.stop"
    wait $!
    is "alone: srun gives the program's exit code" "$?" 5
    ok "alone: it was not disturbed" once "$out"
}

# In a salloc with --checkpoint each srun has it; in one without, --checkpoint is refused with what to do.
in_salloc() {
    local job out=$HOME_DIR/salloc.out said
    run salloc -J salloc -n1 --mem=200 --checkpoint=interval=0 srun --mem=100 "$PROGS/counter" "$HOME_DIR/salloc.stop" 6 \
        >"$out" 2>&1 &
    ok "salloc: starts" has "$out" '^step 3 '
    job=$(named_job salloc)
    said=$(checkpoint "$job" 2>&1; echo "status $?")
    like "salloc: the task is saved" "$said" "^job $job\.0 task 0: gen-0000-000001: paused"
    like "salloc: the job itself cannot be requeued" "$(run scheckpoint requeue "$job" 2>&1; echo "status $?")" '^status 3$'
    touch "$HOME_DIR/salloc.stop"
    wait $!
    is "salloc: it gives the program's exit code" "$?" 6
    ok "salloc: it was not disturbed" once "$out"
    said=$(run salloc -n1 --mem=200 srun --checkpoint true 2>&1; echo "status $?")
    like "salloc: without --checkpoint srun --checkpoint is refused" "$said" 'this allocation was made without --checkpoint'
    unlike "salloc: and srun does not run" "$said" '^status 0$'
    ok "salloc: srun without it runs" run salloc -n1 --mem=200 srun true
}

# A terminal is srun's, and cannot be given back by another srun.
terminal() {
    local said job
    said=$(run script -qec "srun -n1 --mem=100 --pty --checkpoint=interval=0 echo ran" /dev/null 2>&1; echo "status $?")
    like "terminal: srun --pty --checkpoint is refused" "$said" 'srun --pty cannot be checkpointed: its terminal belongs to srun'
    unlike "terminal: the program does not run" "$said" '^ran'
    unlike "terminal: that is a failure" "$said" '^status 0$'
    # Where the job has asked, the step runs without checkpoints and says so; what comes after it is saved.
    job=$(submit --checkpoint=interval=0 -- "$(put_script terminal.sh <<END
#!/bin/bash
script -qec "srun -n1 --mem=100 --pty tty" /dev/null
echo "pty gave \$?"
srun -n1 --mem=100 $PROGS/counter $HOME_DIR/terminal.stop 8
echo "srun gave \$?"
END
)")
    ok "terminal: in a job with checkpoints it runs" wait_out "$job" 'pty gave 0'
    like "terminal: on a terminal" "$(out "$job")" '/dev/pts/[0-9]'
    like "terminal: it is told that it has none" "$(out "$job")" 'the tasks of this step are not checkpointed: srun --pty'
    ok "terminal: the next step runs" wait_step "$job" 3
    is "terminal: only that has a directory" "$(find "$(jobdir "$job")" -maxdepth 1 -name 'step-*' | wc -l)" 1
    ok "terminal: and is saved" checkpoint "$job"
    touch "$HOME_DIR/terminal.stop"
    ok "terminal: it ends" wait_out "$job" '^srun gave 8'
}

# srun -u: the task's output is a terminal of slurmstepd's.
unbuffered() {
    local job
    job=$(submit --checkpoint=interval=0 -- "$(put_script unbuffered.sh <<END
#!/bin/bash
srun -u -n1 --mem=100 $PROGS/counter $HOME_DIR/unbuffered.stop 4 </dev/null
echo "srun gave \$?"
END
)")
    ok "unbuffered: starts" wait_step "$job" 3
    ok "unbuffered: requeue" requeue "$job"
    ok "unbuffered: restored" restored "$job"
    ok "unbuffered: goes on" goes_on "$job"
    touch "$HOME_DIR/unbuffered.stop"
    ok "unbuffered: ends as it should" wait_out "$job" '^srun gave 4'
    ok "unbuffered: each line once" each_once "$job"
}

# Two tasks that talk to each other over the network: none of them can be saved alone.
peers() {
    local job said
    job=$(submit -n2 --checkpoint=interval=0 -- "$(put_script peers.sh <<END
#!/bin/bash
srun -l -n2 --cpu-bind=none --mem=100 $PROGS/peers.py $HOME_DIR/peers.port $HOME_DIR/peers.stop
echo "srun gave \$?"
END
)")
    ok "peers: starts" wait_out "$job" '^1: step 3 '
    local port
    port=$(cat "$HOME_DIR/peers.port")
    said=$(checkpoint "$job.0" 2>&1; echo "status $?")
    like "peers: task 0 is refused" "$said" "job $job\.0 task 0: .*127\.0\.0\.1:[0-9]+"
    like "peers: task 1 is refused, and the peer named" "$said" "job $job\.0 task 1: .*127\.0\.0\.1:$port"
    like "peers: that is a failure" "$said" '^status [13]$'
    is "peers: nothing was saved" "$(find "$(jobdir "$job")" -name 'gen-*' | wc -l)" 0
    like "peers: scheckpoint able tells it before" "$(run scheckpoint able "$job.0/1" 2>&1)" "127\.0\.0\.1:$port"
    ok "peers: they run on" wait_until 60 on_and_on "$job" "$(out "$job" | grep -c '^1: step')"
    touch "$HOME_DIR/peers.stop"
    ok "peers: they end" wait_out "$job" '^srun gave '
}
on_and_on() { [ "$(out "$1" | grep -c '^1: step')" -gt $(($2 + 3)) ]; }

tb_up --nodes 2
together alone in_salloc terminal unbuffered peers
done_testing
