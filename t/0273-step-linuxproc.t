#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# isolation: private
#
# Steps under proctrack/linuxproc: saved and restored as under cgroup; but Slurm's SIGTERM at a requeue reaches every process
# of a job, so that there is no last checkpoint, and the one before counts.
# timeout: 120
. "$(dirname "$0")/lib.sh"

rerun() { out_has "$1" 'checkpoint: the script is started once more'; }

tb_up --nodes 2 --proctrack linuxproc
job=$(submit -N2 -n2 --ntasks-per-node=1 --checkpoint=interval=0 -- "$(put_script linuxproc.sh <<END
#!/bin/bash
srun -n1 -N1 --mem=100 bash -c "echo ran >>$HOME_DIR/linuxproc.ran; exit 2"
echo "first gave \$?"
srun -n2 --cpu-bind=none --mem=100 -o $HOME_DIR/linuxproc.%t $PROGS/counter $HOME_DIR/linuxproc.stop 7
echo "second gave \$?"
END
)")
running() { grep -q '^step 3 ' "$HOME_DIR/linuxproc.0" && grep -q '^step 3 ' "$HOME_DIR/linuxproc.1"; }
both_restored() { [ "$(cat "$HOME_DIR"/linuxproc.[01] | grep -c 'checkpoint: restored gen-0000-000001')" = 2 ]; }
ok "starts on two nodes" wait_until 60 running
said=$(checkpoint "$job" 2>&1; echo "status $?")
like "task 0 is saved" "$said" "^job $job\.1 task 0: gen-0000-000001: paused"
like "task 1 is saved" "$said" "^job $job\.1 task 1: gen-0000-000001: paused"
said=$(run scheckpoint requeue "$job" 2>&1; echo "status $?")
like "what needs a last checkpoint is refused, with the reason" "$said" 'not under proctrack/linuxproc'
like "refused" "$said" '^status 3$'
ok "requeue by Slurm" requeue "$job"
ok "the script is started once more" wait_until 60 rerun "$job"
ok "both tasks are restored, from the earlier checkpoint" wait_until 60 both_restored
touch "$HOME_DIR/linuxproc.stop"
ok "the step ends as it should" wait_out "$job" '^second gave 7'
is "the first step ran once" "$(wc -l <"$HOME_DIR/linuxproc.ran")" 1
is "each task was started once" "$(cat "$HOME_DIR"/linuxproc.[01] | grep -c '^start')" 2
ok "the script ends" wait_state "$job" COMPLETED
ok "nothing is left" wait_until 20 no_images "$job"
done_testing
