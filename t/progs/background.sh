#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# background.sh STOP - background jobs, one with a session of its own, a co-process, a fifo, a trap and variables
stop=$1
fifo=$stop.fifo

count() { # by its own pid, with an exit status of its own
    local n=0
    until [ -e "$stop" ]; do
        n=$((n + 1))
        sleep 0.1
    done
    return "$1"
}

trap 'echo "usr1 seen"' USR1
mkfifo "$fifo"
count 11 & a=$!
count 12 & b=$!
# shellcheck disable=SC2016 # its own $1
setsid bash -c 'until [ -e "$1" ]; do sleep 0.1; done' own-session "$stop" & c=$!
coproc double { while read -r n; do echo $((2 * n)); done; }
exec 8<>"$fifo"
declare -A seen=()
echo "start"
n=0
until [ -e "$stop" ]; do
    n=$((n + 1))
    echo "$n" >&"${double[1]}"
    read -r -u "${double[0]}" twice
    [ "$twice" = $((2 * n)) ] || { echo "broken: twice $n is not $twice"; exit 9; }
    seen[$n]=$twice
    [ ${#seen[@]} = $n ] || { echo "broken: ${#seen[@]} values, not $n"; exit 9; }
    echo "$n" >&8
    read -r -u 8 back
    [ "$back" = $n ] || { echo "broken: the fifo gave $back"; exit 9; }
    echo "step $n pid $$"
    sleep 0.05
done
wait $a; ra=$?
wait $b; rb=$?
wait $c; rc=$?
[ "$ra $rb $rc" = "11 12 0" ] || { echo "broken: the children ended with $ra $rb $rc"; exit 9; }
rm -f "$fifo"
echo "result ok"
