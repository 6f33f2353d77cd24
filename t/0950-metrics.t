#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# isolation: private
#
# timeout: 300
#
# What is counted of a node's checkpoints (scheckpoint metrics, MetricsDir), and what is told to the journal.
. "$(dirname "$0")/lib.sh"

cat >"$TEST_TMP/conf" <<'END'
MetricsDir=@DIR@/metrics
EventSocket=@DIR@/events.sock
END
tb_up --conf "$TEST_TMP/conf"
mkdir "$TB/metrics"
DOCTOR_NODE=${NODE}1
PROM=$TB/metrics/slurm_checkpoint_$DOCTOR_NODE.prom

# Stands for the journal: each datagram, and an empty line
cat >"$TEST_TMP/listen.py" <<'END'
import os, socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
os.chmod(sys.argv[1], 0o666)
out = open(sys.argv[2], "ab", 0)
while True:
    out.write(s.recv(65536) + b"\n")
END
python3 "$TEST_TMP/listen.py" "$TB/events.sock" "$TEST_TMP/events" &
listener=$!
trap 'kill $listener 2>/dev/null; test_cleanup' EXIT
ok "somebody listens" wait_until 60 test -S "$TB/events.sock"

metrics() { run_root scheckpoint metrics --node "$DOCTOR_NODE" --conf "$TB/etc/checkpoint.conf" "$@"; }
value() { metrics | sed -n "s/^slurm_checkpoint_$1{[^}]*} //p"; }
has_value() { [ "$(value "$1")" = "$2" ]; }
# event NAME - the datagrams of that event of that job
event() { awk -v RS= -v e="CHECKPOINT_EVENT=$1" -v j="SLURM_JOB_ID=$2" 'index($0 "\n", e "\n") && index($0 "\n", j "\n")' "$TEST_TMP/events"; }
has_event() { [ -n "$(event "$@")" ]; }
# wellformed TEXT - comments, and NAME{LABELS} NUMBER
wellformed() { ! grep -vE '^# (HELP|TYPE) slurm_checkpoint_[a-z_]+ .+$|^slurm_checkpoint_[a-z_]+\{[a-z]+="[A-Za-z0-9_.-]+"(,[a-z]+="[a-z0-9]+")*\} [0-9]+(\.[0-9]+)?$' <<<"$1"; }

run scheckpoint metrics >/dev/null 2>&1
is "for a user: refused" $? 3
like "of a node of which nothing was counted: told" "$(metrics --node NOPE 2>&1; echo "status $?")" "no counters of node NOPE"
like "with status 1" "$(metrics --node NOPE 2>&1; echo "status $?")" '^status 1$'
mkdir "$TEST_TMP/none"
like "but 0 where it is written for the node's monitoring" "$(metrics --node NOPE --output "$TEST_TMP/none" 2>&1; echo "status $?")" '^status 0$'
like "there is no JSON" "$(metrics --json 2>&1; echo "status $?")" '^status 2$'
is "at first nothing was counted" "$(value dumps_total)" 0
is "and nothing runs" "$(value tasks)" 0

job=$(submit --checkpoint=interval=0 -- "$(job_script count.sh "$PROGS/counter" "$HOME_DIR/stop")")
wait_step "$job" 3 || tell "$job"
before=$(date +%s)
ok "a checkpoint" run scheckpoint create "$job"
is "is counted" "$(value dumps_total)" 1
ok "with the bytes that it has" test "$(value stored_bytes_total)" -ge "$(run scheckpoint --json list "$job" | jq '.generations[0].stored_bytes')"
isnt "and how long the job stood still" "$(value pause_seconds_total)" 0.000000
like "and when, by job, step and task" "$(metrics)" \
    "^slurm_checkpoint_newest_timestamp_seconds\{node=\"$DOCTOR_NODE\",job=\"$job\",step=\"batch\",task=\"0\"\} [0-9]+$"
ok "which is now" test "$(value newest_timestamp_seconds)" -ge "$before"
is "one task runs" "$(value tasks)" 1
ok "with status 0, now that there are counters" metrics
ok "the format is Prometheus's" wellformed "$(metrics)"
ok "the journal has it" wait_until 60 has_event checkpoint "$job"
told=$(event checkpoint "$job")
for line in "MESSAGE=job $job batch: checkpoint gen-0000-000001, stood still for [0-9.]+ s, [0-9]+ bytes" PRIORITY=6 \
    SYSLOG_IDENTIFIER=slurm-checkpoint SLURM_STEP_ID=batch SLURM_RESTART_COUNT=0 CHECKPOINT_GENERATION=gen-0000-000001 \
    'CHECKPOINT_PAUSE_USEC=[0-9]+' 'CHECKPOINT_BYTES=[0-9]+'; do
    like "in fields: ${line%%=*}" "$told" "^$line$"
done
held=0
for pid in $(job_pids "$job"); do
    case $(cat "/proc/$pid/comm") in
        keeper) grep -q '/tally\.' "/proc/$pid/maps" && held=1 ;;
        *) [ -z "$(find "/proc/$pid/fd" -lname '*/tally.*' 2>/dev/null)" ] || held="$pid" ;;
    esac
done
is "the keeper, and nobody else, has the file" "$held" 1

# A directory that takes no checkpoint
task=$(dirname "$(find "$SCRATCH" -name 'gen-0000-000001' -type d)")
chmod 0500 "$task"
nok "a checkpoint that cannot be written" run scheckpoint create "$job"
chmod 0700 "$task"
is "is counted as a failure" "$(value dump_failures_total)" 1
is "of that task" "$(value task_dump_failures)" 1
ok "the journal has it, too" wait_until 60 has_event checkpoint-failed "$job"
like "as a warning, with the reason" "$(event checkpoint-failed "$job")" '^PRIORITY=4$'

run scontrol requeue "$job"
wait_until 60 state_is "$job" PENDING
start_now "$job"
ok "restored" wait_out "$job" '^checkpoint: restored' 60
is "is counted" "$(value restores_total)" 1
ok "and told" wait_until 60 has_event restored "$job"
like "with the restart" "$(event restored "$job")" '^SLURM_RESTART_COUNT=1$'
dumps=$(value dumps_total)
ok "what was counted before is not lost" test "$dumps" -ge 1
run scancel "$job"
ok "it has ended" wait_until 60 no_process "$job"
# The epilog of the requeue wrote one, too.
written() { grep -q '^slurm_checkpoint_tasks{.*} 0$' "$PROM" && grep -q '^slurm_checkpoint_restores_total{.*} 1$' "$PROM"; }
ok "the epilog wrote it down" wait_until 60 written
is "for everybody to read" "$(stat -c %a "$PROM")" 644
ok "in Prometheus's format" wellformed "$(cat "$PROM")"
is "with nothing of the job, which is over" "$(grep -c "job=\"$job\"" "$PROM")" 0
is "its file is gone" "$(find "$TB/run/checkpoint" -name 'tally.*' | wc -l)" 0
is "and no other is left beside it" "$(ls -A "$TB/metrics")" "$(basename "$PROM")"

# What spank-checkpoint(8) lists is what there is.
page=$(sed -n '/^\.SH MONITORING/,/^\.SH LIMITS/p' "$TEST_TOP/doc/spank-checkpoint.8")
names=$(sed -n 's/^# TYPE slurm_checkpoint_\([a-z_]*\) .*/\1/p' "$PROM")
is "each name is in the manual page" "$(for name in $names; do grep -qwF "$name" <<<"$page" || echo "$name"; done)" ""
is "and each that the rules for alerts use is there" "$(grep -o 'slurm_checkpoint_[a-z_]*' <<<"$page" | sort -u |
    while read -r name; do [ "$name" = slurm_checkpoint_ ] || grep -q "^# TYPE $name " "$PROM" || echo "$name"; done)" ""

metrics --output "$TB/metrics" >/dev/null
ok "on demand: the same" diff "$PROM" <(metrics)
chmod 777 "$TB/metrics"
out=$(metrics --output "$TB/metrics" 2>&1)
is "into a directory that anybody may write to: refused" $? 1
like "and why" "$out" 'may be written by others than its owner'
job=$(submit --checkpoint=interval=0 -- "$(job_script count.sh "$PROGS/counter" "$HOME_DIR/stop")")
wait_step "$job" 3 || tell "$job"
run scancel "$job"
ok "slurmd's log tells of it" wait_until 60 grep -q "epilog of job $job: metrics: .*chmod go-w" "$TB/log/slurmd-$DOCTOR_NODE.log"
unlike "the node is not drained" "$(run_root sinfo -h -o %T)" drain

# Without a journal: syslog's socket, where this machine has neither.
taken() { python3 -c 'import socket, sys; socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).connect(sys.argv[1])' "$1" 2>/dev/null; }
if [ -e /run/systemd/journal/socket ] || taken /dev/log; then
    skip "what syslog gets" "this machine has a journal or syslog of its own"
else
    rm -f /dev/log
    python3 "$TEST_TMP/listen.py" /dev/log "$TEST_TMP/syslog" &
    syslog=$!
    trap 'kill $listener $syslog 2>/dev/null; rm -f /dev/log; test_cleanup' EXIT
    ok "syslog listens" wait_until 60 test -S /dev/log
    sed -i '/^EventSocket=/d' "$TB/etc/checkpoint.conf"
    job=$(submit --checkpoint=interval=0 -- "$(job_script count.sh "$PROGS/counter" "$HOME_DIR/stop")")
    wait_step "$job" 3 || tell "$job"
    ok "a checkpoint, with syslog" run scheckpoint create "$job"
    told_syslog() {
        grep -aqE "^<30>.* slurm-checkpoint: job $job batch: checkpoint gen-0000-000001, .* cluster=[^ ]+ job=$job step=batch task=batch event=checkpoint" "$TEST_TMP/syslog"
    }
    ok "its line has the job and the step in fields" wait_until 60 told_syslog
    run scancel "$job"
fi
done_testing
