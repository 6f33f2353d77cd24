#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""hostile-start - a helper's start in the worst state that its caller can leave behind.

usage: hostile-start.py, under a name that ends in "dump" or "restore"; execs the helper of that name beside it, in the
directory that the file helper-dir beside it names.
"""
import os
import resource
import signal
import sys

here = os.path.dirname(os.path.abspath(sys.argv[0]))
with open(os.path.join(here, "helper-dir"), encoding="utf-8") as f:
    helpers = f.read().strip()
verb = "restore" if sys.argv[0].endswith("restore") else "dump"

signal.signal(signal.SIGCHLD, signal.SIG_IGN)
signal.signal(signal.SIGPIPE, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_SETMASK, signal.valid_signals())
signal.setitimer(signal.ITIMER_REAL, 0.001, 0.01)
signal.setitimer(signal.ITIMER_VIRTUAL, 0.01, 0.01)
os.umask(0o777)
soft = {"RLIMIT_FSIZE": 0, "RLIMIT_CPU": 1, "RLIMIT_AS": 1 << 30, "RLIMIT_DATA": 1 << 28}
_, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
for _ in range(1000):
    os.set_inheritable(os.open("/dev/null", os.O_RDONLY), True)
for name, value in soft.items():
    which = getattr(resource, name)
    _, hard = resource.getrlimit(which)
    resource.setrlimit(which, (value, hard))
for fd in (0, 1, 2):
    os.close(fd)
os.execve(os.path.join(helpers, verb), ["x"], {"LD_PRELOAD": "/nowhere.so", "PATH": here})
