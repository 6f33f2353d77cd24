# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# faultlib.sh - what the tests of generations on disk (t/08*.t) share beside lib.sh.
#
# Most of them need no job: run-helper starts libexec dump and restore as the keeper does, on a program of the test
# user.  A session is one run-helper that takes its commands from us:
#
#   session NAME DIR [run-helper options] -- PROGRAM...   # sets TREE_OUT, where the program prints
#   reply=$(ask dump)                                     # one line of key=value
#   tell_it signal KILL
#   session_end

# shellcheck source=t/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

KEY=test.4711.0123456789abcdef # run-helper's job

# fault_up [testbed up options] - tb_up, and RUN_HELPER
fault_up() {
    [ -x "$CKPT_BUILDDIR/t/helpers/run-helper" ] || bail "run-helper is not built: make -C $CKPT_BUILDDIR"
    tb_up "$@"
    HELPERS=$TB/inst/libexec/slurm-spank-checkpoint
    RUN_HELPER=("$CKPT_BUILDDIR/t/helpers/run-helper" --user ckptest --helper-dir "$HELPERS"
        --munge-socket "$TB/munge/munge.sock" --criu "$(sed -n 's/^Criu=//p' "$TB/etc/checkpoint.conf")")
    install -m 755 "$TEST_TOP"/t/faulty/*.py "$TB"
    if [ -x "$CKPT_BUILDDIR/t/faulty/faulty" ]; then
        install -m 755 "$CKPT_BUILDDIR"/t/faulty/{faulty,fuse-mount} "$TB"
    fi
}

# need_fuse - or skip the file
need_fuse() {
    [ -x "$CKPT_BUILDDIR/t/faulty/faulty" ] || skip_all "needs libfuse3-dev at configure, and make t-faulty"
    [ -e /dev/fuse ] || skip_all "needs /dev/fuse"
}

# new_dir NAME - a checkpoint directory of the user's; prints it
new_dir() {
    install -d -o ckptest -g ckptest -m 700 "$HOME_DIR/$1"
    echo "$HOME_DIR/$1"
}

# --- sessions

session() {
    local name=$1 dir=$2 opts=()
    shift 2
    while [ "$1" != -- ]; do opts+=("$1"); shift; done
    shift
    TREE_OUT=$HOME_DIR/$name.out
    SESSION_DIR=$dir/$KEY/batch
    rm -f "$TEST_TMP/$name.to" "$TEST_TMP/$name.from"
    mkfifo "$TEST_TMP/$name.to" "$TEST_TMP/$name.from"
    # In a control group of its own: after a restore everything of the user's in the group is looked at.
    SESSION_GROUP=$(own_group "$name")
    (
        echo "$BASHPID" >"$SESSION_GROUP/cgroup.procs"
        exec "${RUN_HELPER[@]}" --dir "$dir" --out "$TREE_OUT" "${opts[@]}" --do - -- "$@"
    ) <"$TEST_TMP/$name.to" >"$TEST_TMP/$name.from" 2>&1 &
    session_pid=$!
    exec {session_to}>"$TEST_TMP/$name.to" {session_from}<"$TEST_TMP/$name.from"
    wait_until 10 test -s "$TREE_OUT"
}

# own_group NAME - a new control group (v1 or v2); prints its directory
own_group() {
    local top=/sys/fs/cgroup
    [ ! -d $top/pids ] || top=$top/pids
    mkdir -p "$top/${TEST_TMP##*/}.$1" && echo "$top/${TEST_TMP##*/}.$1"
}

# tell_it COMMAND... - one without an answer
tell_it() { printf '%s\n' "$*" >&"$session_to"; }

# ask COMMAND... - dump, restore or wait; prints the answer, and what was said before it
ask() {
    local line
    tell_it "$*"
    while read -r -t $((150 * ${CKPT_PATIENCE:-1})) line <&"$session_from"; do
        echo "$line"
        case $line in verb=* | tree:*) return 0 ;; esac
    done
    echo "no answer of run-helper to: $*"
    return 1
}

session_end() {
    [ -z "${1:-}" ] || tell_it "$1"
    exec {session_to}>&- {session_from}<&-
    wait "$session_pid"
    rmdir "$SESSION_GROUP"
}

# succeeded REPLY ; error_of REPLY ; text_of REPLY ; generation_of REPLY
succeeded() { grep -q '^verb=[0-9]* error=0 ' <<<"$1"; }
error_of() { sed -n 's/^verb=.* error=\([0-9]*\) .*/\1/p' <<<"$1"; }
text_of() { sed -n 's/^verb=.* text=//p' <<<"$1"; }
generation_of() { sed -n 's/^verb=.* generation=\([^ ]*\) .*/\1/p' <<<"$1"; }

# --- what the session's program and directory look like

steps() { awk '/^step / { n = $2; c++ } END { print c + 0 }' "$TREE_OUT"; }
more_steps() { [ "$(steps)" -gt "$1" ]; }
# runs_on - it makes further steps from now on
runs_on() {
    local now end=$((SECONDS + 10 * ${CKPT_PATIENCE:-1}))
    now=$(steps)
    until more_steps $((now + 1)); do
        [ $SECONDS -lt $end ] || { tail -n 3 "$TREE_OUT"; return 1; }
        sleep 0.01
    done
}
unbroken() { ! grep -a '^broken' "$TREE_OUT"; }
# complete ; partial - generations in the session's directory, oldest first; as root, so not on a FUSE mount: pass its
# source instead
complete() { find "${1:-$SESSION_DIR}" -maxdepth 1 -type d -name 'gen-[0-9][0-9][0-9][0-9]-*[0-9]' -printf '%f\n' | sort; }
partial() { find "${1:-$SESSION_DIR}" -maxdepth 1 -type d -name 'gen-*.partial' -printf '%f\n' | sort; }

# --- filesystems

# faulty NAME - mounts HOME_DIR/NAME over HOME_DIR/NAME.src; sets FAULTY_MNT and FAULTY_SRC.  Only the user gets in.
faulty() {
    FAULTY_MNT=$(new_dir "$1")
    FAULTY_SRC=$(new_dir "$1.src")
    "$TB/fuse-mount" ckptest "$FAULTY_MNT" "$TB/faulty" "$FAULTY_SRC" </dev/null >"$TEST_TMP/$1.fuse" 2>&1 &
    wait_until 10 run test -w "$FAULTY_MNT" || bail "the FUSE filesystem does not start: $(cat "$TEST_TMP/$1.fuse")"
}
# plan WORDS... - see the head of t/faulty/faulty.c
plan() { run setfattr -n user.faulty -v "$*" "$FAULTY_MNT"; }
planned() { run getfattr --absolute-names --only-values -n user.faulty "$FAULTY_MNT"; }

# forge GENERATION-DIR VERB... - as its owner; see t/faulty/forge-generation.py
forge() { run "$TB/forge-generation.py" "$TB/munge/munge.sock" "$@"; }

# A session whose tree was killed, with two good generations in SESSION_DIR; GEN is the second, OLD_GEN the first.
# What a test does to GEN is undone by renew.
two_generations() {
    session "$1" "$(new_dir "$1")" -- "$PROGS/invariant" "$HOME_DIR/$1.stop" 1
    ok "$1: a first dump" succeeded "$(ask dump)"
    runs_on >/dev/null
    ok "$1: a second dump" succeeded "$(ask dump)"
    tell_it signal KILL
    OLD_GEN=$SESSION_DIR/gen-0000-000001 GEN=$SESSION_DIR/gen-0000-000002
    PRISTINE=$HOME_DIR/$1.pristine
    cp -a "$GEN" "$PRISTINE"
}
renew() {
    rm -rf "$GEN"
    cp -a "$PRISTINE" "$GEN"
}

# refused NAME REGEX - GEN is not restored, and why; afterwards it is as it was
refused() {
    local reply
    reply=$(ask restore "${GEN##*/}")
    if succeeded "$reply"; then
        tell_it signal KILL
        test_n=$((test_n + 1)) test_failed=$((test_failed + 1))
        echo "not ok $test_n - $1"
        diag "it was restored"
    else
        like "$1" "$(error_of "$reply") $(text_of "$reply")" "^[1-9][0-9]* .*($2)"
    fi
    renew
}

# verify DIR [GENERATION as EPOCH.SEQUENCE] - reads it all with scheckpoint
verify() { run scheckpoint verify -d "$1" "4711${2:+.$2}"; }
