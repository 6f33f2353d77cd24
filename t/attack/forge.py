#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""forge - a generation rewritten by its owner, with digests and seal that are right again.

  forge.py TASKDIR GENERATION MUNGE_SOCKET FIRST EDIT...

Each EDIT makes one generation more out of GENERATION, numbered from FIRST.  The format is that of doc/format.md; what
the edits do to CRIU's images is in the functions below, by hand on the wire: a library would not write what is wrong.
"""
import hashlib
import json
import os
import shutil
import struct
import subprocess
import sys

CAP = 40  # CAP_CHECKPOINT_RESTORE
SYS_ADMIN = 21


# ---- protobuf on the wire: a message is a list of [field, wire type, value]

def read_varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            return value, at


def varint(value):
    out = bytearray()
    while True:
        byte = value & 0x7F
        value >>= 7
        out.append(byte | (0x80 if value else 0))
        if not value:
            return bytes(out)


def parse(data):
    fields, at = [], 0
    while at < len(data):
        key, at = read_varint(data, at)
        kind = key & 7
        if kind == 0:
            value, at = read_varint(data, at)
        elif kind == 2:
            size, at = read_varint(data, at)
            value, at = data[at:at + size], at + size
        else:
            size = {1: 8, 5: 4}[kind]
            value, at = data[at:at + size], at + size
        fields.append([key >> 3, kind, value])
    return fields


def build(fields):
    out = b""
    for number, kind, value in fields:
        out += varint(number << 3 | kind)
        if kind == 0:
            out += varint(value)
        elif kind == 2:
            out += varint(len(value)) + value
        else:
            out += value
    return out


def get(fields, number):
    return next(value for n, _, value in fields if n == number)


def put(fields, number, value):
    """Replace the first field of that number, or append it."""
    kind = 0 if isinstance(value, int) else 2
    for field in fields:
        if field[0] == number:
            field[1:] = [kind, value]
            return
    fields.append([number, kind, value])


def drop(fields, number):
    fields[:] = [field for field in fields if field[0] != number]


# ---- images: magics, then messages with their lengths

class Image:
    def __init__(self, data, magics=2):
        self.head, self.messages, at = data[:4 * magics], [], 4 * magics
        while at < len(data):
            size = struct.unpack_from("<I", data, at)[0]
            self.messages.append(data[at + 4:at + 4 + size])
            at += 4 + size

    def data(self):
        return self.head + b"".join(struct.pack("<I", len(m)) + m for m in self.messages)


class Images(dict):
    """name -> bytes, and the process with the most threads"""

    def __init__(self, items):
        super().__init__(items)
        threads = {}
        for message in Image(self["pstree.img"]).messages:
            tids = []
            for number, kind, value in parse(message):
                if number == 5 and kind == 0:
                    tids.append(value)
                elif number == 5:  # packed
                    at = 0
                    while at < len(value):
                        tid, at = read_varint(value, at)
                        tids.append(tid)
            threads[get(parse(message), 1)] = tids
        self.pid = max(threads, key=lambda pid: len(threads[pid]))
        self.tids = threads[self.pid]

    def change(self, name, how, magics=2):
        """how(fields) of the only message"""
        image = Image(self[name], magics)
        fields = parse(image.messages[0])
        how(fields)
        image.messages[0] = build(fields)
        self[name] = image.data()

    def core(self, how, which=0):
        self.change(f"core-{self.tids[which]}.img", how)

    def thread_core(self, how, which=0):
        def inner(fields):
            sub = parse(get(fields, 5))
            how(sub)
            put(fields, 5, build(sub))
        self.core(inner, which)

    def creds(self, how, which=0):
        def inner(fields):
            sub = parse(get(fields, 10))
            how(sub)
            put(fields, 10, build(sub))
        self.thread_core(inner, which)


# ---- edits

SETS = {"inheritable": 9, "permitted": 10, "effective": 11, "ambient": 19}
IDS = {"uid": 1, "gid": 2, "euid": 3, "egid": 4, "suid": 5, "sgid": 6, "fsuid": 7, "fsgid": 8}


def with_capability(number, bit, which):
    def edit(images):
        def how(creds):
            words = [0, 0]
            words[bit // 32] = 1 << bit % 32
            packed = any(field[0] == number and field[1] == 2 for field in creds)
            drop(creds, number)
            if packed:
                creds.append([number, 2, varint(words[0]) + varint(words[1])])
            else:
                creds.extend([number, 0, word] for word in words)
        images.creds(how, which)
    return edit


def with_value(number, value, which=0):
    return lambda images: images.creds(lambda creds: put(creds, number, value), which)


def with_image(name, source=None):
    """An image of that name, with contents that CRIU could read."""
    def edit(images):
        images[name] = images[source] if source else struct.pack("<II", 0x54564319, 0x12345678)
    return edit


def creds_apart(images):
    """The format of old: no credentials in core, a creds-PID.img beside it."""
    creds = []

    def take(fields):
        sub = parse(get(fields, 5))
        creds.append(get(sub, 10))
        drop(sub, 10)
        put(fields, 5, build(sub))
    images.core(take)
    images[f"creds-{images.pid}.img"] = struct.pack("<III", 0x54564319, 0x54023547, len(creds[0])) + creds[0]


def creds_missing(images):
    images.thread_core(lambda fields: drop(fields, 10))


def creds_missing_in_thread(images):
    images.thread_core(lambda fields: drop(fields, 10), 2)


def two_creds(images):
    images.thread_core(lambda fields: fields.append([10, 2, get(fields, 10)]))


def uid_twice(images):
    images.creds(lambda creds: creds.append([1, 0, 0]))


def unknown_field(images):
    images.creds(lambda creds: creds.append([77, 0, 1]))


def unknown_in_core(images):
    images.core(lambda core: core.append([200, 2, b"x"]))


def trailing_bytes(images):
    images[f"core-{images.pid}.img"] += b"\0\0\0"


def second_message(images):
    image = Image(images[f"core-{images.pid}.img"])
    image.messages.append(image.messages[0])
    images[f"core-{images.pid}.img"] = image.data()


def cut_message(images):
    images[f"core-{images.pid}.img"] = images[f"core-{images.pid}.img"][:-1]


def old_inventory(images):
    images.change("inventory.img", lambda fields: put(fields, 1, 1), 1)


def inventory_plugin(images):
    images.change("inventory.img", lambda fields: put(fields, 12, build([[12, 2, b"evil"]])), 1)



def seccomp_mode(images):
    images.thread_core(lambda fields: put(fields, 11, 2))


def seccomp_strict_in_thread(images):
    images.thread_core(lambda fields: put(fields, 11, 1), 2)


def own_namespace(images):
    name = f"ids-{images.pid}.img"
    images.change(name, lambda fields: put(fields, 10, 77))


def label(images):
    images.creds(lambda creds: put(creds, 15, b"unconfined"))


def extra_group(images):
    images.creds(lambda creds: creds.append([14, 0, 0]))


def no_core(images):
    del images[f"core-{images.tids[2]}.img"]


def strange_core(images):
    images["core-77777.img"] = images[f"core-{images.pid}.img"]


def with_file(path):
    """The job's standard output becomes another file, open for reading and writing."""
    def edit(images):
        image = Image(images["files.img"])
        for at, message in enumerate(image.messages):
            entry = parse(message)
            if get(entry, 1) != 1:
                continue
            reg = parse(get(entry, 3))
            if get(reg, 6).endswith(b".out"):
                put(reg, 6, path.encode())
                put(reg, 2, os.O_RDWR)
                put(reg, 3, 0)
                drop(reg, 8)  # size
                drop(reg, 10)  # mode
                put(entry, 3, build(reg))
                image.messages[at] = build(entry)
        images["files.img"] = image.data()
    return edit


def nothing(_):
    pass


EDITS = {
    "nothing": nothing,
    "creds-apart": creds_apart,
    "creds-missing": creds_missing,
    "creds-missing-in-thread": creds_missing_in_thread,
    "two-creds": two_creds,
    "uid-twice": uid_twice,
    "unknown-field": unknown_field,
    "unknown-in-core": unknown_in_core,
    "trailing-bytes": trailing_bytes,
    "second-message": second_message,
    "cut-message": cut_message,
    "old-inventory": old_inventory,
    "inventory-plugin": inventory_plugin,
    "seccomp-mode": seccomp_mode,
    "seccomp-strict-in-thread": seccomp_strict_in_thread,
    "own-namespace": own_namespace,
    "label": label,
    "extra-group": extra_group,
    "securebits": with_value(13, 0x2F),
    "no-core": no_core,
    "strange-core": strange_core,
}
for set_name, set_number in SETS.items():
    EDITS[f"{set_name}-leader"] = with_capability(set_number, CAP, 0)
    EDITS[f"{set_name}-thread"] = with_capability(set_number, CAP, 2)
    EDITS[f"{set_name}-other"] = with_capability(set_number, SYS_ADMIN, 1)
for id_name, id_number in IDS.items():
    EDITS[f"{id_name}-leader"] = with_value(id_number, 0)
    EDITS[f"{id_name}-thread"] = with_value(id_number, 0, 2)


def edit_of(name):
    if name.startswith("image="):
        return with_image(name[len("image="):])
    if name.startswith("file="):
        return with_file(name[len("file="):])
    return EDITS[name]


# ---- the generation around the images

def untar(archive):
    """(header, name, contents) of each file"""
    files, at = [], 0
    while archive[at:at + 1] not in (b"", b"\0"):
        header = archive[at:at + 512]
        size = int(header[124:135].rstrip(b"\0 ") or b"0", 8)
        files.append((header, header[:100].rstrip(b"\0").decode(), archive[at + 512:at + 512 + size]))
        at += 512 + (size + 511) // 512 * 512
    return files


def tar(template, images):
    out = b""
    for name, contents in images.items():
        header = bytearray(template)
        header[:100] = name.encode().ljust(100, b"\0")
        header[124:136] = b"%011o\0" % len(contents)
        header[148:156] = b" " * 8
        header[148:156] = b"%06o\0 " % sum(header)
        out += bytes(header) + contents + b"\0" * (-len(contents) % 512)
    return out + b"\0" * 1024


def zstd(data, *options):
    return subprocess.run(["zstd", "-q", "-c", *options], input=data, stdout=subprocess.PIPE, check=True).stdout


def forge(taskdir, source, socket, number, name):
    with open(f"{taskdir}/{source}/images.tar.zst", "rb") as f:
        files = untar(zstd(f.read(), "-d"))
    with open(f"{taskdir}/{source}/manifest.json", encoding="utf-8") as f:
        manifest = json.load(f)
    images = Images((file_name, contents) for _, file_name, contents in files)
    edit_of(name)(images)
    packed = zstd(tar(files[0][0], images), "-1")
    for part in manifest["parts"]:
        if part["name"] == "images.tar.zst":
            part["bytes"], part["sha256"] = len(packed), hashlib.sha256(packed).hexdigest()
    manifest["sequence"] = number
    text = json.dumps(manifest).encode()
    seal = subprocess.run(
        ["munge", "--socket", socket, "--ttl", "1", "--restrict-uid", str(os.getuid()), "--string",
         "slurm-spank-checkpoint seal v1 " + hashlib.sha256(text).hexdigest()],
        stdout=subprocess.PIPE, check=True).stdout.strip()
    target = f"{taskdir}/gen-{manifest['epoch']:04d}-{number:06d}"
    os.umask(0o077)
    os.mkdir(target)
    for part in "pages.zst", "index":
        shutil.copyfile(f"{taskdir}/{source}/{part}", f"{target}/{part}")
    for part, contents in ("images.tar.zst", packed), ("manifest.json", text), ("seal", seal):
        with open(f"{target}/{part}", "wb") as f:
            f.write(contents)


def main():
    taskdir, source, socket, first = sys.argv[1:5]
    for number, name in enumerate(sys.argv[5:], int(first)):
        forge(taskdir, source, socket, number, name)


main()
