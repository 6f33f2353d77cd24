# SPDX-License-Identifier: GPL-2.0-or-later
# heap.py KIND BYTES - holds so much memory (random, sparse, or a simulation's arrays), and ticks.
import sys, time, os
kind, size, out = sys.argv[1], int(sys.argv[2]), sys.stdout
MB = 1 << 20
if kind == "random":
    import mmap
    m = mmap.mmap(-1, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    for at in range(0, size, MB):
        m[at:at + MB] = os.urandom(MB)
elif kind == "sparse":
    # Every page is there; one in eight holds something, half a page of it.
    import mmap
    m = mmap.mmap(-1, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    for at in range(0, size, 4096):
        m[at] = 0
        if at % 32768 == 0:
            m[at:at + 2048] = os.urandom(2048)
else:
    # A simulation's arrays: coordinates, a smooth field, counters, flags, results that are still zero.
    try:
        import numpy
        r = numpy.random.default_rng(1)
        n = size // 5
        keep = [r.standard_normal(n // 8), numpy.sin(numpy.arange(n // 4, dtype="f4") / 1000),
                r.integers(0, 1000, n // 8), r.integers(0, 2, n).astype("u1"), numpy.zeros(n // 8)]
        keep[4][::512] = 0
    except ImportError:
        import array, math, random
        random.seed(1)
        b = 8 * MB
        blocks = [array.array("d", (random.gauss(0, 1) for _ in range(b // 8))),
                  array.array("f", (math.sin(i / 1000) for i in range(b // 4))),
                  array.array("q", (random.randrange(1000) for _ in range(b // 8))), bytearray(random.choices((0, 1), k=b)),
                  bytearray(b)]
        keep = [bytearray(memoryview(blocks[i % 5]).cast("B")) for i in range(size // b)]
out.write("ready\n"); out.flush()
while True:
    time.sleep(0.05)
    out.write("tick\n"); out.flush()
