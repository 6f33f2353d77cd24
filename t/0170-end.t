#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# How jobs end: cancelled, signalled, requeued with a trap; and restores that fail.
. "$(dirname "$0")/lib.sh"

# nothing_left NAME JOB - neither a process of the job nor one that holds a capability
nothing_left() { ok "$1: no process is left" wait_until 10 no_process "$2"; }

# KillWait is 20 s here: what is gone within 10 s went by itself.
cancel() {
    local job stop=$HOME_DIR/cancel.stop start
    job=$(submit --checkpoint=interval=0 -- "$(put_script cancel.sh <<END
#!/bin/bash
$PROGS/daemon "$stop" "$HOME_DIR/cancel.daemon"
$PROGS/background.sh "$stop" &
exec $PROGS/pipeline.sh "$stop"
END
)")
    ok "cancel: starts" wait_step "$job" 3
    ok "cancel: checkpoint" checkpoint "$job"
    ok "cancel: many processes" test "$(job_pids "$job" | wc -l)" -ge 8
    start=$SECONDS
    run scancel "$job"
    ok "cancel: cancelled" wait_state "$job" CANCELLED
    ok "cancel: no process is left" wait_until 30 no_process "$job"
    ok "cancel: at once" test $((SECONDS - start)) -le 10
    is "cancel: no checkpoint was made for it" "$(n_generations "$job")" 1
    is "cancel: it stays cancelled" "$(sleep 2; state "$job")" CANCELLED
}

cancel_restored() {
    local job stop=$HOME_DIR/cancel2.stop start
    job=$(submit --checkpoint=interval=0 -- "$(job_script cancel2.sh "$PROGS/background.sh" "$stop")")
    ok "cancel restored: starts" wait_step "$job" 3
    ok "cancel restored: requeue" requeue "$job"
    ok "cancel restored: restored" restored "$job"
    ok "cancel restored: goes on" goes_on "$job"
    start=$SECONDS
    run scancel "$job"
    ok "cancel restored: cancelled" wait_state "$job" CANCELLED
    ok "cancel restored: no process is left" wait_until 30 no_process "$job"
    ok "cancel restored: at once" test $((SECONDS - start)) -le 10
}

# A dump of 512 MiB gives the time to cancel in the middle.
cancel_dump() {
    local job stop=$HOME_DIR/cancel3.stop start
    job=$(submit --checkpoint=interval=0 --mem=900 -- "$(job_script cancel3.sh "$PROGS/invariant" "$stop" 512)")
    ok "cancel dump: starts" wait_step "$job" 3
    checkpoint "$job" >"$TEST_TMP/cancel-dump" 2>&1 &
    ok "cancel dump: a dump runs" wait_until 20 job_pid "$job" dump
    start=$SECONDS
    run scancel "$job"
    ok "cancel dump: cancelled" wait_state "$job" CANCELLED
    ok "cancel dump: no process is left" wait_until 30 no_process "$job"
    ok "cancel dump: at once" test $((SECONDS - start)) -le 10
    nok "cancel dump: create fails" wait $!
    like "cancel dump: and tells" "$(cat "$TEST_TMP/cancel-dump")" "job $job"
}

# A job that ends well while it is saved, be it for seconds or as it is asked for.
end_dump() {
    local job stop=$HOME_DIR/enddump.stop i jobs=()
    job=$(submit --checkpoint=interval=0,compress=zstd:19 --mem=900 -- "$(job_script enddump.sh "$PROGS/invariant" "$stop.0" 64)")
    ok "end in a dump: starts" wait_step "$job" 3
    (checkpoint "$job" >"$TEST_TMP/end-dump" 2>&1; echo "status $?" >>"$TEST_TMP/end-dump") &
    ok "end in a dump: a dump runs" wait_until 20 job_pid "$job" dump
    ok "end in a dump: the job runs on beside it" goes_on "$job"
    touch "$stop.0"
    ok "end in a dump: ends" wait_state "$job" COMPLETED
    ok "end in a dump: no process is left" wait_until 20 no_process "$job"
    ok "end in a dump: nor anything of it" wait_until 20 no_images "$job"
    wait
    like "end in a dump: who had asked for it is told" "$(cat "$TEST_TMP/end-dump")" '^status [1-9]'
    for i in 1 2 3 4 5 6; do
        jobs+=("$(submit --checkpoint=interval=0 -- "$(job_script "enddump$i.sh" "$PROGS/counter" "$stop.$i")")")
    done
    for i in 1 2 3 4 5 6; do
        ok "end in a dump: job $i starts" wait_step "${jobs[i - 1]}" 2
        checkpoint "${jobs[i - 1]}" >/dev/null 2>&1 &
        sleep "0.0$i"
        touch "$stop.$i"
    done
    wait
    for i in 1 2 3 4 5 6; do
        job=${jobs[i - 1]}
        ok "end in a dump: job $i ends" wait_state "$job" COMPLETED
        ok "end in a dump: nothing is left of job $i" wait_until 20 no_images "$job"
        unlike "end in a dump: nor did job $i say so" "$(out "$job")" 'left behind'
    done
}

# --- signals

signals() {
    local job stop=$HOME_DIR/signals.stop
    job=$(submit --checkpoint=interval=0 -- "$(put_script signals.sh <<END
#!/bin/bash
trap 'echo "usr1 \$\$"' USR1
trap 'echo "term \$\$"' TERM
trap 'echo "cont \$\$"' CONT
echo start
until [ -e "$stop" ]; do n=\$((n + 1)); echo "step \$n pid \$\$"; sleep 0.1; done
exit 12
END
)")
    ok "signals: starts" wait_step "$job" 3
    run scancel --signal=USR1 --batch "$job"
    ok "signals: USR1 reaches the script's trap" wait_out "$job" '^usr1 ' 20
    run scancel --signal=TERM --batch "$job"
    ok "signals: TERM of the user's own too" wait_out "$job" '^term ' 20
    ok "signals: the job runs on" goes_on "$job"
    run scancel --signal=STOP --batch "$job"
    run scancel --signal=CONT --batch "$job"
    ok "signals: CONT too" wait_out "$job" '^cont ' 20
    ok "signals: the job runs on" goes_on "$job"
    ok "signals: requeue" requeue "$job"
    ok "signals: restored" restored "$job"
    ok "signals: goes on" goes_on "$job"
    run scancel --signal=USR1 --batch "$job"
    ok "signals: USR1 reaches the restored script's trap" wait_until 20 usr1_twice "$job"
    touch "$stop"
    ok "signals: ends" wait_state "$job" FAILED
    is "signals: exit status" "$(exit_code "$job")" 12:0
    ok "signals: each step once" each_once "$job"
}
usr1_twice() { [ "$(out "$1" | grep -c '^usr1 ')" -ge 2 ]; }

# --- a trap that ends the script with 0 at a requeue's SIGTERM does not mean that the job is done

trap_zero() {
    local job stop=$HOME_DIR/trap.stop task
    job=$(submit --checkpoint=interval=0 -- "$(put_script trap.sh <<END
#!/bin/bash
trap 'echo "trap"; exit 0' TERM
echo start
until [ -e "$stop" ]; do n=\$((n + 1)); echo "step \$n pid \$\$"; sleep 0.1; done
END
)")
    ok "trap: starts" wait_step "$job" 3
    ok "trap: checkpoint" checkpoint "$job"
    ok "trap: goes on" goes_on "$job"
    task=$(taskdir "$job")
    # The last checkpoint fails, so that the script gets the signal.
    chmod 500 "$task"
    ok "trap: requeued and held" requeue_hold "$job"
    chmod 700 "$task"
    like "trap: the script's trap ran" "$(out "$job")" '^trap'
    ok "trap: released" release "$job"
    ok "trap: the images are still there" restored "$job"
    ok "trap: goes on" goes_on "$job"
    ok "trap: what followed the checkpoint is cut off, and made again" each_once "$job"
    touch "$stop"
    ok "trap: ends" wait_state "$job" COMPLETED
    ok "trap: now they are deleted" wait_until 20 no_images "$job"
}

# --- damaged generations

damaged() {
    local job stop=$HOME_DIR/damaged.stop file good bad reasons=0
    job=$(submit --checkpoint=interval=0,keep=3 -- "$(job_script damaged.sh "$PROGS/counter" "$stop")")
    ok "damaged: starts" wait_step "$job" 3
    for file in pages.zst images.tar.zst index manifest.json seal; do
        ok "damaged $file: checkpoint" checkpoint "$job"
        good=$(newest "$job")
        ok "damaged $file: requeued and held" requeue_hold "$job"
        bad=$(newest "$job")
        isnt "damaged $file: a last one was made" "$bad" "$good"
        flip "$(taskdir "$job")/$bad/$file"
        ok "damaged $file: released" release "$job"
        reasons=$((reasons + 1))
        ok "damaged $file: restored" wait_until 60 restored_times "$job" $reasons
        like "damaged $file: from the older one" "$(out "$job" | grep -a 'restored gen' | tail -n 1)" "$good"
        is "damaged $file: with one line for the reason" \
            "$(out "$job" | grep -ac "^checkpoint: cannot restore $bad: ")" 1
        like "damaged $file: that says what is wrong" \
            "$(out "$job" | grep -a "^checkpoint: cannot restore $bad: ")" "$file|sha|digest|damaged|changed|seal"
        ok "damaged $file: goes on" goes_on "$job"
    done
    is "damaged: no other was refused" "$(out "$job" | grep -ac 'cannot restore')" 5
    like "damaged: scheckpoint error tells the last one" "$(run scheckpoint error "$job" 2>&1)" "$bad"
    touch "$stop"
    ok "damaged: ends" wait_state "$job" COMPLETED
}

all_damaged() {
    local job stop=$HOME_DIR/alldamaged.stop gen
    job=$(submit --checkpoint=interval=0 -- "$(job_script alldamaged.sh "$PROGS/counter" "$stop")")
    ok "all damaged: starts" wait_step "$job" 3
    ok "all damaged: checkpoint" checkpoint "$job"
    ok "all damaged: requeued and held" requeue_hold "$job"
    is "all damaged: two generations" "$(n_generations "$job")" 2
    for gen in $(generations "$job"); do flip "$(taskdir "$job")/$gen/pages.zst"; done
    run scontrol release "$job"
    sleep 1
    ok "all damaged: the job is held" wait_held_by_us "$job"
    ok "all damaged: with SpecialExit" wait_state "$job" SPECIAL_EXIT 20
    like "all damaged: the reason is in its stderr" "$(out "$job")" '^checkpoint: .*pages.*held: scontrol release'
    like "all damaged: and its comment" "$(show "$job")" 'Comment=\[checkpoint .*Z: .*pages.*held'
    like "all damaged: and scheckpoint error" "$(run scheckpoint error "$job" 2>&1)" 'pages'
    is "all damaged: each is named once" "$(out "$job" | grep -ac 'cannot restore gen-')" 2
    is "all damaged: it did not start over" "$(out "$job" | grep -c '^start')" 1
    is "all damaged: nothing was thrown away" "$(n_generations "$job")" 2
    nothing_left "all damaged" "$job"
    for gen in $(generations "$job"); do flip "$(taskdir "$job")/$gen/pages.zst"; done
    ok "all damaged: mended and released" release "$job"
    ok "all damaged: it is restored" restored "$job"
    ok "all damaged: it goes on" goes_on "$job"
    touch "$stop"
    ok "all damaged: ends" wait_state "$job" COMPLETED
    ok "all damaged: each step once" each_once "$job"
}

# --- isolation=host: pids are the node's, and somebody else may have one

busy_pid() {
    local job stop=$HOME_DIR/busy.stop pid squatter
    job=$(submit --checkpoint=interval=0,isolation=host -- "$(job_script busy.sh "$PROGS/counter" "$stop")")
    ok "busy pid: starts" wait_step "$job" 3
    pid=$(pids_printed "$job")
    is "busy pid: the job's pid is the node's" "$(job_pid "$job" counter)" "$pid"
    ok "busy pid: requeued and held" requeue_hold "$job"
    squatter=$(squat "$pid")
    is "busy pid: somebody else has it" "$squatter" "$pid"
    run scontrol release "$job"
    sleep 1
    ok "busy pid: the job is held" wait_held_by_us "$job"
    like "busy pid: the reason names the pid" "$(out "$job")" "^checkpoint: .*pid $pid\\b.*held"
    is "busy pid: it did not start over" "$(out "$job" | grep -c '^start')" 1
    nothing_left "busy pid" "$job"
    kill "$squatter"
    wait_until 10 test ! -e "/proc/$squatter"
    ok "busy pid: released when it is free" release "$job"
    ok "busy pid: restored" restored "$job"
    ok "busy pid: goes on" goes_on "$job"
    is "busy pid: with its pid" "$(job_pid "$job" counter)" "$pid"
    touch "$stop"
    ok "busy pid: ends" wait_state "$job" COMPLETED
    ok "busy pid: each step once" each_once "$job"
}

# --- restores that hang, or lose their keeper

hang() {
    local job=$1
    ok "hang: released" release "$job"
    ok "hang: the job is held" wait_held_by_us "$job"
    like "hang: the reason is the time" "$(out "$job")" '^checkpoint: .*(timed out|did not end|within|seconds| s[ ;:,]).*held'
    is "hang: it did not start over" "$(out "$job" | grep -c '^start')" 1
    nothing_left hang "$job"
}
hang_cancel() {
    local job=$1 start
    ok "cancel restore: released" release "$job"
    ok "cancel restore: criu runs" wait_until 30 job_pid "$job" "$HANG"
    start=$SECONDS
    run scancel "$job"
    ok "cancel restore: cancelled" wait_state "$job" CANCELLED
    ok "cancel restore: no process is left" wait_until 30 no_process "$job"
    ok "cancel restore: at once" test $((SECONDS - start)) -le 10
}
hang_keeper() {
    local job=$1
    ok "keeper killed: released" release "$job"
    ok "keeper killed: criu runs" wait_until 30 job_pid "$job" "$HANG"
    kill -KILL "$(job_pid "$job" keeper)"
    ok "keeper killed: the job is held" wait_held_by_us "$job"
    like "keeper killed: with the reason" "$(out "$job")" '^checkpoint: .*keeper.*held'
    is "keeper killed: it did not start over" "$(out "$job" | grep -c '^start')" 1
    nothing_left "keeper killed" "$job"
}

KEEP_CONF=$TEST_TMP/slurm.conf
echo "KillWait=20" >"$KEEP_CONF"
echo "BusyRetries=0" >"$TEST_TMP/busy.conf" # t/0920 has the requeues
tb_up --nodes 3 --slurm-conf "$KEEP_CONF" --conf "$TEST_TMP/busy.conf"
together cancel cancel_restored cancel_dump end_dump signals trap_zero damaged all_damaged busy_pid

# A criu that hangs is no criu at all from here on, and the limit for a restore is short.
HANG=hanging-criu
# shellcheck disable=SC2016
printf '#!/bin/sh\ncase $1 in --version | -V) echo "Version: 4.2.1"; exit 0 ;; esac\nsleep 600\nexit 1\n' >"$TB/inst/$HANG"
chmod 755 "$TB/inst/$HANG"
hang_jobs=()
for name in hang1 hang2 hang3 hang4; do
    hang_jobs+=("$(submit --checkpoint=interval=0 -- "$(job_script $name.sh "$PROGS/counter" "$HOME_DIR/hang.stop")")")
done
for job in "${hang_jobs[@]}"; do ok "hang: job $job starts" wait_step "$job" 3; done
for job in "${hang_jobs[@]}"; do ok "hang: job $job is requeued and held" requeue_hold "$job"; done
cp "$TB/etc/checkpoint.conf" "$TEST_TMP/checkpoint.conf"
sed "s|^Criu=.*|Criu=$TB/inst/$HANG|; \$a RestoreTimeout=0:04" "$TEST_TMP/checkpoint.conf" >"$TB/etc/checkpoint.conf"
h1() { hang "${hang_jobs[0]}"; }
together h1
sed "s|^Criu=.*|Criu=$TB/inst/$HANG|" "$TEST_TMP/checkpoint.conf" >"$TB/etc/checkpoint.conf"
h2() { hang_cancel "${hang_jobs[1]}"; }
h3() { hang_keeper "${hang_jobs[2]}"; }
together h2 h3
{ cat "$TEST_TMP/checkpoint.conf"; echo MaxRestarts=1; } >"$TB/etc/checkpoint.conf"
job=${hang_jobs[3]}
ok "max restarts: the first one is allowed" release "$job"
ok "max restarts: restored" restored "$job"
ok "max restarts: goes on" goes_on "$job"
ok "max restarts: requeue" requeue_hold "$job"
run scontrol release "$job"
sleep 1
ok "max restarts: the second one holds the job" wait_held_by_us "$job"
like "max restarts: with the reason" "$(out "$job")" '^checkpoint: .*MaxRestarts.*held'
cp "$TEST_TMP/checkpoint.conf" "$TB/etc/checkpoint.conf"
touch "$HOME_DIR/hang.stop"
for job in "${hang_jobs[0]}" "${hang_jobs[2]}" "${hang_jobs[3]}"; do
    ok "job $job is released" release "$job"
    ok "job $job is restored and ends" wait_state "$job" COMPLETED
    ok "job $job: each step once" each_once "$job"
done
ok "no node is drained" node_fine
done_testing
