#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# pipeline.sh STOP - a pipeline of three, of which the last counts; every line must pass through once
stop=$1

produce() {
    local n=0
    until [ -e "$stop" ]; do
        n=$((n + 1))
        echo "$n"
        sleep 0.05
    done
}

square() {
    local n
    while read -r n; do echo "$n $((n * n))"; done
}

consume() {
    local n sq want=0
    while read -r n sq; do
        want=$((want + 1))
        if [ "$n $sq" != "$want $((want * want))" ]; then
            echo "broken: $n $sq, not $want"
            return 9
        fi
        echo "step $n pid $BASHPID"
    done
}

echo "start"
set -o pipefail
produce | square | consume || exit
echo "result ok"
