# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# machines.sh - contrib/vmtest's virtual machines: start, stop, follow their stories. work, image, shell, keep, limit, suite,
# passed, failed, say and die are vmtest's.

work='' image='' shell=no keep=no limit='' passed=0 failed=0 # until vmtest says otherwise
declare -A machines=() # name: pid of qemu

# Is KVM there, and does it work?  Some hosts show the device and hang: a kernel without a root must end by itself.
machines_accel() {
    local try=(-accel kvm -cpu host)
    if [ -w /dev/kvm ] && (ulimit -c 0; timeout -k 1 20 qemu-system-x86_64 "${try[@]}" -smp 1 -m 256 -display none -nodefaults -no-reboot \
        -kernel "$work/vmlinuz" -append "panic=-1" >/dev/null 2>&1 </dev/null; exit $?) 2>/dev/null; then
        accel=("${try[@]}")
        kernel_words=
    else
        # qemu 7.2 damages the flags in its cmpxchg16b, which the kernel uses everywhere; la57 only costs time.
        accel=(-accel "tcg,thread=multi" -cpu "max,-cx16,-la57")
        # Timers of an emulated machine on a busy host do not stand the kernel's test.
        kernel_words="no_timer_check mitigations=off"
    fi
}

# machine_start NODE NODES STORIES
machine_start() {
    local node=$1 nodes=$2 stories=$3 net=() console=(-serial null) stay='' number=${1#node} memory=2048 disk=$work/$1.qcow2
    if [ "$nodes" -gt 1 ]; then
        memory=1536
        # Datagrams between the two: neither notices when the other is killed, and it may come back.
        net=(-netdev "socket,id=n,udp=127.0.0.1:$((port + 3 - number)),localaddr=127.0.0.1:$((port + number))"
            -device "virtio-net-pci,netdev=n,mac=52:54:00:00:00:0$number")
    fi
    [ "$shell" = no ] || { console=(-serial "unix:$work/$node.shell,server=on,wait=off") stay=vmtest.stay=1; }
    [ -e "$disk" ] || qemu-img create -q -f qcow2 -b "$image" -F qcow2 "$disk" || die 1 "no disk for $node"
    qemu-system-x86_64 "${accel[@]}" -smp 2 -m "$memory" -display none -nodefaults -no-reboot \
        -kernel "$work/vmlinuz" -initrd "$work/initrd" \
        -append "root=/dev/vda rw console=ttyS0 quiet net.ifnames=0 systemd.show_status=0 $kernel_words vmtest.node=$node vmtest.nodes=$nodes vmtest.stories=$stories $stay" \
        -drive "file=$disk,format=qcow2,if=virtio,cache=unsafe" \
        -drive "file=$work/stories.img,format=raw,if=virtio,readonly=on" \
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

# machines_obey LINE NODES: what a story asks of the host
machines_obey() {
    local word node
    read -r _ _ word node <<<"$1"
    case $word in
        kill) say "$node is killed"; machine_kill "$node" ;;
        start) say "$node is started"; machine_start "$node" "$2" none ;;
    esac
}

# machines_count FILE: adds to passed and failed; fails when a story did not come to its end
machines_count() {
    local line story='' plan='' count=0 bad=0 whole=0
    while IFS= read -r line; do
        case $line in
            'story '*) [ -z "$story" ] || whole=1; story=${line#story } plan='' count=0 bad=0 ;;
            'ok '*) count=$((count + 1)) ;;
            'not ok '*) count=$((count + 1)) bad=$((bad + 1)) ;;
            '1..'*)
                plan=${line#1..}
                passed=$((passed + count - bad)) failed=$((failed + bad))
                [ "$plan" = "$count" ] || whole=1
                echo "$story: $((count - bad)) passed, $bad failed"
                story=''
                ;;
        esac
    done <"$1"
    [ -z "$story" ] && [ $whole -eq 0 ]
}

# machines_run NODES STORY...
machines_run() {
    local nodes=$1 i began=$SECONDS shown=0 lines line before=$failed most stories
    shift
    stories=$(IFS=+; echo "$*")
    most=${limit:-$((1800 + 600 * $#))}
    port=$((20000 + RANDOM % 20000))
    [ -n "${accel:-}" ] || machines_accel
    say "starting $nodes machine(s) (${accel[1]%%,*}) for $*; consoles: $work/*.console"
    for i in $(seq 1 "$nodes"); do rm -f "$work/node$i.qcow2" "$work/node$i.result"; machine_start "node$i" "$nodes" "$stories"; done
    while kill -0 "${machines[node1]}" 2>/dev/null && [ $((SECONDS - began)) -lt "$most" ]; do
        sleep 2
        lines=$(tr -d '\r' <"$work/node1.result" 2>/dev/null | wc -l)
        [ "$lines" -gt "$shown" ] || continue
        while IFS= read -r line; do
            echo "$line"
            [[ $line != 'vmtest: ask '* ]] || machines_obey "$line" "$nodes"
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
    if ! machines_count "$work/tap" || ! grep -qx 'vmtest: ended' "$work/tap"; then
        tail -n 20 "$work/node1.console" >&2
        keep=yes
        failed=$((failed + 1))
        say "error: the stories in the machine did not come to their end"
    fi
    [ "$failed" -eq "$before" ]
}
