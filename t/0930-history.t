#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# isolation: private
# timeout: 240
#
# The runs of a job: scheckpoint history; max-runtime over all of them; intervals by measured cost.
. "$(dirname "$0")/lib.sh"

MTBF=7200 # so short that the interval is shorter than the first one (5 minutes) by far
echo "Mtbf=2:00:00" >"$TEST_TMP/conf"
tb_up --nodes 2 --conf "$TEST_TMP/conf"

# Two runs, the second from a checkpoint that is not the last moment of the first.
history() {
    local job out
    job=$(submit --checkpoint=interval=0 -- "$(job_script history.job "$PROGS/counter" "$HOME_DIR/history.stop")")
    ok "history: starts" wait_step "$job" 3
    ok "history: a checkpoint" checkpoint "$job"
    ok "history: requeue" requeue "$job"
    ok "history: restored" restored "$job"
    ok "history: another checkpoint" checkpoint "$job"
    out=$(run scheckpoint history --json "$job")
    is "history: two runs" "$(jq -r '.runs | map(.began) | join(" ")' <<<"$out")" "started restored"
    is "history: saved so often" "$(jq -r '.runs | map(.checkpoints) | join(" ")' <<<"$out")" "2 1"
    is "history: nothing is lost" "$(jq .lost <<<"$out")" 0
    is "history: the end of the first is known, the second runs" "$(jq -c '.runs | map([.end != null, .running])' <<<"$out")" \
        '[[true,false],[false,true]]'
    like "history: one that runs has no end" "$(run scheckpoint history "$job")" '^ +1 +restored .* - +0:0[0-9]:[0-9]+ +0:00:00$'
    like "history: as a table" "$(run scheckpoint history "$job")" '^ +1 +restored gen-0000-000002 +'
    like "history: with its sums" "$(run scheckpoint history "$job")" "^job $job: 2 runs, 0:00:[0-9]+ in all, 0:00:00 of it lost"
    like "history: list tells the runs of one job, too" "$(run scheckpoint list "$job")" '^ +1 +restored gen-0000-000002 +'
    is "history: and as JSON" "$(run scheckpoint list --json "$job" | jq -r '.history.runs | length')" 2
    unlike "history: but not of all jobs" "$(run scheckpoint list)" 'restored gen-'
    run scheckpoint history --html "$job" >"$TEST_TMP/history.html"
    ok "history: a page that is well formed" python3 -c '
import html.parser, sys
class P(html.parser.HTMLParser):
    stack = []
    def handle_starttag(self, tag, attrs):
        if tag not in ("meta", "rect"): self.stack.append(tag)
    def handle_startendtag(self, tag, attrs): pass
    def handle_endtag(self, tag): assert self.stack.pop() == tag, tag
p = P(); p.feed(open(sys.argv[1]).read()); assert not p.stack, p.stack' "$TEST_TMP/history.html"
    ok "history: its drawing is well-formed XML" python3 -c '
import re, sys, xml.etree.ElementTree as tree
svgs = re.findall(r"<svg.*?</svg>", open(sys.argv[1]).read(), re.S)
assert svgs
for svg in svgs: tree.fromstring(svg)' "$TEST_TMP/history.html"
    nok "history: nor a script, a font or a style of others" grep -qiE '<script|<link|@import|url\(' "$TEST_TMP/history.html"
    is "history: it draws three checkpoints" "$(grep -c '<title>checkpoint ' "$TEST_TMP/history.html")" 3
    nok "history: it needs no other file" grep -qE '(src|href)=' "$TEST_TMP/history.html"
    nok "history: root does not read it" run_root scheckpoint history -d "$SCRATCH" "$job"
    is "history: a page or JSON, not both" "$(run scheckpoint history --html --json "$job" 2>&1 >/dev/null; echo "$?")" \
        "scheckpoint: --html goes without --json (scheckpoint --help tells more)
2"
    is "history: --html belongs to it alone" "$(run scheckpoint list --html >/dev/null 2>&1; echo $?)" 2
    touch "$HOME_DIR/history.stop"
    ok "history: ends" wait_state "$job" COMPLETED
}

# Over all runs: saved and held when it is over, and held again when it is released.
budget() {
    local job
    job=$(submit --checkpoint=interval=0,max-runtime=0:10 -- "$(job_script budget.job "$PROGS/counter" "$HOME_DIR/budget.stop")")
    ok "budget: starts" wait_step "$job" 3
    ok "budget: requeue" requeue "$job"
    ok "budget: restored" restored "$job"
    ok "budget: saved and held when it is over" wait_until 60 held "$job"
    like "budget: told" "$(out "$job")" '^checkpoint: max-runtime is over: the job is saved and held'
    ok "budget: in its comment" wait_until 20 commented "$job"
    ok "budget: nothing runs" wait_until 30 no_process "$job"
    run scontrol release "$job"
    ok "budget: held again, because of max-runtime" wait_until 60 held_twice "$job"
    is "budget: started once" "$(out "$job" | grep -c '^start')" 1
    run scancel "$job"
}
# At once, or when the second or two that are left are over
held_twice() { held "$1" && [ "$(out "$1" | grep -c '^checkpoint: max-runtime')" -ge 2 ]; }
commented() { [[ $(show "$1") == *Comment=*max-runtime* ]]; }

# The first by the rule for what is not measured is five minutes away: an asked-for one makes the next come sooner.
automatic() {
    local job
    job=$(submit --checkpoint=overhead=50% -- "$(job_script auto.job "$PROGS/counter" "$HOME_DIR/auto.stop")")
    ok "auto: starts" wait_step "$job" 3
    ok "auto: a checkpoint" checkpoint "$job"
    ok "auto: the interval follows from its cost" wait_until 30 noted "$job" 'interval 30 s, for a cost of [0-9]+ ms'
    ok "auto: the next comes by the clock" wait_until 60 by_clock "$job"
    touch "$HOME_DIR/auto.stop"
    ok "auto: ends" wait_state "$job" COMPLETED
    nok "auto: nonsense is refused" submit --checkpoint=overhead=90% -- "$HOME_DIR/auto.job"
    nok "auto: and no time at all" submit --checkpoint=max-runtime=0 -- "$HOME_DIR/auto.job"
}
# interval=auto: what the site's Mtbf and the measured cost make of it
daly() {
    local job note
    job=$(submit --checkpoint=interval=auto -- "$(job_script daly.job "$PROGS/counter" "$HOME_DIR/daly.stop")")
    ok "daly: starts" wait_step "$job" 3
    ok "daly: a checkpoint" checkpoint "$job"
    ok "daly: the interval follows from its cost" wait_until 60 noted "$job" 'interval [0-9]+ s, for a cost of [0-9]+ ms'
    note=$(grep -oE 'interval [0-9]+ s, for a cost of [0-9]+ ms' "$(taskdir "$job")/events" | tail -n 1)
    diag "$note, Mtbf $MTBF s"
    ok "daly: by the equation" awk -v note="$note" -v mtbf="$MTBF" 'BEGIN {
        split(note, w, " "); cost = w[8] / 1000; x = cost / (2 * mtbf)
        t = sqrt(2 * cost * mtbf) * (1 + sqrt(x) / 3 + x / 9) - cost
        if (t < 30) t = 30
        # the cost that is told is rounded to ms, the interval to s
        exit !(w[2] > t * 0.98 - 2 && w[2] < t * 1.02 + 2) }'
    touch "$HOME_DIR/daly.stop"
    ok "daly: ends" wait_state "$job" COMPLETED
}
noted() { grep -qE "\"note\".*$2" "$(taskdir "$1")/events"; }
by_clock() { grep -q '"checkpoint".*"interval"' "$(taskdir "$1")/events"; }

# Killed some time after its last checkpoint: nobody knows when.
killed() {
    local job
    job=$(submit --checkpoint=interval=0 -- "$(job_script killed.job "$PROGS/counter" "$HOME_DIR/killed.stop")")
    ok "killed: starts" wait_step "$job" 3
    ok "killed: a checkpoint" checkpoint "$job"
    run scancel --signal=KILL --full "$job"
    ok "killed: it has ended" wait_until 60 state_in "$job" "FAILED CANCELLED COMPLETED"
    ok "killed: nothing runs" wait_until 60 no_process "$job"
    # The shepherd, where it has outlived its job, has written down the end; power that fails leaves it none.
    sed -i '/"ended"/d' "$(taskdir "$job")/events"
    is "killed: its end is not known" "$(run scheckpoint history --json "$job" | jq -c '.runs[0] | [.end, .running]')" '[null,false]'
    like "killed: in the table, too" "$(run scheckpoint history "$job")" '^ +0 +started .* unknown +>=0:0[0-9]:[0-9]+ +0:00:00$'
    like "killed: what it ran is the least" "$(run scheckpoint history "$job")" "^job $job: 1 run, >=0:0[0-9]:[0-9]+ in all"
}

together killed history budget automatic daly
done_testing
