#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Many tasks of a step on one node that are all to be saved at once: on request, and at a requeue.  MaxDumps lets a few at a
# time.  CKPT_STORM=200 for a larger storm.
# isolation: private
# timeout: 400
. "$(dirname "$0")/lib.sh"

tasks=${CKPT_STORM:-40}
long=$((120 + tasks * 3))
cat >"$TEST_TMP/conf" <<'END'
MaxDumps=3
END
cat >"$TEST_TMP/slurm" <<END
KillWait=$long
END
tb_up --nodes 1 --conf "$TEST_TMP/conf" --slurm-conf "$TEST_TMP/slurm"
stop=$HOME_DIR/storm.stop
mkfifo "$HOME_DIR/never"
chown ckptest "$HOME_DIR/never"

# Twice a second: "DUMPS CRIUS KIB PROCESSES" - dumps that keepers have started (each has a child of that name until it
# becomes criu), criu's, the memory of both, all processes on the node's behalf.
watch_node() {
    while [ ! -e "$TEST_TMP/watched" ]; do
        ps -eo pid,ppid,rss,comm,cgroup --no-headers -ww | awk -v node="$NODE" '
            $5 ~ node { all++; comm[$1] = $4; parent[$1] = $2; rss[$1] = $3 }
            END {
                for (p in comm) {
                    if (comm[p] == "dump" && comm[parent[p]] == "keeper") dumps++
                    if (comm[p] == "criu") crius++
                    if (comm[p] == "dump" || comm[p] == "criu") kib += rss[p]
                }
                print dumps + 0, crius + 0, kib + 0, all + 0
            }'
        sleep 0.5
    done >"$TEST_TMP/watch"
}
most() { awk -v c="$1" '$c > m { m = $c } END { print m + 0 }' "$TEST_TMP/watch"; }

put_script tick.sh >/dev/null <<END
#!/bin/bash
while [ ! -e $stop ]; do
    echo "step \$((++n)) pid \$\$"
    read -rt 5 <>$HOME_DIR/never
done
exit 0
END
job=$(submit --mem=4000 --checkpoint=interval=0 -- "$(put_script storm.sh <<END
#!/bin/bash
srun -l -n $tasks --cpu-bind=none --overcommit $HOME_DIR/tick.sh >>$HOME_DIR/storm.out
echo "srun ended with \$?"
END
)")
all_run() { [ "$(grep -cE ': step 1 ' "$HOME_DIR/storm.out")" = "$tasks" ]; }
all_restored() { [ "$(out "$job" | grep -c 'checkpoint: restored')" = "$tasks" ]; }
# last_of EPOCH - how many tasks have a generation of that start
last_of() { find "$(jobdir "$job")" -path '*/step-*' -name "gen-000$1-*" ! -name '*.partial' -printf '%h\n' | sort -u | wc -l; }
ok "all tasks run" wait_until "$long" all_run
watch_node &
watcher=$!
began=$SECONDS
said=$(checkpoint "$job" 2>"$TEST_TMP/progress"; echo "status $?") # told apart: it tells how far it is
diag "$tasks tasks saved in $((SECONDS - began)) s"
like "all are saved" "$said" '^status 0$'
is "each task tells" "$(grep -cE "^job $job\\.0 task [0-9]+: gen-0000-000001" <<<"$said") $(grep -vE ': gen-0000-000001: paused' <<<"$said" | grep -v '^status\|^job [0-9]*: srun runs')" "$tasks "
began=$SECONDS
ok "requeue" run scontrol requeue "$job"
ok "it ends, and starts again" wait_until "$long" restarted "$job" 1
diag "requeued in $((SECONDS - began)) s"
touch "$TEST_TMP/watched"
wait $watcher
is "all were saved once more" "$(out "$job" | grep -cE 'gen-0000-000002 saved \((requeue|terminate)\)')" "$tasks"
is "never more than MaxDumps at once" "$([ "$(most 1)" -le 3 ] || most 1)" ""
isnt "dumps were seen at all (control)" "$(most 1)" 0
is "processes are bounded" "$([ "$(most 4)" -le $((tasks * 8 + 30)) ] || most 4)" ""
is "memory is bounded" "$([ "$(most 3)" -le 600000 ] || most 3)" ""
diag "at most $(most 1) dumps, $(most 2) criu, $(($(most 3) / 1024)) MiB in them, $(most 4) processes in all"
began=$SECONDS
ok "all are restored" wait_until "$long" all_restored
diag "all restored in $((SECONDS - began)) s"
is "from the last one" "$(out "$job" | grep -c 'checkpoint: restored gen-0000-000002')" "$tasks"
is "none is held, none starts over" "$(out "$job" | grep -E 'held: scontrol|nothing will be')" ""
touch "$stop"
ok "all end" wait_out "$job" '^srun ended with 0' "$long"
ok "the script ends well" wait_state "$job" COMPLETED "$long"
is "no line is lost or doubled" "$(awk '$2 == "step" { if ($3 != ++n[$1]) bad++ } END { print bad + 0 }' "$HOME_DIR/storm.out")" 0
is "each task wrote" "$(awk '$2 == "step" { t[$1] } END { print length(t) }' "$HOME_DIR/storm.out")" "$tasks"
ok "nothing is left" wait_until 60 no_images "$job"
done_testing
