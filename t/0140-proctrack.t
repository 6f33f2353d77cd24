#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Other ways in which Slurm keeps track of processes than proctrack/cgroup.
. "$(dirname "$0")/lib.sh"

# Under linuxproc the whole tree gets SIGTERM at once, so that there is nothing left to save at a requeue.
linuxproc() {
    local job stop=$HOME_DIR/linuxproc.stop good
    job=$(submit --checkpoint=interval=0 -- "$(job_script linuxproc.sh "$PROGS/counter" "$stop" 6)")
    ok "linuxproc: starts" wait_step "$job" 3
    ok "linuxproc: checkpoint" checkpoint "$job"
    good=$(newest "$job")
    ok "linuxproc: it runs on" goes_on "$job" 10
    ok "linuxproc: requeue" requeue "$job"
    ok "linuxproc: restored" restored "$job"
    like "linuxproc: the job is told that nothing was saved last, and why" "$(out "$job")" \
        'checkpoint: .*linuxproc.*earlier generation'
    like "linuxproc: the newest earlier generation is restored" "$(out "$job")" "restored $good"
    ok "linuxproc: it goes on" goes_on "$job"
    ok "linuxproc: the output is cut back to it, no step is missing or repeated" each_once "$job"
    touch "$stop"
    ok "linuxproc: ends" wait_state "$job" FAILED
    is "linuxproc: exit status" "$(exit_code "$job")" 6:0
}

linuxproc_scratch() {
    local job stop=$HOME_DIR/scratch.stop
    job=$(submit --checkpoint=interval=0 -- "$(job_script scratch.sh "$PROGS/counter" "$stop")")
    ok "linuxproc: a job without a generation starts" wait_step "$job" 3
    ok "linuxproc: requeue" requeue "$job"
    ok "linuxproc: it says that it starts from the beginning" wait_out "$job" 'starts from the beginning'
    ok "linuxproc: it does" wait_out "$job" '^start.*'
    ok "linuxproc: it runs" goes_on "$job"
    touch "$stop"
    ok "linuxproc: ends" wait_state "$job" COMPLETED
    is "linuxproc: it was started twice" "$(out "$job" | grep -c '^start')" 2
}

pgid() {
    local job stop=$HOME_DIR/pgid.stop
    job=$(submit --checkpoint=interval=0 -- "$(job_script pgid.sh "$PROGS/counter" "$stop" 4)")
    ok "pgid: the job runs" wait_step "$job" 3
    like "pgid: it is told why there are no checkpoints" "$(out "$job")" '^checkpoint: .*proctrack/pgid'
    is "pgid: no shepherd" "$(ours shepherd)" ""
    is "pgid: no file" "$(find "$SCRATCH" -mindepth 1)" ""
    nok "pgid: a request is refused" checkpoint "$job"
    touch "$stop"
    ok "pgid: ends" wait_state "$job" FAILED
    is "pgid: exit status" "$(exit_code "$job")" 4:0
    ok "pgid: the node is not drained" node_fine
}

tb_up --proctrack linuxproc
together linuxproc linuxproc_scratch
ok "the testbed goes down" tb_down
tb_up --proctrack pgid
together pgid
done_testing
