#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""counter.py STOP: a chain of hashes, random numbers, threads, a child and a generator; all recomputed at the end."""
import hashlib
import os
import queue
import random
import subprocess
import sys
import threading
import time

stop = sys.argv[1]


def say(text):
    os.write(1, (text + "\n").encode())


def broken(text):
    say("broken: " + text)
    os._exit(9)


def squares():
    n = 0
    while True:
        n += 1
        yield n * n


def chain(steps):
    rng, digest = random.Random(42), b""
    for n in range(1, steps + 1):
        digest = hashlib.sha256(digest + b"%d %f" % (n, rng.random())).digest()
    return digest


todo, done = queue.Queue(), queue.Queue()


def worker():
    while True:
        n = todo.get()
        if n is None:
            return
        done.put(n + 1)


threads = [threading.Thread(target=worker) for _ in range(3)]
for t in threads:
    t.start()
cat = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
rng, digest, n, gen = random.Random(42), b"", 0, squares()
say("start")
while not os.path.exists(stop):
    n += 1
    digest = hashlib.sha256(digest + b"%d %f" % (n, rng.random())).digest()
    todo.put(n)
    if done.get() != n + 1:
        broken("a thread's answer")
    if next(gen) != n * n:
        broken("the generator's state")
    cat.stdin.write(b"%d\n" % n)
    cat.stdin.flush()
    if int(cat.stdout.readline()) != n:
        broken("the child's answer")
    say("step %d pid %d" % (n, os.getpid()))
    time.sleep(0.05)
for t in threads:
    todo.put(None)
for t in threads:
    t.join()
cat.stdin.close()
if cat.wait() != 0:
    broken("the child's status")
if digest != chain(n):
    broken("the chain of hashes")
say("result ok")
