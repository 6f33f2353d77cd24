# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# machines.sh - contrib/vmtest's virtual machines: start, stop, follow their stories. work, base, image, shell, keep, limit,
# passed, failed, say and die are vmtest's.

# Until vmtest says otherwise. work is the group's own directory, base the one of the whole run.
work='' base='' image='' shell=no keep=no limit='' passed=0 failed=0 oopses=0
declare -A machines=() # name: pid of qemu
oops_pattern='Oops: |Kernel panic - |kernel BUG at |general protection fault, '

# Is KVM there, and does it work?  Some hosts show the device and hang: a kernel without a root must end by itself.
machines_accel() {
    local try=(-accel kvm -cpu host)
    if [ -w /dev/kvm ] && (ulimit -c 0; timeout -k 1 20 qemu-system-x86_64 "${try[@]}" -smp 1 -m 256 -display none -nodefaults -no-reboot \
        -kernel "$base/vmlinuz" -append "panic=-1" >/dev/null 2>&1 </dev/null; exit $?) 2>/dev/null; then
        accel=("${try[@]}")
        kernel_words=
    else
        # qemu 7.2 damages the flags in its cmpxchg16b, which the kernel uses everywhere; la57 only costs time.
        accel=(-accel "tcg,thread=multi" -cpu "max,-cx16,-la57")
        # Timers of an emulated machine on a busy host do not stand the kernel's test.
        # An Oops ends the machine: see machines_oops. A busy host is no reason to give anything up.
        kernel_words="no_timer_check mitigations=off oops=panic panic=-1 nosoftlockup systemd.service_watchdogs=0"
        kernel_words+=" systemd.default_timeout_start_sec=1800 systemd.default_device_timeout_sec=1800"
    fi
}

# machine_numa NUMA MEMORY: sets topology, qemu's arguments, and cpus. "0-1/2,3": two NUMA nodes, with these CPUs and half of
# the memory each; each CPU is a socket. "": one node, two CPUs.
machine_numa() {
    local parts part i=0
    topology=(-smp 2) cpus=2
    [ -n "$1" ] || return 0
    topology=(-smp "4,sockets=4,cores=1,threads=1") cpus=4
    IFS=/ read -r -a parts <<<"$1"
    for part in "${parts[@]}"; do
        topology+=(-object "memory-backend-ram,id=m$i,size=$(($2 / ${#parts[@]}))M"
            -numa "node,nodeid=$i,memdev=m$i,cpus=${part//,/,cpus=}")
        i=$((i + 1))
    done
}

# machine_start NODE NODES STORIES NUMA
machine_start() {
    local node=$1 nodes=$2 stories=$3 net=() console=(-serial null) stay='' number=${1#node} memory=2048 disk=$work/$1.qcow2
    local topology cpus
    if [ "$nodes" -gt 1 ]; then
        memory=1536
        # Datagrams between the two: neither notices when the other is killed, and it may come back.
        net=(-netdev "socket,id=n,udp=127.0.0.1:$((port + 3 - number)),localaddr=127.0.0.1:$((port + number))"
            -device "virtio-net-pci,netdev=n,mac=52:54:00:00:00:0$number")
    fi
    machine_numa "$4" "$memory"
    [ "$shell" = no ] || { console=(-serial "unix:$work/$node.shell,server=on,wait=off") stay=vmtest.stay=1; }
    [ -e "$disk" ] || qemu-img create -q -f qcow2 -b "$image" -F raw "$disk" || die 1 "no disk for $node"
    qemu-system-x86_64 "${accel[@]}" "${topology[@]}" -m "$memory" -display none -nodefaults -no-reboot \
        -kernel "$base/vmlinuz" -initrd "$base/initrd" \
        -append "root=/dev/vda rw console=ttyS0 quiet net.ifnames=0 systemd.show_status=0 $kernel_words vmtest.node=$node vmtest.nodes=$nodes vmtest.cpus=$cpus vmtest.stories=$stories $stay" \
        -drive "file=$disk,format=qcow2,if=virtio,cache=unsafe" \
        -drive "file=$base/stories.img,format=raw,if=virtio,readonly=on" \
        -device virtio-rng-pci "${net[@]}" \
        -serial "file:$work/$node.console" -serial "file:$work/$node.result" "${console[@]}" \
        </dev/null >"$work/$node.qemu" 2>&1 &
    machines[$node]=$!
}

machine_kill() {
    [ -n "${machines[$1]:-}" ] || return 0
    kill -9 "${machines[$1]}" 2>/dev/null
    wait "${machines[$1]}" 2>/dev/null
    machines[$1]=
}

machines_kill() {
    local node
    for node in "${!machines[@]}"; do machine_kill "$node"; done
}

# machines_obey LINE NODES NUMA: what a story asks of the host
machines_obey() {
    local word node numa
    read -r _ _ word node numa <<<"$1"
    case $word in
        kill) say "$node is killed"; machine_kill "$node" ;;
        start) say "$node is started"; machine_start "$node" "$2" none "${numa:-$3}" ;;
    esac
}

# machines_count FILE: adds to passed and failed; fails when a story did not come to its end. A failed assertion of such a
# story counts, too.
machines_count() {
    local line story='' plan='' count=0 bad=0 whole=0 ended=no summary=''
    while IFS= read -r line; do
        case $line in
            'story '*)
                [ -z "$story" ] || { whole=1 failed=$((failed + bad)); }
                story=${line#story } plan='' count=0 bad=0 summary="$story: broken off"
                ;;
            'ok '*) count=$((count + 1)) ;;
            'not ok '*) count=$((count + 1)) bad=$((bad + 1)) ;;
            '1..'*)
                plan=${line#1..}
                passed=$((passed + count - bad)) failed=$((failed + bad))
                [ "$plan" = "$count" ] || whole=1
                summary="$story: $((count - bad)) passed, $bad failed"
                story='' bad=0
                ;;
            'vmtest: '*' took '*) echo "$summary, ${line##* took }" ;;
            'vmtest: ended') ended=yes ;;
        esac
    done <"$1"
    failed=$((failed + bad))
    [ -z "$story" ] && [ $whole -eq 0 ] && [ $ended = yes ]
}

# machines_oops: did an emulated kernel end by itself?  The emulator is not a processor: rarely, what the kernel does to its
# own code and flags goes wrong in it. On a real processor it is no excuse.
machines_oops() {
    [ "${accel[1]%%,*}" = tcg ] && grep -hE -m 1 "$oops_pattern" "$work"/node*.console
}

# machines_fell: has one of them ended so, and not because it was told to?
machines_fell() {
    local node
    for node in "${!machines[@]}"; do
        [ -z "${machines[$node]}" ] || kill -0 "${machines[$node]}" 2>/dev/null || { machines_oops >/dev/null && return 0; }
    done
    return 1
}

# machines_follow NODES NUMA STORY...: until they have ended, or for the time that there is
machines_follow() {
    local nodes=$1 numa=$2 i began=$SECONDS shown=0 lines line stories most places
    shift 2
    stories=$(IFS=+; echo "$*")
    most=${limit:-$((1800 + 600 * $#))}
    port=$((20000 + RANDOM % 20000))
    read -r -a places <<<"$numa"
    for i in $(seq 1 "$nodes"); do
        rm -f "$work/node$i.qcow2" "$work/node$i.result" "$work/node$i.console"
        machine_start "node$i" "$nodes" "$stories" "${places[i - 1]:-}"
    done
    while kill -0 "${machines[node1]}" 2>/dev/null && [ $((SECONDS - began)) -lt "$most" ]; do
        sleep 1
        machines_fell && break
        lines=$(tr -d '\r' <"$work/node1.result" 2>/dev/null | wc -l)
        [ "$lines" -gt "$shown" ] || continue
        while IFS= read -r line; do
            echo "$line"
            [[ $line != 'vmtest: ask '* ]] || machines_obey "$line" "$nodes" ""
        done < <(tr -d '\r' <"$work/node1.result" | sed -n "$((shown + 1)),${lines}p")
        shown=$lines
    done
    if kill -0 "${machines[node1]}" 2>/dev/null; then
        tail -n 20 "$work/node1.console" >&2
        keep=yes
        say "error: the machines did not end within $most s (--timeout)"
    fi
    machines_kill
    tr -d '\r' <"$work/node1.result" >"$work/tap"
}

# machines_run NODES NUMA STORY...: fails when one did. After an Oops of an emulated kernel the stories that had not come to
# their end are told once more, on new machines.
machines_run() {
    local nodes=$1 numa=$2 before=$failed story rest=() oops ended=no
    shift 2
    [ -n "${accel:-}" ] || machines_accel
    say "starting $nodes machine(s) (${accel[1]%%,*}${numa:+, NUMA $numa}) for $*; consoles: $work/*.console"
    machines_follow "$nodes" "$numa" install "$@"
    if machines_count "$work/tap"; then
        ended=yes
    elif [ "$failed" -eq "$before" ] && oops=$(machines_oops); then
        for story; do grep -q "^vmtest: $story took " "$work/tap" || rest+=("$story"); done
        mkdir -p "$base/oops"
        cp "$work"/node*.console "$base/oops/"
        keep=yes oopses=$((oopses + 1))
        {
            echo "######## THE EMULATED KERNEL FAILED: $oops"
            echo "######## No assertion had. New machines repeat, once: ${rest[*]} (consoles: $base/oops)"
        } | tee /dev/stderr
        machines_follow "$nodes" "$numa" install "${rest[@]}"
        ! machines_count "$work/tap" || ended=yes
    fi
    if [ $ended = no ]; then
        tail -n 20 "$work/node1.console" >&2
        keep=yes
        failed=$((failed + 1))
        say "error: the stories in the machine did not come to their end"
    fi
    [ "$failed" -eq "$before" ]
}
