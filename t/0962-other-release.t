#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Between the steps of an upgrade of Slurm: the plugin of a node is one for another release. Slurm refuses it; no job is
# hurt, and what was saved is restored when the two agree again.
# isolation: private
#
. "$(dirname "$0")/lib.sh"

tb_up
plugin=$(find "$TB/inst" -name checkpoint.so)
good=$TEST_TMP/good.so other=$TEST_TMP/other.so
cp "$plugin" "$good"
# contrib/check brings a build for another release; by hand it is this one, with the release in it that Slurm looks at.
release_of() { # FILE: as slurmd -V writes it
    python3 -c 'import sys; b = open(sys.argv[1], "rb").read()[int(sys.argv[2], 16):]; print("%d.%02d" % (b[2], b[1]))' \
        "$1" "$(nm -D "$1" | awk '$3 == "plugin_version" { print $1 }')"
}
if [ -n "${CKPT_OTHER_PLUGIN:-}" ]; then
    cp "$CKPT_OTHER_PLUGIN" "$other"
else
    python3 - "$good" "$other" "$(nm -D "$good" | awk '$3 == "plugin_version" { print $1 }')" <<'END'
import sys
data = bytearray(open(sys.argv[1], "rb").read())
data[int(sys.argv[3], 16) + 2] += 2
open(sys.argv[2], "wb").write(data)
END
fi
here=$(slurmd -V | sed 's/[^0-9]*\([0-9]*\.[0-9]*\).*/\1/')
is "the plugin is for this release" "$(release_of "$good")" "$here"
isnt "the other one is not" "$(release_of "$other")" "$here"
diag "Slurm is $here, the other plugin for $(release_of "$other")${CKPT_OTHER_PLUGIN:+, built so}"
put() { install -m 644 "$1" "$plugin.new" && mv "$plugin.new" "$plugin"; }
beginnings() { out "$1" | grep -c '^step 1 '; }

job=$(submit --checkpoint=interval=0 -- "$(job_script job.sh "$PROGS/counter" "$HOME_DIR/stop")")
lost=$(submit --checkpoint=interval=0 -- "$(job_script lost.sh "$PROGS/counter" "$HOME_DIR/stop-lost")")
waits=$(submit --hold --checkpoint=interval=0 -- "$(job_script waits.sh "$PROGS/counter" "$HOME_DIR/stop-waits")")
ok "a job runs" wait_step "$job" 3
ok "so does another one" wait_step "$lost" 3
ok "that is checkpointed" checkpoint "$lost"
before=$(tree "$job")

ok "the plugin of another release comes" put "$other"
ok "what runs goes on" goes_on "$job"
like "it is checkpointed as ever" "$(checkpoint "$job" 2>&1; echo "status $?")" '^status 0'
ok "and goes on" goes_on "$job"
said=$(submit --checkpoint -- "$(put_script plain.sh <<<$'#!/bin/bash\necho plain')" 2>&1)
like "sbatch does not know --checkpoint" "$said" "unrecognized option '--checkpoint'"
diag "$said"
like "and has said why" "$said" 'checkpoint\.so: .*(Incompatible|version|undefined symbol)'
plain=$(submit -- "$HOME_DIR/plain.sh" 2>/dev/null)
ok "a job that does not ask runs" wait_state "$plain" COMPLETED
is "and hears nothing of it" "$(out "$plain")" plain
run_root scontrol release "$waits"
ok "one that asked before runs, without checkpoints" wait_step "$waits" 3
like "slurmd's log says why" "$(cat "$TB"/log/slurmd*)" 'checkpoint\.so.*(Incompatible|version|undefined symbol)'
diag "$(grep -h 'checkpoint\.so' "$TB"/log/slurmd* | sort -u | head -n 4)"
words=$(run scheckpoint create --wait=60 "$waits" 2>&1; echo "status $?")
like "scheckpoint create is refused" "$words" '^status [1-9]'
like "and tells what may be the reason" "$words" 'or its node did not load the plugin: scheckpoint doctor'
diag "$words"
ok "it goes on" goes_on "$waits"
diag "$(out "$waits" | grep -v '^step')"
is "it began once" "$(beginnings "$waits")" 1
ok "one that is requeued now begins anew" requeue "$lost"
ok "as the admin's guide says" wait_until 60 sh -c "[ \$(grep -c '^step 1 ' '$HOME_DIR/$lost.out') -eq 2 ]"
isnt "its checkpoints are kept" "$(generations "$lost")" ""
ok "no node was drained" node_fine

ok "the right one comes back" put "$good"
ok "the first is requeued" requeue "$job"
ok "it is restored" restored "$job"
ok "it goes on" goes_on "$job"
is "with the same processes" "$(tree "$job")" "$before"
ok "the other one is requeued again" requeue "$lost"
ok "it is restored from what was saved before" restored "$lost"
touch "$HOME_DIR/stop" "$HOME_DIR/stop-lost" "$HOME_DIR/stop-waits"
for it in "$job" "$lost" "$waits"; do ok "job $it ends well" wait_state "$it" COMPLETED; done
ok "it missed and repeated nothing" each_once "$job"
ok "still no node was drained" node_fine
done_testing
