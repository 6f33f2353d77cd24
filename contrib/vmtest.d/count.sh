#!/bin/bash
# Counts until its file "stop" appears; a child sleeps beside it, that must be the same one at the end.
sleep infinity &
child=$!
echo "pids $$ $child"
i=0
while [ ! -e "$HOME/stop.$SLURM_JOB_ID" ]; do
    i=$((i + 1))
    echo "step $i"
    sleep 0.5
done
kill $child && wait $child
echo "end $$ $child"
