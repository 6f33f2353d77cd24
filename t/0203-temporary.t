#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# isolation: private
#
# Small files that the job makes, has open at a checkpoint and removes again when it runs on, as compilers do: the restore
# finds them gone and puts them back.  What was there before the job, what is too large and what is forbidden is not.
. "$(dirname "$0")/lib.sh"

tb_up
cat >"$TB/temporary.py" <<'END'
import os, sys, time

stop, kind, path = sys.argv[1:4]
small = b"small file\n" * 1000
directory = os.path.dirname(path)
if kind == "before":  # it is there already
    f = os.open(path, os.O_RDONLY)
else:
    os.makedirs(directory, exist_ok=True)
    with open(path, "wb") as f:
        f.write(small if kind != "large" else b"x" * (2 << 20))
    f = os.open(path, {"read": os.O_RDONLY, "large": os.O_RDONLY, "empty": os.O_WRONLY | os.O_CREAT | os.O_TRUNC,
        "write": os.O_WRONLY | os.O_TRUNC, "append": os.O_WRONLY | os.O_APPEND}[kind])
    if kind == "write":
        os.write(f, small[:5000])
    if kind == "read":
        os.read(f, 17)
os.set_inheritable(f, True)
size = os.fstat(f).st_size
n = 0
while not os.path.exists(stop):
    n += 1
    print("step", n, "pid", os.getpid(), flush=True)
    if os.path.exists(stop + ".remove") and kind != "before" and os.path.exists(path):
        os.unlink(path)
        if kind != "append":
            os.rmdir(directory)
        print("removed", flush=True)
    time.sleep(0.1)
# After a restore it is the file with its name again.
here, there = os.fstat(f), os.stat(path)
good = (here.st_dev, here.st_ino) == (there.st_dev, there.st_ino) and here.st_size == size and here.st_nlink == 1
good = good and oct(there.st_mode & 0o777) == "0o644"
if kind == "read":
    good = good and os.read(f, 1 << 20) == small[17:]
if kind in ("write", "append", "empty"):
    os.write(f, b"more")
    wanted = {"write": small[:5000], "append": small, "empty": b""}[kind] + b"more"
    good = good and open(path, "rb").read() == wanted
print("result", "ok" if good else "wrong", here, there, flush=True)
END

# story KIND - up to its removal; sets job
story() {
    local name=$1 path=$2
    shift 2
    job=$(submit --checkpoint=interval=0,"${1:-inputs=refuse}" -- \
        "$(job_script "$name.job" /usr/bin/python3 "$TB/temporary.py" "$HOME_DIR/$name.stop" "${name%%-*}" "$path")")
    ok "$name: starts" wait_step "$job" 3
    ok "$name: a checkpoint" checkpoint "$job"
    touch "$HOME_DIR/$name.stop.remove"
    ok "$name: it removes its file" wait_out "$job" '^removed'
    rm "$HOME_DIR/$name.stop.remove"
    # Only the checkpoint from before that is of interest: no last one.
    run scancel --signal=KILL --full "$job"
}
# The batch script is gone with all else: the job has failed, and is requeued.
again() { run_root scontrol requeue "$1" && wait_until 60 restarted "$1" 1; }

put_back() {
    local name=$1 path=$HOME_DIR/$1.d/file job
    story "$name" "$path"
    ok "$name: it has ended" wait_until 60 state_in "$job" "FAILED CANCELLED COMPLETED"
    nok "$name: the file is gone (control)" test -e "$path"
    like "$name: check tells that it comes back" "$(run scheckpoint check "$job")" 'good .*; [0-9]+ will be put back$'
    ok "$name: it starts again" again "$job"
    ok "$name: restored" restored "$job"
    like "$name: what was put back is told" "$(out "$job")" "put back \($path\)"
    ok "$name: it goes on" goes_on "$job"
    touch "$HOME_DIR/$name.stop"
    ok "$name: ends" wait_state "$job" COMPLETED
    like "$name: the file is what it was, the open one and the one by name" "$(out "$job" | grep ^result)" '^result ok'
}
read_() { put_back read; }
write_() { put_back write; }
empty_() { put_back empty; }
append_() { put_back append; }

# held NAME PATH OPTION REASON
held_for_it() {
    local job
    story "$1" "$2" "$3"
    ok "$1: it has ended" wait_until 60 state_in "$job" "FAILED CANCELLED COMPLETED"
    ok "$1: requeue" run_root scontrol requeue "$job"
    ok "$1: it is held" wait_held_by_us "$job"
    like "$1: the file is named" "$(out "$job")" "cannot restore .*$2.*has gone"
    run scancel "$job"
}
large() { held_for_it large "$HOME_DIR/large.d/file" keep=2; }
off() { held_for_it read-off "$HOME_DIR/off.d/file" files-small=0; }

# Made before the job began, it is an input: the job's owner removes it, and is told.
before() {
    local job path=$HOME_DIR/before.data
    echo "made before" >"$path"
    chown ckptest: "$path"
    chmod 644 "$path"
    sleep 1.1 # the time of birth of a file is compared in seconds
    job=$(submit --checkpoint=interval=0 -- \
        "$(job_script before.job /usr/bin/python3 "$TB/temporary.py" "$HOME_DIR/before.stop" before "$path")")
    ok "before: starts" wait_step "$job" 3
    ok "before: requeued and held" requeue_hold "$job"
    rm "$path"
    run scontrol release "$job"
    ok "before: it is held again" wait_held_by_us "$job"
    like "before: the file is named" "$(out "$job")" "$path, which the job reads, has gone"
    nok "before: nothing was put there" test -e "$path"
    run scancel "$job"
}

# A name that somebody else has meanwhile is not the job's: in a directory where all may write.
foreign() {
    local job path=/tmp/ckpt-t-foreign.$$/file target=$TB/home/ckptest2/target
    story read-foreign "$path"
    ok "foreign: it has ended" wait_until 60 state_in "$job" "FAILED CANCELLED COMPLETED"
    install -o ckptest2 -g ckptest2 -m 644 /dev/null "$target"
    install -d -m 1777 "${path%/*}"
    run_as ckptest2 ln -s "$target" "$path"
    ok "foreign: requeue" run_root scontrol requeue "$job"
    ok "foreign: it is held" wait_held_by_us "$job"
    is "foreign: what the link leads to was not touched" "$(stat -c '%U %s' "$target")" "ckptest2 0"
    rm -rf "${path%/*}"
    run scancel "$job"
}

together read_ write_ empty_ append_ large off before foreign
done_testing
