#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# isolation: private
#
# Only what is whole, and what this user sealed here for this very job, is restored.  Rows 25 to 27 of the deny matrix.
. "$(dirname "$0")/faultlib.sh"

payload() { echo "slurm-spank-checkpoint seal v1 $(sha256sum "$GEN/manifest.json" | cut -d ' ' -f 1)"; }
# reseal COMMAND... - its output becomes the seal
reseal() {
    "$@" >"$TEST_TMP/cred" || return 1
    run sh -c "cat >'$GEN/seal'" <"$TEST_TMP/cred"
}

seals() {
    local socket=$TB/munge/munge.sock other=$TB/realm text
    two_generations seals
    ok "row 25: untouched it restores, however old the seal is (control)" \
        succeeded "$(sleep 1.5; ask restore gen-0000-000002)"
    tell_it signal KILL
    ok "row 25: also again: a replayed seal is as good (control)" succeeded "$(ask restore gen-0000-000002)"
    tell_it signal KILL
    forge "$GEN" set reason '"request"'
    ok "row 25: its owner may seal it anew (control)" succeeded "$(ask restore gen-0000-000002)"
    tell_it signal KILL
    renew

    reseal run_as ckptest2 munge -S "$socket" -s "$(payload)" -t 1 -u ckptest
    refused "row 25: another user's seal" "seal: made by uid $(id -u ckptest2), not by uid $(id -u ckptest)"
    reseal run_as ckptest2 munge -S "$socket" -s "$(payload)"
    refused "row 25: another user's seal that anybody may decode" 'seal: made by uid'
    reseal run_root munge -S "$socket" -s "$(payload)" -u ckptest
    refused "row 25: root's seal" 'seal: made by uid 0,'
    reseal run_as ckptest2 munge -S "$socket" -s "$(payload)" -u ckptest2
    refused "row 25: one that only another user can decode" 'seal: munge_decode: Unauthorized'

    install -d -m 755 "$other"
    head -c 1024 /dev/urandom >"$other/key"
    chmod 600 "$other/key"
    env CKPT_TESTBED="$TB" munged --foreground --force --key-file="$other/key" --socket="$other/sock" \
        --pid-file="$other/pid" --log-file="$other/log" --seed-file="$other/seed" </dev/null >"$other/out" 2>&1 &
    wait_until 10 munge -n -S "$other/sock"
    reseal run munge -S "$other/sock" -s "$(payload)" -t 1 -u ckptest
    refused "row 25: the same user's, in another realm" 'seal: munge_decode: Invalid credential'
    kill $!

    run cp "$OLD_GEN/seal" "$GEN/seal"
    refused "row 25: the seal of another generation" 'seal: of another manifest'
    forge "$GEN" seal "$(payload | sed 's/ v1 / v2 /')"
    refused "row 25: another prefix" 'seal: a credential made for another purpose'
    forge "$GEN" seal "$(payload) "
    refused "row 25: something behind the digest" 'seal: a credential made for another purpose'
    forge "$GEN" seal "slurm-spank-checkpoint seal v1 $(payload | sed 's/.* //' | tr a-f A-F)"
    refused "row 25: the digest in capitals" 'seal: of another manifest'
    run rm "$GEN/seal"
    refused "row 25: no seal" 'seal: No such file'
    run sh -c ": >'$GEN/seal'"
    refused "row 25: an empty one" 'seal: munge_decode: '
    run sh -c "head -c 5000 /dev/zero | tr '\\0' A >'$GEN/seal'"
    refused "row 25: one that is too long" 'seal: .*(too large|too long)'
    chmod 644 "$GEN/seal"
    refused "row 25: one of mode 0644" 'seal is open to others than its owner .mode 0644.'
    chmod 660 "$GEN/seal"
    refused "row 25: one of mode 0660" 'seal is (writable by|open to) others than its owner'

    text=$(run unmunge -S "$socket" -i "$GEN/seal" 2>&1)
    like "row 26: the owner can decode it (control)" "$text" "$(payload)"
    like "row 26: it is restricted to him" "$text" "^UID_RESTRICTION: .*ckptest"
    like "row 26: and was good for a second" "$text" '^TTL: .*1$'
    install -m 644 "$GEN/seal" "$TB/seal"
    text=$(run_as ckptest2 unmunge -S "$socket" -i "$TB/seal" 2>&1)
    like "row 26: another user cannot" "$text" 'Unauthorized credential'
    unlike "row 26: nor sees what it says" "$text" 'seal v1'

    ok "the older generation restores" succeeded "$(ask restore gen-0000-000001)"
    ok "its program goes on" runs_on
    session_end 'signal KILL'
}

# Sealed by the owner, of another job or task or epoch, or of another moment
keys() {
    two_generations keys
    forge "$GEN" set job 4712
    refused "row 27: another job" 'of another job .4712'
    forge "$GEN" set task '"1.0"'
    refused "row 27: another task" 'task'
    forge "$GEN" set epoch 1
    refused "row 27: a later epoch" 'of a later start of the job'
    forge "$GEN" set nonce '"0123456789abcdee"'
    refused "row 27: a job of the same number at another time" 'nonce|another job'
    forge "$GEN" set cluster '"other"'
    refused "row 27: another cluster" 'cluster'
    forge "$GEN" set uid "$(id -u ckptest2)"
    refused "row 27: another user" 'uid'
    forge "$GEN" set sequence 1
    refused "row 27: another sequence than its name's" 'another generation .gen-0000-000001.'
    forge "$GEN" set machine '"vax"'
    refused "another kind of machine" 'made on vax, this node is '
    run mv "$GEN" "$SESSION_DIR/gen-0001-000002"
    mv "$SESSION_DIR/gen-0001-000002" "$GEN.away"
    renew
    run rm "$GEN/manifest.json" "$GEN/seal"
    run cp "$OLD_GEN/manifest.json" "$OLD_GEN/seal" "$GEN"
    refused "row 27: manifest and seal of another generation" 'another generation'
    rm -r "$GEN.away"
    # Under a name of a later start it would be the newest for ever.
    run cp -a "$GEN" "$SESSION_DIR/gen-0001-000009"
    like "row 27: a copy under a later name is refused" "$(text_of "$(ask restore gen-0001-000009)")" 'another generation'
    rm -r "$SESSION_DIR/gen-0001-000009"

    forge "$GEN" set version 2
    refused "another version of the format" 'version'
    forge "$GEN" set extra 1
    refused "a key more" 'extra|unknown|keys'
    forge "$GEN" text '"job":' '"job": 4711, "job":'
    refused "a key twice" 'duplicate|twice|repeated'
    forge "$GEN" part index name '"../seal"'
    refused "a part with a path" 'part|manifest'
    forge "$GEN" part index name '"seal"'
    refused "a part that is none" 'part|manifest'
    forge "$GEN" part pages.zst bytes 1
    refused "a part of another size" 'disagree|should be'
    session_end
}

parts() {
    local name two
    two_generations parts
    for name in manifest.json images.tar.zst index pages.zst; do
        run truncate -s -1 "$GEN/$name"
        refused "$name cut off by a byte" "$name|seal: of another manifest"
        run sh -c "printf x >>'$GEN/$name'"
        refused "$name with a byte more" "$name|seal: of another manifest"
        run truncate -s 0 "$GEN/$name"
        refused "$name empty" "$name|seal: of another manifest|disagree"
        run rm "$GEN/$name"
        refused "$name missing" "$name: No such file"
    done
    for name in images.tar.zst index pages.zst manifest.json; do
        run cp "$OLD_GEN/$name" "$GEN/$name"
        refused "$name of another generation" "$name|seal: of another manifest"
    done
    for two in "index pages.zst" "images.tar.zst index pages.zst"; do
        for name in $two; do run cp "$OLD_GEN/$name" "$GEN/$name"; done
        refused "$two of another generation" 'index'
    done
    run mv "$GEN/index" "$GEN/x"
    run mv "$GEN/images.tar.zst" "$GEN/index"
    run mv "$GEN/x" "$GEN/images.tar.zst"
    refused "two parts that have changed places" 'index'
    for name in extra.img .hidden pages.zst.tmp 'with space' $'new\nline' $'\033[2J'; do
        run sh -c ": >\"\$1\"" sh "$GEN/$name"
        refused "an extra file: $(printf %q "$name")" "holds '[^[:cntrl:]]*', which is no part of it"
    done
    run mkdir "$GEN/directory"
    refused "an extra directory" "holds 'directory', which is no part of it"
    session_end
}

names() {
    local name
    two_generations names
    for name in '../x.img' '/etc/passwd' 'pages-1.img/../../x' 'pages-1.img/' '..' '.' 'pages-1.img\x1b[2J' \
        'pages-01.img' 'Pages-1.img' 'core-1.img' 'pages-99999999999999999999.img' 'pages-1.img\x00' '' \
        'pages-1.img\n'; do
        forge "$GEN" index 'pages-1.img ' "$name "
        refused "index: an image '$name'" 'index'
    done
    for name in '../inventory.img' '/tmp/inventory.img' 'a/../inventory.img' './inventory.img' 'inventory.img\n' \
        'inventory.img\x1b[2J' 'creds-1.img' '..' 'pages-1.img'; do
        forge "$GEN" tar-rename inventory.img "$name"
        refused "archive: an image '$name'" 'images.tar.zst'
    done
    forge "$GEN" tar-add inventory.img 0
    refused "archive: an image twice" 'images.tar.zst: inventory.img: twice'
    for name in 1 2 3 4 5 6 x g L; do
        forge "$GEN" tar-add fs-1.img "$name"
        refused "archive: an entry of type $name" 'images.tar.zst: '
    done
    is "nothing was written outside" "$(find / -xdev \( -name 'inventory.img*' -o -path '/x.img' \) -newer "$TB/flip.py" \
        2>/dev/null)" ""
    session_end
}

# One bit at a time, all over a generation
bits() {
    local said
    two_generations bits
    said=$(run "$TB/flip.py" "$GEN" 300 scheckpoint verify -d "$HOME_DIR/bits" 4711.0.2 2>&1)
    diag "$said"
    like "scheckpoint verify finds every bit" "$said" '^4[0-9]{2} flips in 5 files, 0 missed'
    session_end
    printf '#!/bin/sh\nexec %s >/dev/null 2>&1\n' "$(printf '%q ' "${RUN_HELPER[@]}" --dir "$HOME_DIR/bits" --do \
        'restore gen-0000-000002;signal KILL')" >"$TB/restore.sh"
    chmod 755 "$TB/restore.sh"
    # As root, who can start it; the files stay the user's.
    said=$(echo 0 >"$(own_group bits2)/cgroup.procs"; "$TB/flip.py" "$GEN" 60 "$TB/restore.sh" 2>&1)
    rmdir "$(own_group bits2)"
    diag "$said"
    like "restore finds every bit" "$said" '^2[0-9]{2} flips in 5 files, 0 missed'
}

# The shepherd goes back to the older one.
real_job() {
    local job stop=$HOME_DIR/real.stop newest said
    job=$(submit --checkpoint=interval=0 -- "$(job_script real.sh "$PROGS/counter" "$stop")")
    ok "job: starts" wait_step "$job" 3
    ok "job: a checkpoint" checkpoint "$job"
    run scontrol requeuehold "$job"
    ok "job: ends with a last checkpoint" wait_until 60 gone "$job"
    newest=$(newest "$job")
    is "job: two generations" "$(n_generations "$job")" 2
    run sh -c "printf x >>'$(taskdir "$job")/$newest/images.tar.zst'"
    run scontrol release "$job"
    ok "job: it runs again" wait_until 60 restarted "$job" 1
    ok "job: restored" restored "$job"
    said=$(out "$job" | grep -a '^checkpoint: ')
    like "job: the damage is told" "$said" "$newest: .*images.tar.zst"
    like "job: from the older generation" "$said" 'restored gen-0000-000001'
    ok "job: it goes on" goes_on "$job"
    touch "$stop"
    ok "job: ends well" wait_state "$job" COMPLETED
}
gone() { held "$1" && [ -z "$(job_pids "$1")" ]; }

fault_up
together ${ONLY:-seals keys parts names bits real_job}
done_testing
