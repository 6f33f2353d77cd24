#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# isolation: private
# timeout: 200
#
# Requests and rings of others: a request forged by a member of the owner's group, and floods of SIGURG.
. "$(dirname "$0")/lib.sh"

# A request as scheckpoint writes it
forged() { printf '{"id":"%s","verb":"%s","time":"2026-01-01T00:00:00Z"}\n' "$1" "$2"; }
ID=00112233445566778899aabbccddeeff
# ckptest2 in the group of ckptest
member() {
    (cd / && exec setpriv --reuid ckptest2 --regid ckptest --clear-groups --inh-caps=-all --ambient-caps=-all -- \
        env -i "${tb_env[@]}" "$@")
}
answered() { test -e "$(taskdir "$1")/answer/$ID.json"; }

forgery() {
    local job task said
    job=$(submit --checkpoint=interval=0 -- "$(job_script forgery.sh "$PROGS/counter" "$HOME_DIR/forgery.stop")")
    ok "forgery: starts" wait_step "$job" 3
    task=$(taskdir "$job")
    forged $ID requeue >"$TEST_TMP/forged"
    chmod 644 "$TEST_TMP/forged"
    nok "forgery: a member of the group puts no request there" member cp "$TEST_TMP/forged" "$task/request/$ID.json"
    nok "forgery: nor reads what is there" member ls "$task/request"
    nok "forgery: nor rings, through Slurm" member scancel --signal=URG --batch "$job"
    nok "forgery: nor asks" member scheckpoint requeue -d "$SCRATCH" "$job"

    # The owner opens it to his group, by mistake: then nothing in it counts.
    chmod 711 "$SCRATCH" "$(jobdir "$job")" "$task"
    chmod 770 "$task/request"
    ok "forgery: in a directory that is open to the group he does" \
        member cp "$TEST_TMP/forged" "$task/request/$ID.json"
    run scancel --signal=URG --batch "$job"
    ok "forgery: the job is told" wait_out "$job" '^checkpoint: a request cannot be read: .*request'
    ok "forgery: it runs on" goes_on "$job"
    is "forgery: it is not requeued" "$(restarts "$job")" 0
    nok "forgery: nobody is answered" answered "$job"
    rm -f "$task/request/$ID.json"
    chmod 700 "$task/request"

    # The directory is closed again, a file of the other user's is in it: removed, not obeyed.
    install -o ckptest2 -g ckptest -m 644 "$TEST_TMP/forged" "$task/request/$ID.json"
    said=$(checkpoint "$job" 2>&1; echo "status $?")
    like "forgery: the owner's own request is answered" "$said" '^status 0$'
    ok "forgery: the forged one is gone" wait_until 20 test ! -e "$task/request/$ID.json"
    nok "forgery: it was not answered" answered "$job"
    is "forgery: nor obeyed" "$(restarts "$job")" 0
    # ... nor what is linked there, nor what is more than a request.
    forged $ID requeue >"$HOME_DIR/linked"
    chown ckptest: "$HOME_DIR/linked"
    ln -s "$HOME_DIR/linked" "$task/request/$ID.json"
    ok "forgery: a link is no request" checkpoint "$job"
    is "forgery: it is not requeued by it" "$(restarts "$job")" 0
    rm -f "$task/request/$ID.json"
    ln "$HOME_DIR/linked" "$task/request/$ID.json"
    ok "forgery: nor is a file with two names" checkpoint "$job"
    is "forgery: nor by that" "$(restarts "$job")" 0
    ok "forgery: the job runs on" goes_on "$job"
    touch "$HOME_DIR/forgery.stop"
    ok "forgery: ends" wait_state "$job" COMPLETED
    ok "forgery: each step once" each_once "$job"
}

# Thousands of rings at once are one or two checkpoints, and the job goes on.
flood() {
    local job shepherd n=0 end
    job=$(submit --checkpoint=interval=0,keep=10 -- "$(job_script flood.sh "$PROGS/counter" "$HOME_DIR/flood.stop")")
    ok "flood: starts" wait_step "$job" 3
    shepherd=$(job_pid "$job" shepherd)
    nok "flood: another user cannot" member kill -URG "$shepherd"
    end=$((SECONDS + 6))
    while [ $SECONDS -lt $end ]; do
        # shellcheck disable=SC2016
        run bash -c 'for ((i = 0; i < 500; i++)); do kill -URG "$1"; done' - "$shepherd" && n=$((n + 500))
        sleep 0.1
    done
    ok "flood: $n rings" test "$n" -ge 1000
    ok "flood: the job goes on meanwhile" goes_on "$job"
    ok "flood: a request is still answered" checkpoint "$job"
    n=$(n_generations "$job")
    ok "flood: few checkpoints came of it ($n)" test "$n" -ge 1 -a "$n" -le $((4 + (SECONDS - end + 6) / 5))
    ok "flood: the node is not drained" node_fine
    touch "$HOME_DIR/flood.stop"
    ok "flood: ends" wait_state "$job" COMPLETED
    ok "flood: each step once" each_once "$job"
}

tb_up
together forgery flood
done_testing
