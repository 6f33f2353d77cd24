#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# isolation: private
# timeout: 600
#
# A generation is complete and good, or it is not there: whatever ends the dump, at whatever moment.  Each time the
# program runs on and is right, and the newest generation that has a complete name restores.
. "$(dirname "$0")/faultlib.sh"

# restores NAME GENERATION... - the tree is killed; the newest generation restores, and is one of these
restores() {
    local reply got name=$1
    shift
    tell_it signal KILL
    reply=$(ask restore)
    got=$(generation_of "$reply")
    succeeded "$reply" && [[ " $* " == *" $got "* ]] && return 0
    echo "$name: wanted one of $*: $reply"
    return 1
}

# files GENERATION - what is in it, down to inode and time of change
files() { find "$SESSION_DIR/$1" -printf '%f %i %s %C@ %m\n' | sort; }

# sweep NAME WHICH AFTER ACTION CHECK - dumps with a fault at operation 1, 2, 3 ... of WHICH until one comes through.
# CHECK is called after each dump that failed, with N and the reply.
sweep() {
    local name=$1 which=$2 after=$3 action=$4 check=$5 n reply before newest was bad='' failed=0 restored=0 came=0 stride=1
    # What only reads is met by the hundred, to see how much there is already: every fourth of those is enough.
    [ "$which" != any ] || stride=4
    for ((n = 1; n < 2000; n += n < 40 ? 1 : stride)); do
        before=$(complete | tail -n 1)
        was=$(files "$before")
        plan "$which $n$after $action"
        reply=$(ask dump)
        came=$(planned)
        plan off
        runs_on || bad+="$n: the program does not run on: $reply"$'\n'
        newest=$(complete | tail -n 1)
        if ! succeeded "$reply"; then
            failed=$((failed + 1))
            bad+=$("$check" $n "$reply" "$before" "$newest")
        fi
        # A restore takes its time: where the same files are there still, every fourth is enough.
        if [ "$(files "$newest")" != "$was" ] || [ $((n % 4)) -eq 0 ]; then
            restored=$((restored + 1))
            bad+=$(restores "$n" "$before" "$newest")
        fi
        bad+=$(unbroken)
        [ "$came" -ge "$n" ] || break
    done
    diag "$name: $n operations, $failed dumps failed, $restored restores"
    is "$name: the program runs on, and the newest complete generation restores, each time" "$bad" ""
    ok "$name: it failed at many operations (control)" test $failed -ge 15
    ok "$name: until the fault came too late (control)" test "$came" -lt "$n"
    ok "$name: the next dump is made" succeeded "$(ask dump)"
    is "$name: nothing half-written is left" "$(partial)" ""
    is "$name: as many generations as are to be kept" "$(complete | wc -l)" 2
}

# criu_log - what CRIU had to say last
criu_log() { find "$SESSION_DIR/log" -name 'dump-*' -printf '%T@ %p\n' | sort -n | tail -n 1 | cut -d ' ' -f 2 | xargs -r tail -n 8; }

# A single failure: the text tells it, the older generation stays the newest, and nothing is left.
check_error() { # N REPLY BEFORE NEWEST
    [ "$3" = "$4" ] || echo "$1: said to have failed, but $4 is there: $2"
    [ -n "$(text_of "$2")" ] || echo "$1: no text: $2"
    # Where mkdir itself is said to have failed, the directory may be there; the next dump removes it.
    [ -z "$(partial)" ] || grep -q 'cannot make' <<<"$2" || echo "$1: $(partial) is left: $2"
}
# The disk stays full: what was written may be left; the next dump removes it.
check_full() {
    grep -qi 'space' <<<"$(text_of "$2")" || echo "$1: no word of space: $2$(criu_log)"
    [ "$(partial | wc -l)" -le 1 ] || echo "$1: left-overs add up: $(partial)"
}
check_killed() {
    grep -q '^helper: signal 9' <<<"$2" || echo "$1: not killed: $2"
    [ "$(partial | wc -l)" -le 1 ] || echo "$1: left-overs add up: $(partial)"
}

on_faulty() { # NAME WHICH AFTER ACTION CHECK
    local name=$1
    faulty "$name"
    install -d -o ckptest -g ckptest -m 700 "$FAULTY_SRC/ck"
    session "$name" "$FAULTY_MNT/ck" -- "$PROGS/invariant" "$HOME_DIR/$name.stop" 4
    SESSION_DIR=$FAULTY_SRC/ck/$KEY/batch
    ok "$name: a good dump" succeeded "$(ask dump)"
    sweep "$@"
    ends_well "$name"
}
ends_well() {
    touch "$HOME_DIR/$1.stop"
    like "$1: the program ends well" "$(ask wait 10000)" '^tree: exit 0'
    session_end
    like "$1: with the right result" "$(tail -n 1 "$TREE_OUT")" '^result ok'
    ok "$1: its memory was never touched" unbroken
}

errors() { on_faulty error any '' EIO check_error; }
full() { on_faulty full change + ENOSPC check_full; }
quota() { on_faulty quota change '' EDQUOT check_error; }
killed() { on_faulty killed change '' kill check_killed; }

# Reading fails at each operation of a restore: the tree is not there then, but nothing is harmed.
reading() {
    local n reply bad='' failed=0
    faulty reading
    install -d -o ckptest -g ckptest -m 700 "$FAULTY_SRC/ck"
    session reading "$FAULTY_MNT/ck" -- "$PROGS/invariant" "$HOME_DIR/reading.stop" 4
    SESSION_DIR=$FAULTY_SRC/ck/$KEY/batch
    ok "reading: a good dump" succeeded "$(ask dump)"
    tell_it signal KILL
    for ((n = 1; n < 200; n++)); do
        plan "any $n EIO"
        reply=$(ask restore)
        [ "$(planned)" -ge "$n" ] || break
        plan off
        if succeeded "$reply"; then
            # Writing the log after the answer may fail.
            tell_it signal KILL
        else
            failed=$((failed + 1))
            grep -qE 'Input/output error|unreadable' <<<"$(text_of "$reply")" || bad+="$n: $reply"$'\n'
        fi
    done
    plan off
    is "reading: each failure is told as what it is" "$bad" ""
    ok "reading: it failed at many operations (control)" test $failed -ge 15
    succeeded "$reply" && tell_it signal KILL
    ok "reading: then the generation restores" succeeded "$(ask restore)"
    ok "reading: the program goes on" runs_on
    ends_well reading
}

# Killed at every moment, not only where it writes
timed() {
    local dir reply total step ms=0 bad='' n hit=0 late=0 before newest
    dir=$(new_dir timed)
    session timed "$dir" -- "$PROGS/invariant" "$HOME_DIR/timed.stop" 16
    ok "timed: a good dump" succeeded "$(ask dump)"
    reply=$(ask dump)
    total=$(sed -n 's/.* total_ms=\([0-9]*\) .*/\1/p' <<<"$reply")
    step=$(((total + 49) / 50))
    # From the beginning to the end, again and again: how long a dump takes is never twice the same.
    for ((n = 1; n <= 150 && hit < 64; n++)); do
        before=$(complete | tail -n 1)
        tell_it kill-helper $ms
        reply=$(ask dump)
        if grep -q '^helper: signal 9' <<<"$reply"; then
            hit=$((hit + 1)) ms=$((ms + step))
        else
            late=$((late + 1)) ms=$((late % step))
        fi
        runs_on || bad+="$ms ms: the program does not run on: $reply"$'\n'
        newest=$(complete | tail -n 1)
        [ "$(partial | wc -l)" -le 1 ] || bad+="$ms ms: left-overs add up: $(partial)"$'\n'
        # Every fourth: the rest is seen by the next one that restores.
        [ $((n % 4)) -ne 0 ] || bad+=$(restores "$ms ms" "$before" "$newest")
        bad+=$(unbroken)
    done
    diag "timed: $n dumps, $hit killed, in steps of $step ms"
    is "timed: killed at whatever moment, the program runs on and the newest complete generation restores" "$bad" ""
    ok "timed: so it was often enough (control)" test $hit -ge 60
    ok "timed: the next dump is made" succeeded "$(ask dump)"
    is "timed: nothing half-written is left" "$(partial)" ""
    ends_well timed
}

# A real full disk, of a size that is exhausted page by page later: no room at all, in the midst of pages.zst, and at
# each of the small files behind it
tmpfs() {
    local dir reply used size free bad='' failed=0 said='' before
    dir=$(new_dir tmpfs)
    mount -t tmpfs -o "size=200m,mode=700,uid=$(id -u ckptest),gid=$(id -g ckptest)" none "$dir"
    session tmpfs "$dir" --keep 1 -- "$PROGS/invariant" "$HOME_DIR/tmpfs.stop" 24
    ok "tmpfs: a good dump" succeeded "$(ask dump)"
    used=$(df -k --output=used "$dir" | tail -n 1)
    # How much is free, in pages; a second generation needs about as much as the first.
    for free in 0 1 4000 4500 5000 $((used / 4 - 1)) $((used / 4 - 2)) $((used / 4 - 3)) $((used / 4 - 4)) \
        $((used / 4 - 6)) $((used / 4 - 10)) $((used / 4 - 60)); do
        before=$(complete)
        size=$((used + 4 * free))
        mount -o "remount,size=${size}k" "$dir" || { bad+="remount $size"$'\n'; continue; }
        reply=$(ask dump)
        runs_on || bad+="$free: the program does not run on: $reply"$'\n'
        if ! succeeded "$reply"; then
            failed=$((failed + 1))
            said+="$(text_of "$reply" | sed 's/[0-9]\{1,\}/N/g')"$'\n'
            [ "$(complete)" = "$before" ] || bad+="$free: another generation is there: $reply"$'\n'
            [ -z "$(partial)" ] || bad+="$free: $(partial) is left"$'\n'
            [ "$(error_of "$reply")" = 28 ] || bad+="$free: not ENOSPC: $reply$(criu_log)"$'\n'
        fi
        mount -o remount,size=200m "$dir"
        bad+=$(restores "$free" "$before" "$(complete | tail -n 1)")
        bad+=$(unbroken)
    done
    is "tmpfs: full at any stage, the program runs on, nothing is left, the older generation restores" "$bad" ""
    ok "tmpfs: it failed often (control)" test $failed -ge 6
    like "tmpfs: before the job was stopped, where nothing could fit" "$said" 'about N(\.N)? MiB needed at least'
    ok "tmpfs: with room again the next one is made" succeeded "$(ask dump)"
    ends_well tmpfs
}

# Two copies of the job: the older one has been left behind on a node that was thought lost
fencing() {
    local dir reply
    faulty fencing
    dir=$FAULTY_MNT/ck
    install -d -o ckptest -g ckptest -m 700 "$FAULTY_SRC/ck"
    session old "$dir" --keep 1 -- "$PROGS/invariant" "$HOME_DIR/old.stop" 4
    local old_group=$SESSION_GROUP old_to=$session_to old_from=$session_from old_pid=$session_pid old_out=$TREE_OUT
    ok "fencing: the old copy's dump" succeeded "$(ask dump)"
    session new "$dir" --keep 5 --epoch 1 -- "$PROGS/invariant" "$HOME_DIR/new.stop" 4
    SESSION_DIR=$FAULTY_SRC/ck/$KEY/batch
    local new_group=$SESSION_GROUP new_to=$session_to new_from=$session_from new_pid=$session_pid new_out=$TREE_OUT
    as_old() { SESSION_GROUP=$old_group session_to=$old_to session_from=$old_from session_pid=$old_pid TREE_OUT=$old_out; }
    as_new() { SESSION_GROUP=$new_group session_to=$new_to session_from=$new_from session_pid=$new_pid TREE_OUT=$new_out; }

    # The old one has begun and hangs while it writes; meanwhile its successor begins, and commits.
    as_old
    plan "write 1 stall=4000 pages.zst"
    tell_it dump
    wait_until 30 stalls
    as_new
    reply=$(ask dump)
    ok "fencing: the successor's dump, beside one of the old copy that is on its way" succeeded "$reply"
    is "fencing: its number" "$(generation_of "$reply")" gen-0001-000003
    as_old
    read -r -t 20 reply <&"$session_from"
    nok "fencing: the old copy cannot commit any more" succeeded "$reply"
    plan off
    is "fencing: both generations are there" "$(complete)" \
        $'gen-0000-000001\ngen-0001-000003'
    reply=$(ask dump)
    like "fencing: the old copy cannot begin either" "$(error_of "$reply") $(text_of "$reply")" \
        '^116 a newer start of this job has written checkpoints already'
    is "fencing: it has removed nothing" "$(complete)" $'gen-0000-000001\ngen-0001-000003'
    ok "fencing: the old copy's program runs on" runs_on
    as_new
    # The successor has begun and not committed.
    plan "write 1 stall=4000 pages.zst"
    tell_it dump
    wait_until 30 stalls
    like "fencing: the successor is at it (control)" "$(partial)" '^gen-0001-000004.partial$'
    as_old
    reply=$(ask dump)
    like "fencing: nor beside one of its successor's that is on its way" "$(error_of "$reply")" '^116$'
    as_new
    read -r -t 20 reply <&"$session_from"
    ok "fencing: which is made" succeeded "$reply"
    plan off
    is "fencing: nothing is left of the old copy's attempt" "$(partial)" ""
    # The older one by hand: a generation of the older epoch is never the newest.
    run cp -a "$FAULTY_MNT/ck/$KEY/batch/gen-0000-000001" "$FAULTY_MNT/ck/$KEY/batch/gen-0000-000009"
    tell_it signal KILL
    is "fencing: the newest start's generation is the newest" "$(generation_of "$(ask restore)")" gen-0001-000004
    ok "fencing: the program goes on" runs_on
    ends_well new
    as_old
    ends_well old
}

stalls() { [ "$(planned)" -ge 1 ]; }

# The shepherd is killed in the midst of a dump: the job ends with it, and comes back from what is saved.
shepherd() {
    local job good stop=$HOME_DIR/shepherd.stop i
    job=$(submit --checkpoint=interval=0 -- "$(job_script shepherd.sh "$PROGS/invariant" "$stop" 48)")
    ok "shepherd: a job starts" wait_step "$job" 3
    ok "shepherd: a good checkpoint" checkpoint "$job"
    for i in 1 2 3; do
        good=$(newest "$job")
        checkpoint "$job" >/dev/null 2>&1 &
        wait_until 10 dumping "$job"
        sleep "0.0$((3 * i))"
        kill -KILL "$(job_pid "$job" shepherd)"
        wait $!
        ok "shepherd: killed ($i), the job ends" wait_until 30 state_in "$job" "FAILED COMPLETED CANCELLED PENDING"
        ok "shepherd: nothing of it is left ($i)" wait_until 20 no_pids "$job"
        ok "shepherd: requeue ($i)" requeue "$job"
        ok "shepherd: restored ($i)" wait_until 60 restored_times "$job" $i
        like "shepherd: from the newest ($i)" "$(out "$job" | grep -a 'checkpoint: restored' | tail -n 1)" \
            "restored ($good|$(printf 'gen-%04d-%06d' $((i - 1)) $((10#${good##*-} + 1))))"
        ok "shepherd: it goes on ($i)" goes_on "$job"
        ok "shepherd: the next checkpoint is made ($i)" checkpoint "$job"
        is "shepherd: and nothing half-written left ($i)" "$(partial "$(taskdir "$job")")" ""
    done
    touch "$stop"
    ok "shepherd: ends well" wait_state "$job" COMPLETED
    like "shepherd: its memory is right" "$(out "$job" | grep -aE '^(result|broken)')" '^result ok$'
}
dumping() { [ -n "$(partial "$(taskdir "$1")")" ]; }
no_pids() { [ -z "$(job_pids "$1")" ]; }

need_fuse
fault_up
together ${ONLY:-errors full quota killed reading timed tmpfs fencing shepherd}
done_testing
