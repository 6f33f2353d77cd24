#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# isolation: private
# timeout: 400
#
# A checkpoint never makes a job fail that is near its memory limit.
. "$(dirname "$0")/lib.sh"

[ "$(stat -f -c %T /sys/fs/cgroup)" = cgroup2fs ] || [ -d /sys/fs/cgroup/memory ] ||
    skip_all "no memory control group here"

# brim NAME MEM PERCENT DUMPS [FILE] - a job that full survives so many dumps; sets `made` and `said`
brim() {
    local name=$1 mem=$2 percent=$3 dumps=$4 stop=$HOME_DIR/$1.stop i before
    shift 4
    job=$(submit --checkpoint=interval=0,keep=1 --mem="$mem" -- \
        "$(job_script "$name.job" "$PROGS/brim" "$stop" "$percent" "$@")")
    ok "$name: starts" wait_step "$job" 3
    like "$name: it is that full" "$(out "$job")" "^limit $mem used $((mem * percent / 100))"
    before=$(tree "$job")
    made=0 said=
    for ((i = 1; i <= dumps; i++)); do
        said+="$(checkpoint "$job" 2>&1)"$'\n' && made=$((made + 1))
        ok "$name: it survives dump $i" goes_on "$job"
    done
    is "$name: the same processes run" "$(tree "$job")" "$before"
    is "$name: the kernel killed nothing of it" "$(oom_kills "$job")" 0
    touch "$stop"
    ok "$name: ends" wait_state "$job" COMPLETED
    like "$name: well" "$(out "$job" | grep -aE '^(result|broken)')" '^result ok$'
    diag "$name: $made of $dumps made; $(head -n 1 <<<"$said")"
}
# What the kernel has killed in the job's group (not our helpers: they are gone with a message of their own).
oom_kills() {
    local pid path
    pid=$(job_pids "$1" | head -n 1)
    if path=$(sed -n 's/.*:memory://p' "/proc/$pid/cgroup") && [ -n "$path" ]; then
        sed -n 's/^oom_kill //p' "/sys/fs/cgroup/memory$path/memory.oom_control"
    else
        sed -n 's/^oom_kill //p' "/sys/fs/cgroup$(sed -n 's/^0:://p' "/proc/$pid/cgroup")/memory.events"
    fi
}

anonymous() {
    local job made said
    brim anonymous 400 95 4
    is "anonymous: all were made" "$made" 4
}
cache() {
    local job made said
    brim cache 600 95 4 "$HOME_DIR/cache.file"
    # What is dirty cannot be counted on, so that one or the other may be put off; none is a failure.
    unlike "cache: those that were not made were put off" "$(grep 'not saved' <<<"$said" | grep -v 'are left, a checkpoint needs')" .
}
# So near that there is no room for a checkpoint: it is refused before the job is stopped.
tight() {
    local job made said
    brim tight 200 97 3
    is "tight: none was made" "$made" 0
    like "tight: with the reason and the remedy" "$said" \
        'not saved: [0-9]+ MiB of the job.s memory limit \(200 MiB\) are left, a checkpoint needs [0-9]+: .*--mem'
    like "tight: the job is told" "$(out "$job")" '^checkpoint: not saved \(request\): [0-9]+ MiB of the job'
}
# A helper that the kernel would take first: dump before criu, both before the job.
order() {
    local job stop=$HOME_DIR/order.stop pid
    job=$(submit --checkpoint=interval=0,compress=zstd:9,snapshot=no --mem=900 -- "$(job_script order.job "$PROGS/invariant" "$stop" 256)")
    ok "order: starts" wait_step "$job" 3
    (checkpoint "$job" >/dev/null 2>&1; echo $? >"$TEST_TMP/order") &
    ok "order: criu runs" wait_until 60 job_pid "$job" criu
    wait_until 10 test "$(cat "/proc/$(job_pid "$job" criu)/oom_score_adj")" = 990
    is "order: criu is offered to the kernel" "$(cat "/proc/$(job_pid "$job" criu)/oom_score_adj")" 990
    is "order: dump before it" "$(cat "/proc/$(job_pid "$job" dump)/oom_score_adj")" 1000
    for pid in ckpt-init invariant keeper shepherd; do
        is "order: $pid is not" "$(cat "/proc/$(job_pid "$job" "$pid")/oom_score_adj")" 0
    done
    wait
    is "order: the checkpoint is made" "$(cat "$TEST_TMP/order")" 0
    touch "$stop"
    ok "order: ends" wait_state "$job" COMPLETED
}

tb_up --nodes 2
together anonymous cache tight order
done_testing
