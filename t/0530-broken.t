#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Installations that are broken or unsafe: no program ever runs with the inheritable bit, no node is drained.  Deny
# matrix row 3.
. "$(dirname "$0")/seclib.sh"

script() {
    put_script show.sh >/dev/null <<'END'
#!/bin/bash
# Nothing but builtins: whatever happens to the pid namespace, this is told.
while read -r key value; do case $key in Cap*) echo "$key $value" ;; esac; done </proc/self/status
echo ran
END
}

ended() { state_in "$1" "COMPLETED FAILED CANCELLED NODE_FAIL BOOT_FAIL OUT_OF_MEMORY"; }

# broken WHAT RUNS REASON - the job ended; RUNS (yes, no, either): its program ran; its output or slurmd's log has
# REASON
broken() {
    local what=$1 runs=$2 reason=$3 job
    job=$(submit --checkpoint -- "$HOME_DIR/show.sh")
    ok "row 3: $what: the job ends" wait_until 40 ended "$job" || run_root scancel "$job"
    case $runs in
        yes) like "row 3: $what: its program ran" "$(out "$job")" '^ran' ;;
        no) unlike "row 3: $what: its program did not run" "$(out "$job")" '^ran' ;;
    esac
    unlike "row 3: $what: without a bit" "$(out "$job")" '^Cap(Inh|Prm|Eff|Amb): 0*[1-9a-f]'
    like "row 3: $what: the reason is told" "$(out "$job")" "$reason"
    is "row 3: $what: nothing is left that holds anything" "$(holders "$job")" ""
    ok "row 3: $what: the node is fine" node_fine
}

# with FILE COMMAND... - after COMMAND has spoilt FILE, in place of it; mended afterwards
spoil() {
    cp -a --preserve=all "$HELPERS/$1" "$TB/saved"
}
mend() {
    rm -f "$HELPERS/$1"
    cp -a --preserve=all "$TB/saved" "$HELPERS/$1"
}

keeper_variants() {
    local what=without
    [ "$CKPT_ISOLATION" = host ] || what="cannot be started"
    spoil keeper
    rm "$HELPERS/keeper"
    broken "keeper missing" yes 'runs without checkpoints: keeper: '
    mend keeper
    chmod a-x "$HELPERS/keeper"
    broken "keeper not executable" yes 'runs without checkpoints: keeper: .*cannot be executed'
    mend keeper
    setcap -r "$HELPERS/keeper"
    broken "keeper without its capability" yes 'keeper: .* has lost its file capability'
    mend keeper
    setcap cap_checkpoint_restore,cap_sys_ptrace=i "$HELPERS/keeper"
    broken "keeper with one more" yes "keeper: .* instead of 'cap_checkpoint_restore=i'"
    mend keeper
    setcap cap_checkpoint_restore=ei "$HELPERS/keeper"
    broken "keeper with the effective bit" yes "keeper: .* instead of 'cap_checkpoint_restore=i'"
    mend keeper
    chmod o+w "$HELPERS/keeper"
    setcap cap_checkpoint_restore=i "$HELPERS/keeper"
    broken "keeper that others may write" yes 'keeper: .* writable by others'
    mend keeper
    chown ckptest "$HELPERS/keeper"
    setcap cap_checkpoint_restore=i "$HELPERS/keeper"
    broken "keeper of the user's" yes 'keeper: .* does not belong to root'
    mend keeper
    for program in /bin/false "$ATTACKS/crash"; do
        cp "$program" "$HELPERS/keeper"
        setcap cap_checkpoint_restore=i "$HELPERS/keeper"
        broken "keeper that ends at once ($(basename "$program"))" either "$what"
        mend keeper
    done
}

other_variants() {
    local name
    for name in shepherd dump restore ckpt-init criu-shim.so; do
        spoil $name
        rm "$HELPERS/$name"
        broken "$name missing" yes "runs without checkpoints: $name: "
        mend $name
    done
    spoil shepherd
    chmod u+s "$HELPERS/shepherd"
    broken "shepherd setuid" yes 'shepherd: .* is not a plain file'
    mend shepherd
    setcap cap_net_raw=ep "$HELPERS/shepherd"
    broken "shepherd with a capability" yes 'file capabilities'
    mend shepherd
    chmod a-x "$HELPERS/shepherd"
    broken "shepherd not executable" either '.'
    mend shepherd
    cp "$ATTACKS/crash" "$HELPERS/shepherd"
    broken "shepherd crashes" no ''
    mend shepherd
    spoil ckpt-init
    cp "$ATTACKS/crash" "$HELPERS/ckpt-init"
    broken "ckpt-init crashes" no ''
    mend ckpt-init
    chmod o+w "$HELPERS"
    broken "a directory that others may write" yes 'keeper: .* writable by others'
    chmod o-w "$HELPERS"
    broken "all mended (control)" yes '^ran'
}

sec_up
script
keeper_variants
other_variants
done_testing
