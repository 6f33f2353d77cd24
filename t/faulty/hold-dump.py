#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""hold-dump.py CGROUP.PROCS PROGRAM - stops the helper dump (SIGSTOP) while it writes the snapshot of PROGRAM.

That is: PROGRAM runs again, a snapshot of it exists, and dump has given its other threads a lower priority.  Says "ready"
when it looks, and then "DUMP SNAPSHOT", their pids; exits 1 when that has not come within two minutes.
"""
import os
import signal
import sys
import time

from procfs import fields, read, state


def threads(pid):
    """(tid, stat) of all threads."""
    try:
        return [(tid, fields(f"/proc/{pid}/task/{tid}/stat")) for tid in os.listdir(f"/proc/{pid}/task")]
    except OSError:
        return []


def nices(pid):
    """Of all threads but the main one."""
    return [int(f[16]) for tid, f in threads(pid) if tid != pid and len(f) > 16]


def named(group, name):
    return [p for p in read(group).split() if read(f"/proc/{p}/comm").strip() == name]


def writing(group, name, program):
    """(dump, snapshot), or none."""
    dumps = named(group, "dump")
    copies = [p for p in named(group, name) if p != program and state(p) == "t"]
    if len(dumps) != 1 or len(copies) != 1 or named(group, "criu") or state(program) in "tTX":
        return None
    seen = nices(dumps[0])
    return (dumps[0], copies[0]) if seen and min(seen) > 0 else None


def stopped(pid):
    return all(f[0] == "T" for _, f in threads(pid))


def main():
    group, program = sys.argv[1:3]
    name = read(f"/proc/{program}/comm").strip()
    print("ready", flush=True)
    end = time.monotonic() + 120
    while time.monotonic() < end:
        found = writing(group, name, program)
        if found:
            os.kill(int(found[0]), signal.SIGSTOP)
            while os.path.exists(f"/proc/{found[0]}") and not stopped(found[0]):
                time.sleep(0.001)
            # It may have come to its end before.
            if state(found[1]) == "t":
                print(*found, flush=True)
                return 0
            os.kill(int(found[0]), signal.SIGCONT)
        time.sleep(0.002)
    print("dump has not come to write a snapshot with its threads at a lower priority", flush=True)
    return 1


sys.exit(main())
