# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# lib.sh - what the stories share. They run as root in the virtual machine node1 of contrib/vmtest, one after the
# other; each prints TAP and leaves the machines as it found them. Emulated machines on a busy host are slow: wait for
# states, with limits that only a hang reaches.

set -u
export LC_ALL=C PATH=/usr/sbin:/usr/bin:/sbin:/bin
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=/dev/null
. /run/vmtest.env # NODE, NODES
HOMES=/shared/home
# Root is nobody on the NFS mount; node1 has the directory itself.
[ "$NODES" -eq 1 ] || HOMES=/export/home
SCRATCH=/shared/scratch
LONG=600
n=0 failed=0 ok_ended=$SECONDS

ok() {
    local name=$1 out rc took=''
    shift
    out=$("$@" 2>&1)
    rc=$?
    n=$((n + 1))
    # Where the time goes, since the line before.
    [ $((SECONDS - ok_ended)) -lt 5 ] || took=" # $((SECONDS - ok_ended)) s"
    ok_ended=$SECONDS
    if [ $rc -eq 0 ]; then
        echo "ok $n - $name$took"
    else
        failed=$((failed + 1))
        echo "not ok $n - $name$took"
        printf '%s\n' "command: $* (status $rc)" "$out" | tail -n 30 | sed 's/^/#   /'
    fi
    return $rc
}
nok() { local name=$1; shift; ok "$name" not "$@"; }
not() { ! "$@"; }
like() { ok "$1" grep -qE -- "$3" <<<"$2" || printf '%s\n' "wanted: $3" "in: $2" | tail -n 30 | sed 's/^/#   /'; }
unlike() { ok "$1" not grep -qE -- "$3" <<<"$2" || printf '%s\n' "unwanted: $3" "in: $2" | tail -n 30 | sed 's/^/#   /'; }
is() { ok "$1" test "$2" = "$3" || printf '%s\n' "got: $2" "wanted: $3" | sed 's/^/#   /'; }
diag() { sed 's/^/# /'; }
done_testing() { echo "1..$n"; [ "$failed" -eq 0 ]; }

# until_ok SECONDS COMMAND...
until_ok() {
    local end=$((SECONDS + $1))
    shift
    while ! "$@" >/dev/null 2>&1; do
        [ $SECONDS -lt $end ] || return 1
        sleep 1
    done
}

as_user() { runuser -l alice -c "$*"; }
on() { # NODE COMMAND...: as root there
    local node=$1
    shift
    if [ "$node" = "$NODE" ]; then
        "$@"
    else # one that is killed meanwhile says nothing any more
        ssh -q -o BatchMode=yes -o ConnectTimeout=60 -o ServerAliveInterval=20 "$node" "$(printf '%q ' "$@")"
    fi
}
host() { echo "vmtest: ask $*"; } # kill NODE | start NODE [NUMA]: of who runs these machines

state_of() { scontrol show job "$1" | sed -n 's/.*JobState=\([A-Z_]*\).*/\1/p'; }
state_is() { [ "$(state_of "$1")" = "$2" ]; }
restarts_of() { scontrol show job "$1" | sed -n 's/.*Restarts=\([0-9]*\).*/\1/p'; }
runs_again() { state_is "$1" RUNNING && [ "$(restarts_of "$1")" -ge "${2:-1}" ]; }
node_of() { scontrol show job "$1" | sed -n 's/^ *NodeList=\(.*\)$/\1/p'; }
node_state() { sinfo -h -n "$1" -o %T; }
node_is() { [ "$(node_state "$1")" = "$2" ]; }
out_of() { echo "$HOMES/alice/slurm-$1.out"; }
lines_of() { wc -l <"$1" 2>/dev/null || echo 0; }
grown() { [ "$(lines_of "$1")" -gt "$2" ]; }
said() { grep -qE -- "$2" "$(out_of "$1")"; } # JOB PATTERN
goes_on() { until_ok $LONG grown "$(out_of "$1")" $(($(lines_of "$(out_of "$1")") + ${2:-2})); }

# The control group of a job bears its number; since Slurm 26.05 its SLUID, unless CgroupJobIdPaths=yes. As a pattern.
group_of() { # JOB
    local sluid
    sluid=$(scontrol --details show job "$1" | sed -n 's/.*\bSLUID=\([A-Za-z0-9]*\).*/\1/p')
    echo "(job_$1${sluid:+|$sluid})"
}
# pids_in JOB: "PID OWN-NUMBER" of each process below its batch step on this machine; under isolation=private the job
# numbers them itself, and the last number of NSpid is that.
pids_in() {
    local of
    # With few processes: each costs a tenth of a second here.
    mapfile -t of < <(grep -lsE "/$(group_of "$1")/step_batch/user" /proc/[0-9]*/cgroup)
    # By cat: one of them may have ended meanwhile, and awk reads nothing behind a file that is not there.
    [ ${#of[@]} -eq 0 ] || cat "${of[@]/%cgroup/status}" 2>/dev/null |
        awk -v uid="$(id -u alice)" '$1 == "Pid:" { p = $2 } $1 == "Uid:" { u = $2 } $1 == "NSpid:" && u == uid { print p, $NF }'
}
pid_of() { pids_in "$1" | awk -v own="$2" '$2 == own { print $1 }'; } # JOB OWN-NUMBER

waits_or_runs_again() { state_is "$1" PENDING || runs_again "$1"; }
# The requeue of a job waits for the end of its credential, two minutes: that is lifted, but not in the very second in
# which slurmd revoked it.
start_now() { # JOB
    until_ok $LONG waits_or_runs_again "$1" || return 1
    sleep 5
    ! state_is "$1" PENDING || scontrol update "job=$1" StartTime=now
}

# Slurm shows a job that was requeued and held in more than one way.
held() { # JOB
    local now
    now=$(scontrol show job "$1" 2>/dev/null)
    [[ $now != *JobState=COMPLETING* && $now =~ JobState=SPECIAL_EXIT|\ Reason=[A-Za-z_]*([Hh]eld|SPECIAL_EXIT) ]]
}
release() { as_user scontrol release "$1" && start_now "$1"; } # JOB: one that is held

submit() { as_user sbatch --parsable --requeue --mem=150 "$@" 2>/tmp/submit.err; }
# submitted NAME ARGUMENT...: sets `job`
submitted() {
    local name=$1
    shift
    job=$(submit "$@")
    ok "$name: submitted" test -n "$job" || diag </tmp/submit.err
}
stop() { as_user "touch stop.$1"; } # count.sh ends then
in_order() { # JOB: each step of count.sh once, and its end
    grep -o '^step [0-9]*\|^end.*' "$(out_of "$1")" |
        awk '$1 == "end" { e = 1; next } $2 != ++i { print "step", $2, "instead of", i; exit 1 } END { if (!e) print "no end"; exit !e }'
}
ends_well() { # NAME JOB
    stop "$2"
    ok "$1: it ends well" until_ok $LONG state_is "$2" COMPLETED
    ok "$1: each step once" in_order "$2"
}
explain() { # JOB: after a failure
    {
        cat "$(out_of "$1")" | tail -n 30
        scontrol show job "$1"
        as_user scheckpoint error "$1"
        tail -n 30 /var/log/slurm/slurmd.log
    } 2>&1 | diag
}
