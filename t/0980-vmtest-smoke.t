#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# isolation: none
# order: first
# timeout: 3600
# vm: yes
#
# The smoke of contrib/vmtest: our package on Debian 13 under systemd, in a virtual machine.  Mostly it waits; emulated, and
# beside other tests, it takes many minutes: contrib/check --vm runs it.
. "$(dirname "$0")/lib.sh"

[ "$(id -u)" -eq 0 ] || skip_all "needs root"
log=$TEST_TMP/vmtest.log
# What is kept between runs is used where somebody keeps it, and not left behind where nobody does.
cache=/var/cache/slurm-spank-checkpoint-vmtest
[ -d "$cache" ] || cache=$TEST_TMP/cache
"$TEST_TOP/contrib/vmtest" --cache "$cache" >"$log" 2>&1 </dev/null
status=$?
story='' points=0
while IFS= read -r line; do
    case $line in
        'story '*) story=${line#story } ;;
        'ok '* | 'not ok '*)
            test_n=$((test_n + 1)) points=$((points + 1))
            [ "${line%%ok *}" = '' ] || test_failed=$((test_failed + 1))
            echo "${line%%ok *}ok $test_n - $story: ${line#* - }"
            ;;
        1..*) ;;
        *) diag "$line" ;;
    esac
done <"$log"
is "vmtest ends well" $status 0
like "both stories came to their ends" "$(cat "$log")" "^$points passed, 0 failed"
ok "there were some (control)" test $points -ge 40

# The run tells where it works: in the consoles' path.
at=$(sed -n 's|.*; consoles: \(.*/ckpt-vmtest\.[A-Za-z0-9]*\)/.*|\1|p' "$log" | sort -u)
like "it has told where it works (control)" "$at" '^/[^ ]*/ckpt-vmtest\.[A-Za-z0-9]{6}$'
# After an Oops of the emulated kernel the consoles are kept, and it says so.
if grep -q 'left behind: ' "$log"; then
    diag "kept: $at"
else
    nok "its work directory is gone" test -e "$at"
fi
# "qemu-system-x86_64", cut to the kernel's 15 characters; others of them may run beside.
qemus() { grep -lsx qemu-system-x86 /proc/[0-9]*/comm | while read -r f; do tr '\0' ' ' 2>/dev/null <"${f%comm}cmdline" && echo; done; }
is "no machine of it runs" "$(qemus | grep -F "$at/")" ""
is "nothing of it is mounted" "$(grep -F "$at/" /proc/self/mountinfo)" ""
done_testing
