#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# isolation: private
#
# What is in a checkpoint: show, verify, diff, prune, and the same taken apart with standard tools as doc/format.md says.
. "$(dirname "$0")/lib.sh"

inside_script() {
    put_script inside.sh <<END
#!/bin/bash
exec 5<"$HOME_DIR/input"
read -r -N 100 -u 5
python3 -c '
import socket, time
s = socket.socket(); s.bind(("127.0.0.1", 0)); s.listen()
a, b = socket.socketpair()
time.sleep(100000)' &
sleep 100000 | cat >/dev/null &
"$PROGS/counter" "$HOME_DIR/inside.stop" &
n=\$!
(
    exec 5<&-
    until [ -e "$HOME_DIR/inside.more" ]; do sleep 0.2; done
    exec 6>>"$HOME_DIR/later.log"
    echo 'twelve bytes' >&6
    exec sleep 200000
) &
wait \$n
kill %1 %2 %4 2>/dev/null
END
}

# answer JQ-FILTER - of the last --json answer
answer() { jq -r "$1" <<<"$json"; }
# good_jq FILTER - true of it
good_jq() { jq -e "$1" <<<"$json" >/dev/null || jq . <<<"$json"; jq -e "$1" <<<"$json" >/dev/null; }

shows() {
    local text
    json=$(run scheckpoint show --json "$job.last")
    is "show: exits with 0" $? 0
    ok "show: the seal is good" good_jq '.seal.good and .images.good'
    is "show: which" "$(answer '.generation + " " + .reason')" 'gen-0000-000001 request'
    ok "show: pause, duration and sizes" good_jq '.pause_us > 0 and .freeze_us >= 0 and .total_ms > 0 and
        .raw_bytes > .stored_bytes'
    # shellcheck disable=SC2016 # variables of jq
    ok "show: the root is ckpt-init, the others are below it" good_jq '.processes as $p | $p[0].comm == "ckpt-init" and
        all($p[1:][]; .ppid as $q | any($p[]; .pid == $q))'
    ok "show: command lines" good_jq 'any(.processes[]; .command == ["sleep", "100000"])' ||
        answer '.processes[].command | join(" ")' | sed 's/^/# /'
    is "show: the executable" "$(answer '.processes[] | select(.comm == "counter") | .executable')" "$PROGS/counter"
    ok "show: memory of each process" good_jq 'all(.processes[]; .memory_bytes > 0)'
    is "show: an open file, its position and size" \
        "$(answer '[.processes[].files[] | select(.fd == 5 and .kind == "file") |
            [.path, .flags[0], .position, .size] | join(" ")] | first')" "$HOME_DIR/input read 100 1000"
    ok "show: a socket that listens" good_jq 'any(.processes[].files[]; .kind == "tcp" and
        (.text | test("^127.0.0.1:[0-9]+, listening$")))'
    is "show: both ends of a socket pair" "$(answer '[.processes[].files[] | select(.kind == "unix")] | length')" 2
    ok "show: a pipe" good_jq 'any(.processes[] | select(.comm == "cat") | .files[]; .kind == "pipe" and .fd == 0)'
    text=$(run scheckpoint show "$job" 2>&1)
    like "show: as a table: the seal" "$text" '^  seal +good$'
    like "show: the digest of pages.zst is the index's" "$text" '^  pages.zst +[0-9]+ bytes, sha256 \(of each frame, see index\)$'
    like "show: as a table: those of the others" "$text" '^  index +[0-9]+ bytes, sha256 [0-9a-f]{64}$'
    like "show: the tree" "$text" "counter .* {2,}$PROGS/counter"
    like "show: the file" "$text" "5 +file +100 +1000 +read +$HOME_DIR/input\$"
    is "show 0.1 is the same" "$(run scheckpoint show "$job.0.1")" "$text"
    nok "show: a generation that there is not" run scheckpoint show "$job.0.7"
    is "show: what is no generation is wrong usage" "$(run scheckpoint show "$job.x" 2>/dev/null; echo $?)" 2
    like "show: root is refused" "$(run_root scheckpoint show -d "$SCRATCH" "$job" 2>&1; echo "status $?")" 'status 3'
}

# As doc/format.md says, by the user, in the directory of the generation
stranger() {
    cat >"$TEST_TMP/stranger.sh" <<'END'
set -e
cd "$1"
case $2 in
    seal) unmunge -S "$3" -i seal 2>/dev/null | grep -E '^(UID|UID_RESTRICTION):' || true
        unmunge -S "$3" -i seal -n -o - 2>/dev/null || true
        unmunge -S "$3" -i seal 2>/dev/null | tail -n 1 || true
        echo; sha256sum manifest.json ;;
    parts) jq -r '.parts[] | select(.name != "pages.zst") | .sha256 + "  " + .name' manifest.json | sha256sum -c
        diff <(jq -r '.parts[] | [.name, .bytes] | join(" ")' manifest.json | sort) \
            <(stat -c '%n %s' images.tar.zst pages.zst index | sort) ;;
    index) [ "$(jq -r '.parts[] | select(.name == "pages.zst") | .sha256' manifest.json)" = \
            "$(sha256sum <index | cut -d ' ' -f 1)" ] ;;
    tar) zstd -dc images.tar.zst | tar -tf - ;;
    untar) mkdir -p "$3" && zstd -dc images.tar.zst | tar -xf - -C "$3" ;;
    frames) at=0
        while read -r image raw stored sha; do
            tail -c +$((at + 1)) pages.zst | head -c "$stored" >"$3"
            got=$(sha256sum <"$3")
            [ "${got%% *}" = "$sha" ] || echo "frame of $image at $at is damaged"
            [ "$(zstd -dc <"$3" | wc -c)" = "$raw" ] || echo "frame of $image at $at unfolds to another size"
            at=$((at + stored))
        done <index
        [ "$at" = "$(stat -c %s pages.zst)" ] && echo all ;;
    sum) echo "$(zstd -dc pages.zst | wc -c) $(awk '{ n += $2 } END { print n }' index)" ;;
esac
END
    chmod 644 "$TEST_TMP/stranger.sh"
}
by_hand() { run bash "$TEST_TMP/stranger.sh" "$(taskdir "$job")/gen-0000-000001" "$@" 2>&1; }

taken_apart() {
    local said digest sums images=$HOME_DIR/images crit
    stranger
    said=$(by_hand seal "$TB/munge/munge.sock")
    digest=$(awk '$2 == "manifest.json" { print $1 }' <<<"$said")
    like "by hand: the seal names the user" "$said" "^UID: .*\\($(id -u ckptest)\\)"
    like "by hand: it is for him alone" "$said" "^UID_RESTRICTION: .*\\($(id -u ckptest)\\)"
    like "by hand: and is over the manifest" "$said" "^slurm-spank-checkpoint seal v1 $digest"
    ok "by hand: sha256sum and stat of the parts" by_hand parts
    ok "by hand: the digest of pages.zst is the index's" by_hand index
    like "by hand: the archive lists" "$(by_hand tar)" '^pstree.img$'
    is "by hand: every frame has its digest and unfolds to its size" "$(by_hand frames "$HOME_DIR/frame")" all
    sums=$(by_hand sum)
    is "by hand: pages.zst is one valid zstd file" "${sums% *}" "${sums#* }"
    ok "by hand: the archive unpacks" by_hand untar "$images"
    crit=${CRIT:-$(command -v crit)}
    if [ -z "$crit" ]; then
        skip "by hand: crit reads the images" "there is no crit (Debian: package criu, python3-protobuf; or set CRIT)"
        skip "by hand: crit and the manifest name the same processes" "there is no crit"
        return
    fi
    ok "by hand: crit reads the images" "$crit" show "$images/files.img"
    is "by hand: crit and the manifest name the same processes" \
        "$("$crit" show "$images/pstree.img" | jq -r '.entries[].pid' | sort)" \
        "$(jq -r '.processes[].pid' "$(taskdir "$job")/gen-0000-000001/manifest.json" | sort)"
}

differs() {
    local text
    touch "$HOME_DIR/inside.more"
    ok "diff: the job goes on" wait_until 30 test -s "$HOME_DIR/later.log"
    sleep 0.5
    ok "diff: a second checkpoint" checkpoint "$job"
    json=$(run scheckpoint diff --json "$job.0.1" 0.2)
    is "diff: exits with 0" $? 0
    is "diff: which" "$(answer '.from + " " + .to')" 'gen-0000-000001 gen-0000-000002'
    ok "diff: a file that was opened" good_jq 'any(.files.opened[]; .fd == 6 and (.text | endswith("/later.log")))'
    ok "diff: a process is another program now" good_jq 'any(.processes.changed[]; .name[1] == "sleep") or
        any(.processes.started[]; .command == "sleep 200000")'
    ok "diff: the output's position went on" good_jq 'any(.files.changed[]; .position[1] > .position[0])'
    text=$(run scheckpoint diff "$job.0.1" 2>&1)
    like "diff: as text, to the last" "$text" "^\\+ process [0-9]+ fd 6 file $HOME_DIR/later.log"
    like "diff: of itself there is nothing" "$(run scheckpoint diff "$job.0.2" "$job.0.2")" 'the same processes'
    chmod 000 "$(taskdir "$job")/gen-0000-000002/images.tar.zst"
    text=$(run scheckpoint diff "$job.0.2" "$job.0.2" 2>/dev/null; echo "status $?")
    unlike "diff: of what cannot be read no sameness is told" "$text" 'the same'
    like "diff: that is a failure" "$text" '^status 1$'
    chmod 600 "$(taskdir "$job")/gen-0000-000002/images.tar.zst"
    is "diff: one generation alone is wrong usage" "$(run scheckpoint diff "$job" 2>/dev/null; echo $?)" 2
}

# completes LINE WORD... - what bash would offer at the end of the line, whose words those are
completes() {
    # shellcheck disable=SC2016 # expanded by the inner shell
    run bash -c 'source "$1"; COMP_LINE=$2; COMP_POINT=${#2}; shift 2; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
        _scheckpoint; printf "%s\n" "${COMPREPLY[@]}"' - "$TB/completion" "$@"
}
completion() {
    install -m 644 "$TEST_TOP/cmd/scheckpoint.bash-completion" "$TB/completion"
    like "completion: jobs in the site's directory" "$(completes 'scheckpoint show ' scheckpoint show '')" "^$job\$"
    like "completion: and their generations" "$(completes "scheckpoint show $job." scheckpoint show "$job.")" "^$job\.gen-0000-000002\$"
    like "completion: in a directory that is named" \
        "$(completes "scheckpoint --checkpoint-dir=$SCRATCH show " scheckpoint --checkpoint-dir = "$SCRATCH" show '')" "^$job\$"
    is "completion: none in one that is not there" "$(completes 'scheckpoint show -d /none 1.' scheckpoint show -d /none 1.)" ""
    is "completion: keys of run's SPEC" "$(completes 'scheckpoint run --checkpoint=comp' scheckpoint run --checkpoint '=' comp)" 'compress='
    is "completion: also behind a comma" "$(completes 'scheckpoint run --checkpoint=keep=2,comp' scheckpoint run --checkpoint '=' keep '=' 2,comp)" \
        '2,compress='
}

flip() { # FILE OFFSET - the lowest bit of that byte
    local was
    was=$(od -An -tu1 -j "$2" -N 1 "$1")
    printf '%b' "\\x$(printf %x $((was ^ 1)))" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}

verifies() {
    local gen part size said
    gen=$(taskdir "$job")/gen-0000-000001
    like "verify: all is good, with a rate" "$(run scheckpoint verify "$job"; echo "status $?")" \
        '2 good, 0 bad: .* in [0-9.]+ s, [0-9]+ MiB/s'
    ok "verify --all" run scheckpoint verify --all
    for part in manifest.json seal index images.tar.zst pages.zst; do
        size=$(stat -c %s "$gen/$part")
        # of the seal a byte in the middle: the last ones may be without meaning
        flip "$gen/$part" $((size / 2))
        said=$(run scheckpoint verify "$job"; echo "status $?")
        like "verify: a flipped bit in $part is found" "$said" "gen-0000-000001: BAD: .*(${part%%.*}|seal)"
        like "verify: with $part the other one is good, and the status 1" "$said" \
            'gen-0000-000002: good|1 good, 1 bad'
        like "verify: status 1 ($part)" "$said" '^status 1$'
        flip "$gen/$part" $((size / 2))
    done
    mv "$gen/index" "$TEST_TMP/index"
    like "verify: a missing part is found" "$(run scheckpoint verify "$job.0.1"; echo "status $?")" 'BAD: .*index'
    mv "$TEST_TMP/index" "$gen/index"
    ok "verify: put right, it is good again" run scheckpoint verify "$job.0.1"
    json=$(run scheckpoint verify --json --all)
    ok "verify: JSON" good_jq '.good == 2 and .bad == 0 and .bytes > 0 and (.generations | length) == 2'
    chmod 000 "$gen/pages.zst"
    nok "verify: what cannot be read is not good" run scheckpoint verify "$job.0.1"
    chmod 600 "$gen/pages.zst"
}

prunes() {
    local gen2 size last
    ok "prune: a third checkpoint" checkpoint "$job"
    is "prune: there are two, keep=2" "$(generations "$job" | paste -s -d ' ')" 'gen-0000-000002 gen-0000-000003'
    gen2=$(taskdir "$job")/gen-0000-000002
    size=$(du -bc "$gen2"/* | awk 'END { print $1 }')
    is "prune: no job is wrong usage" "$(run scheckpoint prune 2>/dev/null; echo $?)" 2
    json=$(run scheckpoint prune --dry-run --json "$job")
    is "prune: a dry run says what would go" "$(answer '.jobs[0] | .state + " " + .removed[0]')" 'not ended gen-0000-000002'
    is "prune: and how many bytes" "$(answer .freed_bytes)" "$size"
    is "prune: but removes nothing" "$(n_generations "$job")" 2
    ok "prune: nothing is old enough" run scheckpoint prune --older-than 1h --keep 1 "$job"
    is "prune: so nothing went" "$(n_generations "$job")" 2
    flip "$(taskdir "$job")/gen-0000-000003/pages.zst" 1000
    ok "prune: with the newest damaged" run scheckpoint prune --keep 0 "$job"
    is "prune: the last good one stays" "$(generations "$job" | paste -s -d ' ')" 'gen-0000-000002 gen-0000-000003'
    flip "$(taskdir "$job")/gen-0000-000003/pages.zst" 1000
    like "prune: of a job that has not ended" "$(run scheckpoint prune --keep 0 "$job" 2>&1)" \
        "$job +not ended +2 +.* 1 .*"
    is "prune: the last good one stays, whatever is asked" "$(generations "$job")" gen-0000-000003
    ok "prune: the job restores from it" requeue "$job"
    ok "prune: and goes on" restored "$job"
    # As an administrator
    nok "prune: root alone is refused" run_root scheckpoint prune -d "$SCRATCH" --all-jobs
    nok "prune: no such user" run_root scheckpoint prune -d "$SCRATCH" --user nobody-here --all-jobs
    nok "prune: another user may not" run_as ckptest2 scheckpoint prune -d "$SCRATCH" --user ckptest --all-jobs
    nok "prune: root as somebody else finds nothing to open" \
        run_root scheckpoint prune -d "$SCRATCH" --user ckptest2 --all-jobs
    ok "prune: root as the user" run_root scheckpoint prune -d "$SCRATCH" --user ckptest --all-jobs
    like "prune: no process of root opens the directory" "$(opens_of_root)" '^none$'
    run scancel "$job"
    ok "prune: the job is cancelled" wait_state "$job" CANCELLED
    ok "prune: keep 1 leaves one of an ended job" run scheckpoint prune "$job"
    is "prune: it is there" "$(n_generations "$job")" 1
    last=$(newest "$job")
    last=${last#gen-}
    wait_until 20 not_completing "$job"
    run touch "$(taskdir "$job")/gen-$last/precious" "$(jobdir "$job")/mine"
    like "prune: a file that is not ours is left" "$(run scheckpoint prune --keep 0 "$job" 2>&1; echo "status $?")" \
        "holds 'precious', which is not ours"
    ok "prune: nothing in that generation went" test -e "$(taskdir "$job")/gen-$last/manifest.json"
    run rm "$(taskdir "$job")/gen-$last/precious" "$(jobdir "$job")/mine"
    run ln -s "$SCRATCH" "$HOME_DIR/link"
    nok "prune: a link is not followed" run_root scheckpoint prune -d "$HOME_DIR/link" --user ckptest --keep 0 "$job"
    is "prune: so it is still there" "$(n_generations "$job")" 1
    like "prune: keep 0 takes all of a job that has ended" \
        "$(run_root scheckpoint prune -d "$SCRATCH" --user ckptest --keep 0 "$job" 2>&1)" "$job +ended +1 .* all .*"
    ok "prune: nothing of it is left" no_images "$job"
    is "prune: no job left" "$(run scheckpoint prune --all-jobs --keep 0 2>&1)" 'no checkpoints'
}
not_completing() { ! show "$1" | grep -q COMPLETING; }

# What a process of root opens below the user's directory while root prunes as the user: "none"
opens_of_root() {
    command -v strace >/dev/null || { echo none; return; }
    strace -f -qq -e trace=openat,openat2,open,setresuid -o "$TEST_TMP/strace" \
        env -i "${tb_env_root[@]}" scheckpoint prune -d "$SCRATCH" --user ckptest --dry-run --all-jobs \
        >/dev/null 2>&1 || { echo "strace failed"; return; }
    awk -v d="$SCRATCH" '/setresuid/ && /= 0/ { user[$1] = 1 }
        index($0, d) { if (!user[$1]) { print; bad = 1 } else seen = 1 }
        END { if (!bad) print seen ? "none" : "it opened nothing at all" }' "$TEST_TMP/strace"
}

# A thousand generations are listed, and how long that takes is told
thousand() {
    local dir=$HOME_DIR/thousand task=$HOME_DIR/thousand/elsewhere.7.0123456789abcdef/batch begin took
    run mkdir -m 700 -p "$task"
    run python3 - "$task" "$(id -u ckptest)" <<'END'
import hashlib, json, os, sys
task, uid = sys.argv[1], int(sys.argv[2])
os.chmod(os.path.dirname(task), 0o700)
os.umask(0o077)
sha = hashlib.sha256(b"").hexdigest()
processes = [{"pid": 300, "ppid": 0, "pgid": 300, "sid": 300, "threads": [300], "comm": "ckpt-init"}] + [
    {"pid": p, "ppid": 300, "pgid": 300, "sid": 300, "threads": [p], "comm": "worker"} for p in range(301, 1300)]
for n in range(1, 1001):
    gen = "%s/gen-0000-%06d" % (task, n)
    os.mkdir(gen)
    m = {"format": "slurm-spank-checkpoint", "version": 1, "cluster": "elsewhere", "job": 7, "task": "batch",
         "nonce": "0123456789abcdef", "uid": uid, "epoch": 0, "sequence": n, "reason": "interval",
         "created": "2026-01-%02dT%02d:00:00Z" % (1 + n // 40, n % 24), "node": "n1", "isolation": "private",
         "kernel": "6.1", "machine": "x86_64", "criu": "4.2", "compress": "zstd", "snapshot": "none: small", "suspended": 0, "pause_us": 1, "freeze_us": 1,
         "total_ms": 1, "raw_bytes": 1, "stored_bytes": 0,
         "parts": [{"name": p, "bytes": 0, "sha256": sha} for p in ("images.tar.zst", "pages.zst", "index")],
         "processes": processes}
    with open(gen + "/manifest.json", "w") as f:
        json.dump(m, f, indent=1)
    for p in ("images.tar.zst", "pages.zst", "index"):
        open(gen + "/" + p, "w").close()
END
    begin=$(date +%s%N)
    is "list: a thousand generations" "$(run scheckpoint list -d "$dir" 2>/dev/null | grep -c gen-0000)" 1000
    took=$((($(date +%s%N) - begin) / 1000000))
    diag "list took $took ms"
    like "prune: of another cluster's job nothing goes unless one verifies" \
        "$(run scheckpoint prune -d "$dir" --keep 0 7 2>&1; echo "status $?")" 'no generation verifies, nothing is removed'
    is "prune: nothing went" "$(run scheckpoint list -d "$dir" 2>/dev/null | grep -c gen-0000)" 1000
}

# shellcheck disable=SC2119
tb_up
head -c 1000 /dev/zero | tr '\0' x >"$HOME_DIR/input"
job=$(submit --checkpoint=interval=0,keep=2 -- "$(inside_script)")
ok "starts" wait_step "$job" 5
ok "a checkpoint" checkpoint "$job"
shows
taken_apart
differs
completion
verifies
prunes
thousand
done_testing
