#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# isolation: private
# timeout: 300
#
# scheckpoint able: what in a running job cannot be checkpointed, told without stopping it.
. "$(dirname "$0")/lib.sh"

ask_able() { # JOB [OPTIONS] - output and "status N"
    run scheckpoint able "$@" 2>&1
    echo "status $?"
}
json() { run scheckpoint able --json "$1" 2>/dev/null | jq -r "$2"; }

# Two processes with two things each in one job; one of them ends.
several() {
    local job stop=$HOME_DIR/several.stop before said
    job=$(submit --checkpoint=interval=0 -- "$(put_script several.sh <<END
#!/bin/bash
exec 9<>/dev/tcp/127.0.0.1/$(cat "$HOME_DIR/port")
$PROGS/hazard "$stop" io_uring
END
)")
    ok "several: starts" wait_step "$job" 3
    before=$(tree "$job" threads)
    said=$(ask_able "$job")
    like "several: exits with 1" "$said" '^status 1$'
    like "several: says so" "$said" "job $job: cannot be checkpointed as it is now: 4 reasons"
    like "several: the script's connection, by its peer" "$said" \
        "process [0-9]+ \\(several.sh|bash\\), descriptor 9: a TCP connection to 127.0.0.1:$(cat "$HOME_DIR/port")"
    like "several: and the program's ring" "$said" 'process [0-9]+ \(hazard\), descriptor [0-9]+: an io_uring'
    like "several: each with what can be done" "$said" '^    use the program.s other I/O engine'
    is "several: in JSON" "$(json "$job" '.state, (.findings | length), .findings[0].kind')" $'unable\n4\ntcp-connection'
    is "several: pids are those that the job itself sees" \
        "$(json "$job" '[.findings[] | select(.kind == "io_uring")][0].process')" \
        "$(out "$job" | sed -n 's/^start pid [0-9]* child //p')"
    is "several: nothing was stopped or changed" "$(tree "$job" threads)" "$before"
    is "several: nothing was saved" "$(n_generations "$job")" 0
    is "several: no answer is left behind" \
        "$(find "$(taskdir "$job")/answer" "$(taskdir "$job")/request" -name '*.json')" ""
    touch "$stop.undo"
    ok "several: the ring is gone" wait_out "$job" '^undone'
    is "several: one kind is left" "$(json "$job" '[.findings[].kind] | unique | .[]')" tcp-connection
    touch "$stop"
    ok "several: ends" wait_state "$job" COMPLETED
    said=$(ask_able "$job")
    like "several: a job that has ended is refused" "$said" "has ended"
    like "several: with 3" "$said" '^status 3$'
}

clean() {
    local job stop=$HOME_DIR/clean.stop said
    job=$(submit --checkpoint=interval=0 -- "$(job_script clean.sh "$PROGS/threads" "$stop")")
    ok "clean: starts" wait_step "$job" 3
    said=$(ask_able "$job")
    like "clean: is able" "$said" "job $job: can be checkpointed \\([0-9]+ processes looked at\\)"
    like "clean: exits with 0" "$said" '^status 0$'
    is "clean: in JSON" "$(json "$job" '.state, (.findings | length)')" $'able\n0'
    ok "clean: and so it is" checkpoint "$job"
    said=$(run_as ckptest2 scheckpoint able "$job" 2>&1; echo "status $?")
    like "clean: another user is refused, and told" "$said" 'only its owner.*sudo -u .*scheckpoint able'
    like "clean: with 3" "$said" '^status 3$'
    # while a checkpoint is made it is answered behind that
    checkpoint "$job" >/dev/null 2>&1 &
    like "clean: beside a checkpoint" "$(ask_able "$job")" '^status 0$'
    wait
    ok "clean: it is restored" requeue "$job"
    ok "clean: restored" restored "$job"
    like "clean: a restored job is asked as well" "$(ask_able "$job")" '^status 0$'
    touch "$stop"
    ok "clean: ends" wait_state "$job" COMPLETED
}

# From inside, for itself; a scheckpoint in the tree is no obstacle of its own.
inside() {
    local job stop=$HOME_DIR/inside.stop
    job=$(submit --checkpoint=interval=0 -- "$(put_script inside.sh <<END
#!/bin/bash
scheckpoint able; echo "inside status \$?"
exec $PROGS/counter "$stop"
END
)")
    ok "inside: is answered" wait_out "$job" '^inside status'
    like "inside: the connections of scheckpoint itself are at most passing" "$(out "$job")" \
        '^inside status [01]$'
    touch "$stop"
    ok "inside: ends" wait_state "$job" COMPLETED
}

pending() {
    local job said
    job=$(submit --checkpoint=interval=0 --hold -- "$(job_script pending.sh true)")
    said=$(ask_able "$job")
    like "pending: refused" "$said" 'does not run'
    like "pending: with 3" "$said" '^status 3$'
    run scancel "$job"
    like "unknown: refused" "$(ask_able 999999)" '^status 3$'
    like "usage" "$(ask_able nonsense)" '^status 2$'
    like "help" "$(run scheckpoint help able)" '^usage: scheckpoint able'
}

tb_up
run "$PROGS/services.py" "$HOME_DIR" &
services=$!
disown "$services" # `together` waits for all others
wait_until 60 test -s "$HOME_DIR/port"
together several clean inside pending
kill "$services"
done_testing
