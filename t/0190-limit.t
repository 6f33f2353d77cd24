#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Jobs that need more time than their limit: the last checkpoint comes before the limit, the job requeues itself and goes
# on. When that checkpoint fails, Slurm's SIGTERM at the limit is a second chance; when that fails too, the job goes on
# from the checkpoint before. Slurm's limits are whole minutes, looked at twice a minute: so this takes two.
# isolation: private
# timeout: 400
. "$(dirname "$0")/lib.sh"

# work NAME SECONDS - a script that counts for so long, whatever its limit
work() {
    put_script "$1.sh" <<END
#!/bin/bash
trap 'echo "usr1 seen"' USR1
for ((n = 1; n <= $2 * 5; n++)); do echo "step \$n pid \$\$"; sleep 0.19; done
echo result ok
END
}
start() { submit --mem=100 --checkpoint=interval=0 --time=1 "$@"; }
ends() { # NAME JOB RESTARTS
    ok "$1: ends well" wait_state "$2" COMPLETED 150
    like "$1: to the end" "$(out "$2" | tail -n 1)" '^result ok$'
    like "$1: number of restarts" "$(restarts "$2")" "^$3\$"
}
comes_again() { # NAME JOB
    ok "$1: requeued by itself" wait_until 90 restarted "$2" 1
    ok "$1: restored" wait_until 60 restored_times "$2" 1
}

limit() {
    local job
    job=$(start -- "$(work limit 75)")
    ok "limit: saved before, without being asked" wait_out "$job" 'gen-0000-000001 saved \(timelimit\)' 75
    nok "limit: Slurm never ran into it" grep -q "[Tt]ime limit exhausted for JobId=$job\b" "$TB/log/slurmctld.log"
    comes_again limit "$job"
    ends limit "$job" 1
    ok "limit: each step once, in order" each_once "$job"
}

# The user's own --signal is his: it reaches his script, and no checkpoint is made for it.
own_signal() {
    local job
    job=$(start --signal=B:USR1@10 -- "$(work signal 70)")
    ok "signal: reaches the script" wait_out "$job" '^usr1 seen$' 75
    like "signal: what asked for none is not taken for a wish" "$(out "$job" | grep '^checkpoint' | head -n 1)" \
        '^$|saved \(timelimit\)'
    comes_again signal "$job"
    ends signal "$job" 1
    ok "signal: each step once" each_once "$job"
}

second_chance() {
    local job shepherd
    job=$(start -- "$(work second 100)")
    ok "second chance: starts" wait_step "$job" 3
    chmod 500 "$(taskdir "$job")"
    ok "second chance: the first one fails" wait_out "$job" 'not saved \(timelimit\)' 75
    # It would try again before the limit: it may not.
    shepherd=$(job_pid "$job" shepherd)
    kill -STOP "$shepherd"
    chmod 700 "$(taskdir "$job")"
    ok "second chance: the job runs on" goes_on "$job"
    ok "second chance: Slurm runs into the limit" wait_until 90 limit_is_over "$job"
    kill -CONT "$shepherd" 2>/dev/null # Slurm does so itself before its SIGTERM
    ok "second chance: saved at Slurm's SIGTERM" wait_out "$job" 'gen-[0-9]+-[0-9]+ saved \(timelimit\)' 90
    comes_again second "$job"
    ends second "$job" [12]
    ok "second chance: each step once" each_once "$job"
}
limit_is_over() { grep -q "[Tt]ime limit exhausted for JobId=$1\b" "$TB/log/slurmctld.log"; }

# Nothing can be saved at the limit: the one before counts, and the job is not given up.
earlier() {
    local job
    job=$(start -- "$(work earlier 100)")
    ok "earlier: starts" wait_step "$job" 3
    wait_step "$job" 150 60 # half a minute
    ok "earlier: a checkpoint" checkpoint "$job"
    chmod 500 "$(taskdir "$job")"
    ok "earlier: the last one fails" wait_out "$job" 'not saved \(timelimit\)' 75
    ok "earlier: requeued all the same" wait_out "$job" 'without a last checkpoint it goes on from gen-0000-000001' 90
    chmod 700 "$(taskdir "$job")"
    comes_again earlier "$job"
    like "earlier: the one that it said" "$(out "$job")" 'restored gen-0000-000001'
    ok "earlier: it goes on" wait_until 60 follows_restore "$job"
    ok "earlier: what followed that one is cut off, and made again" each_once "$job"
    run scancel "$job"
}

follows_restore() { out "$1" | sed '1,/^checkpoint: restored/d' | grep -q '^step '; }

# Disabled when the moment comes: saved at the enable; never enabled: the one before.
disabled() {
    local job never
    job=$(start -- "$(work disabled 75)")
    never=$(start -- "$(work never 100)")
    ok "disabled: both start" wait_step "$never" 3
    ok "disabled: a checkpoint" checkpoint "$never"
    ok "disabled: disabled" run scheckpoint disable "$job" "$never"
    ok "disabled: it is told" wait_out "$job" 'not saved \(timelimit\): .*disabled' 75
    ok "disabled: nothing is saved yet" [ "$(n_generations "$job")" -eq 0 ]
    ok "disabled: enabled in time" run scheckpoint enable "$job"
    ok "disabled: saved at once" wait_out "$job" 'gen-[0-9]+-[0-9]+ saved \(timelimit\)' 20
    ok "never: goes on from the one before" wait_out "$never" 'without a last checkpoint it goes on from gen-0000-000001' 90
    comes_again disabled "$job"
    comes_again never "$never"
    run scancel "$never"
    ends disabled "$job" 1
    ok "disabled: each step once" each_once "$job"
}

tb_up --nodes 2
together limit own_signal second_chance earlier disabled
done_testing
