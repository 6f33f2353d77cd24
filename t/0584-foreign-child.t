#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# isolation: host
#
# A process of another user, or one under a seccomp filter, in the tree of a job whose memory would be taken as a
# copy-on-write snapshot: no checkpoint, with the reason; neither the program nor that process notices anything, and
# nothing is left of the attempt.  Row 38 of the deny matrix (a subreaper: t/0400-snapshot.t).
. "$(dirname "$0")/seclib.sh"

sec_up
cp /usr/bin/sleep "$HOME_DIR/suid-sleep"
chown root: "$HOME_DIR/suid-sleep"
chmod 4755 "$HOME_DIR/suid-sleep"
stop=$HOME_DIR/foreign.stop
script=$(put_script foreign.sh <<END
#!/bin/bash
$PROGS/snapped "$stop" plain 64 &
until [ -e $HOME_DIR/go ]; do sleep 0.1; done
$HOME_DIR/suid-sleep 600 & # as root, with the job's real uid
echo "child \$!"
wait \$!
echo "child ended \$?"
$PROGS/hazard $HOME_DIR/never seccomp >/dev/null &
hazard=\$!
echo "filter"
until [ -e $HOME_DIR/no-filter ]; do sleep 0.1; done
kill \$hazard
wait \$hazard
echo "no filter"
wait
END
)
# refused WHAT REASON
refused() {
    local said before
    before=$(n_generations "$job")
    said=$(checkpoint "$job" 2>&1)
    like "row 38: $1: no checkpoint, with the reason" "$said" "not saved: .*($2)"
    is "row 38: $1: none was made" "$(n_generations "$job")" "$before"
    ok "row 38: $1: the program runs on" goes_on "$job"
    is "row 38: $1: nothing half-written is left" "$(find "$(taskdir "$job")" -name '*.partial')" ""
    is "row 38: $1: no snapshot process is left" "$(snapped)" 1
    unlike "row 38: $1: nor one that is stopped or traced" \
        "$(for p in $(job_pids "$job"); do grep -E '^(State|TracerPid)' "/proc/$p/status" 2>/dev/null; done)" \
        'State:.[Tt]|TracerPid:.[1-9]'
}
snapped() { for p in $(job_pids "$job"); do cat "/proc/$p/comm" 2>/dev/null; done | grep -c '^snapped$'; }

job=$(submit --checkpoint=interval=0 -- "$script")
ok "row 38: the job starts" wait_step "$job" 3
ok "row 38: without such a process its checkpoint is made (control)" checkpoint "$job"
is "row 38: by a snapshot (control)" "$(jq -r .snapshot "$(taskdir "$job")/$(newest "$job")/manifest.json")" copy-on-write
run touch "$HOME_DIR/go"
ok "row 38: the setuid program runs" wait_out "$job" '^child '
ok "row 38: it is there" wait_until 20 job_pid "$job" suid-sleep
child=$(job_pid "$job" suid-sleep)
ok "row 38: as root (control)" grep -qE "^Uid:.$(id -u ckptest).0.0.0" "/proc/$child/status"
refused "a setuid program" 'suid-sleep|uid 0|another user|permission'
ok "row 38: the setuid program is as it was" kill -0 "$child"
kill "$child"
ok "row 38: the job knows of its end" wait_out "$job" '^child ended 143'
ok "row 38: a program under a filter runs" wait_out "$job" '^filter'
filtered() { for p in $(job_pids "$job"); do cat "/proc/$p/status"; done 2>/dev/null | grep -q '^Seccomp:.2'; }
ok "row 38: it is under it" wait_until 20 filtered
refused "a seccomp filter" 'seccomp|restricted its system calls'
run touch "$HOME_DIR/no-filter"
ok "row 38: it is gone" wait_out "$job" '^no filter'
ok "row 38: the next checkpoint is made" checkpoint "$job"
touch "$stop"
ok "row 38: the job ends" wait_state "$job" COMPLETED
like "row 38: its memory was right all the time" "$(out "$job")" '^result ok'
unlike "row 38: and noticed nothing" "$(out "$job")" '^broken'
ok "no node was drained" node_fine
done_testing
