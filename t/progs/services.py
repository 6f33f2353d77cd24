#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Services outside a job: a TCP port on 127.0.0.1, a Unix stream and a datagram socket.

services.py DIR: makes DIR/stream, DIR/munge.socket and DIR/datagram, writes the port into DIR/port, accepts and keeps all
connections but those to munge.socket, which it closes after a second.
"""
import os
import socket
import sys
import threading
import time


def keep(listener, seconds):
    held = []
    while True:
        held.append(listener.accept()[0])
        if seconds:
            time.sleep(seconds)
            held.pop().close()


def unix(path, kind):
    s = socket.socket(socket.AF_UNIX, kind)
    s.bind(path)
    os.chmod(path, 0o777)
    return s


top = sys.argv[1]
tcp = socket.socket()
tcp.bind(("127.0.0.1", 0))
stream = unix(top + "/stream", socket.SOCK_STREAM)
short = unix(top + "/munge.socket", socket.SOCK_STREAM)
datagram = unix(top + "/datagram", socket.SOCK_DGRAM)
for listener, seconds in ((tcp, 0), (stream, 0), (short, 1)):
    listener.listen(5)
    threading.Thread(target=keep, args=(listener, seconds), daemon=True).start()
with open(top + "/port.new", "w") as f:
    f.write(str(tcp.getsockname()[1]))
os.rename(top + "/port.new", top + "/port")
threading.Event().wait()
