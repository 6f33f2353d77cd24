#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# isolation: private
#
# timeout: 240
#
# scheckpoint check: a verdict per point, each of them made to fail; and the same look before a restore.
. "$(dirname "$0")/lib.sh"

cat >"$TEST_TMP/conf" <<'END'
BusyRetries=0
BusyWait=0
END
tb_up --nodes 2 --conf "$TEST_TMP/conf"
install -m 755 "$TEST_TOP/t/faulty/forge-generation.py" "$TB"
PYTHON=$HOME_DIR/python3
install -o ckptest -g ckptest -m 755 "$(realpath /usr/bin/python3)" "$PYTHON"

check() { run scheckpoint check "$@"; }
# points JOB [OPTION...] - "VERDICT POINT" of each, as JSON has them
points() { check --json "$@" | jq -r '.points[] | .verdict + " " + .point'; }
# fails NAME POINT REGEX COMMAND... - exit status 1, and the point with this reason
fails() {
    local name=$1 point=$2 why=$3 out rc
    shift 3
    out=$("$@" 2>&1)
    rc=$?
    is "$name: exit status" "$rc" 1
    like "$name: told" "$out" "fail +$point +.*$why"
}
# forge GENERATION VERB... - what the owner himself can do to it, sealed anew
forge() { run "$TB/forge-generation.py" "$TB/munge/munge.sock" "$@"; }

# crowded COMMAND... - as the test user in a control group of at most three processes
crowded() {
    local v1=/sys/fs/cgroup/pids v2=/sys/fs/cgroup group rc
    if [ -d "$v1" ]; then group=$v1/ckpt-test.$$; else group=$v2/ckpt-test.$$; fi
    mkdir "$group" && echo 3 >"$group/pids.max" || return 9
    # shellcheck disable=SC2016 # expanded by the inner shell
    run_root bash -c 'echo $$ >"$1/cgroup.procs"; shift; cd /; exec "$@"' - "$group" \
        setpriv --reuid ckptest --regid ckptest --init-groups "$@"
    rc=$?
    wait_until 20 rmdir "$group" >/dev/null
    return $rc
}

files() { # a program with an input, an output, a directory of its own, as an executable that can be replaced
    local job dir=$HOME_DIR/work gen pid_max=
    install -d -o ckptest -g ckptest "$dir"
    echo 0123456789 >"$dir/input"
    chown ckptest: "$dir/input"
    put_script reader.py <<END >/dev/null
import os, sys, time
os.chdir("$dir")
i = open("input", "rb")
o = os.open("output", os.O_WRONLY | os.O_CREAT, 0o644)
k = os.open("index", os.O_RDWR | os.O_CREAT, 0o644)
os.write(k, b"0123456789")
i.read(3)
os.dup2(o, 200)
n = 0
while not os.path.exists("$HOME_DIR/files.stop"):
    n += 1
    print("step", n, "pid", os.getpid(), flush=True)
    os.write(o, b"x" * 100)
    time.sleep(0.1)
END
    job=$(submit --checkpoint=interval=0,files-small=0 -- "$(job_script files.job "$PYTHON" "$HOME_DIR/reader.py")")
    ok "files: starts" wait_step "$job" 3
    ok "files: held" requeue_hold "$job"
    gen=$(taskdir "$job")/$(newest "$job")
    ok "files: all is well, once the last process is reaped" wait_until 60 check "$job"
    [ "$CKPT_ISOLATION" = private ] || pid_max=pid_max
    is "files: every point has a verdict" "$(points "$job" | cut -d ' ' -f 2 | sort -u | paste -s -d ' ')" \
        "$(printf '%s\n' munge images machine kernel criu cpu pids programs inputs outputs directories memory \
            processes descriptors space ${pid_max:+"$pid_max"} | sort | paste -s -d ' ')"
    is "files: none fails" "$(points "$job" | grep -c ^fail)" 0
    like "files: on the other node, by srun" "$(check --node "${NODE}2" "$job")" 'good +munge'
    is "files: that was a job there" "$(run_root scontrol show job | grep -A 30 scheckpoint-check |
        sed -n 's/^ *NodeList=//p' | head -n 1)" "${NODE}2"

    head -c 500 /dev/zero >>"$dir/output"
    like "files: what is cut back is listed" "$(check "$job")" "good +outputs +$dir/output: is cut back from [0-9]+ bytes"
    truncate -s -500 "$dir/output"
    cp -p "$dir/output" "$HOME_DIR/output.whole"
    truncate -s 1 "$dir/output"
    fails "files: a short output" outputs "$dir/output: is shorter than it was: 1 bytes" check "$job"
    cat "$HOME_DIR/output.whole" >"$dir/output"
    chmod 444 "$dir/output"
    fails "files: an output that cannot be written" outputs "$dir/output: Permission denied" check "$job"
    chmod 644 "$dir/output"
    cp -p "$dir/index" "$HOME_DIR/index.whole"
    truncate -s 1 "$dir/index"
    like "files: what is put back is listed" "$(check "$job")" \
        "good +outputs +$dir/index: has been written to, is put back with the 10 bytes"
    rm "$dir/index"
    like "files: also when it has gone" "$(check "$job")" "good +outputs +$dir/index: is not there, is put back"
    cp -p "$HOME_DIR/index.whole" "$dir/index"
    chmod 444 "$dir/index"
    fails "files: one that is put back and cannot be written" outputs "$dir/index: Permission denied" check "$job"
    chmod 644 "$dir/index"
    echo more >>"$dir/input"
    like "files: an input that has grown is worth a warning" "$(check "$job")" "warn +inputs +$dir/input has grown"
    printf 'X123456789\n' >"$dir/input"
    fails "files: a changed input of the same size" inputs "$dir/input, which the job reads, has changed" check "$job"
    printf '0123456789\n' >"$dir/input"
    printf 012 >"$dir/input"
    fails "files: a shorter input" inputs "$dir/input, which the job reads, has changed" check "$job"
    printf '0123456789\n' >"$dir/input"
    mv "$dir/input" "$dir/away"
    fails "files: a missing input" inputs "$dir/input, which the job reads, has gone" check "$job"
    mv "$dir/away" "$dir/input"
    mv "$dir" "$dir.away"
    fails "files: a missing directory" directories "$dir: is not there" check "$job"
    mv "$dir.away" "$dir"

    mv "$HOME_DIR/$job.out" "$HOME_DIR/$job.away"
    like "files: the job's own output, missing, is worth a warning" "$(check "$job")" \
        "warn +outputs +$HOME_DIR/$job.out: the job's output is not there; it begins anew"
    ok "files: which is no failure" check "$job"
    mv "$HOME_DIR/$job.away" "$HOME_DIR/$job.out"

    cp -p "$PYTHON" "$PYTHON.old"
    # the same size, another build id
    python3 - "$PYTHON" <<'END'
import subprocess, sys
text = subprocess.run(["readelf", "-n", sys.argv[1]], capture_output=True, text=True).stdout
build = bytes.fromhex(text.split("Build ID: ")[1].split()[0])
data = open(sys.argv[1], "rb").read()
at = data.index(build)
open(sys.argv[1], "r+b").write(data[:at] + bytes(255 - b for b in build) + data[at + len(build):])
END
    fails "files: another program of that size" programs "$PYTHON, which the job runs, has changed" check "$job"
    cp -p "$PYTHON.old" "$PYTHON"

    fails "files: too few descriptors" descriptors "ulimit -Hn is 100" \
        run prlimit --nofile=100:100 scheckpoint check "$job"
    fails "files: too few processes" processes "ulimit -u is 1" run prlimit --nproc=1:1 scheckpoint check "$job"
    fails "files: too few processes in the control group" processes "pids.max 3" crowded scheckpoint check "$job"
    fails "files: no munge" munge 'unge' run bash -c \
        "sed 's/^MungeSocket=.*/MungeSocket=\/nowhere/' $TB/etc/checkpoint.conf >$HOME_DIR/other.conf
         scheckpoint check --conf $HOME_DIR/other.conf $job"
    fails "files: no criu" criu '/nowhere' run bash -c \
        "sed 's/^Criu=.*/Criu=\/nowhere/' $TB/etc/checkpoint.conf >$HOME_DIR/other.conf
         scheckpoint check --conf $HOME_DIR/other.conf $job"
    cp -a "$gen" "$HOME_DIR/gen.good"
    forge "$gen" set machine '"other"'
    fails "files: another machine" images "machine|other" check "$job"
    rm -rf "$gen"; cp -a "$HOME_DIR/gen.good" "$gen"
    forge "$gen" set raw_bytes 1000000000000000
    fails "files: too little memory" memory "MiB are free" check "$job"
    rm -rf "$gen"; cp -a "$HOME_DIR/gen.good" "$gen"
    forge "$gen" set kernel '"99.0"'
    like "files: an older kernel is worth a warning" "$(check "$job")" 'warn +kernel .*older than the 99.0'
    rm -rf "$gen"; cp -a "$HOME_DIR/gen.good" "$gen"
    flip "$gen/images.tar.zst"
    fails "files: damage" images "." check "$job"
    rm -rf "$gen"; cp -a "$HOME_DIR/gen.good" "$gen"
    nok "files: root does not open it" run_root scheckpoint check -d "$SCRATCH" "$job"
    ok "files: well again" check "$job"
    ok "files: released" release "$job"
    ok "files: restored" restored "$job"
    unlike "files: and nothing was said before" "$(out "$job")" 'before the restore'
    touch "$HOME_DIR/files.stop"
    ok "files: ends well" wait_state "$job" COMPLETED
}

# A CPU that lacks what the job may use: never tried, held (BusyRetries=0), with the missing ones named.
cpu() {
    local job gen
    job=$(submit --checkpoint=interval=0 -- "$(job_script cpu.job "$PROGS/counter" "$HOME_DIR/cpu.stop")")
    ok "cpu: starts" wait_step "$job" 3
    ok "cpu: held" requeue_hold "$job"
    gen=$(taskdir "$job")/$(newest "$job")
    cp -a "$gen" "$HOME_DIR/gen.cpu"
    ok "cpu: the manifest tells the CPU" grep -qE '"cpu": ".*\bsse2\b' "$gen/manifest.json"
    forge "$gen" set cpu "\"$(jq -r .cpu "$gen/manifest.json") avx9000 tensor_unit\""
    fails "cpu: named" cpu 'lacks avx9000 tensor_unit' check "$job"
    run scontrol release "$job"
    ok "cpu: the job is held" wait_held_by_us "$job"
    like "cpu: told before the restore" "$(out "$job")" '^checkpoint: before the restore of gen-.*: cpu: it lacks avx9000'
    unlike "cpu: no restore was tried" "$(out "$job")" 'checkpoint: (restored|cannot restore)'
    like "cpu: the reason is in the comment" "$(show "$job")" 'Comment=.*lacks avx9000'
    unlike "cpu: no node was drained" "$(run_root sinfo -h -N -o %T)" drain
    rm -rf "$gen"; cp -a "$HOME_DIR/gen.cpu" "$gen"
    ok "cpu: released, with the right checkpoint" release "$job"
    ok "cpu: restored" restored "$job"
    touch "$HOME_DIR/cpu.stop"
    ok "cpu: ends well" wait_state "$job" COMPLETED
}

# with_pid_max N COMMAND... - as the test user on a node that has this kernel.pid_max
with_pid_max() {
    echo "$1" >"$TEST_TMP/pid_max.$1"
    # shellcheck disable=SC2016 # expanded by the inner shell
    run_root unshare --mount bash -c 'mount --bind "$1" /proc/sys/kernel/pid_max && shift && cd / && exec "$@"' - \
        "$TEST_TMP/pid_max.$1" setpriv --reuid ckptest --regid ckptest --init-groups "${@:2}"
}
told_tasks() { sed -n 's/.* this user.s processes here have \([0-9]*\)$/\1/p' <<<"$1"; }

# Under isolation=host pids and the user's other processes on the node count; a job with inputs=warn.
host() {
    local job input=$HOME_DIR/host.input few many
    echo 0123456789 >"$input"
    chown ckptest: "$input"
    job=$(submit --checkpoint=interval=0,isolation=host,inputs=warn,files-small=0 -- \
        "$(job_script host.job bash -c "exec 9<$input; exec $PROGS/counter $HOME_DIR/host.stop")")
    ok "host: starts" wait_step "$job" 3
    ok "host: held" requeue_hold "$job"
    ok "host: all is well, once the last process is reaped" wait_until 60 check "$job"
    like "host: pids are looked at, one by one" "$(check "$job")" 'good +pids +all [0-9]+ are free'
    like "host: a small pid_max is worth a warning" "$(with_pid_max 32768 scheckpoint check "$job")" \
        'warn +pid_max +kernel.pid_max is 32768; with 4194304 pids are hardly ever taken'
    like "host: also one that is almost the largest" "$(with_pid_max 4194303 scheckpoint check "$job")" \
        'warn +pid_max +kernel.pid_max is 4194303'
    ok "host: a warning is no failure" wait_until 60 with_pid_max 32768 scheckpoint check "$job"
    like "host: the largest is not" "$(with_pid_max 4194304 scheckpoint check "$job")" 'good +pid_max +4194304'
    fails "host: one below the job's pids" pid_max 'pid [0-9]+ of the job is not below kernel.pid_max, 5$' \
        with_pid_max 5 scheckpoint check "$job"

    few=$(told_tasks "$(run prlimit --nproc=1:1 scheckpoint check "$job")")
    run bash -c 'for i in {1..40}; do sleep 300 & done; wait' &
    wait_until 60 test_users_sleeps 40
    fails "host: the user's other processes count, as they do for the kernel" processes \
        'ulimit -u is 40, of which this user.s processes here have [0-9]+$' \
        run prlimit --nproc=40:40 scheckpoint check "$job"
    many=$(told_tasks "$(run prlimit --nproc=1:1 scheckpoint check "$job")")
    diag "without the others $few, with them $many"
    ok "host: all of them" test "${many:-0}" -ge 41
    like "host: enough is enough" "$(run prlimit --nproc=30000:30000 scheckpoint check "$job")" 'good +processes'
    sleeps | xargs -r kill

    printf 'X123456789\n' >"$input"
    like "host: with inputs=warn a changed input is worth a warning" "$(check "$job")" \
        "warn +inputs +$input has changed since the checkpoint"
    ok "host: and no failure" wait_until 60 check "$job"
    ok "host: released" release "$job"
    ok "host: restored" restored "$job"
    touch "$HOME_DIR/host.stop"
    ok "host: ends well" wait_state "$job" COMPLETED
}
sleeps() { pgrep -u ckptest -f '^sleep 300$' | while read -r pid; do ! grep -qszxF "CKPT_TESTBED=$TB" "/proc/$pid/environ" || echo "$pid"; done; }
test_users_sleeps() { [ "$(sleeps | wc -l)" -ge "$1" ]; }

together files cpu host
done_testing
