#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# isolation: private
#
# scheckpoint run where the plugin is installed, too: it leaves such a job alone, neither restores what the other has made, and a job
# that has checkpoints by its option is refused.
. "$(dirname "$0")/lib.sh"

tb_up
stop=$HOME_DIR/own.stop
job=$(submit --open-mode=append -- "$(put_script own.sh <<END
#!/bin/bash
exec scheckpoint run --checkpoint=interval=0 -- $PROGS/counter $stop
END
)")
ok "runs" wait_step "$job" 3
ok "by its own keeper" job_pid "$job" own-keeper
nok "not by the plugin's" job_pid "$job" keeper
like "create" "$(checkpoint "$job" 2>&1)" 'gen-0000-000001'
run scancel "$job"
ok "cancelled" wait_until 60 state_in "$job" "CANCELLED FAILED"
ok "nothing of it runs" wait_until 60 no_process "$job"
is "its checkpoint stays" "$(generations "$job")" gen-0000-000001

from=$(submit "--checkpoint=interval=0,restore=$job" -- "$(job_script from.sh "$PROGS/counter" "$stop")")
ok "the plugin does not restore it" wait_held "$from"
like "and says why" "$(out "$from")" 'has no copy of its script: what scheckpoint run has made, it alone can restore'
# Where that looks as the plugin's do, the helper tells by the manifest.
run cp "$HOME_DIR/from.sh" "$(taskdir "$job")/script"
told() {
    out_has "$from" 'made by scheckpoint run, which alone can restore it: no isolation fits' && return
    [ "$(state "$from")" != PENDING ] || start_now "$from"
    return 1
}
ok "again" run scontrol release "$from"
ok "nor does the helper" wait_until 60 told
ok "held again" wait_held "$from"
nok "nothing was started" out_has "$from" '^start'
run scancel "$from"

both=$(submit --checkpoint=interval=0 -- "$(put_script both.sh <<END
#!/bin/bash
exec scheckpoint run -- echo the program ran
END
)")
ok "a job with both ends" wait_state "$both" FAILED
like "refused" "$(out "$both")" 'this job has checkpoints by its --checkpoint option already'
nok "nothing was run" out_has "$both" '^the program ran$'
ok "no node was drained" node_fine
done_testing
