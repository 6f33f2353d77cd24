#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""flip - flip one bit at a time in the files of a directory, and see whether a reader finds it.

usage: flip.py DIR COUNT COMMAND [ARG...]

Each bit of the first two and last two bytes of every file, and COUNT others: one half anywhere in the data, the other
half spread evenly over the files, however small.  COMMAND must fail with each, and succeed before and after.  Prints
the number of flips; status 1 when one was not found.  Of a file that was taken over from an earlier generation only bytes
that a frame of this one is in, as its index says.
"""
import os
import random
import subprocess
import sys


def positions(sizes, count):
    """(file, byte, bit), without repetition"""
    rng = random.Random(4711)
    found = {}
    for name, size in sizes.items():
        for byte in {0, 1, size - 2, size - 1}:
            if 0 <= byte < size:
                for bit in range(8):
                    found[name, byte, bit] = True
    names = sorted(n for n in sizes if sizes[n] > 0)
    total = sum(sizes.values())
    want = len(found) + count
    while len(found) < want:
        if rng.random() < 0.5:
            at = rng.randrange(total)
            for name in names:
                if at < sizes[name]:
                    break
                at -= sizes[name]
        else:
            name = rng.choice(names)
            at = rng.randrange(sizes[name])
        found[name, at, rng.randrange(8)] = True
    return list(found)


def shared_frames(top):
    """Of each file of an earlier generation: the bytes that frames are in, without repetition."""
    found = {}
    with open(os.path.join(top, "index"), encoding="ascii") as index:
        for line in index:
            words = line.split()
            if len(words) == 8 and words[6] != "-":
                found.setdefault(f"pages.{words[6]}.zst", set()).add((int(words[7]), int(words[2])))
    return {name: sorted(frames) for name, frames in found.items()}


def place(frames, at):
    """The at-th of those bytes."""
    for start, size in frames or ():
        if at < size:
            return start + at
        at -= size
    return at


def flip(path, byte, bit):
    with open(path, "r+b", buffering=0) as f:
        f.seek(byte)
        old = f.read(1)[0]
        f.seek(byte)
        f.write(bytes([old ^ 1 << bit]))


def good(command):
    return subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False).returncode == 0


def main():
    top, count, command = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
    sizes = {name: os.stat(os.path.join(top, name)).st_size for name in os.listdir(top)}
    shared = shared_frames(top)
    sizes.update({name: sum(size for _, size in frames) for name, frames in shared.items()})
    missed = []
    if not good(command):
        sys.exit("not good before anything was flipped")
    todo = positions(sizes, count)
    for name, byte, bit in todo:
        path = os.path.join(top, name)
        byte = place(shared.get(name), byte)
        flip(path, byte, bit)
        if good(command):
            missed.append(f"{name} byte {byte} bit {bit}")
        flip(path, byte, bit)
    if not good(command):
        sys.exit("not good after all was flipped back")
    print(f"{len(todo)} flips in {len(sizes)} files, {len(missed)} missed")
    for line in missed:
        print("missed:", line)
    sys.exit(1 if missed else 0)


main()
