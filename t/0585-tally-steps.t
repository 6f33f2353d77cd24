#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# isolation: private
#
# What root keeps on the node for the tasks of a job does not grow with the number of its steps: a job with many would fill
# the file system of /run.
. "$(dirname "$0")/seclib.sh"

sec_up
state=$TB/run/checkpoint
job=$(submit --ntasks=2 --checkpoint=interval=0 -- "$(put_script steps.sh <<END
#!/bin/bash
for i in 1 2 3 4 5; do srun -n2 --cpu-bind=none --mem=50 --checkpoint=interval=0 sleep 1; done
echo "step ids used"
until [ -e $HOME_DIR/steps.stop ]; do sleep 0.1; done
END
)")
kept() { find "$state" -name "tally.$job.*" -printf '%f\n'; }
step_is_counted() { kept | grep -q "^tally\\.$job\\.$1\\.1\\."; }
for step in 0 4; do ok "step $step is counted while it runs (control)" wait_until 60 step_is_counted $step; done
ok "its steps are through" wait_out "$job" '^step ids used' 120
one_left() { [ "$(kept | wc -l)" -le 1 ]; }
ok "of the job only the batch script is left" wait_until 30 one_left
like "which still runs" "$(kept)" "^tally\\.$job\\.[0-9]*\\.0\\.${NODE}1\$"
run touch "$HOME_DIR/steps.stop"
ok "the job ends" wait_state "$job" COMPLETED
gone() { [ -z "$(kept)" ]; }
ok "nothing is left of it" wait_until 30 gone
unlike "the end of a step did no harm" "$(cat "$TB"/log/slurmd*.log)" 'checkpoint: end of step'
ok "no node was drained" node_fine
done_testing
