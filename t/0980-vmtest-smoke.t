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
done_testing
