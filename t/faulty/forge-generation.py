#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""forge-generation - what the owner himself can do to a generation: change it and seal it anew.

usage: forge-generation.py SOCKET DIR VERB [ARG...]

  set KEY JSON           a value of manifest.json
  part NAME KEY JSON     a value of one of its parts
  text FROM TO           manifest.json as text; TO may be FILE: its contents
  index FROM TO          the text of index (Python escapes in both)
  tar-rename OLD NEW     an image in images.tar.zst gets another name
  tar-add NAME TYPE      an empty one more, of that ustar type, as the first
  images FILE            FILE becomes images.tar.zst
  seal PAYLOAD           only a seal, over PAYLOAD

Digests and sizes are made right again, so that nothing but the thing itself is wrong.
"""
import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile


def put(name, data):
    if os.path.lexists(name):
        os.unlink(name)
    with open(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as f:
        f.write(data)


def get(name):
    with open(name, "rb") as f:
        return f.read()


def seal(socket, payload):
    cred = subprocess.run(["munge", "-S", socket, "-s", payload, "-t", "1", "-u", str(os.getuid())], check=True,
                          stdout=subprocess.PIPE).stdout
    put("seal", cred.strip())


def finish(socket, manifest):
    text = manifest if isinstance(manifest, bytes) else json.dumps(manifest).encode()
    put("manifest.json", text)
    seal(socket, "slurm-spank-checkpoint seal v1 " + hashlib.sha256(text).hexdigest())


def part(manifest, name):
    return next(p for p in manifest["parts"] if p["name"] == name)


def measure(manifest, name):
    data = get(name)
    p = part(manifest, name)
    p["bytes"], p["sha256"] = len(data), hashlib.sha256(data).hexdigest()
    if name == "index":
        part(manifest, "pages.zst")["sha256"] = p["sha256"]


def change_tar(verb, args):
    raw = subprocess.run(["zstd", "-dcq", "images.tar.zst"], check=True, stdout=subprocess.PIPE).stdout
    out = io.BytesIO()
    with tarfile.open(fileobj=io.BytesIO(raw)) as old, \
            tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as new:
        if verb == "tar-add":
            info = tarfile.TarInfo(args[0])
            info.type = args[1].encode()
            info.linkname = "inventory.img" if args[1] in "12" else ""
            new.addfile(info)
        for info in old:
            data = old.extractfile(info)
            if verb == "tar-rename" and info.name == args[0]:
                info.name = args[1]
            new.addfile(info, data)
    put("images.tar.zst", subprocess.run(["zstd", "-cq"], input=out.getvalue(), check=True,
                                         stdout=subprocess.PIPE).stdout)


def main():
    socket, verb, args = sys.argv[1], sys.argv[3], sys.argv[4:]
    os.chdir(sys.argv[2])
    if verb == "seal":
        return seal(socket, args[0])
    manifest = json.loads(get("manifest.json"))
    if verb == "set":
        manifest[args[0]] = json.loads(args[1])
    elif verb == "part":
        part(manifest, args[0])[args[1]] = json.loads(args[2])
    elif verb == "text":
        to = get(args[1]) if os.path.isabs(args[1]) else args[1].encode()
        text = get("manifest.json")
        assert args[0].encode() in text
        manifest = text.replace(args[0].encode(), to, 1)
    elif verb == "index":
        old, new = (a.encode().decode("unicode_escape").encode("latin-1") for a in args)
        text = get("index")
        assert old in text
        put("index", text.replace(old, new, 1))
        measure(manifest, "index")
    elif verb in ("tar-rename", "tar-add"):
        change_tar(verb, [a.encode().decode("unicode_escape") for a in args])
        measure(manifest, "images.tar.zst")
    elif verb == "images":
        put("images.tar.zst", get(args[0]))
        measure(manifest, "images.tar.zst")
    else:
        sys.exit(__doc__)
    return finish(socket, manifest)


main()
