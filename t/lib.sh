# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# lib.sh - what the system tests share.  Each t/NNNN-*.t sources it:
#
#   . "$(dirname "$0")/lib.sh"
#   tb_up                      # a private Slurm, taken down at exit
#   job=$(submit --checkpoint=5 -- script.sh)
#   ok "it runs" wait_state "$job" RUNNING 20
#   done_testing
#
# Environment: CKPT_BUILDDIR (the build to test, default: the checkout), CKPT_ISOLATION (private|host, default private),
# TMPDIR, CKPT_KEEP=1 (leave the testbed's directory for a look at its logs), CKPT_PATIENCE=N (all waiting may take N times
# as long: an emulated machine).  Output is TAP; a failing step shows what it saw as diagnostics.

set -u
TEST_TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
TESTBED=$TEST_TOP/contrib/testbed
CKPT_BUILDDIR=${CKPT_BUILDDIR:-$TEST_TOP}
CKPT_ISOLATION=${CKPT_ISOLATION:-private}
export CKPT_BUILDDIR
test_n=0 test_failed=0 tb_n=0 TB=
TEST_TMP=$(mktemp -d "${TMPDIR:-/tmp}/ckpt-t.XXXXXX")
chmod 755 "$TEST_TMP"
TEST_NAP=$TEST_TMP/nap # nobody writes into it
mkfifo "$TEST_NAP"

diag() { printf '# %s\n' "$@" | sed '2,$s/^\(# \)\?/# /'; }

bail() { printf 'Bail out! %s\n' "$*"; exit 1; }

# skip_all REASON - the whole file does not apply here
skip_all() { printf '1..0 # SKIP %s\n' "$*"; exit 0; }

# ok NAME COMMAND... - passes when the command does; its output is shown when it fails
ok() {
    local name=$1 out rc
    shift
    out=$("$@" 2>&1)
    rc=$?
    test_n=$((test_n + 1))
    if [ $rc -eq 0 ]; then
        echo "ok $test_n - $name"
    else
        test_failed=$((test_failed + 1))
        echo "not ok $test_n - $name"
        diag "command: $* (status $rc)"
        [ -z "$out" ] || printf '%s\n' "$out" | tail -n 30 | sed 's/^/#   /'
    fi
    return $rc
}

# nok NAME COMMAND... - passes when the command fails
nok() {
    local name=$1
    shift
    ok "$name" not "$@"
}
not() { ! "$@"; }

# is NAME GOT WANTED
is() {
    test_n=$((test_n + 1))
    if [ "$2" = "$3" ]; then
        echo "ok $test_n - $1"
        return 0
    fi
    test_failed=$((test_failed + 1))
    echo "not ok $test_n - $1"
    diag "got:    $2" "wanted: $3"
    return 1
}

# isnt NAME GOT UNWANTED
isnt() {
    test_n=$((test_n + 1))
    if [ "$2" != "$3" ]; then
        echo "ok $test_n - $1"
        return 0
    fi
    test_failed=$((test_failed + 1))
    echo "not ok $test_n - $1"
    diag "got what it must not be: $2"
    return 1
}

# like NAME TEXT REGEX (extended)
like() {
    test_n=$((test_n + 1))
    if grep -qE -- "$3" <<<"$2"; then
        echo "ok $test_n - $1"
        return 0
    fi
    test_failed=$((test_failed + 1))
    echo "not ok $test_n - $1"
    diag "wanted a match of: $3" "in:"
    tail -n 30 <<<"$2" | sed 's/^/#   /'
    return 1
}

unlike() {
    test_n=$((test_n + 1))
    if ! grep -qE -- "$3" <<<"$2"; then
        echo "ok $test_n - $1"
        return 0
    fi
    test_failed=$((test_failed + 1))
    echo "not ok $test_n - $1"
    diag "unwanted match of: $3" "in:"
    tail -n 30 <<<"$2" | sed 's/^/#   /'
    return 1
}

# skip NAME REASON - one step that does not apply here
skip() {
    test_n=$((test_n + 1))
    echo "ok $test_n - $1 # SKIP $2"
}

# together FUNCTION... - runs them at the same time, each in a subshell; prints what they printed, in order
together() {
    local f line together_start=$SECONDS
    for f; do
        # shellcheck disable=SC2030 # counted again below
        (
            test_n=0 test_failed=0
            "$f"
            echo "# $f took $((SECONDS - together_start)) s"
        ) >"$TEST_TMP/together.$f" 2>&1 &
    done
    wait
    # shellcheck disable=SC2031
    for f; do
        while IFS= read -r line; do
            case $line in
                "ok "*) test_n=$((test_n + 1)); echo "ok $test_n - ${line#ok * - }" ;;
                "not ok "*)
                    test_n=$((test_n + 1)) test_failed=$((test_failed + 1))
                    echo "not ok $test_n - ${line#not ok * - }"
                    ;;
                *) printf '%s\n' "$line" ;;
            esac
        done <"$TEST_TMP/together.$f"
    done
}

done_testing() {
    echo "1..$test_n"
    [ "$test_failed" -eq 0 ]
}

# --- the testbed ------------------------------------------------------------------------------------

# tb_up [testbed up options] - sets TB, HOME_DIR (the test user's), SCRATCH (his checkpoints), PROGS (the test
# programs), NODE (a node's name without its number)
tb_up() {
    local name
    [ "$(id -u)" -eq 0 ] || skip_all "needs root"
    tb_n=$((tb_n + 1))
    TB=$TEST_TMP/tb$tb_n
    if ! "$TESTBED" up --dir "$TB" --isolation "$CKPT_ISOLATION" "$@" >"$TEST_TMP/up.log" 2>&1; then
        sed 's/^/# /' "$TEST_TMP/up.log"
        bail "the testbed does not start"
    fi
    HOME_DIR=$TB/home/ckptest
    SCRATCH=$TB/scratch/ckptest
    PROGS=$TB/progs
    mapfile -d '' -t tb_env < <("$TESTBED" run --dir "$TB" -- env -0)
    mapfile -d '' -t tb_env_root < <("$TESTBED" run --dir "$TB" --root -- env -0)
    NODE=$(run_root printenv TESTBED_NODES)
    NODE=${NODE%n*}n
    install -d "$PROGS"
    for name in "$TEST_TOP"/t/progs/*.{sh,py,R,java}; do
        install -m 755 "$name" "$PROGS"
    done
    for name in "$TEST_TOP"/t/progs/*.c; do
        name=$(basename "$name" .c)
        install -m 755 "$CKPT_BUILDDIR/t/progs/$name" "$PROGS" ||
            bail "the test programs are not built: make -C $CKPT_BUILDDIR t-programs"
    done
}

tb_down() {
    local keep=()
    [ -n "$TB" ] || return 0
    [ -z "${CKPT_KEEP:-}" ] || keep=(--keep)
    mount | awk -v d="$TB/" 'index($3, d) == 1 { print $3 }' | sort -r | xargs -r -n 1 umount -l
    "$TESTBED" down --dir "$TB" "${keep[@]}" >"$TEST_TMP/down.log" 2>&1 || {
        sed 's/^/# /' "$TEST_TMP/down.log"
        return 1
    }
    TB=
}

test_cleanup() {
    local rc=$?
    trap - EXIT INT TERM
    tb_down || rc=1
    if [ -n "${CKPT_KEEP:-}" ]; then diag "left behind: $TEST_TMP"; else rm -rf "$TEST_TMP"; fi
    exit $rc
}
trap test_cleanup EXIT
trap 'exit 130' INT TERM

# Each `testbed run` looks at the whole testbed first; what polls or comes often takes its environment instead.
run() { # as the test user
    (cd "$HOME_DIR" && exec setpriv --reuid ckptest --regid ckptest --init-groups --inh-caps=-all \
        --ambient-caps=-all -- env -i "${tb_env[@]}" "$@")
}
run_as() { local u=$1; shift; "$TESTBED" run --dir "$TB" --user "$u" -- "$@"; }
run_root() { env -i "${tb_env_root[@]}" "$@"; }

# put_script NAME <<text - an executable file in the test user's home; prints its path
put_script() {
    cat >"$HOME_DIR/$1"
    chown ckptest: "$HOME_DIR/$1"
    chmod 755 "$HOME_DIR/$1"
    echo "$HOME_DIR/$1"
}

# job_script NAME COMMAND... - a batch script that runs COMMAND as its child and ends as it does; prints its path
job_script() {
    local name=$1
    shift
    put_script "$name" <<<"#!/bin/bash
$(printf '%q ' "$@")
exit \$?"
}

# submit [sbatch options] -- SCRIPT [ARGUMENTS] - prints the job id; output goes to HOME_DIR/JOBID.out
submit() {
    local opts=()
    while [ $# -gt 0 ] && [ "$1" != -- ]; do opts+=("$1"); shift; done
    shift
    run sbatch --parsable --requeue --mem=400 -o "$HOME_DIR/%j.out" "${opts[@]}" "$@"
}

# --- jobs -------------------------------------------------------------------------------------------

out() { cat "$HOME_DIR/$1.out" 2>/dev/null; }
show() { run_root scontrol -o show job "$1" 2>/dev/null; }
# job_field JOB NAME... - of what `scontrol show job` tells: sets FIELD to their values, a line for each component or task.
# It is asked some hundred times a second: one process, and no more.
job_field() {
    local job=$1 line name
    shift
    FIELD=
    while read -r line; do
        for name; do [[ $line =~ (^|\ )$name=([^ ]*) ]] && FIELD+=${FIELD:+$'\n'}${BASH_REMATCH[2]}; done
    done < <(exec env -i "${tb_env_root[@]}" scontrol -o show job "$job" 2>/dev/null)
    return 0
}
state() { job_field "$1" JobState; echo "$FIELD"; }
restarts() { job_field "$1" Restarts; echo "$FIELD"; }
# exit_code JOB - STATUS:SIGNAL
exit_code() { job_field "$1" ExitCode; echo "$FIELD"; }
job_node() { job_field "$1" NodeList; echo "$FIELD"; }

# wait_until SECONDS COMMAND... - polls; fails after the time
wait_until() {
    local end=$((SECONDS + $1 * ${CKPT_PATIENCE:-1}))
    shift
    until "$@" >/dev/null 2>&1; do
        [ $SECONDS -lt $end ] || { echo "timed out waiting for: $*"; return 1; }
        nap 0.2
    done
}
# nap SECONDS - sleep, without a process
nap() { read -rt "$1" <>"$TEST_NAP" || :; }

state_is() { job_field "$1" JobState; [ "$FIELD" = "$2" ]; }
state_in() { job_field "$1" JobState; [[ " $2 " == *" $FIELD "* ]]; }
out_has() { grep -qsE -- "$2" "$HOME_DIR/$1.out"; }

# wait_state JOB STATE [SECONDS] ; wait_out JOB REGEX [SECONDS]
wait_state() {
    wait_until "${3:-60}" state_is "$1" "$2" || { tell "$1"; return 1; }
}
wait_out() {
    wait_until "${3:-60}" out_has "$1" "$2" || { tell "$1"; return 1; }
}
tell() { # for a failure's diagnostics
    show "$1" | tr ' ' '\n' | grep -E '^(JobState|Reason|Restarts|ExitCode|StartTime|NodeList|Comment)=' | paste -s -d ' '
    out "$1" | grep -av '^step ' | tail -n 12
    echo "last: $(out "$1" | tail -n 1)"
}

# --- what the test programs print: "step N pid P"

last_step() { awk '/^step / { n = $2 } END { print n + 0 }' "$HOME_DIR/$1.out" 2>/dev/null || echo 0; }
step_reached() { awk -v n="$2" '/^step / { last = $2 } END { exit last + 0 < n }' "$HOME_DIR/$1.out" 2>/dev/null; }
wait_step() { wait_until "${3:-60}" step_reached "$1" "$2" || { tell "$1"; return 1; }; }
# goes_on JOB [STEPS] - from where it is now
goes_on() { wait_step "$1" $(($(last_step "$1") + ${2:-3})) 60; }
# once FILE - the steps in it are 1, 2, 3 ... and none comes twice
once() {
    awk '/^step / { if ($2 != ++n) { print FILENAME ": step " $2 " instead of " n; bad = 1; n = $2 } }
        END { if (!n) print FILENAME ": no step"; exit bad || !n }' "$1"
}
each_once() { once "$HOME_DIR/$1.out"; }
# jumps JOB - how often the count went back, and by how much: "COUNT LARGEST", and fails when it ever went ahead
jumps() {
    out "$1" | awk '/^step / {
            if ($2 <= n) { count++; if (n - $2 + 1 > most) most = n - $2 + 1 }
            else if ($2 != n + 1) bad = 1
            n = $2
        } END { print count + 0, most + 0; exit bad }'
}
pids_printed() { out "$1" | awk '/^step / { print $4 }' | sort -u | paste -s -d ' '; }

# flip FILE - changes one byte in its middle; twice is as before
flip() {
    local at byte
    at=$(($(stat -c %s "$1") / 2))
    byte=$(od -An -tu1 -j $at -N 1 "$1")
    printf '%b' "\\x$(printf %02x $((byte ^ 255)))" | dd of="$1" bs=1 seek=$at conv=notrunc status=none
}

# node_fine - no node was drained or went down, whatever a test did
node_fine() {
    local states
    states=$(run_root sinfo -h -N -o %T | sort -u | grep -vE '^(idle|mixed|allocated|completing|planned)$')
    [ -z "$states" ] || { run_root sinfo -N -l; return 1; }
}

# --- what root sees of a job's processes

# The batch step's control group, as /proc/PID/cgroup of its processes names it (v1, v2)
job_pids() { grep -lsE "${NODE}[0-9]+[_/].*job_$1/step_batch(/|\$)" /proc/[0-9]*/cgroup | cut -d / -f 3; }
# job_pid JOB NAME - the first process of that name
job_pid() {
    local pid
    for pid in $(job_pids "$1"); do
        [ "$(cat "/proc/$pid/comm" 2>/dev/null)" != "$2" ] || { echo "$pid"; return 0; }
    done
    return 1
}

# pids_file PID - where the kernel lists the processes of its control group
pids_file() {
    local line path top
    while IFS=: read -r _ line path; do
        for top in /sys/fs/cgroup /sys/fs/cgroup/unified "/sys/fs/cgroup/$line"; do
            [ "$path" = / ] || ! grep -qsx "$1" "$top$path/cgroup.procs" || { echo "$top$path/cgroup.procs"; return; }
        done
    done <"/proc/$1/cgroup"
}

no_process() { [ -z "$(job_pids "$1")" ]; }

# ours NAME - processes of that name of anybody's in this testbed, by the environment that they were given
ours() {
    local pid
    for pid in $(pgrep -x "$1"); do
        ! grep -qszxF "CKPT_TESTBED=$TB" "/proc/$pid/environ" || echo "$pid"
    done
}

# tree JOB [threads] - the processes below and with ckpt-init, as the job itself numbers them, a line each; without
# those that come and go.  The names of threads are not compared: programs change them.
tree() {
    local pid
    for pid in $(job_pids "$1"); do cat "/proc/$pid/task"/*/status; done 2>/dev/null | awk -v with="${2:-}" '
        # The shell has sorted them as words, by their numbers outside.
        function insert(list, new,    n, i, v, out) {
            n = split(list, v, " ")
            for (i = 1; i <= n && v[i] + 0 < new + 0; i++) out = out " " v[i]
            out = out " " new
            for (; i <= n; i++) out = out " " v[i]
            return out
        }
        $1 == "Name:" { name = $2 }
        $1 == "Tgid:" { tgid = $2 }
        $1 == "Pid:" { pid = $2 }
        $1 == "PPid:" && pid == tgid { comm[pid] = name; parent[pid] = $2 }
        $1 == "NSpid:" { tid = $NF; if (pid == tgid) own[pid] = tid; tids[tgid] = insert(tids[tgid], tid) }
        $1 == "NSpgid:" && pid == tgid { pgid[pid] = $NF }
        $1 == "NSsid:" && pid == tgid { sid[pid] = $NF }
        END {
            for (p in comm) {
                for (a = p; a in comm && comm[a] != "ckpt-init"; a = parent[a]);
                if (!(a in comm) || comm[p] ~ /^(sleep|date|rm)$/) continue
                print own[p], comm[p], "ppid", p == a ? "-" : own[parent[p]], "pgid", pgid[p], "sid", sid[p],
                    with ? "threads" tids[p] : ""
            }
        }' | sort -n
}

# squat PID [SECONDS [zombie]] - a process of root's with that pid, for 300 s; prints the one that it got (squat.py)
squat() { python3 "$TEST_TOP/t/squat.py" "$1" "${2:-300}" "${@:3}"; }

# --- checkpoints

# The job's own directory, and its complete generations, oldest first
jobdir() { find "${2:-$SCRATCH}" -maxdepth 1 -name "*.$1.*" 2>/dev/null | head -n 1; }
taskdir() { echo "$(jobdir "$@")/batch"; }
generations() {
    find "$(taskdir "$@")" -maxdepth 1 -name 'gen-*' ! -name '*.partial' -printf '%f\n' 2>/dev/null | sort
}
n_generations() { generations "$@" | grep -c .; }
newest() { generations "$@" | tail -n 1; }
no_images() { [ -z "$(jobdir "$@")" ] || { find "$(jobdir "$@")"; return 1; }; }

checkpoint() { run scheckpoint create "$@"; } # to the end

# requeue JOB - and have it start at once
requeue() {
    local n
    n=$(restarts "$1")
    run scontrol requeue "$1" || return 1
    wait_until 60 restarted "$1" $((n + 1)) || { tell "$1"; return 1; }
}
# start_now JOB - slurmctld sets the time before which a requeued job does not start late: it is lifted, but never in the
# very second in which slurmd revoked the credential of the run before, for it would refuse the new one and end the job
start_now() {
    local n
    n=$(restarts "$1")
    sleep 2
    [ "$(state "$1")" = PENDING ] && [ "$(restarts "$1")" = "$n" ] || return 0
    run_root scontrol update job="$1" StartTime=now >/dev/null 2>&1
}
restarted() {
    job_field "$1" JobState Restarts
    [ "${FIELD##*$'\n'}" -ge "$2" ] || return 1
    case ${FIELD%%$'\n'*} in
        RUNNING | COMPLETED | FAILED) return 0 ;;
        PENDING) start_now "$1" ;;
    esac
    return 1
}
restored() { wait_out "$1" 'checkpoint: restored' "${2:-60}"; }
n_restored() { out "$1" | grep -c 'checkpoint: restored'; }
restored_times() { [ "$(n_restored "$1")" -ge "$2" ]; }

# Slurm shows a job that was requeued and held in more than one way.
held() {
    local now
    now=$(show "$1")
    [[ $now != *JobState=COMPLETING* && $now =~ JobState=SPECIAL_EXIT|\ Reason=[A-Za-z_]*([Hh]eld|SPECIAL_EXIT) ]]
}
wait_held() { wait_until "${2:-60}" held_now "$1" || { tell "$1"; return 1; }; }
held_now() {
    held "$1" && return
    [ "$(state "$1")" != PENDING ] || start_now "$1"
    return 1
}
# wait_held_by_us JOB - it has run again, and was held because it could not be restored
wait_held_by_us() { wait_until 60 held_by_us "$1" || { tell "$1"; return 1; }; }
held_by_us() { held_now "$1" && out_has "$1" '^checkpoint: .*held: scontrol release'; }
# requeue_hold JOB - it does not start before `release JOB`
requeue_hold() { run scontrol requeuehold "$1" && wait_held "$1" && wait_until 20 no_process "$1"; }
release() {
    run scontrol release "$1" || return 1
    wait_until "${2:-60}" out_of_queue "$1" || { tell "$1"; return 1; }
}
out_of_queue() {
    case $(state "$1") in
        PENDING) start_now "$1"; return 1 ;;
        RUNNING | COMPLETED | FAILED) return 0 ;;
    esac
    return 1
}
