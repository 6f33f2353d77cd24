#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Batch scripts that call srun: started once more, with each step where it was.
# timeout: 180
. "$(dirname "$0")/lib.sh"

lines() { cat "$HOME_DIR/$1" 2>/dev/null | wc -l; }
has_lines() { [ "$(lines "$1")" -ge "$2" ]; }
again() { wait_until 60 restarted_times "$1" "$2"; }
restarted_times() { [ "$(out "$1" | grep -c 'checkpoint: the script is started once more')" -ge "$2" ]; }

# Ten equal steps: the tree is restored between two of them, then the script is started once more in the middle of
# one.  All ten run, none twice, none is skipped.
loop_of_ten() {
    local job
    put_script worker.sh >/dev/null <<END
#!/bin/bash
echo ran >>$HOME_DIR/loop.ran
while [ -e $HOME_DIR/loop.hold ]; do sleep 0.2; done
exit 3
END
    touch "$HOME_DIR/loop.gate.6"
    job=$(submit --checkpoint=interval=0 -- "$(put_script loop.sh <<END
#!/bin/bash
for i in {1..10}; do
    while [ -e $HOME_DIR/loop.gate.\$i ]; do sleep 0.2; done
    echo "begin \$i"
    srun --mem=100 $HOME_DIR/worker.sh
    echo "iteration \$i gave \$?"
done
END
)")
    ok "loop: five steps run" wait_out "$job" '^iteration 5 gave 3'
    ok "loop: requeue between two steps" requeue "$job"
    ok "loop: the tree is restored" restored "$job"
    touch "$HOME_DIR/loop.hold"
    rm "$HOME_DIR/loop.gate.6"
    ok "loop: the sixth step runs" wait_until 60 has_lines loop.ran 6
    unlike "loop: after a restore of the tree no exit code is given back" "$(out "$job")" 'it is not run again'
    ok "loop: requeue in the sixth step" requeue "$job"
    ok "loop: the script is started once more" again "$job" 1
    ok "loop: the sixth step is restored" restored_times_more "$job" 2
    is "loop: five steps give back their exit codes" "$(out "$job" | grep -c 'exit code 3 .* not run again')" 5
    rm "$HOME_DIR/loop.hold"
    ok "loop: all iterations come to an end" wait_out "$job" '^iteration 10 gave 3'
    ok "loop: the script ends" wait_state "$job" COMPLETED
    is "loop: all ten ran, none twice" "$(lines loop.ran)" 10
    ok "loop: nothing is left" wait_until 20 no_images "$job"
}
restored_times_more() { wait_until 60 restored_times "$1" "$2"; }

# Side by side, with different ends; one is done when the job is requeued.
parallel() {
    local job d=$HOME_DIR/parallel
    job=$(submit -n3 --checkpoint=interval=0 -- "$(put_script parallel.sh <<END
#!/bin/bash
srun -n1 --exact --mem=50 $PROGS/counter $d.a.stop 5 >$d.a.out 2>&1 &
a=\$!
srun -n1 --exact --mem=50 $PROGS/counter $d.b.stop 6 >$d.b.out 2>&1 &
b=\$!
srun -n1 --exact --mem=50 $PROGS/counter $d.c.stop 7 >$d.c.out 2>&1 &
c=\$!
wait \$c; echo "c gave \$?"
wait \$a; echo "a gave \$?"
wait \$b; echo "b gave \$?"
END
)")
    ok "parallel: all three run" wait_until 60 all_step "$d.a.out" "$d.b.out" "$d.c.out"
    touch "$d.c.stop"
    ok "parallel: the third has ended" wait_out "$job" '^c gave 7'
    # The shell would truncate what it redirects into: as documented, the script appends when it is started once more.
    cp "$d.a.out" "$d.a.before"
    cp "$d.b.out" "$d.b.before"
    ok "parallel: requeue" requeue "$job"
    ok "parallel: the script is started once more" again "$job" 1
    ok "parallel: the third gives back its exit code at once" wait_until 60 third_again "$job"
    ok "parallel: the others are restored" wait_until 60 both_restored "$d.a.out" "$d.b.out"
    touch "$d.a.stop" "$d.b.stop"
    ok "parallel: they end as they should" wait_out "$job" '^b gave 6'
    ok "parallel: both" out_has "$job" '^a gave 5'
    is "parallel: no program was started again" "$(cat "$d".?.out | grep -c '^start')" 0
}
all_step() { local f; for f; do grep -q '^step 3 ' "$f" || return 1; done; }
third_again() { [ "$(out "$1" | grep -c '^c gave 7')" = 2 ]; }
both_restored() { local f; for f; do grep -q 'checkpoint: restored' "$f" || return 1; done; }

# Another command where the step was: nothing of the old one is used.
changed() {
    local job d=$HOME_DIR/changed
    echo 5 >"$d.code"
    job=$(submit --checkpoint=interval=0 -- "$(put_script changed.sh <<END
#!/bin/bash
srun --mem=100 $PROGS/counter $d.stop \$(cat $d.code)
echo "gave \$?"
END
)")
    ok "changed: starts" wait_step "$job" 3
    echo 9 >"$d.code"
    ok "changed: requeue" requeue "$job"
    ok "changed: it is said that this is another command" \
        wait_out "$job" 'checkpoint: step 0 of this script was another command .*counter.* 5\)'
    ok "changed: it starts from its beginning" wait_until 60 started_twice "$job"
    unlike "changed: nothing is restored" "$(out "$job")" 'checkpoint: restored'
    touch "$d.stop"
    ok "changed: it ends with its own code" wait_out "$job" '^gave 9'
}
started_twice() { [ "$(out "$1" | grep -c '^start')" = 2 ]; }

# Steps with names of the user's are found whatever their arguments are; off switches one step off.
named() {
    local job d=$HOME_DIR/named
    echo 5 >"$d.code"
    job=$(submit --checkpoint=interval=0 -- "$(put_script named.sh <<END
#!/bin/bash
srun --mem=100 --checkpoint=off true; echo "off gave \$?"
srun --mem=100 --checkpoint=interval=0,name=main $PROGS/counter $d.stop \$(cat $d.code)
echo "gave \$?"
END
)")
    ok "named: starts" wait_step "$job" 3
    echo 9 >"$d.code"
    ok "named: its directory has the name" test -d "$(jobdir "$job")/step-main-0.0"
    is "named: the other step has none" "$(find "$(jobdir "$job")" -maxdepth 1 -name 'step-*' | wc -l)" 1
    ok "named: requeue" requeue "$job"
    ok "named: restored" restored "$job"
    touch "$d.stop"
    ok "named: it ends as it was begun" wait_out "$job" '^gave 5'
    ok "named: each step once" each_once "$job"
    is "named: the step without checkpoints ran both times" "$(out "$job" | grep -c '^off gave 0')" 2
}

# Its node loses power: the step that had ended is not run again, the other goes on elsewhere from its checkpoint.
power_cut() {
    local job d=$HOME_DIR/cut said n
    job=$(submit -n2 --checkpoint=interval=0 -- "$(put_script cut.sh <<END
#!/bin/bash
srun -n1 --mem=100 bash -c "echo ran >>$d.ran; exit 2"
echo "first gave \$?"
srun -n2 --cpu-bind=none --mem=100 $PROGS/counter $d.stop
echo "second gave \$?"
END
)")
    ok "power cut: starts" wait_step "$job" 3
    said=$(checkpoint "$job.1" 2>&1; echo "status $?")
    like "power cut: the step is saved, task 0" "$said" "^job $job.1 task 0: gen-0000-000001: paused"
    like "power cut: task 1" "$said" "^job $job.1 task 1: gen-0000-000001: paused"
    like "power cut: that is all" "$(grep -c . <<<"$said")" '^3$'
    said=$(checkpoint "$job" 2>&1; echo "status $?")
    like "power cut: all is saved: the script" "$said" "^job $job: srun runs in the script"
    like "power cut: and task 1" "$said" "^job $job.1 task 1: gen-0000-000002: paused"
    like "power cut: well" "$said" '^status 0$'
    said=$(checkpoint "$job.7" 2>&1; echo "status $?")
    like "power cut: there is no step 7" "$said" 'has no step 7 with checkpoints'
    like "power cut: that is refused" "$said" '^status [^0]'
    n=$(job_node "$job")
    "$TESTBED" kill --dir "$TB" "node:${n#"$NODE"}" >/dev/null 2>&1
    run_root scontrol update nodename="$n" state=down reason=test
    ok "power cut: the job runs again" wait_until 60 restarted "$job" 1
    isnt "power cut: elsewhere" "$(job_node "$job")" "$n"
    ok "power cut: the script is started once more" again "$job" 1
    ok "power cut: the second step is restored" wait_until 60 restored_times "$job" 2
    touch "$d.stop"
    ok "power cut: ends" wait_out "$job" '^second gave 0'
    is "power cut: the first step ran once" "$(lines cut.ran)" 1
    is "power cut: and gave its exit code twice" "$(out "$job" | grep -c '^first gave 2')" 2
    ok "power cut: the script ends" wait_state "$job" COMPLETED
}

tb_up --nodes 2
together loop_of_ten parallel changed named
power_cut
done_testing
