#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""signals - four processes that count SIGUSR1 and SIGTERM: the first one, a child, one with a session of its own, an orphan.

  signals.py STOP DIRECTORY

Each appends a line to DIRECTORY/NAME for every SIGUSR1 that it gets, and to DIRECTORY/NAME.term for every SIGTERM.
"""
import os
import signal
import sys
import time

stop, directory = sys.argv[1:]


def count(name):
    def got(number, _frame):
        with open(f"{directory}/{name}{'.term' * (number == signal.SIGTERM)}", "a", encoding="ascii") as f:
            f.write(f"{os.getpid()}\n")
    signal.signal(signal.SIGUSR1, got)
    signal.signal(signal.SIGTERM, got)


def wait(name):
    count(name)
    with open(f"{directory}/{name}.ready", "w", encoding="ascii"):
        pass
    while not os.path.exists(stop):
        time.sleep(0.1)
    os._exit(0)


count("first")
if os.fork() == 0:
    wait("child")
if os.fork() == 0:
    os.setsid()
    wait("session")
middle = os.fork()
if middle == 0:
    if os.fork() == 0:
        os.setsid()
        wait("orphan")
    os._exit(0)
os.waitpid(middle, 0)
n = 0
while not os.path.exists(stop):
    n += 1
    print("step", n, "pid", os.getpid(), flush=True)
    time.sleep(0.1)
for _ in range(2):
    os.wait()
print("result ok")
