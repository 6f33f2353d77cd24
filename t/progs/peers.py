#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
#
# peers - two tasks of a step that are connected with each other by TCP.
#
#   peers.py PORTFILE STOP     task 0 listens and writes the port into PORTFILE; task 1 connects
import os
import socket
import sys
import time

portfile, stop = sys.argv[1:3]
task = int(os.environ["SLURM_PROCID"])
if task == 0:
    listener = socket.create_server(("127.0.0.1", 0))
    with open(portfile + ".tmp", "w", encoding="ascii") as f:
        f.write(str(listener.getsockname()[1]))
    os.rename(portfile + ".tmp", portfile)
    peer, _ = listener.accept()
    listener.close()
else:
    while not os.path.exists(portfile):
        time.sleep(0.1)
    with open(portfile, encoding="ascii") as f:
        peer = socket.create_connection(("127.0.0.1", int(f.read())))
print("peers", "%s:%d" % peer.getsockname(), "%s:%d" % peer.getpeername(), flush=True)
n = 0
while not os.path.exists(stop):
    n += 1
    peer.sendall(b"x")
    if peer.recv(1) != b"x":
        sys.exit(1)
    print("step %d pid %d" % (n, os.getpid()), flush=True)
    time.sleep(0.1)
peer.close()
