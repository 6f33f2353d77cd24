#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# isolation: private
# timeout: 240
#
# Incremental generations that were tampered with, damaged, cut short, or cannot be.  Rows 26, 27, 30 of the deny matrix.
. "$(dirname "$0")/faultlib.sh"

linked() { jq -r '.incremental.linked[].generation' "$1/manifest.json" | paste -s -d ' '; }
turn() {
    echo "$1" >"$STOP.turns"
    wait_until 60 grep -q "^turn $1$" "$TREE_OUT"
}
start() { # NAME DIR [OPTIONS]
    STOP=$HOME_DIR/$1.stop
    local name=$1 dir=$2
    shift 2
    session "$name" "$dir" --incremental 8 --keep 2 "$@" -- "$PROGS/partly" "$STOP" 8 13
    ok "$name: starts" wait_until 60 grep -q '^step ' "$TREE_OUT"
}
# As two_generations, with the fourth for GEN, upon the second, and the third upon the first; those are gone
four_generations() {
    local n
    start "$1" "$(new_dir "$1")" --compress zstd:1
    for n in 1 2 3 4; do
        ok "$1: dump $n" succeeded "$(ask dump)"
        [ "$n" -ne 2 ] || ok "$1: a turn" turn 1
    done
    tell_it signal KILL
    GEN=$SESSION_DIR/gen-0000-000004
    LINK=pages.gen-0000-000002.zst
    PRISTINE=$HOME_DIR/$1.pristine
    cp -a "$GEN" "$PRISTINE"
    is "$1: upon the second" "$(linked "$GEN")" gen-0000-000002
}
links() { # [GENERATION BYTES USED]... - as the manifest has them
    local list=
    while [ $# -gt 0 ]; do
        list+="${list:+, }{\"generation\": \"$1\", \"bytes\": $2, \"used\": $3}"
        shift 3
    done
    echo "[$list]"
}
says() { echo "{\"depth\": $1, \"linked\": $2}"; }

forged() {
    local bytes name from
    four_generations forged
    ok "forged: untouched it restores (control)" succeeded "$(ask restore gen-0000-000004)"
    tell_it signal KILL
    bytes=$(stat -c %s "$GEN/$LINK")
    forge "$GEN" set incremental "$(says 7 "$(links gen-0000-000002 "$bytes" 1)")"
    ok "forged: sealed anew by its owner it restores (control)" succeeded "$(ask restore gen-0000-000004)"
    tell_it signal KILL
    renew

    for name in gen-0000-000004 gen-0000-000005 gen-0001-000001 ../gen-0000-000002 gen-0000-000002.partial; do
        forge "$GEN" set incremental "$(says 1 "$(links "$name" "$bytes" 1)")"
        refused "row 27: a link to $name" "bad value of 'incremental'"
    done
    forge "$GEN" set incremental "$(says 1 "$(links gen-0000-000002 "$bytes" 1 gen-0000-000002 "$bytes" 1)")"
    refused "row 27: one twice" "bad value of 'incremental'"
    forge "$GEN" set incremental "$(says 1 "$(links gen-0000-000002 "$bytes" $((bytes + 1)))")"
    refused "row 27: more used than there is" "bad value of 'incremental'"
    forge "$GEN" set incremental "$(says 1 "$(links gen-0000-000001 "$bytes" 1)")"
    refused "row 27: another than the frames are in" 'index: line [0-9]* is malformed'
    forge "$GEN" set incremental "$(says 1 "$(links gen-0000-000001 "$bytes" 1 gen-0000-000002 "$bytes" 1)")"
    refused "row 27: one more, in which no frame is" 'no frame is in the file of gen-0000-000001'
    forge "$GEN" set incremental "$(says 1 "$(links gen-0000-000002 $((bytes - 1)) 1)")"
    refused "row 27: another size" 'index: line [0-9]* is malformed|should be'
    forge "$GEN" set incremental "$(says 0 '[]')"
    refused "row 27: none" 'names 0|index: line [0-9]* is malformed'
    forge "$GEN" set incremental null
    refused "row 27: no statement" "bad value of 'incremental'"

    for from in ../../etc gen-0000-000001 gen-0000-000004 gen-0000-000002.partial pages.zst /etc/passwd ''; do
        forge "$GEN" index ' gen-0000-000002 ' " $from "
        refused "row 30: index: a frame in '$from'" 'index: line [0-9]* is malformed'
    done
    forge "$GEN" index ' gen-0000-000002 ' " - "
    refused "row 30: index: a frame twice in its own" 'overlap or leave something out'
    forge "$GEN" index ' gen-0000-000002 ' " gen-0000-000002 9"
    refused "row 30: index: a frame beyond the end" 'index: line [0-9]* is malformed|damaged'
    session_end
}

files() {
    local kind precious=$HOME_DIR/precious
    four_generations files
    install -d -o ckptest -g ckptest -m 700 "$precious"
    run rm "$GEN/$LINK"
    refused "row 30: the other generation's file is not there" "$LINK: No such file"
    run truncate -s -1 "$GEN/$LINK"
    refused "row 30: cut off by a byte" "$LINK: [0-9]* bytes, should be"
    run truncate -s +1 "$GEN/$LINK"
    refused "row 30: with a byte more" "$LINK: [0-9]* bytes, should be"
    run truncate -s 0 "$GEN/$LINK"
    refused "row 30: empty" "$LINK: 0 bytes, should be"
    run sh -c "head -c $(stat -c %s "$GEN/$LINK") /dev/urandom >'$precious/other'; mv '$precious/other' '$GEN/$LINK'; chmod 600 '$GEN/$LINK'"
    refused "row 30: another file of the same size" "$LINK: damaged at .* its digest differs"
    run ln "$GEN/$LINK" "$GEN/pages.gen-0000-000001.zst"
    refused "row 30: a file that it does not use" 'holds 2 files of earlier generations, its manifest names 1'
    run sh -c ": >'$GEN/pages.gen-0000-000002.zst.tmp'"
    refused "row 30: a name that is none" 'which is no part of it'
    chmod 620 "$GEN/$LINK"
    refused "row 30: that its group may write" 'writable by others'
    chown ckptest2 "$GEN/$LINK"
    refused "row 30: of another user's" 'Permission denied|belongs to uid'
    for kind in fifo symlink symlink-outside directory; do
        run mv "$GEN/$LINK" "$precious/$LINK"
        case $kind in
            fifo) run mkfifo -m 600 "$GEN/$LINK" ;;
            symlink) run ln -s pages.zst "$GEN/$LINK" ;;
            symlink-outside) run ln -s "$precious/$LINK" "$GEN/$LINK" ;;
            directory) run mkdir -m 700 "$GEN/$LINK" ;;
        esac
        refused "row 30: a $kind in its place" 'not a regular file|symbolic link|Is a directory|another filesystem'
    done
    ok "files: the other one restores, whatever became of this" succeeded "$(ask restore gen-0000-000003)"
    session_end 'signal KILL'
}

bits() {
    local said n
    four_generations bits
    said=$(run "$TB/flip.py" "$GEN" 60 scheckpoint verify -d "$HOME_DIR/bits" 4711.0.4 2>&1)
    diag "$said"
    like "row 26: verify finds every bit of what is its own and of what is not" "$said" '^2[0-9]{2} flips in 6 files, 0 missed'
    for n in 1 2; do
        # Twice: what is there is read, not remembered.
        flip "$GEN/$LINK"
        said=$(ask restore gen-0000-000004)
        renew
        like "row 26: restore finds it in what is not its own" "$(text_of "$said")" "$LINK: damaged at .*its digest differs"
    done
    like "row 26: and goes back to the one before" "$(generation_of "$(ask restore gen-0000-000003)")" gen-0000-000003
    session_end 'signal KILL'
}

# What the next dump finds is not as it should be: then all is written
spoilt() {
    local what newest spoilt
    start spoilt "$(new_dir spoilt)"
    for what in 1 2; do ok "spoilt: dump $what" succeeded "$(ask dump)"; done
    # shellcheck disable=SC2016 # for the user's shell
    for what in 'rm "$1/index"' 'printf x >>"$1/index"' 'printf x >>"$1/manifest.json"' 'rm "$1/seal"' 'truncate -s 1 "$1/pages.zst"' \
        'rm "$1/pages.zst"; ln -s /etc/passwd "$1/pages.zst"' 'mv "$1" "$1.away"'; do
        spoilt=$SESSION_DIR/$(complete | head -n 1)
        run sh -c "$what" sh "$spoilt"
        ok "spoilt: a dump after $what" succeeded "$(ask dump)"
        newest=$SESSION_DIR/$(complete | tail -n 1)
        is "spoilt: takes nothing over" "$(linked "$newest")$(find "$newest" -name 'pages.gen*')" ""
        # There must be a second one again that can go.
        rm -rf "$SESSION_DIR"/gen-*.away "$spoilt"
        ok "spoilt: and one more" succeeded "$(ask dump)"
    done
    ok "spoilt: then it does again (control)" test -n "$(linked "$SESSION_DIR/$(complete | tail -n 1)")"
    tell_it compress lz4
    ok "spoilt: a dump with another compression" succeeded "$(ask dump)"
    is "spoilt: takes nothing over" "$(linked "$SESSION_DIR/$(complete | tail -n 1)")" ""
    like "spoilt: all that is left is good" "$(verify "$HOME_DIR/spoilt" 2>&1)" '2 good, 0 bad'
    session_end 'signal KILL'
}

# A filesystem that has no hard links
unlinkable() {
    local n
    faulty unlinkable
    install -d -o ckptest -g ckptest -m 700 "$FAULTY_SRC/ck"
    start unlinkable "$FAULTY_MNT/ck"
    plan "link 1+ EPERM"
    for n in 1 2 3; do ok "unlinkable: dump $n" succeeded "$(ask dump)"; done
    is "unlinkable: written whole" "$(linked "$FAULTY_SRC/ck/$KEY/batch/gen-0000-000003")" ""
    ok "unlinkable: it was tried (control)" test "$(planned)" -ge 1
    plan off
    ok "unlinkable: dump 4" succeeded "$(ask dump)"
    is "unlinkable: where there are links it takes over (control)" \
        "$(linked "$FAULTY_SRC/ck/$KEY/batch/gen-0000-000004")" gen-0000-000002
    tell_it signal KILL
    ok "unlinkable: it restores" succeeded "$(ask restore)"
    session_end 'signal KILL'
}

# SIGKILL at any moment: what is complete is good, and nothing half stays
killed() {
    local n bad='' hit=0
    start killed "$(new_dir killed)"
    for n in 1 2; do ok "killed: dump $n" succeeded "$(ask dump)"; done
    for n in {1..16}; do
        turn "$n" >/dev/null
        tell_it kill-helper $((n * 23 % 400))
        ! ask dump | grep -q '^helper: signal 9' || hit=$((hit + 1))
        runs_on >/dev/null || bad+="$n: the program does not run on"
        bad+=$(verify "$HOME_DIR/killed" 2>&1 | grep BAD)
    done
    ok "killed: $hit of 16 dumps were (control)" test $hit -ge 4
    is "killed: the program runs on, and each complete generation is good" "$bad" ""
    ok "killed: the next dump is made" succeeded "$(ask dump)"
    is "killed: nothing half-written is left" "$(partial)" ""
    is "killed: as many generations as are to be kept" "$(complete | wc -l)" 2
    is "killed: no two share a file" "$(find "$SESSION_DIR" -name 'pages*' -links +1)" ""
    tell_it signal KILL
    ok "killed: it restores" succeeded "$(ask restore)"
    ok "killed: and goes on" runs_on
    ok "killed: every page is of its turn" unbroken
    session_end 'signal KILL'
}

# The chain ends: one in three is written whole
whole() {
    local n
    start whole "$(new_dir whole)" --incremental 3 --keep 1
    for n in 1 2 3 4 5 6 7; do ok "whole: dump $n" succeeded "$(ask dump)"; done
    is "whole: of seven the fourth and the seventh were written whole" "$(jq .incremental.depth "$SESSION_DIR/gen-0000-000007/manifest.json")" 0
    ok "whole: dump 8" succeeded "$(ask dump)"
    is "whole: and the eighth was not" "$(jq .incremental.depth "$SESSION_DIR/gen-0000-000008/manifest.json")" 1
    session_end 'signal KILL'
}

need_fuse
fault_up
together ${ONLY:-forged files bits spoilt unlinkable killed whole}
done_testing
