#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# isolation: private
#
# Who wins the capability under isolation=private, by whatever race, has it in the job's own namespace only.  Here he has
# won: root puts a process of the job's user with CAP_CHECKPOINT_RESTORE into the namespaces of a job that was restored with
# 300 threads.  Row 24 of the deny matrix.
. "$(dirname "$0")/seclib.sh"
[ "$CKPT_ISOLATION" = private ] || skip_all "the namespaces of isolation=private"

sec_up
stop=$HOME_DIR/won.stop
threads=$(put_script many.py <<END
#!/usr/bin/python3
import os, threading, time
def work():
    while not os.path.exists("$stop"):
        time.sleep(0.2)
threading.stack_size(65536)
for i in range(299):
    threading.Thread(target=work).start()
n = 0
while not os.path.exists("$stop"):
    n += 1
    print("step", n, "pid", os.getpid(), flush=True)
    time.sleep(0.1)
END
)
cat >"$TB/winner.py" <<'END'
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)

def tell(what, denied, why=""):
    print(what + ": " + ("denied " + why if denied else "ALLOWED"), flush=True)

def write(what, path, text):
    try:
        with open(path, "w") as f:
            f.write(text)
        tell(what, False)
    except OSError as e:
        tell(what, True, os.strerror(e.errno))

def chosen(what, pids):  # the pid in this namespace first, then in those above it
    array = (ctypes.c_int * len(pids))(*pids)
    args = (ctypes.c_uint64 * 11)(0, 0, 0, 0, 17, 0, 0, 0, ctypes.addressof(array), len(pids), 0)
    pid = libc.syscall(435, args, ctypes.sizeof(args))
    if pid == 0:
        os._exit(0)
    error = ctypes.get_errno()
    if pid > 0:
        os.waitpid(pid, 0)
    tell(what, pid < 0, os.strerror(error))

with open("/proc/self/status") as f:
    print(*[line.strip().replace("\t", " ") for line in f if line.startswith(("CapEff", "Uid"))])
write("own ns_last_pid", "/proc/sys/kernel/ns_last_pid", "2000")
chosen("own pid", [3000])
chosen("the host's pid", [3001, 60001])
for name in ("shm", "msg", "sem"):
    write("the host's %s_next_id" % name, "/proc/sys/kernel/%s_next_id" % name, "7")
write("the host's pid_max", "/proc/sys/kernel/pid_max", "400000")
print("done")
END

job=$(submit --checkpoint=interval=0 -- "$(job_script many.sh "$threads")")
ok "row 24: a program with 300 threads starts" wait_step "$job" 3
ok "row 24: requeue" requeue "$job"
ok "row 24: restored" restored "$job"
ok "row 24: it goes on" goes_on "$job"
ok "row 24: with all its threads (control)" test "$(own_threads "$job")" -ge 300
is "row 24: none of them holds anything" "$(holders "$job")" ""
pid=$(job_pid "$job" ckpt-init)
before=$(cat /proc/sys/kernel/{shm,msg,sem}_next_id)
text=$(nsenter --user --pid --mount --preserve-credentials -t "$pid" setpriv --reuid "$(id -u ckptest)" --regid \
    "$(id -g ckptest)" --clear-groups --inh-caps=-all,+checkpoint_restore --ambient-caps=-all,+checkpoint_restore \
    --bounding-set=-all,+checkpoint_restore -- /usr/bin/python3 "$TB/winner.py" 2>&1)
like "row 24: the winner has tried all" "$text" '^done$'
like "row 24: he is the job's user and holds that one capability (control)" "$text" \
    "^Uid: $(id -u ckptest) .*CapEff: 0000010000000000"
for what in "own ns_last_pid" "own pid"; do
    like "row 24: in the namespace it counts: $what (control)" "$text" "^$what: ALLOWED\$"
done
for what in "the host's pid" "the host's shm_next_id" "the host's msg_next_id" "the host's sem_next_id" \
    "the host's pid_max"; do
    like "row 24: $what" "$text" "^$what: denied "
done
is "row 24: the host's next ids are what they were" "$(cat /proc/sys/kernel/{shm,msg,sem}_next_id)" "$before"
touch "$stop"
ok "row 24: the job ends" wait_state "$job" COMPLETED
ok "no node was drained" node_fine
done_testing
