#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# isolation: none
#
# contrib/vmtest as far as it goes without a machine (a run of it takes an hour where there is no KVM: doc/vmtest.md).
. "$(dirname "$0")/lib.sh"

vmtest() { "$TEST_TOP/contrib/vmtest" "$@"; }
like "--help tells how" "$(vmtest --help)" '^usage: contrib/vmtest'
vmtest debian7 >/dev/null 2>&1
is "a wrong argument: status 2" $? 2
vmtest --timeout soon >/dev/null 2>&1
is "a wrong time: status 2" $? 2
vmtest --package /nonexistent >/dev/null 2>&1
is "no such package: status 2" $? 2
list=$(vmtest --list)
like "the smoke is a story" "$list" '^smoke +1 machine'
like "those of NUMA have two machines" "$list" '^numa +2 machine'
like "there are some for two machines" "$list" '^two-nodes +2 machine'
dist=$(sed -n '/vmtest/p' "$TEST_TOP/contrib/local.mk" | tr ' \t\\' '\n\n\n')
for file in "$TEST_TOP"/contrib/vmtest.d/*; do
    name=${file##*/}
    ok "$name is part of a release" grep -qx "contrib/vmtest.d/$name" <<<"$dist"
    case $name in
        *.conf | *.pl | *.c) ;;
        *) ok "$name is bash" bash -n "$file" ;;
    esac
    grep -q '^done_testing$' "$file" || continue
    [ "$name" = install ] || ok "$name is listed, with what it is about" grep -qE "^$name +[12] machine\(s\)  [a-zA-Z]" <<<"$list"
    [ "$name" = install ] || like "$name has a line in doc/vmtest.md" "$(cat "$TEST_TOP/doc/vmtest.md")" "^\| $name \|"
done
done_testing
