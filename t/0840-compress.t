#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# isolation: private
# timeout: 180
#
# A job with each compression: it is restored, and a stranger takes the checkpoint apart with lz4, zstd, tar, jq, crit.
. "$(dirname "$0")/lib.sh"

CRIT=${CRIT:-$(command -v crit)}

# How the tool of that compression unfolds standard input
unfold() {
    case $1 in
        none) cat ;;
        lz4) lz4 -dcq ;;
        zstd*) zstd -dcq ;;
    esac
}

# In the directory of a generation: each frame apart, put together to the images that they are of
take_apart() { # GENERATION COMPRESS WHERE
    local at=0 image raw stored sha got
    mkdir -p "$3" && cd "$1" || return 1
    while read -r image raw stored sha; do
        tail -c +$((at + 1)) pages.zst | head -c "$stored" >"$3/frame"
        got=$(sha256sum <"$3/frame")
        [ "${got%% *}" = "$sha" ] || { echo "frame of $image at $at: another digest"; return 1; }
        unfold "$2" <"$3/frame" >"$3/raw" || return 1
        [ "$(stat -c %s "$3/raw")" = "$raw" ] || { echo "frame of $image at $at: another size"; return 1; }
        cat "$3/raw" >>"$3/$image"
        at=$((at + stored))
    done <index
    [ "$at" = "$(stat -c %s pages.zst)" ] || return 1
    zstd -dc images.tar.zst | tar -xf - -C "$3"
}

# Every page that CRIU's pagemaps name is in the pages image that they name.  (crit before 4.2 does not know the field
# with their number, so by the wire format itself: magic, then a length and a message each time.)
pages_there() { # WHERE
    python3 - "$1" <<'EOF'
import glob, os, struct, sys

def fields(m):
    at, got = 0, {}
    def varint():
        nonlocal at
        v = shift = 0
        while True:
            v |= (m[at] & 127) << shift
            at, shift = at + 1, shift + 7
            if m[at - 1] < 128:
                return v
    while at < len(m):
        key = varint()
        assert key & 7 == 0
        got[key >> 3] = varint()
    return got

maps = glob.glob(sys.argv[1] + "/pagemap-*.img")
for name in maps:
    data, at, entries = open(name, "rb").read(), 8, []
    while at < len(data):
        n, = struct.unpack_from("<I", data, at)
        entries.append(fields(data[at + 4:at + 4 + n]))
        at += 4 + n
    pages = sum(f.get(5, 0) for f in entries[1:] if f.get(4, 4) & 4)
    image = "%s/pages-%d.img" % (sys.argv[1], entries[0][1])
    size = os.path.getsize(image)
    print(name, pages, "pages", image, size, "bytes")
    assert pages > 0 and pages * 4096 == size
assert len(maps) == 3
EOF
}

with() { # SPEC NAME IN-THE-MANIFEST
    local how=$1 name=$2 job gen where=$TEST_TMP/apart.$2
    job=$(submit --checkpoint=interval=0,compress="$how" -- "$(job_script "$name.job" "$PROGS/counter" "$HOME_DIR/$name.stop")")
    ok "$how: starts" wait_step "$job" 3
    ok "$how: a checkpoint" checkpoint "$job"
    gen=$(taskdir "$job")/$(newest "$job")
    is "$how: the manifest says so" "$(jq -r .compress "$gen/manifest.json")" "$3"
    is "$how: show says so" "$(run scheckpoint show --json "$job.last" | jq -r .compress)" "$3"
    like "$how: verify reads it all" "$(run scheckpoint verify "$job" 2>&1)" '1 good, 0 bad'
    is "$how: the whole file unfolds to the memory's size" "$(unfold "$how" <"$gen/pages.zst" | wc -c)" \
        "$(awk '{ n += $2 } END { print n }' "$gen/index")"
    ok "$how: frame by frame, and the small images" take_apart "$gen" "$how" "$where"
    ok "$how: every page of CRIU's pagemaps is there" pages_there "$where"
    if [ -n "$CRIT" ]; then
        is "$how: crit and jq name the same processes" "$("$CRIT" show "$where/pstree.img" | jq '.entries[].pid' | sort)" \
            "$(jq '.processes[].pid' "$gen/manifest.json" | sort)"
    else
        skip "$how: crit and jq name the same processes" "there is no crit (Debian: package criu, python3-protobuf)"
    fi
    ok "$how: requeue" requeue "$job"
    ok "$how: restored" restored "$job"
    ok "$how: goes on" goes_on "$job"
    touch "$HOME_DIR/$name.stop"
    ok "$how: ends well" wait_state "$job" COMPLETED
    ok "$how: no step is missing or repeated" each_once "$job"
}

none() { with none none none; }
with_lz4() { with lz4 lz4 lz4; }
zstd1() { with zstd:1 zstd1 zstd; }
zstd9() { with zstd:9 zstd9 zstd; }

tb_up
together none with_lz4 zstd1 zstd9
done_testing
