# SPDX-License-Identifier: GPL-2.0-or-later
"""squat.py PID SECONDS [zombie] - a process of root's that has that pid, if nobody else has; prints the pid that it got.

It sleeps for so many seconds; "zombie": it has ended at once, and its parent reaps it so much later.

The node's counter is put back at once: left there, it would hand the pids of every job that is being requeued meanwhile
to strangers.
"""
import os
import sys
import time


def fork_at(wanted):
    """fork() into that pid: 0 in the child, which may be another one that came before; else the pid."""
    with open("/proc/sys/kernel/ns_last_pid", "r+b", buffering=0) as counter:
        for _ in range(1000):
            counter.seek(0)
            last = counter.read()
            counter.seek(0)
            counter.write(b"%d" % (wanted - 1))
            pid = os.fork()
            if pid == 0:
                if os.getpid() != wanted:
                    os._exit(0)
                return 0
            counter.seek(0)
            counter.write(last.strip())
            if pid == wanted:
                break
            os.waitpid(pid, 0)
    return pid


def squatter(wanted, seconds):
    pid = fork_at(wanted)
    if pid == 0:
        os.setsid()
        os.closerange(0, 100)
        os.execv("/bin/sleep", ["squatter", seconds])
    print(pid)


def zombie(wanted, seconds):
    r, w = os.pipe()
    if os.fork() == 0:
        os.setsid()
        pid = fork_at(wanted)
        if pid == 0:
            os._exit(0)
        os.write(w, b"%d" % pid)
        os.closerange(0, 100)
        time.sleep(float(seconds))
        os._exit(0)
    os.close(w)
    print(os.read(r, 20).decode())


(zombie if sys.argv[3:] == ["zombie"] else squatter)(int(sys.argv[1]), sys.argv[2])
