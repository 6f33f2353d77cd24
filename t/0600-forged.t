#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# isolation: private
#
# Generations forged by their owner: one genuine checkpoint, many rewritten ones on top of it, one requeue.  Each
# must be refused with its reason; then the genuine one is restored.  Deny matrix rows 17 to 21, end to end
# (restore/filter_test.c and its sisters have every case).
. "$(dirname "$0")/seclib.sh"

# row, edit of forge.py, reason
cases=$(
    for set in inheritable permitted effective ambient; do
        printf '17|%s-leader|capabilities in set %s: 0000010000000000\n' $set $set
        printf '17|%s-thread|capabilities in set %s: 0000010000000000\n' $set $set
        printf '17|%s-other|capabilities in set %s: 0000000000200000\n' $set $set
    done
    for id in uid gid euid egid suid sgid fsuid fsgid; do
        printf '18|%s-leader|%s is 0, the job.s is\n' $id $id
        printf '18|%s-thread|%s is 0, the job.s is\n' $id $id
    done
    cat <<'END'
18|extra-group|supplementary groups
18|securebits|securebits 0x2f
18|label|security label
18|seccomp-mode|seccomp
18|seccomp-strict-in-thread|seccomp
19|creds-apart|creds-
19|creds-missing|no credentials
19|creds-missing-in-thread|no credentials
20|image=creds-300.img|creds-300
20|image=userns-300.img|userns-300
20|image=netns-9.img|netns-9
20|image=mountpoints-9.img|mountpoints-9
20|image=ipcns-var-9.img|ipcns-var-9
20|image=seccomp.img|seccomp
20|image=cgroup.img|cgroup
20|image=iptables-9.img|iptables-9
20|image=apparmor.img|apparmor
20|image=tmpfs-9.tar.gz.img|tmpfs-9
20|image=timens-0.img|timens-0
20|image=bpfmap-file.img|bpfmap
20|image=core-007.img|core-007
20|image=sub/core-7.img|core-7
20|strange-core|core-77777
20|no-core|core-
20|own-namespace|namespace
21|two-creds|creds: given twice
21|uid-twice|uid: given twice
21|unknown-field|unknown field 77
21|unknown-in-core|unknown field 200
21|trailing-bytes|more than its one message
21|second-message|more than its one message
21|cut-message|a message of
21|old-inventory|inventory
21|inventory-plugin|inventory
END
    # /proc/PID/mem is checked when it is opened, and CRIU opens files while it holds the capability.
    printf 'files|file=%s|memory of a process|.\n' "/proc/self/mem" "/proc/thread-self/mem" "$TEST_TMP/link-to-memory"
    # Under private isolation everybody can know CRIU's own numbers.
    for pid in {1..9}; do printf 'files|file=/proc/%s/mem|memory of a process|cannot be opened|is missing\n' "$pid"; done
)
chmod 755 "$TEST_TMP"
ln -s /proc/self/mem "$TEST_TMP/link-to-memory"

# requeue_held JOB - its last checkpoint is made and its processes are gone
requeue_held() {
    run scontrol requeuehold "$1" && wait_until 60 state_is "$1" PENDING && wait_until 30 no_process "$1"
}
no_process() { [ -z "$(job_pids "$1")" ]; }

sec_up
stop=$HOME_DIR/forged.stop
job=$(submit --checkpoint=interval=0,keep=10 -- "$(job_script forged.sh "$PROGS/threads" "$stop")")
ok "a program with threads starts" wait_step "$job" 3
ok "it is requeued and held" requeue_held "$job"
source=$(newest "$job")
first=$((10#${source##*-} + 1))
mapfile -t edits < <(cut -d '|' -f 2 <<<"$cases")
is "as many are forged as there are cases" \
    "$(run "$ATTACKS/forge.py" "$(taskdir "$job")" "$source" "$TB/munge/munge.sock" $first nothing "${edits[@]}" 2>&1)" ""
is "(control)" "$(n_generations "$job")" $((${#edits[@]} + 2))
run scontrol release "$job"
ok "it starts again" wait_until 60 restarted "$job" 1
ok "the rewritten generation in which nothing was changed is restored, and no other (control)" \
    wait_out "$job" "checkpoint: restored $(printf gen-0000-%06d $first)" 60
is "nothing else was" "$(n_restored "$job")" 1
ok "the job goes on" goes_on "$job"
is "no process holds anything" "$(holders "$job")" ""
text=$(out "$job" | grep -v '^step ')
number=$first
while IFS='|' read -r row edit reason; do
    number=$((number + 1))
    like "row $row: $edit is refused" "$text" "$(printf 'cannot restore gen-0000-%06d: .*(%s)' $number "$reason")"
done <<<"$cases"
is "each was tried once" "$(grep -c 'cannot restore' <<<"$text")" ${#edits[@]}
touch "$stop"
ok "the job ends" wait_state "$job" COMPLETED
ok "no node was drained" node_fine
done_testing
