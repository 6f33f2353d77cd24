# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# machine.sh - check-arm64's emulated machine: made of Debian's packages, started, followed. What is not set here, and
# unpacked, build_all, logged, say and die, are check-arm64's.
# shellcheck disable=SC2154

machine_pid=

# Unpacked and never configured: what a package's scripts would have made, machine_mend_system does.
machine_packages=(
    base-files base-passwd bash coreutils dash diffutils dpkg findutils grep gzip hostname kmod libc-bin login.defs mawk mount
    passwd perl-base procps psmisc sed tar util-linux xz-utils zstd
    attr iproute2 jq libcap2-bin make python3
    criu munge slurmctld slurmd slurm-client slurm-wlm-basic-plugins
)

machine_mend_system() { # DIR LATER
    local file
    ln -sf mawk "$1/usr/bin/awk"
    for file in "$1"/usr/sbin/*-wlm; do ln -sf "${file##*/}" "${file%-wlm}"; done
    for file in passwd group; do cp "$1/usr/share/base-passwd/$file.master" "$1/etc/$file"; done
    printf '%s: files\n' passwd group shadow hosts >"$1/etc/nsswitch.conf"
    echo '127.0.0.1 localhost arm64' >"$1/etc/hosts"
    : >"$1/etc/fstab"
    : >"$2.packages"
    for file in "$work"/system/cache/archives/*.deb; do
        dpkg-deb -f "$file" Package Version | paste -s -d ' ' | sed 's/[A-Z][a-z]*: //g' >>"$2.packages"
    done
}

need() { # TOOL PACKAGE
    ! command -v "$1" >/dev/null || return 0
    logged "installing-$2" env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300 install \
        --no-install-recommends "$2" || die 1 "cannot install $2"
}

# The kernel's package is one that another names; sets kernel (where it is unpacked) and release.
machine_kernel() {
    local package
    if ! package=$(cat "$cache/linux-package" 2>/dev/null); then
        suite_update "$work/which" "$mirror" "$suite" arm64
        package=$(APT_CONFIG=$work/which/apt.conf apt-cache depends linux-image-cloud-arm64 |
            sed -n 's/^ *Depends: \(linux-image-[0-9].*\)$/\1/p' | head -n 1)
        [ -n "$package" ] || die 1 "linux-image-cloud-arm64 of $suite depends on no kernel any more"
    fi
    unpacked kernel arm64 alone machine_mend_kernel "$package"
    kernel=$unpacked_in
    echo "$package" >"$cache/linux-package"
    release=$(basename "$kernel"/usr/lib/modules/*)
}
machine_mend_kernel() { depmod -b "$1" "$(basename "$1"/usr/lib/modules/*)"; }

# What the kernel needs to reach its disk, and the program that hands over to what is there.
machine_initramfs() {
    local dir=$work/initramfs module n=0
    unpacked busybox arm64 alone : busybox-static
    mkdir -p "$dir"/{bin,modules,dev,proc,root}
    cp "$unpacked_in"/usr/bin/busybox "$dir/bin/"
    cp "$top/contrib/check-arm64.d/initramfs" "$dir/init"
    for module in $(for n in virtio_pci virtio_blk virtio_console virtio_rng ext4; do
        modprobe -d "$kernel" -S "$release" --show-depends $n | sed -n 's/^insmod \([^ ]*\).*/\1/p'
    done | awk '!seen[$0]++'); do
        n=$((n + 1))
        case $module in
            *.xz) xz -dc "$module" ;;
            *.zst) zstd -qdc "$module" ;;
            *) cat "$module" ;;
        esac >"$dir/modules/$(printf %02d $n).ko" || die 1 "cannot unpack $module"
    done
    [ $n -gt 0 ] || die 1 "no modules for the disk in $kernel"
    (cd "$dir" && find . | cpio -o -H newc --quiet) | gzip -1 >"$work/initrd" || die 1 "no initramfs"
}

# The system's disk is never written to: a run's changes are thrown away.
machine_system() {
    unpacked system arm64 with machine_mend_system "${machine_packages[@]}" "${libraries[@]}"
    system=$unpacked_in
    packages=$system.packages
    disk=$system.$release.img
    [ ! -e "$disk" ] || return 0
    rm -f "$cache"/system-*.img*
    rm -rf "$system/usr/lib/modules"
    cp -a "$kernel/usr/lib/modules" "$system/usr/lib/modules"
    logged disk mke2fs -q -t ext4 -d "$system" "$disk.new" 4G || die 1 "cannot make the system's disk"
    mv "$disk.new" "$disk"
}

# The second disk: the sources, what was built of them, and what `make install` makes of it. Modes and times stay; the
# machine has no compiler, so its `make install` copies.
machine_payload() {
    local dir=$work/payload
    mkdir -p "$dir/inst"
    (
        cd "$work/build" &&
            make -s -j"$(nproc)" t-programs t-attacks t-faulty &&
            make -s install DESTDIR="$work/stage" prefix=/inst slurmplugindir=/inst/lib/slurm sysconfdir=/inst/etc
    ) || return 1
    cp -a "$work/stage/inst/." "$dir/inst/"
    cp -a "$work/source" "$dir/source"
    cp -a "$work/build" "$dir/build"
    find "$dir/build" -name '*.o' -delete
    cat >"$dir/build/Makefile" <<'END'
install:
	mkdir -p $(prefix) && cp -a /ckpt/inst/. $(prefix)/
	setcap cap_checkpoint_restore=i $(prefix)/libexec/slurm-spank-checkpoint/keeper
END
    (cd "$work/build" && find . -name '*_test' -type f -perm /111 | sed 's,^\./,,' | sort) >"$dir/units"
    [ "$units" = yes ] || : >"$dir/units"
    printf '%s\n' "$@" | sed '/^$/d' >"$dir/tests"
    aarch64-linux-gnu-gcc -O2 -march=armv8.2-a+sve -Wall -Werror -D_GNU_SOURCE -I"$top" -o "$dir/sve" \
        "$top/contrib/check-arm64.d/sve.c" || return 1
    cp "$top/contrib/check-arm64.d/boot" "$dir/boot"
    mke2fs -q -t ext4 -d "$dir" "$work/payload.img" 2G
    rm -rf "$dir"
}

machine_start() {
    qemu-system-aarch64 -accel tcg,thread=multi -machine virt,gic-version=3 -cpu "$cpu" -smp 2 -m 2560 \
        -display none -nodefaults -no-reboot -kernel "$(echo "$kernel"/boot/vmlinuz-*)" -initrd "$work/initrd" \
        -append "console=ttyAMA0 quiet panic=-1 mitigations=off" -serial "file:$work/console" \
        -drive "file=$disk,format=raw,if=none,id=a,snapshot=on,cache=unsafe" -device virtio-blk-pci,drive=a \
        -drive "file=$work/payload.img,format=raw,if=none,id=b,cache=unsafe" -device virtio-blk-pci,drive=b \
        -device virtio-rng-pci -device virtio-serial-pci -chardev "file,id=r,path=$work/result" \
        -device virtserialport,chardev=r,name=result \
        </dev/null >"$work/qemu.log" 2>&1 9>&- &
    machine_pid=$!
}

machine_kill() {
    [ -n "$machine_pid" ] || return 0
    kill -9 "$machine_pid" 2>/dev/null || :
    wait "$machine_pid" 2>/dev/null || :
    machine_pid=
}

# machine_count FILE: "PASSED FAILED SKIPPED" of all; and of each of its stories that is not wholly good, what is wrong.
# A story without its plan, with another number of points, or with a status of its own counts as failed.
machine_count() {
    awk '
        $1 == "story" { name = $2 " " $3; n = f = s = 0; plan = -1; bail = 0; bad = ""; next }
        /^1\.\.[0-9]+/ { plan = substr($1, 4) + 0; if (plan == 0) skipped++ }
        /^(not )?ok / {
            n++
            if (toupper($0) ~ /# *SKIP/) { s++; print "skipped: " name ": " $0 > "/dev/stderr" }
            else if (/^not/) { f++; bad = bad "\n    " $0 }
            last = $0
        }
        /^Bail out!/ { bail = 1; bad = bad "\n    " $0 }
        $1 == "ended" {
            if (f == 0 && (plan != n || bail || $2 != 0)) { f = 1; bad = bad "\n    status " $2 ", " n " of " plan " points" }
            passed += n - s - f > 0 ? n - s - f : 0
            failed += f
            skipped += s
            if (f) print "failed: " name bad > "/dev/stderr"
        }
        /^machine: ended$/ { whole = 1 }
        END { print passed + 0, failed + !whole, skipped + 0 }' "$1"
}

# machine_follow: what comes of the stories, a line each, until the machine has ended or its time is over
machine_follow() {
    local began=$SECONDS shown=0 lines line
    while kill -0 "$machine_pid" 2>/dev/null && [ $((SECONDS - began)) -lt "$limit" ]; do
        sleep 2
        lines=$(wc -l <"$work/result")
        while IFS= read -r line; do
            case $line in
                story\ *) story=${line#story } since=$SECONDS ;;
                ended\ *) say "$story: status ${line#ended }, $((SECONDS - since)) s" ;;
                machine:\ *) say "${line#machine: }" ;;
            esac
        done < <(sed -n "$((shown + 1)),${lines}p" "$work/result")
        shown=$lines
    done
    if kill -0 "$machine_pid" 2>/dev/null; then
        say "the machine did not end within $limit s (--timeout)"
    fi
    machine_kill
}

machine_check() { # TEST...
    local points verdict=0
    need qemu-system-aarch64 qemu-system-arm
    need cpio cpio
    need depmod kmod
    need mke2fs e2fsprogs
    machine_kernel
    machine_system
    machine_initramfs
    build_all
    logged payload machine_payload "$@" || die 1 "cannot make what the machine is to run"
    # Others may use the cache now; a disk that is open stays, even when it is replaced.
    exec 9>&-
    : >"$work/result"
    say "starting the machine: $(qemu-system-aarch64 --version | head -n 1), Linux $release"
    machine_start
    machine_follow
    read -r -a points < <(machine_count "$work/result")
    if [ "${points[1]}" -ne 0 ]; then
        verdict=1
        tail -n 20 "$work/console" >&2
        cat "$work/qemu.log" >&2
        keep=yes
    fi
    cp "$work/result" "$cache/last-result"
    echo "Linux $release, $(grep -E '^(criu|slurmd|munge|libc6) ' "$packages" | sort | paste -s -d , | sed 's/,/, /g')"
    aarch64-linux-gnu-gcc --version | head -n 1
    echo "${points[0]} passed, ${points[1]} failed, ${points[2]} skipped"
    return $verdict
}
