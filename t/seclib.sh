# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# seclib.sh - what the security tests (t/05*.t, t/06*.t) share beside lib.sh.
#
# "row N" in a test's name is the row of the deny matrix in doc/security.md.

# shellcheck source=t/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

ATTACKS=
EMPTY_CAPS='CapInh 0000000000000000 CapPrm 0000000000000000 CapEff 0000000000000000 CapAmb 0000000000000000'

# sec_up [testbed up options] - tb_up, and the attack programs in ATTACKS, where every user can run them
sec_up() {
    local name
    tb_up "$@"
    HELPERS=$TB/inst/libexec/slurm-spank-checkpoint
    ATTACKS=$TB/attack
    install -d "$ATTACKS"
    for name in "$TEST_TOP"/t/attack/*.c; do
        name=$(basename "$name" .c)
        [ ! -e "$CKPT_BUILDDIR/t/attack/$name.so" ] || name=$name.so
        install -m 755 "$CKPT_BUILDDIR/t/attack/$name" "$ATTACKS" ||
            bail "the attack programs are not built: make -C $CKPT_BUILDDIR t-attacks"
    done
    install -m 755 "$TEST_TOP/t/attack/forge.py" "$ATTACKS"
}

# own_copy NAME [AS] - a copy of an attack program in the test user's home; prints its path.  What it writes lies
# beside it.
own_copy() {
    install -d -o ckptest -g ckptest "$HOME_DIR/evil"
    install -o ckptest -g ckptest -m 755 "$ATTACKS/$1" "$HOME_DIR/evil/${2:-$1}"
    echo "$HOME_DIR/evil/${2:-$1}"
}

# caps_of PID... - a line for each thread: COMM TID and its four sets; slurmstepd is Slurm's and root
caps_of() {
    local pid task
    for pid; do
        case $(cat "/proc/$pid/comm" 2>/dev/null) in slurmstepd) continue ;; esac
        for task in "/proc/$pid/task"/*/status; do cat "$task" 2>/dev/null; done
    done | awk '$1 == "Name:" { name = $2 } $1 == "Pid:" { tid = $2 }
        $1 ~ /^Cap(Inh|Prm|Eff|Amb):$/ { set[substr($1, 1, 6)] = $2 }
        $1 == "CapAmb:" {
            print name, tid, "CapInh", set["CapInh"], "CapPrm", set["CapPrm"], "CapEff", set["CapEff"], "CapAmb",
                set["CapAmb"]
        }'
}

# holders JOB - threads in the job (all its steps) that hold anything and are not the keeper
holders() {
    local pids
    mapfile -t pids < <(grep -lsE "${NODE}[0-9]+[_/].*job_$1(/|\$)" /proc/[0-9]*/cgroup | cut -d / -f 3)
    caps_of "${pids[@]}" | grep -v "$EMPTY_CAPS" | grep -v '^keeper '
}
# threads JOB - how many of its own (below ckpt-init) there are, so that "none holds anything" says something
own_threads() {
    local pids
    mapfile -t pids < <(job_pids "$1")
    caps_of "${pids[@]}" | grep -vcE '^(keeper|shepherd) '
}

keeper_pid() { job_pid "$1" keeper; }
shepherd_pid() { job_pid "$1" shepherd; }
# keeper_holds JOB - it does hold CAP_CHECKPOINT_RESTORE: without it the other tests would prove nothing
keeper_holds() { caps_of "$(keeper_pid "$1")" | grep -q 'CapPrm 0000010000000000'; }

has_keeper() { wait_until 20 keeper_holds "$1"; }

# job_group JOB - what stands in /proc/PID/cgroup of the job's processes, and in those of no other testbed's job of
# the same number
job_group() {
    if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
        echo "${NODE}1_slurmstepd.scope/job_$1/"
    else
        echo "${NODE}1/uid_$(id -u ckptest)/job_$1/"
    fi
}
