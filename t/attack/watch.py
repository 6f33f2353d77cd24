#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""watch - says whether anybody opens, reads, changes or makes anything in a directory and those below it.

  watch.py STOPFILE REPORT DIRECTORY

REPORT: "started", a line "EVENTS NAME" for each (inotify), "ended".
"""
import ctypes
import os
import select
import struct
import sys

libc = ctypes.CDLL(None, use_errno=True)
ALL_EVENTS = 0x00000FFF


def main():
    stop, report_path, top = sys.argv[1:]
    fd = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
    if fd < 0:
        sys.exit("inotify_init1")
    # The list is made before: it opens directories itself.
    directories = [top] + [entry[0] for entry in os.walk(top)][1:]
    for directory in directories:
        if libc.inotify_add_watch(fd, directory.encode(), ALL_EVENTS) < 0:
            sys.exit(f"inotify_add_watch {directory}")
    parent = os.getppid()
    with open(report_path, "w", encoding="utf-8", buffering=1) as report:
        print("started", file=report)
        last = False
        while not last:
            last = os.path.exists(stop) or os.getppid() != parent
            if not select.select([fd], [], [], 0.05)[0]:
                continue
            data, at = os.read(fd, 1 << 20), 0
            while at < len(data):
                _, mask, _, size = struct.unpack_from("iIII", data, at)
                name = data[at + 16:at + 16 + size].rstrip(b"\0").decode(errors="replace")
                print(f"{mask:#x} {name}", file=report)
                at += 16 + size
        print("ended", file=report)


main()
