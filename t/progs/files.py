#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Keeps the same state in memory and in files, and ends with "broken" when they ever differ.

    files.py KIND STOP PATH

KIND is how the files are used, see the functions below; PATH is the file (or a prefix).  Prints "step N pid P" for
each step; when the file STOP appears, everything is compared with what N steps must have made, and "result ok" is
printed.
"""
import hashlib
import mmap
import os
import signal
import sqlite3
import struct
import sys
import time

PAUSE = 0.1
SLOTS = 1000


def mix(n):
    return int.from_bytes(hashlib.sha256(b"%d" % n).digest()[:8], "little")


def broken(text):
    print("broken", text, flush=True)
    sys.exit(1)


def want(got, wanted, what):
    if got != wanted:
        broken("%s: %r instead of %r" % (what, got, wanted))


def run(stop, step, check):
    n = 0
    while not os.path.exists(stop):
        n += 1
        step(n)
        print("step", n, "pid", os.getpid(), flush=True)
        time.sleep(PAUSE)
    check(n)
    print("result ok", flush=True)


def inplace(stop, path):
    """One file, opened once for reading and writing, slots rewritten in place."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o640)
    os.ftruncate(fd, SLOTS * 8)
    total = 0

    def step(n):
        nonlocal total
        at = mix(n) % SLOTS
        old, = struct.unpack("<Q", os.pread(fd, 8, at * 8))
        os.pwrite(fd, struct.pack("<Q", (old + n) % 2**64), at * 8)
        total = sum(struct.unpack("<%dQ" % SLOTS, os.pread(fd, SLOTS * 8, 0)))
        want(total, n * (n + 1) // 2, "sum of the slots at step %d" % n)

    def check(n):
        slots = [0] * SLOTS
        for i in range(1, n + 1):
            slots[mix(i) % SLOTS] += i
        with open(path, "rb") as f:
            want(f.read(), struct.pack("<%dQ" % SLOTS, *slots), "contents")
        want(os.stat(path).st_mode & 0o777, 0o640, "mode")

    run(stop, step, check)


def sequence(stop, path):
    """A plain output, written from front to back."""
    out = open(path, "w")

    def step(n):
        out.write("%d %d\n" % (n, mix(n)))
        out.flush()
        want(out.tell(), os.stat(path).st_size, "size at step %d" % n)

    def check(n):
        with open(path) as f:
            want(f.read(), "".join("%d %d\n" % (i, mix(i)) for i in range(1, n + 1)), "contents")

    run(stop, step, check)


def restart(stop, path):
    """A restart file that is written anew and renamed over the old one; never open between steps."""
    def step(n):
        if n > 1:
            with open(path) as f:
                want(f.read(), "%d %d\n" % (n - 1, mix(n - 1)), "restart file at step %d" % n)
        with open(path + ".new", "w") as f:
            f.write("%d %d\n" % (n, mix(n)))
        os.rename(path + ".new", path)

    def check(n):
        with open(path) as f:
            want(f.read(), "%d %d\n" % (n, mix(n)), "contents")

    run(stop, step, check)


def temporary(stop, _):
    """Files below TMPDIR: a directory, a closed file, one that is open, a link."""
    top = os.environ["TMPDIR"]
    os.mkdir(top + "/sub")
    os.symlink("sub/state", top + "/link")
    journal = open(top + "/sub/journal", "w")

    def step(n):
        if n > 1:
            with open(top + "/link") as f:
                want(f.read(), "%d" % (n - 1), "state at step %d" % n)
        with open(top + "/sub/state", "w") as f:
            f.write("%d" % n)
        journal.write("%d\n" % n)
        journal.flush()

    def check(n):
        with open(top + "/sub/journal") as f:
            want(f.read(), "".join("%d\n" % i for i in range(1, n + 1)), "journal")

    run(stop, step, check)


def sqlite(stop, path, wal):
    """A database that stays open; each step is a transaction, and some are left open across steps."""
    db = sqlite3.connect(path, isolation_level=None)
    want(db.execute("pragma journal_mode=%s" % ("wal" if wal else "delete")).fetchone()[0],
         "wal" if wal else "delete", "journal mode")
    db.execute("create table t(n integer primary key, v text)")

    def step(n):
        if n % 4 == 1:
            db.execute("begin immediate")
        db.execute("insert into t values(?, ?)", (n, "%d" % mix(n) * 50))
        db.execute("update t set v = v || 'x' where n = ?", (n // 2,))
        if n % 4 == 0:
            db.execute("commit")
        want(db.execute("select count(*), max(n) from t").fetchone(), (n, n), "rows at step %d" % n)

    def check(n):
        if db.in_transaction:
            db.execute("commit")
        db.close()
        again = sqlite3.connect(path)
        want(again.execute("pragma integrity_check").fetchone()[0], "ok", "integrity")
        rows = again.execute("select n, v from t order by n").fetchall()
        want(rows, [(i, "%d" % mix(i) * 50 + "x" * ((2 * i <= n) + (2 * i + 1 <= n)))
                    for i in range(1, n + 1)], "rows")

    run(stop, step, check)


def hdf5(stop, path):
    """An HDF5 file that stays open (and locked) for writing; a dataset that grows and is rewritten."""
    import h5py
    import numpy
    f = h5py.File(path, "w")
    d = f.create_dataset("d", (0,), maxshape=(None,), chunks=(64,), dtype="i8")

    def step(n):
        d.resize((n,))
        d[n - 1] = n
        d[n // 2] += 1
        f.attrs["n"] = n
        f.flush()
        want(int(numpy.sum(d[:])), n * (n + 1) // 2 + n, "sum at step %d" % n)

    def check(n):
        f.close()
        wanted = list(range(1, n + 1))
        for i in range(1, n + 1):
            wanted[i // 2] += 1
        with h5py.File(path, "r") as again:
            want(int(again.attrs["n"]), n, "attribute")
            want([int(v) for v in again["d"][:]], wanted, "dataset")

    run(stop, step, check)


def shared(stop, name):
    """A segment in /dev/shm, mapped by two processes that take turns; each counts in its own memory too."""
    fd = os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    os.ftruncate(fd, 1 << 20)
    area = mmap.mmap(fd, 1 << 20)
    os.close(fd)
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        mine = 0
        while os.getppid() != 1:
            theirs, ours = struct.unpack_from("<QQ", area, 0)
            if theirs > ours:
                want(ours, mine, "the child's count")
                mine += 1
                struct.pack_into("<Q", area, 4096 + mine % 1000 * 8, mine)
                struct.pack_into("<Q", area, 8, mine)
            time.sleep(0.01)
        os._exit(0)

    def step(n):
        want(struct.unpack_from("<Q", area, 0)[0], n - 1, "the segment at step %d" % n)
        struct.pack_into("<Q", area, 0, n)
        end = time.monotonic() + 60
        while struct.unpack_from("<Q", area, 8)[0] != n:
            if os.waitpid(child, os.WNOHANG)[0] or time.monotonic() > end:
                broken("the child is gone at step %d" % n)
            time.sleep(0.01)

    def check(n):
        for i in range(max(1, n - 999), n + 1):
            want(struct.unpack_from("<Q", area, 4096 + i % 1000 * 8)[0], i, "slot of %d" % i)
        os.kill(child, signal.SIGTERM)
        os.waitpid(child, 0)
        os.unlink(name)

    run(stop, step, check)


def append(stop, path):
    """Lines in a log that others write too."""
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    who = os.environ["SLURM_ARRAY_TASK_ID"]

    def step(n):
        os.write(fd, b"task %s step %d\n" % (who.encode(), n))

    run(stop, step, lambda n: None)


def main():
    kind, stop, path = sys.argv[1:4]
    print("start", os.getpid(), flush=True)
    if kind in ("delete", "wal"):
        sqlite(stop, path, kind == "wal")
    else:
        {"inplace": inplace, "sequence": sequence, "restart": restart, "temporary": temporary,
         "hdf5": hdf5, "shared": shared, "append": append}[kind](stop, path)


main()
