#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The keeper and what it starts, attacked by processes of the job's own user.  Deny matrix rows 10 to 12, 14, 15
# and 23.
. "$(dirname "$0")/seclib.sh"

# Rows 14 and 15: everything that can be said to the keeper, by code in its own shepherd
rows_14_15() {
    local victim job stop=$HOME_DIR/talk.stop talk foreign login log keeper
    victim=$(submit --checkpoint -- "$(job_script victim.sh "$PROGS/counter" "$stop")")
    ok "row 15: another job of the user runs" wait_step "$victim" 1
    setpriv --reuid ckptest2 --regid ckptest2 --clear-groups setsid sleep 300 </dev/null >/dev/null 2>&1 &
    foreign=$!
    setpriv --reuid ckptest --regid ckptest --clear-groups setsid sleep 300 </dev/null >/dev/null 2>&1 &
    login=$!
    talk=$(own_copy talk.so)
    {
        echo "pid-1 1"
        echo "another-user $foreign"
        echo "login-process $login"
        echo "other-job $(job_pid "$victim" ckpt-init)"
        echo "other-keeper $(keeper_pid "$victim")"
        echo "slurmstepd $(pgrep -f "slurmstepd: \[$victim\.batch\]" | head -n 1)"
    } >"$talk.targets"
    job=$(run env LD_PRELOAD="$talk" sbatch --parsable --requeue --mem=400 -o "$HOME_DIR/%j.out" \
        --checkpoint=interval=0 "$(job_script talk.sh "$PROGS/counter" "$stop")")
    ok "row 14: the job runs after all that was said to its keeper" wait_step "$job" 3 90
    log=$(cat "$talk.log")
    kill "$foreign" "$login"
    answers "row 14" "$log" '0 $' "ping first" "ping last"
    answers "row 14" "$log" '71 malformed request' "unknown verb" "verb zero" "the keeper's own verb" "wrong magic" \
        "newer version" "flag of another verb" "unknown flag" "one byte" "one byte short" "one byte more" "oversize" \
        "reason without end" "reason with escape" "generation that is a path" "generation with a path" \
        "generation without end" "dump of two descriptors" "dump of 253 descriptors"
    answers "row 14" "$log" '2 ' "generation that is not there"
    answers "row 14" "$log" '22 (a dump takes one descriptor|the descriptor is not a pidfd)' "ping with a descriptor" \
        "restore with a descriptor" "launch with a descriptor" "dump without a descriptor" "dump of a device" \
        "dump of a directory" "dump of a file" "dump of a memfd" "dump of an eventfd" "dump of a pipe" \
        "dump of a socket"
    is "row 14: dump of many descriptors: each time malformed" \
        "$(grep '^dump of many descriptors: ' <<<"$log" | sort | uniq -c | tr -s ' ')" \
        " 18 dump of many descriptors: 71 malformed request"
    answers "row 14" "$log" 'not sent \(Operation not permitted\)' "credentials of root"
    answers "row 14" "$log" '16 a dump or restore is running' "a second dump" "a restore beside a dump"
    answers "row 14" "$log" '125 ' "a dump that is cancelled"
    keeper=$(keeper_pid "$job")
    is "row 14: no descriptor stayed behind in the keeper" "$(ls "/proc/$keeper/fd" | wc -l)" 7
    is "row 14: nor a process below it" "$(pgrep -P "$keeper" -l | grep -v ckpt-init)" ""
    answers "row 15" "$log" '(1|3) ' "dump of pid-1" "dump of another-user" "dump of login-process" \
        "dump of other-job" "dump of other-keeper" "dump of slurmstepd" "dump of the shepherd" "dump of a thread" \
        "dump of a child without a session"
    answers "row 15" "$log" '(1|3) ' "dump of a zombie"
    answers "row 15" "$log" '3 ' "dump of a process that has ended"
    unlike "row 15: no dump of any of these was made" "$log" '^dump of .*: 0 '
    like "the job's own checkpoint is made" "$(checkpoint "$job" 2>&1)" 'gen-0000-'
    ok "the other job never noticed" goes_on "$victim"
    is "nobody but the keepers holds anything" "$(holders "$job"; holders "$victim")" ""
    touch "$stop"
    ok "both end" wait_state "$job" COMPLETED
    ok "both end" wait_state "$victim" COMPLETED
}
# answers ROW LOG REGEX WHAT... - the keeper's answer to each
answers() {
    local row=$1 log=$2 regex=$3 what
    shift 3
    for what; do
        like "$row: $what" "$(grep -F "$what: " <<<"$log")" "^$what: $regex"
    done
}

# Rows 10 and 23: attacked without a pause from birth, while checkpoints are made and restored
rows_10_23() {
    local job stop=$HOME_DIR/spin.stop halt=$HOME_DIR/spin.halt report=$HOME_DIR/spin i name decoy library
    "$ATTACKS/withbit" decoy "$HELPERS" "$(id -u ckptest)" "$(id -g ckptest)" &
    decoy=$!
    run "$ATTACKS/spin" "pid=$decoy" "$HOME_DIR/decoy.halt" "$report.decoy" </dev/null >/dev/null 2>&1 &
    ok "row 10: a plain process with the bit would be seized (control)" \
        wait_until 15 grep -q 'BREACH: ptrace of keeper' "$report.decoy"
    touch "$HOME_DIR/decoy.halt"
    kill "$decoy"
    job=$(submit --job-name=spun --checkpoint=interval=0 --hold -- "$(job_script spin.sh "$PROGS/counter" "$stop")")
    run "$ATTACKS/spin" "$(job_group "$job")" "$halt" "$report.outside" </dev/null >/dev/null 2>&1 &
    wait_until 10 grep -q started "$report.outside"
    library=$(ldd "$HELPERS/dump" | awk '$1 ~ /^libmunge/ { print $3 }')
    "$ATTACKS/hold" "$library" "$(job_group "$job")" "$halt" "$report.outside" "$report.inside" >"$TB/hold" 2>&1 &
    wait_until 10 grep -q holding "$TB/hold"
    run scontrol release "$job"
    ok "row 10: a job under attack starts" wait_step "$job" 3
    "$TEST_TOP/t/attack/sockets.py" "$halt" "$TB/sockets" / "$SCRATCH" "$(jobdir "$job")" "$(taskdir "$job")" &
    wait_until 10 grep -q started "$TB/sockets"
    like "row 10: its checkpoint is made" "$(checkpoint "$job" 2>&1)" 'gen-0000-000001'
    like "row 10: and another" "$(checkpoint "$job" 2>&1)" 'gen-0000-000002'
    for i in 1 2; do
        ok "row 10: requeue $i" requeue "$job"
        ok "row 10: restored $i" wait_until 60 restored_times "$job" $i
        ok "row 10: it goes on $i" goes_on "$job"
    done
    is "row 10: nobody but the keeper holds anything" "$(holders "$job")" ""
    touch "$halt"
    wait_until 60 grep -q breaches "$report.outside"
    wait_until 20 grep -q looked "$TB/sockets"
    # Each of them was kept at its start, with its capability, until both attackers had been at it.
    for name in keeper dump restore; do
        like "row 10: $name was attacked from outside the job while it held the capability (control)" \
            "$(cat "$report.outside")" "^met $name$"
        like "row 10: $name was attacked from inside while it held the capability (control)" \
            "$(cat "$report.inside")" "^met $name$"
    done
    for name in dump restore; do
        like "row 10: $name was kept until then (control)" "$(cat "$TB/hold")" "^held $name$"
    done
    like "row 10: criu was attacked from outside the job while it held the capability (control)" \
        "$(cat "$report.outside")" "^met criu$"
    is "row 10: without success from inside" "$(grep -c '^BREACH' "$report.inside")" 0
    is "row 10: without success from outside" "$(grep -iE 'breach' "$report.outside" | sort | uniq -c | tr -s ' ')" \
        " 1 breaches 0"
    like "row 23: the sockets were looked at all the while (control)" "$(tail -n 1 "$TB/sockets")" \
        'looked [1-9][0-9]{2,}'
    is "row 23: nobody connected to a planted streamer socket" "$(grep ^connection "$TB/sockets")" ""
    is "row 23: no socket with a name came into being but Slurm's own" \
        "$(grep '^socket' "$TB/sockets" | grep -F "$TB/" | grep -vE "/spool-[^/]*/|/munge/")" ""
    unlike "row 23: none of a streamer" "$(grep '^socket' "$TB/sockets" | grep -vE '/proc/self/fd/')" streamer
    touch "$stop"
    ok "row 10: the job ends well" wait_state "$job" COMPLETED
    ok "row 10: each step once" each_once "$job"
}

# Rows 11 and 12: what a user may do to processes of his uid, capability or not
rows_11_12() {
    local job stop=$HOME_DIR/pest.stop mode halt out n
    job=$(submit --checkpoint=interval=0 -- "$(job_script pest.sh "$PROGS/counter" "$stop")")
    ok "row 11: a job starts" wait_step "$job" 3
    for mode in limits stop kill; do
        n=11
        [ $mode = limits ] || n=12
        halt=$HOME_DIR/halt.$mode
        run "$ATTACKS/spin" "$(job_group "$job")" "$halt" "$halt.report" $mode </dev/null >/dev/null 2>&1 &
        wait_until 10 grep -q started "$halt.report"
        out=$(checkpoint "$job" 2>&1)
        touch "$halt"
        wait_until 10 grep -q breaches "$halt.report"
        like "row $n: $mode: dump was hit (control)" "$(grep '^dump' "$halt.report")" '^dump tried [1-9]'
        like "row $n: $mode: the checkpoint is made or the reason told" "$out" 'gen-0000-|not saved: .'
        ok "row $n: $mode: the job goes on" goes_on "$job"
        is "row $n: $mode: nothing is left that holds anything" "$(wait_until 10 no_holders "$job"; holders "$job")" ""
        ok "row $n: $mode: the keeper is there" keeper_holds "$job"
        like "row $n: $mode: the next checkpoint is made" "$(checkpoint "$job" 2>&1)" 'gen-0000-'
        is "row $n: $mode: nothing half-written is left" "$(find "$(taskdir "$job")" -name '*.partial')" ""
    done
    touch "$stop"
    ok "row 12: the job ends" wait_state "$job" COMPLETED
    ok "row 12: each step once" each_once "$job"
}
no_holders() { [ -z "$(holders "$1")" ]; }

echo 'TaskProlog=@DIR@/home/ckptest/prolog' >"$TEST_TMP/slurm.conf"
sec_up --slurm-conf "$TEST_TMP/slurm.conf"
put_script prolog >/dev/null <<END
#!/bin/bash
[ "\$SLURM_JOB_NAME" = spun ] || exit 0
report=$HOME_DIR/spin.inside
touch "\$report"
before=\$(grep -c started "\$report")
# A simple command, else a shell would hold the pipe to slurmstepd open.
setsid $ATTACKS/spin job_\$SLURM_JOB_ID/ $HOME_DIR/spin.halt "\$report" </dev/null >/dev/null 2>&1 &
# slurmstepd ends the prolog's process group after it: not before setsid has left it.
while [ "\$(grep -c started "\$report")" = "\$before" ]; do sleep 0.02; done
END
together ${SEC_ONLY:-rows_14_15 rows_11_12}
[ -n "${SEC_ONLY:-}" ] || rows_10_23 # alone: it takes a whole processor, and more
ok "no node was drained" node_fine
done_testing
