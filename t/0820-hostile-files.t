#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# isolation: private
# timeout: 600
#
# What the owner of a checkpoint directory, or his file system, can put before us.  Rows 13, 22, 30 to 33 and 35 of the
# deny matrix.
. "$(dirname "$0")/faultlib.sh"

# Row 30: something else in place of each part
things() {
    local name kind precious=$HOME_DIR/precious start
    two_generations things
    install -d -o ckptest -g ckptest -m 700 "$precious"
    for name in manifest.json seal images.tar.zst index pages.zst; do
        for kind in fifo device socket symlink symlink-outside hardlink directory; do
            run mv "$GEN/$name" "$precious/$name"
            start=$SECONDS
            case $kind in
                fifo) run mkfifo -m 600 "$GEN/$name" ;;
                device) mknod -m 600 "$GEN/$name" c 1 5 && chown ckptest: "$GEN/$name" ;;
                socket) run python3 -c 'import os, socket, sys; os.chdir(sys.argv[1])
socket.socket(socket.AF_UNIX).bind(sys.argv[2])' "$GEN" "$name" ;;
                symlink) run cp "$precious/$name" "$GEN/x" && run ln -s x "$GEN/$name" ;;
                symlink-outside) run ln -s "$precious/$name" "$GEN/$name" ;;
                hardlink) run ln "$precious/$name" "$GEN/$name" ;;
                directory) run mkdir -m 700 "$GEN/$name" ;;
            esac
            refused "row 30: $kind for $name" \
                'not a regular file|symbolic link|has 2 hard links|no part of it|Is a directory|another filesystem'
            [ $((SECONDS - start)) -le 5 ] || is "row 30: at once" "$((SECONDS - start)) s" "0 s"
        done
    done
    # A whole generation
    run mv "$GEN" "$precious/gen"
    run ln -s "$precious/gen" "$GEN"
    refused "row 30: a symbolic link for a generation" 'there is no generation'
    rm -rf "$precious/gen" "$GEN"
    run mkfifo "$GEN"
    refused "row 30: a FIFO for a generation" 'there is no generation'
    chmod 770 "$GEN"
    refused "row 30: a generation that its group may write" 'writable by others'
    chown ckptest2 "$GEN/index"
    refused "row 30: a part of another user's" 'Permission denied|belongs to uid'
    chown -R ckptest2: "$GEN"
    refused "row 30: another user's generation" 'there is no generation|Permission denied|belongs to uid'
    session_end
}

# Row 31: the file system itself lies, stalls, or a part is cut while it is read
serving() {
    local n reply came=0 bad='' name start refused=0
    faulty serving
    install -d -o ckptest -g ckptest -m 700 "$FAULTY_SRC/ck"
    session serving "$FAULTY_MNT/ck" --timeout 3 -- "$PROGS/invariant" "$HOME_DIR/serving.stop" 6
    ok "serving: a dump" succeeded "$(ask dump)"
    tell_it signal KILL
    # Each read in turn gives another byte than the one before: nothing that was verified is read again.
    for ((n = 1; n < 100; n++)); do
        plan "read $n alter"
        reply=$(ask restore)
        came=$(planned)
        [ "$came" -ge "$n" ] || break
        refused=$((refused + 1))
        ! succeeded "$reply" || { bad+="read $n: restored"$'\n'; tell_it signal KILL; }
        grep -qE 'damaged|seal|digest' <<<"$(text_of "$reply")" || bad+="read $n: $reply"$'\n'
    done
    is "row 31: whichever read is altered, it is found" "$bad" ""
    ok "row 31: there were some (control)" test $refused -ge 8
    succeeded "$reply" && tell_it signal KILL
    for name in manifest.json seal index images.tar.zst pages.zst; do
        cp -p "$FAULTY_SRC/ck/$KEY/batch/gen-0000-000001/$name" "$TEST_TMP/part"
        plan "read 1 cut $name"
        nok "row 31: $name cut in half when it is first read" succeeded "$(ask restore)"
        plan off
        cp -p "$TEST_TMP/part" "$FAULTY_SRC/ck/$KEY/batch/gen-0000-000001/$name"
    done
    cp -p "$FAULTY_SRC/ck/$KEY/batch/gen-0000-000001/pages.zst" "$TEST_TMP/part"
    plan "read 4 cut pages.zst"
    like "row 31: pages.zst cut while it is served" "$(text_of "$(ask restore)")" 'pages.zst: (unreadable|damaged)'
    cp -p "$TEST_TMP/part" "$FAULTY_SRC/ck/$KEY/batch/gen-0000-000001/pages.zst"
    for name in manifest.json pages.zst; do
        plan "read 1 stall=8000 $name"
        start=$SECONDS
        reply=$(ask restore)
        nok "row 31: $name stalls: given up" succeeded "$reply"
        ok "row 31: $name: at the time limit (3 s)" test $((SECONDS - start)) -le 9
        plan off
    done
    reply=$(ask restore)
    ok "row 31: then it restores" succeeded "$reply"
    ok "row 31: the program goes on" runs_on
    # The other way round
    plan "write 1 stall=8000 pages.zst"
    tell_it dump
    for n in 1 2 3 4; do
        sleep 1
        ok "row 31: the program runs on while its dump stalls ($n)" runs_on
    done
    read -r -t 60 reply <&"$session_from"
    like "row 31: the dump gives up and says why" "$(error_of "$reply") $(text_of "$reply")" '^110 .*(in time|does the file)'
    plan off
    is "row 31: nothing of it is left" "$(partial "$FAULTY_SRC/ck/$KEY/batch")" ""
    ok "row 31: the next one is made" succeeded "$(ask dump)"
    session_end 'signal KILL'
    ok "row 31: its memory was never touched" unbroken
}

# Row 32: small files that unfold; all of it within a gigabyte of address space
bombs() {
    local raw line
    head -c 3G /dev/zero | zstd -q >"$TB/zeros.zst"
    head -c 300M /dev/zero | zstd -q --long=31 >"$TB/window.zst"
    python3 -c 'print("\"reason\": " + "[" * 200000 + "]" * 200000, end="")' >"$TB/deep.json"
    python3 -c 'print("\"reason\": [" + "[]," * 8000000 + "[]]", end="")' >"$TB/many.json"
    ulimit -v 1200000 # of this test's own subshell
    two_generations bombs
    forge "$GEN" images "$TB/zeros.zst"
    refused "row 32: three GiB of zeros for the archive" 'images.tar.zst: |inventory.img is missing'
    forge "$GEN" images "$TB/window.zst"
    refused "row 32: a window of 2 GiB" 'images.tar.zst: zstd: .*(memory|window)'
    forge "$GEN" text '"reason": "request"' "$TB/deep.json"
    refused "row 32: JSON 200000 deep" 'depth|nested|deep'
    forge "$GEN" text '"reason": "request"' "$TB/many.json"
    refused "row 32: eight million values" 'manifest'
    run truncate -s 3G "$GEN/manifest.json"
    refused "row 32: a manifest of 3 GiB" 'manifest.json: .*too large'
    run truncate -s 3G "$GEN/index"
    refused "row 32: an index of 3 GiB" 'index: .*too large'
    run truncate -s 3G "$GEN/images.tar.zst"
    refused "row 32: an archive of 3 GiB" 'images.tar.zst: .*too large'
    run truncate -s 3T "$GEN/pages.zst"
    refused "row 32: pages of 3 TiB" 'pages.zst: .* bytes, should be'
    read -r _ raw _ <"$GEN/index"
    for line in $((raw - 1)) 1 4194305 4294967297 18446744073709551617 -1 0 0x10 ''; do
        forge "$GEN" index "pages-1.img $raw " "pages-1.img $line "
        refused "row 32: a frame that says it unfolds to '$line' bytes" 'index|pages'
    done
    session_end
}

# Row 33: what the job itself writes has room again at once
own_writes() {
    local dir stop
    dir=$(new_dir own)
    mount -t tmpfs -o "size=44m,mode=700,uid=$(id -u ckptest),gid=$(id -g ckptest)" none "$dir"
    stop=$HOME_DIR/own.stop
    session own "$dir" --keep 1 -- "$PROGS/invariant" "$stop" 24
    tell_it signal KILL
    exec {session_to}>&- {session_from}<&-
    wait "$session_pid"
    # Its output lies beside the checkpoints.
    ln -sf "$dir/own.out" "$HOME_DIR/own.out"
    session own "$dir" --keep 1 -- "$PROGS/invariant" "$stop" 24
    ok "row 33: a dump that fits" succeeded "$(ask dump)"
    like "row 33: one that does not" "$(error_of "$(ask dump)")" '^28$'
    is "row 33: nothing of it is left" "$(partial)" ""
    ok "row 33: the job's own write has room" run dd if=/dev/zero of="$dir/own" bs=1M count=16 status=none
    run rm "$dir/own"
    ok "row 33: the program's output goes on" runs_on
    ok "row 33: no write of its failed" unbroken
    session_end 'signal KILL'
}

# Row 35: a home directory for a checkpoint directory, with names like ours in it
decoys() { # DIR - as the user
    run sh -c 'cd "$1" && mkdir -p gen-0000-000001 thesis "$2-old/batch/gen-0000-000001" "$2/other/gen-0000-000001" \
        "$2/batch/gen-1-1" "$2/batch/gen-0000-000000" "$2/batch/gen-0000-000001.partial.bak" "$2/batch/thesis" &&
        for f in gen-0000-000001/pages.zst pages.zst manifest.json thesis/thesis.tex .profile \
            "$2-old/batch/gen-0000-000001/seal" "$2/other/gen-0000-000001/index" "$2/batch/gen-1-1/index" \
            "$2/batch/gen-0000-000000/index" "$2/batch/gen-0000-000001.partial.bak/seal" "$2/batch/thesis/index" \
            "$2/batch/thesis.tex" "$2/notes"; do echo precious >"$f" || exit; done
        ln -s ../../thesis "$2/batch/gen-0000-000900"
        ln -s ../../thesis "$2/batch/gen-0000-000901.partial"
        mkdir "$2/batch/gen-0000-000902.partial"
        echo precious >"$2/batch/gen-0000-000902.partial/thesis.tex"' sh "$1" "$2"
}
kept() { find "$1" \( -type l -o -type f \) ! -path "*/log/*" -printf '%P %l %s\n' | grep -vE '/gen-0000-0009(0[3-9]|1)' | sort; }
home() {
    local dir before i job jobdir name stop=$HOME_DIR/home.stop
    dir=$(new_dir homelike)
    install -d -o ckptest -g ckptest -m 700 "$dir/$KEY" "$dir/$KEY/batch"
    decoys "$dir" "$KEY"
    before=$(kept "$dir")
    session home "$dir" --keep 1 -- "$PROGS/invariant" "$HOME_DIR/home.stop" 1
    for i in 1 2 3 4; do ok "row 35: dump $i" succeeded "$(ask dump)"; done
    is "row 35: of four generations one is left" "$(complete | grep -v -- -000000)" gen-0000-000906
    is "row 35: nothing of what is not ours was removed" "$(kept "$dir")" "$before"
    # A generation of ours with a thesis in it
    run sh -c "echo precious >'$SESSION_DIR/$(complete | tail -n 1)/thesis.tex'"
    name=$(complete | tail -n 1)
    like "row 35: pruning one that holds something else warns" "$(text_of "$(ask dump)")" "thesis.tex'?, which is not ours"
    is "row 35: and leaves it whole" "$(find "$SESSION_DIR/$name"* -type f | wc -l)" 6
    session_end 'signal KILL'

    # A real job, from beginning to end
    dir=$(new_dir homejob)
    job=$(submit --checkpoint=interval=0,keep=1 --checkpoint-dir="$dir" -- "$(job_script home.sh "$PROGS/counter" "$stop")")
    ok "row 35: a job starts" wait_step "$job" 2
    jobdir=$(basename "$(jobdir "$job" "$dir")")
    decoys "$dir" "$jobdir"
    before=$(kept "$dir" | grep -E '/thesis|notes|precious|other/|^[^/]*(thesis|pages|manifest|profile|gen-0000-000001)|-old/')
    for i in 1 2; do ok "row 35: its checkpoint $i" checkpoint -d "$dir" "$job"; done
    run scheckpoint prune -d "$dir" "$job" >/dev/null 2>&1
    touch "$stop"
    ok "row 35: it ends well" wait_state "$job" COMPLETED
    wait_until 10 not test -e "$dir/$jobdir/batch/gen-0000-000903"
    is "row 35: its images are gone" "$(find "$dir/$jobdir/batch" -name images.tar.zst)" ""
    is "row 35: nothing else is" \
        "$(kept "$dir" | grep -E '/thesis|notes|precious|other/|^[^/]*(thesis|pages|manifest|profile|gen-0000-000001)|-old/')" \
        "$before"
}

# Row 22
rseq() {
    local reply
    install -m 755 "$CKPT_BUILDDIR/t/faulty/rseq-shared" "$TB"
    session rseq "$(new_dir rseq)" -- env GLIBC_TUNABLES=glibc.pthread.rseq=0 "$TB/rseq-shared" "$HOME_DIR/rseq.area"
    like "row 22: a program whose rseq area others can write (control)" "$(head -n 1 "$TREE_OUT")" '^step 1 '
    reply=$(ask dump)
    tell_it signal KILL
    if succeeded "$reply"; then
        like "row 22: it is not restored" "$(text_of "$(ask restore)")" \
            "rseq area .* is not in private anonymous memory: others could write it"
    else
        like "row 22: it is not even dumped, with a reason" "$(text_of "$reply")" .
    fi
    session_end
}

# Row 13: the helpers' own start in a hostile state
hostile_state() {
    local reply
    mkdir "$TB/hostile"
    echo "$HELPERS" >"$TB/hostile/helper-dir"
    for verb in dump restore; do install -m 755 "$TEST_TOP/t/faulty/hostile-start.py" "$TB/hostile/start-$verb"; done
    session hostile "$(new_dir hostile)" --helper "$TB/hostile/start-dump" -- "$PROGS/invariant" "$HOME_DIR/hostile.stop" 4
    reply=$(ask dump)
    ok "row 13: SIGCHLD ignored, all blocked, timers, 1000 fds, no stdio, limits: a dump is made" succeeded "$reply"
    ok "row 13: the program runs on" runs_on
    is "row 13: it inherits nothing of that" "$(tell_it signal USR1 >/dev/null; find "$SESSION_DIR" -type f -perm /077)" ""
    session_end 'signal KILL'
    session hostile "$HOME_DIR/hostile" --helper "$TB/hostile/start-restore" --no-start -- true
    reply=$(ask restore)
    ok "row 13: and restored so" succeeded "$reply"
    ok "row 13: the program goes on" runs_on
    ok "row 13: nothing was broken" unbroken
    session_end 'signal KILL'
}

need_fuse
[ -x "$CKPT_BUILDDIR/t/faulty/rseq-shared" ] || bail "not built: make t-faulty"
fault_up
together ${ONLY:-things serving bombs own_writes home rseq hostile_state}
done_testing
