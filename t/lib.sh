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
# TMPDIR.  Output is TAP; a failing step shows what it saw as diagnostics.

set -u
TEST_TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
TESTBED=$TEST_TOP/contrib/testbed
CKPT_BUILDDIR=${CKPT_BUILDDIR:-$TEST_TOP}
CKPT_ISOLATION=${CKPT_ISOLATION:-private}
export CKPT_BUILDDIR
test_n=0 test_failed=0 TB=
TEST_TMP=$(mktemp -d "${TMPDIR:-/tmp}/ckpt-t.XXXXXX")
chmod 755 "$TEST_TMP"

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

done_testing() {
    echo "1..$test_n"
    [ "$test_failed" -eq 0 ]
}

# --- the testbed ------------------------------------------------------------------------------------

# tb_up [testbed up options] - sets TB, HOME_DIR (the test user's), SCRATCH (his checkpoints)
tb_up() {
    TB=$TEST_TMP/tb
    if ! "$TESTBED" up --dir "$TB" --isolation "$CKPT_ISOLATION" "$@" >"$TEST_TMP/up.log" 2>&1; then
        sed 's/^/# /' "$TEST_TMP/up.log"
        bail "the testbed does not start"
    fi
    HOME_DIR=$TB/home/ckptest
    SCRATCH=$TB/scratch/ckptest
}

test_cleanup() {
    local rc=$?
    trap - EXIT INT TERM
    [ -z "$TB" ] || "$TESTBED" down --dir "$TB" >"$TEST_TMP/down.log" 2>&1 || {
        sed 's/^/# /' "$TEST_TMP/down.log"
        rc=1
    }
    rm -rf "$TEST_TMP"
    exit $rc
}
trap test_cleanup EXIT
trap 'exit 130' INT TERM

run() { "$TESTBED" run --dir "$TB" -- "$@"; }             # as the test user
run_as() { local u=$1; shift; "$TESTBED" run --dir "$TB" --user "$u" -- "$@"; }
run_root() { "$TESTBED" run --dir "$TB" --root -- "$@"; }

# put_script NAME <<text - an executable file in the test user's home; prints its path
put_script() {
    cat >"$HOME_DIR/$1"
    chown ckptest: "$HOME_DIR/$1"
    chmod 755 "$HOME_DIR/$1"
    echo "$HOME_DIR/$1"
}

# submit [sbatch options] -- SCRIPT [ARGUMENTS] - prints the job id; output goes to HOME_DIR/JOBID.out
submit() {
    local opts=()
    while [ $# -gt 0 ] && [ "$1" != -- ]; do opts+=("$1"); shift; done
    shift
    run sbatch --parsable --requeue -o "$HOME_DIR/%j.out" "${opts[@]}" "$@"
}

out() { cat "$HOME_DIR/$1.out" 2>/dev/null; }
state() { run_root scontrol show job "$1" 2>/dev/null | sed -n 's/.*JobState=\([A-Z_]*\).*/\1/p'; }
restarts() { run_root scontrol show job "$1" | sed -n 's/.*Restarts=\([0-9]*\).*/\1/p'; }

# wait_until SECONDS COMMAND... - polls every 0.1 s; fails after the time
wait_until() {
    local end=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        [ $SECONDS -lt $end ] || { echo "timed out waiting for: $*"; return 1; }
        sleep 0.1
    done
}

state_is() { [ "$(state "$1")" = "$2" ]; }
out_has() { out "$1" | grep -qE -- "$2"; }

# wait_state JOB STATE [SECONDS] ; wait_out JOB REGEX [SECONDS]
wait_state() {
    wait_until "${3:-60}" state_is "$1" "$2" || { run_root scontrol show job "$1"; out "$1" | tail -n 15; return 1; }
}
wait_out() {
    wait_until "${3:-60}" out_has "$1" "$2" || { echo "state: $(state "$1")"; out "$1" | tail -n 25; return 1; }
}

# The job's own directory, and its complete generations, oldest first
jobdir() { find "$SCRATCH" -maxdepth 1 -name "*.$1.*" 2>/dev/null | head -n 1; }
generations() { find "$(jobdir "$1")/batch" -maxdepth 1 -name 'gen-*' ! -name '*.partial' -printf '%f\n' 2>/dev/null | sort; }
n_generations() { generations "$1" | grep -c .; }

checkpoint() { run scheckpoint create "$1"; } # to the end

# requeue JOB - and have it start at once
requeue() {
    run scontrol requeue "$1" || return 1
    wait_until 40 state_is "$1" PENDING || return 1
    # The time limit of the requeued start is lifted again and again: slurmctld sets it late.
    wait_until 60 restart_now "$1"
}
restart_now() {
    case $(state "$1") in RUNNING | COMPLETED | FAILED) return 0 ;; esac
    run_root scontrol update job="$1" StartTime=now
    sleep 0.3
    return 1
}
