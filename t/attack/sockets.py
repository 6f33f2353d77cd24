#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""sockets - plants listening sockets that CRIU might take for its streamer, and watches for nameable ones.

  sockets.py STOPFILE REPORT [DIRECTORY...]

In each directory streamer-capture.sock and streamer-serve.sock are bound, open to everybody.  Until STOPFILE exists
every connection to one of them and every socket in /proc/net/unix with a name that was not there at the start goes
into REPORT: "connection PATH", "socket NAME"; at the end "looked N".
"""
import contextlib
import os
import selectors
import signal
import socket
import sys


def names():
    found = set()
    with open("/proc/net/unix", encoding="utf-8", errors="replace") as table:
        for line in table:
            fields = line.split(None, 7)
            if len(fields) == 8:
                found.add(fields[7].strip())
    return found


def plant(directories, watch):
    planted = []
    for directory in directories:
        for which in "capture", "serve":
            path = f"{directory}/streamer-{which}.sock"
            # The name may be longer than an address holds.
            here = os.open(directory, os.O_RDONLY)
            listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                listener.bind(f"/proc/self/fd/{here}/streamer-{which}.sock")
            except OSError:  # another run of this test has one there
                continue
            finally:
                os.close(here)
            os.chmod(path, 0o777)
            listener.listen(8)
            watch.register(listener, selectors.EVENT_READ, path)
            planted.append(path)
    return planted


def look(stop, report_path, watch):
    seen, looked, parent = names(), 0, os.getppid()
    with open(report_path, "w", encoding="utf-8", buffering=1) as report:
        print("started", file=report)
        while not os.path.exists(stop) and os.getppid() == parent:
            for key, _ in watch.select(0.001):
                print("connection", key.data, file=report)
                key.fileobj.accept()[0].close()
            for name in names() - seen:
                seen.add(name)
                print("socket", name, file=report)
            looked += 1
        print("looked", looked, file=report)


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    watch = selectors.DefaultSelector()
    planted = plant(sys.argv[3:], watch)
    try:
        look(sys.argv[1], sys.argv[2], watch)
    finally:
        for path in planted:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)


main()
