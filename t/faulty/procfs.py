# SPDX-License-Identifier: GPL-2.0-or-later
"""What shoot.py and hold-dump.py read of /proc; a process that is gone is state X."""


def read(path):
    try:
        with open(path) as f:
            return f.read()
    except OSError:
        return ""


def fields(path):
    """Of a stat file, from the state on."""
    return read(path).rpartition(") ")[2].split() or ["X"]


def state(pid):
    return fields(f"/proc/{pid}/stat")[0]
