#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""sockets - plants listening sockets that CRIU might take for its streamer, and watches for nameable ones.

  sockets.py STOPFILE REPORT [DIRECTORY...]

In each directory streamer-capture.sock and streamer-serve.sock are bound, open to everybody.  Until STOPFILE exists
every connection to one of them and every socket in /proc/net/unix with a name that was not there at the start goes
into REPORT: "connection PATH", "socket NAME"; at the end "looked N".
"""
import os
import selectors
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
            listener.bind(f"/proc/self/fd/{here}/streamer-{which}.sock")
            os.close(here)
            os.chmod(path, 0o777)
            listener.listen(8)
            watch.register(listener, selectors.EVENT_READ, path)
            planted.append(path)
    return planted


def main():
    stop, report_path, directories = sys.argv[1], sys.argv[2], sys.argv[3:]
    watch = selectors.DefaultSelector()
    planted = plant(directories, watch)
    seen, looked = names(), 0
    with open(report_path, "w", encoding="utf-8", buffering=1) as report:
        print("started", file=report)
        while not os.path.exists(stop):
            for key, _ in watch.select(0.001):
                print("connection", key.data, file=report)
                key.fileobj.accept()[0].close()
            for name in names() - seen:
                seen.add(name)
                print("socket", name, file=report)
            looked += 1
        print("looked", looked, file=report)
    for path in planted:
        os.unlink(path)


main()
