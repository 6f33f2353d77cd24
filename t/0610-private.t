#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# isolation=private from inside and from outside: the namespaces hold, the keeper as their init holds out, nobody of the
# same user comes in.
# isolation: private
. "$(dirname "$0")/seclib.sh"
[ "$CKPT_ISOLATION" = private ] || skip_all "namespaces are made under isolation=private only"

inside() {
    local job text what stop=$HOME_DIR/inside.stop
    job=$(submit --checkpoint=interval=0 -- "$(put_script inside.sh <<END
#!/bin/bash
$ATTACKS/nsattack $$
while read -r key value; do case \$key in Cap*) echo "\$key \$value" ;; esac; done </proc/self/status
cat /proc/self/uid_map
ls /proc | grep '^[0-9]' | wc -l
echo ready
until [ -e $stop ]; do sleep 0.2; done
END
)")
    ok "the attacks have been tried" wait_out "$job" '^ready' 60
    text=$(out "$job")
    like "all of them (control)" "$text" '^done'
    for what in "see a process of the host" "mount a tmpfs" "mount over /etc" "remount /" "make / shared" \
        "unmount /proc" "chroot" "new mount namespace" "new pid namespace" "uid 0" "gid 0" "host name" \
        "join init's user namespace" "join init's mounts" "join init's pids" "ns_last_pid" "shm_next_id" \
        "choose a pid" "raise a hard limit" "rejoin own user namespace" "init's mem" "init's environ" "init's maps" \
        "init's fd" "init's ns/user" "init's syscall" "init's stack" "init's auxv" "init's memory for writing" \
        "trace init" "init's descriptor 0" "init's descriptor 3" "init's descriptor 4" "kill init"; do
        like "inside: $what: denied" "$(grep -F "$what: " <<<"$text" | grep -v ^nested)" ': denied '
    done
    # Where the site lets users make user namespaces at all.
    for what in "trace init" "init's memory" "ns_last_pid" "choose a pid" "unmount /proc" "host name" \
        "join init's user namespace" "join init's mounts" "unmount /proc in own mounts"; do
        unlike "inside, as root of a namespace of its own: $what: denied" \
            "$(grep -F "nested: $what: " <<<"$text")" ALLOWED
    done
    is "the program holds nothing" "$(grep -E '^Cap(Inh|Prm|Eff|Amb)' <<<"$text" | grep -v ' 0*$')" ""
    ok "the keeper has survived 64 signals and holds its capability" keeper_holds "$job"
    is "its namespace's user is not the host's" \
        "$(readlink "/proc/$(job_pid "$job" ckpt-init)/ns/user" | grep -cF "$(readlink /proc/self/ns/user)")" 0
    outside "$job"
    like "a checkpoint is made after all that" "$(checkpoint "$job" 2>&1)" gen-0000-000001
    touch "$stop"
    ok "the job ends" wait_state "$job" COMPLETED
    is "its namespaces are gone" "$(lsns -n -t pid -o COMMAND 2>/dev/null | grep -c "^keeper.*$job")" 0
}

# A login of the same user
outside() {
    local job=$1 pid type what
    for pid in "$(keeper_pid "$job")" "$(job_pid "$job" ckpt-init)" "$(shepherd_pid "$job")"; do
        for type in user pid mount; do
            nok "outside: the user enters the $type namespace of $(cat "/proc/$pid/comm")" \
                run nsenter --$type --target "$pid" true
        done
        # Same uid: without the user namespace all of it would be open to him.
        for what in environ maps auxv; do
            nok "outside: the user reads $what of $(cat "/proc/$pid/comm")" run cat "/proc/$pid/$what"
        done
        for what in fd/0 exe root cwd; do
            nok "outside: the user reads $what of $(cat "/proc/$pid/comm")" run readlink "/proc/$pid/$what"
        done
        like "outside: the user traces $(cat "/proc/$pid/comm")" \
            "$(run timeout 5 strace -p "$pid" 2>&1)" 'ptrace.*Operation not permitted'
    done
}

sec_up
inside
ok "no node was drained" node_fine
done_testing
