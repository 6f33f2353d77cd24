#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The packages: built as an admin builds them, installed, upgraded and removed with dpkg.
#
# isolation: none
# order: first
# timeout: 420
. "$(dirname "$0")/lib.sh"

[ "$(id -u)" -eq 0 ] || skip_all "needs root"

# The machine's own tree with a layer above it, in which dpkg may do as it likes
layer=$TEST_TMP/layer root=$TEST_TMP/root
in_root() { chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C "$@"; }
take_down() { umount -l "$root" 2>/dev/null; umount "$layer" 2>/dev/null; }
trap 'take_down; test_cleanup' EXIT
mkdir -p "$layer" "$root"
mount -t tmpfs -o size=1g ckpt-package "$layer" || bail "no tmpfs"
mkdir "$layer/upper" "$layer/work"
mount -t overlay -o "lowerdir=/,upperdir=$layer/upper,workdir=$layer/work" ckpt-package "$root" ||
    bail "no overlay of the root filesystem"

export DEB_BUILD_OPTIONS="nocheck noopt" # it is the packaging that is tested

like "--help tells how" "$("$TEST_TOP/contrib/package" --help)" '^usage: contrib/package deb'
"$TEST_TOP/contrib/package" tgz >/dev/null 2>&1
is "a wrong argument: status 2" $? 2

touch "$TEST_TMP/up"
out=$TEST_TMP/packages
ok "package deb builds, lintian-clean" "$TEST_TOP/contrib/package" deb --output "$out"
deb=$(ls "$out"/slurm-spank-checkpoint_*.deb)
release=$(sed -n 's/^slurm-wlm [^0-9]*\([0-9]*\.[0-9]*\).*/\1/p' <<<"$(slurmd -V)")
like "it depends on this Slurm release" "$(dpkg-deb -f "$deb" Depends)" \
    "slurm-wlm-basic-plugins \(>= $release\), slurm-wlm-basic-plugins \(<< "
is "nothing in it is setuid or writable by others" \
    "$(dpkg-deb -c "$deb" | grep -E '^.{3}[sS]|^.{6}[sS]|^[^l].{4}w|^[^l].{7}w')" ""

cp "$deb" "$root/tmp/package.deb"
ok "dpkg installs it" in_root dpkg -i /tmp/package.deb
keeper=/usr/libexec/slurm-spank-checkpoint/keeper
is "postinst gives the keeper its bit, and nothing else" "$(in_root getcap -r /usr/libexec/slurm-spank-checkpoint)" \
    "$keeper cap_checkpoint_restore=i"
like "scheckpoint runs" "$(in_root scheckpoint --version)" '^slurm-spank-checkpoint 0\.'
ok "the manual pages are there" in_root test -s /usr/share/man/man8/spank-checkpoint.8.gz
ok "so is the completion" in_root test -s /usr/share/bash-completion/completions/scheckpoint
is "the drop-in enables nothing" "$(grep -vcE '^(#|$)' "$root/etc/slurm/plugstack.conf.d/checkpoint.conf")" 0
like "the example of checkpoint.conf says which line is needed" \
    "$(cat "$root/usr/share/doc/slurm-spank-checkpoint/checkpoint.conf.example")" '^#Dir='

# What runs of it goes on with the files that it has open.
ln -sfn /proc/self/fd "$root/dev/fd" 2>/dev/null
echo 'optional checkpoint.so # mine' >>"$root/etc/slurm/plugstack.conf.d/checkpoint.conf"
exec 7<"$root$keeper"
ok "an upgrade" in_root dpkg -i /tmp/package.deb
like "keeps what the admin wrote" "$(cat "$root/etc/slurm/plugstack.conf.d/checkpoint.conf")" '# mine$'
is "and gives the new keeper its bit" "$(in_root getcap "$keeper")" "$keeper cap_checkpoint_restore=i"
isnt "the old one is another file, that running jobs keep" "$(stat -L -c %i /proc/self/fd/7)" "$(stat -c %i "$root$keeper")"
exec 7<&-
ok "removal" in_root dpkg -r slurm-spank-checkpoint
nok "removes the plugin" test -e "$(find "$root/usr/lib" -path '*slurm-wlm/checkpoint.so' -print -quit)"
nok "and the helpers" test -e "$root/usr/libexec/slurm-spank-checkpoint"
ok "but keeps the admin's configuration" test -e "$root/etc/slurm/plugstack.conf.d/checkpoint.conf"
mkdir -p "$root/run/slurm-spank-checkpoint"
echo job >"$root/run/slurm-spank-checkpoint/1.node"
ok "purge" in_root dpkg -P slurm-spank-checkpoint
nok "removes that too" test -e "$root/etc/slurm/plugstack.conf.d/checkpoint.conf"
nok "and what was noted about jobs" test -e "$root/run/slurm-spank-checkpoint"

ok "package rpm builds, rpmlint-clean" "$TEST_TOP/contrib/package" rpm --output "$out"
rpm=$(find "$out" -name '*.rpm' ! -name '*.src.rpm')
like "the rpm gives the keeper its bit" "$(rpm -qp --filecaps -l "$rpm" 2>/dev/null)" \
    "/keeper[[:space:]]+cap_checkpoint_restore=i"
like "it requires this Slurm release" "$(rpm -qpR "$rpm" 2>/dev/null)" "^slurm >= $release"
ok "the source package is there" test -s "$(ls "$out"/*.src.rpm)"
is "it has no scriptlets" "$(rpm -qp --scripts "$rpm" 2>/dev/null)" ""
is "all of it is root's, and nothing setuid or writable by others" \
    "$(rpm -qp --qf '[%{FILENAMES} %{FILEMODES:perms} %{FILEUSERNAME} %{FILEGROUPNAME}\n]' "$rpm" 2>/dev/null |
        grep -vE ' (l|-r[wx-]{2}|dr[wx-]{2})[^ ]* root root$|^/usr/lib/\.build-id')$(rpm -qplv "$rpm" 2>/dev/null |
        grep -E '^.{3}[sS]|^.{6}[sS]|^[^l].{4}w|^[^l].{7}w')" ""

# Into a tree of its own, with a database of its own: as dnf would, but that Debian's rpm knows nothing of what it requires
rpmroot=$root/tmp/rpm
mkdir "$rpmroot"
into() { rpm --root "$rpmroot" --dbpath /var/lib/rpm "$@" 2>&1; }
rpmkeeper=$rpmroot$keeper
dropin=$rpmroot/etc/slurm/plugstack.conf.d/checkpoint.conf
ok "rpm installs it" into -i --nodeps "$rpm"
is "and verifies it: sizes, digests, modes, owners, capabilities" "$(into -V --nodeps slurm-spank-checkpoint)" ""
is "the keeper has its bit, and nothing else" "$(getcap -r "$rpmroot")" "$rpmkeeper cap_checkpoint_restore=i"
is "the drop-in enables nothing" "$(grep -vcE '^(#|$)' "$dropin")" 0
ok "the completion is there" test -s "$rpmroot/usr/share/bash-completion/completions/scheckpoint"
is "and three manual pages" "$(find "$rpmroot/usr/share/man" -type f | wc -l)" 3
setcap -r "$rpmkeeper"
like "rpm -V tells of a lost capability" "$(into -V --nodeps slurm-spank-checkpoint)" '^\.{8}P +.*/keeper$'
ok "rpm gives it back" into --setcaps slurm-spank-checkpoint
is "so that all is well again" "$(into -V --nodeps slurm-spank-checkpoint)" ""
echo 'optional checkpoint.so # mine' >>"$dropin"
exec 7<"$rpmkeeper"
ok "rpm upgrades it" into -U --force --nodeps "$rpm"
like "the admin's drop-in stays" "$(cat "$dropin")" '# mine$'
is "the new keeper has its bit" "$(getcap "$rpmkeeper")" "$rpmkeeper cap_checkpoint_restore=i"
isnt "and is another file than the one that runs" "$(stat -L -c %i /proc/self/fd/7)" "$(stat -c %i "$rpmkeeper")"
exec 7<&-
ok "rpm removes it" into -e slurm-spank-checkpoint
is "all but what the admin wrote" "$(find "$rpmroot" -path "$rpmroot/var/lib/rpm" -prune -o -type f -print)" "$dropin.rpmsave"
is "the checkout was not written to" "$(cd "$TEST_TOP" && find . -newer "$TEST_TMP/up" -not -path './.git/*' -type f)" ""
done_testing
