#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# isolation: private
# timeout: 180
#
# The site's limits: a checkpoint that would go beyond one is refused while the job still runs, in one line that says
# how much there is, the limit, and what helps; one that does not is made.
. "$(dirname "$0")/lib.sh"

# site LINE... - checkpoint.conf as it was at the start, and these
site() { { cat "$TEST_TMP/conf"; printf '%s\n' "$@"; } >"$TB/etc/checkpoint.conf"; }

# start NAME - a job of 40 MiB, uncompressed; sets `job`
start() {
    job=$(submit --checkpoint=interval=0,keep=1,compress=none -- \
        "$(job_script "$1.sh" "$PROGS/invariant" "$HOME_DIR/$1.stop" 40)")
    ok "$1: starts" wait_step "$job" 2
}

# refused NAME JOB REGEX
refused() {
    local said
    said=$(checkpoint "$2" 2>&1; echo "status $?")
    like "$1: is refused" "$said" "$3"
    like "$1: the command fails" "$said" '^status [1-9]'
    is "$1: in one line" "$(grep -cE "$3" <<<"$said")" 1
    is "$1: nothing is left half-written" "$(find "$(taskdir "$2")" -name '*.partial')" ""
    is "$1: CRIU was not even started" "$(find "$(taskdir "$2")/log" -name 'dump*')" ""
    ok "$1: the job runs on" goes_on "$2"
    like "$1: the history says why" "$(run scheckpoint error "$2" 2>&1)" "$3"
}
fits() { # NAME JOB
    ok "$1: is made" checkpoint "$2"
    ok "$1: the job runs on" goes_on "$2"
}

tb_up
cp "$TB/etc/checkpoint.conf" "$TEST_TMP/conf"

# Each user: 100 MiB hold two such jobs and not three.
site MaxUserSize=100M
start user1; one=$job
start user2; two=$job
start user3; three=$job
fits "MaxUserSize: the first" "$one"
fits "MaxUserSize: the first once more, in place of the old one" "$one"
is "MaxUserSize: keep=1 keeps one" "$(n_generations "$one")" 1
fits "MaxUserSize: the second" "$two"
refused "MaxUserSize: the third" "$three" \
    'your checkpoints in .* take 8[0-9]\.[0-9] MiB, .* allows each user 100\.0 MiB \(MaxUserSize\): .*scheckpoint prune'
json=$(run scheckpoint list --json)
is "list: two jobs" "$(jq '.jobs | length' <<<"$json")" 2
is "list: the sum of the user" "$(jq .stored_bytes <<<"$json")" "$(jq '[.generations[].stored_bytes] | add' <<<"$json")"
ok "list: which is what the limit counts" jq -e '.stored_bytes / 1048576 | . > 80 and . < 90' <<<"$json"
like "list: each job's sum" "$(run scheckpoint list)" "^job $one: 1 generation, 4[0-9] MiB$"
like "list: all together" "$(run scheckpoint list)" '^together: 2 jobs, 2 generations, 8[0-9] MiB$'
run scancel "$one"
ok "MaxUserSize: one job is cancelled" wait_state "$one" CANCELLED
ok "MaxUserSize: and pruned" wait_until 60 run scheckpoint prune --keep 0 "$one"
ok "MaxUserSize: until nothing of it is left" wait_until 20 no_images "$one"
fits "MaxUserSize: then the third" "$three"
run scancel "$two" "$three"

# The filesystem
site MinFree=8000T
start free1; one=$job
site MinFree=1M
start free2; two=$job
site MaxSiteSize=1M
start used1; three=$job
site MaxSiteSize=8000T MaxSize=100M
start used2; four=$job
refused "MinFree" "$one" 'free, about 4[0-9]\.[0-9] MiB needed, .*wants 7\.8 PiB to stay free .*\(MinFree\): .*scheckpoint prune'
fits "MinFree: enough" "$two"
run scancel "$one" "$two"
site MaxSize=30M
start size1; five=$job
refused "MaxSiteSize" "$three" 'are in use, about 4[0-9]\.[0-9] MiB needed, .*allows 1\.0 MiB in all \(MaxSiteSize\): .*prune'
fits "MaxSiteSize and MaxSize: enough" "$four"
refused "MaxSize" "$five" 'would take about 4[0-9]\.[0-9] MiB; the site allows 30\.0 MiB for one \(MaxSize\)'
run scancel "$three" "$four" "$five"
done_testing
