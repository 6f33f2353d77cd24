#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""shoot.py CGROUP.PROCS VICTIM PROGRAM MOMENT - SIGKILL to process VICTIM at a moment of the checkpoint of PROGRAM.

MOMENT: begun (the helper dump is there), stopped (PROGRAM is held by a tracer), copied (its snapshot is there),
written (the same, and PROGRAM runs again).  Says "ready" when it looks; exits 0 when it has shot, or 1 when the moment has
not come within a minute.
"""
import os
import signal
import sys
import time

from procfs import read, state


def named(group, name):
    return [p for p in read(group).split() if read(f"/proc/{p}/comm").strip() == name]


def main():
    group, victim, program, moment = sys.argv[1:5]
    name = read(f"/proc/{program}/comm").strip()

    def copied():
        return len(named(group, name)) > 1

    come = {"begun": lambda: named(group, "dump"), "stopped": lambda: state(program) == "t", "copied": copied,
            "written": lambda: copied() and state(program) not in "tT"}[moment]
    print("ready", flush=True)
    end = time.monotonic() + 60
    while time.monotonic() < end:
        if come():
            os.kill(int(victim), signal.SIGKILL)
            return 0
        time.sleep(0.0005)
    print("the moment has not come: " + moment, flush=True)
    return 1


sys.exit(main())
