#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The helpers, started by the wrong one or in a hostile environment.  Deny matrix rows 4 to 9 and the beginning
# of 14 (whom the keeper takes for its task).
. "$(dirname "$0")/seclib.sh"

# Row 4: in whatever way a user starts them, they gain nothing
write_try() {
    put_script try_helpers >/dev/null <<END
#!/bin/bash
# One line for each way: "HOW HELPER STATUS FIRST-LINE"
tell() { echo "\$1 \$2 \$3 \$(head -n 1 "$HOME_DIR/try.\$\$")"; }
d=\$(mktemp -d "$HOME_DIR/try.XXXXXX")
for helper in keeper dump restore; do
    $HELPERS/\$helper </dev/null >"$HOME_DIR/try.\$\$" 2>&1 3</dev/null 4</dev/null
    tell exec \$helper \$?
    /lib64/ld-linux-x86-64.so.2 $HELPERS/\$helper </dev/null >"$HOME_DIR/try.\$\$" 2>&1
    tell ld.so \$helper \$?
    cp -p $HELPERS/\$helper "\$d/copy" && "\$d/copy" </dev/null >"$HOME_DIR/try.\$\$" 2>&1
    tell copy \$helper \$?
    if ln $HELPERS/\$helper "\$d/link" 2>/dev/null; then
        "\$d/link" </dev/null >"$HOME_DIR/try.\$\$" 2>&1
        tell hardlink \$helper \$?
    else
        echo "hardlink \$helper not possible"
    fi
    ln -s $HELPERS/\$helper "\$d/symlink"
    "\$d/symlink" </dev/null >"$HOME_DIR/try.\$\$" 2>&1
    tell symlink \$helper \$?
    $HELPERS/\$helper </dev/null >&- 2>&- <&-
    echo "closed \$helper \$?"
    rm -f "\$d"/* "$HOME_DIR/try.\$\$"
done
rmdir "\$d"
echo tried
END
}

check_try() { # WHERE TEXT
    like "row 4: $1: all ways were tried (control)" "$2" '^tried'
    is "row 4: $1: the keeper refuses, each way" \
        "$(grep -E '^(exec|ld.so|copy|hardlink|symlink) keeper ' <<<"$2" | grep -v 'not possible' |
            grep -vE ' keeper 1 checkpoint: keeper: CAP_CHECKPOINT_RESTORE is not permitted here')" ""
    like "row 4: $1: it did so at least four times (control)" "$(grep -c 'not permitted here' <<<"$2")" '^[4-9]'
    unlike "row 4: $1: dump and restore end with an error" "$2" '^[a-z.]+ (dump|restore) 0'
    unlike "row 4: $1: none dies by a signal" "$2" '^[a-z.]+ (keeper|dump|restore) 1[3-9][0-9]'
}

row_4() {
    local job other
    job=$(submit --checkpoint -- "$(put_script row4.sh <<END
#!/bin/bash
./try_helpers
echo ready
until [ -e row4.stop ]; do sleep 0.2; done
END
)")
    other=$(submit -- "$HOME_DIR/try_helpers")
    check_try "a login shell" "$(run "$HOME_DIR/try_helpers")"
    wait_out "$job" '^ready' >/dev/null
    check_try "the job's program" "$(out "$job")"
    ok "row 4: the job's own keeper still holds the capability" keeper_holds "$job"
    is "row 4: and nobody else" "$(holders "$job")" ""
    wait_state "$other" COMPLETED >/dev/null
    check_try "another job" "$(out "$other")"
    touch "$HOME_DIR/row4.stop"
    ok "row 4: the job ends" wait_state "$job" COMPLETED
}

# Rows 5 and 14: the keeper in the very state in which checkpoint.so starts it, but for one thing
withbit() { "$ATTACKS/withbit" "$1" "$HELPERS" "$(id -u ckptest)" "$(id -g ckptest)" 2>&1; }
rows_5_14() {
    local what
    is "row 5: as checkpoint.so starts it, the keeper answers (control)" "$(withbit plain)" "withbit: keeper answers 0"
    for what in no-bit no-new-privs traced shared-fs; do
        like "row 5: $what: it gains nothing and refuses" "$(withbit $what)" \
            'keeper: CAP_CHECKPOINT_RESTORE is not permitted here'
    done
    like "row 5: no-new-privs: the reason is named" "$(withbit no-new-privs)" 'the task has no_new_privs set'
    like "row 5: own user namespace: it refuses" "$(withbit user-namespace)" \
        'keeper: (CAP_CHECKPOINT_RESTORE is not permitted here|facts: not made by root)'
    like "row 14: unsealed facts are refused" "$(withbit facts-unsealed)" 'facts: not sealed'
    like "row 14: a user's own facts are refused" "$(withbit facts-of-user)" 'facts: not made by root'
    like "row 14: another user's facts are refused" "$(withbit facts-of-other-uid)" "the facts are another user's"
    like "row 14: facts in a file are refused" "$(withbit facts-no-memfd)" 'facts: not a sealed memory file'
    for what in peer-of-root peer-of-other-process; do
        like "row 14: $what: refused" "$(withbit $what)" 'the socket does not lead to the task'
    done
    unlike "row 14: none of these got an answer" \
        "$(for what in facts-unsealed facts-of-user facts-of-other-uid facts-no-memfd peer-of-root \
            peer-of-other-process; do withbit $what; done)" 'answers'
}

# Rows 6 to 9: everything hostile that a job's environment can hold, while it is dumped and restored
prepare_hostile() {
    local evil=$HOME_DIR/evil name
    for name in preload audit; do own_copy evil.so $name.so >/dev/null; done
    install -d -o ckptest -g ckptest "$evil"/{plugins,hwloc,criu,gconv,openssl,bin,run} "$HOME_DIR/.criu"
    for name in plugins/auth_munge plugins/cred_munge plugins/select_cons_tres plugins/hash_k12 plugins/tls_none \
        plugins/select_linear hwloc/hwloc_evil hwloc/hwloc_xml_libxml criu/evil criu/cuda_plugin gconv/evil \
        openssl/legacy openssl/evil; do
        own_copy evil.so "$name.so" >/dev/null
    done
    {
        grep -v '^PluginDir=' "$TB/etc/slurm.conf"
        echo "PluginDir=$evil/plugins"
    } >"$evil/slurm.conf"
    echo "module EVIL// INTERNAL evil 1" >"$evil/gconv/gconv-modules"
    cat >"$evil/openssl.cnf" <<END
openssl_conf = init
[init]
engines = engines
providers = providers
[engines]
evil = engine
[engine]
dynamic_path = $evil/openssl/evil.so
[providers]
evil = provider
[provider]
module = $evil/openssl/evil.so
activate = 1
END
    echo "SLURM_CONF=$evil/slurm.conf" >"$evil/preload.so.env"
    for name in config home; do
        printf 'log-file %s\naction-script %s\nwork-dir %s\n' "$evil/criu-$name.log" "$evil/bin/action" "$evil/run" \
            >"$evil/criu-$name.conf"
    done
    cp "$evil/criu-home.conf" "$HOME_DIR/.criu/default.conf"
    head -c 4096 /dev/zero >"$evil/run/criu.kdat"
    for name in sh bash tar ip iptables ip6tables iptables-restore ip6tables-restore iptables-save nft action; do
        cat >"$evil/bin/$name" <<END
#!/bin/bash
echo "$name \$(grep -E '^Cap(Inh|Prm|Eff|Amb)' /proc/\$\$/status | tr '\t' ' ' | paste -s -d ' ')" >>"$evil/bin.log"
END
    done
    rm "$evil/bin/bash" # the job is written in it
    chmod 755 "$evil"/bin/*
    chown -R ckptest: "$evil" "$HOME_DIR/.criu"
    hostile=("PATH=$evil/bin:/usr/bin:/bin" "LD_PRELOAD=$evil/preload.so" \
        "LD_AUDIT=$evil/audit.so" "GLIBC_TUNABLES=glibc.malloc.check=3:glibc.malloc.perturb=165" \
        "GCONV_PATH=$evil/gconv" "LOCPATH=$evil/gconv" "LANG=C.EVIL" \
        "HWLOC_PLUGINS_PATH=$evil/hwloc" "CRIU_CONFIG_FILE=$evil/criu-config.conf" "CRIU_LIBS_DIR=$evil/criu" \
        "CR_IPTABLES=$evil/bin/iptables" "CR_IP_TOOL=$evil/bin/ip" "XDG_RUNTIME_DIR=$evil/run" \
        "OPENSSL_CONF=$evil/openssl.cnf" "OPENSSL_MODULES=$evil/openssl" "OPENSSL_ENGINES=$evil/openssl" \
        "MUNGE_SOCKET=$evil/munge.sock" "CKPT_STREAM_FD=0" "CHECKPOINT_FDS=0,1" "CHECKPOINT_PROGRAM=$evil/bin/sh" \
        "BASH_ENV=$evil/bashenv" "TMPDIR=$evil/run")
}

rows_6_to_9() {
    local job evil=$HOME_DIR/evil stop=$HOME_DIR/hostile.stop log
    prepare_hostile
    # --export-file would lose the option; slurmd would set SLURM_CONF to its own.
    job=$(run env "${hostile[@]}" /usr/bin/sbatch --parsable --requeue --mem=400 -o "$HOME_DIR/%j.out" \
        --checkpoint=interval=0 "$(put_script hostile.sh <<END
#!/bin/bash
tar
echo "path=\$PATH"
$PROGS/counter "$stop"
END
)")
    ok "row 6: a job with a hostile environment starts" wait_step "$job" 3
    like "row 6: the environment is what it should be (control)" "$(out "$job")" "^path=$evil/bin:"
    like "row 6: its checkpoint is made" "$(checkpoint "$job" 2>&1)" 'gen-0000-000001'
    ok "row 6: requeue" requeue "$job"
    ok "row 6: restored" restored "$job"
    ok "row 6: it goes on" goes_on "$job"
    is "row 6: nobody but the keeper holds anything" "$(holders "$job")" ""
    touch "$stop"
    ok "row 6: ends" state_reached "$job"
    log=$(cat "$evil"/preload.so.log "$evil"/audit.so.log)
    like "row 6: what LD_PRELOAD names was loaded into the shepherd (control)" "$(cat "$evil/preload.so.log")" \
        '^shepherd secure=0'
    like "row 6: and what LD_AUDIT names (control)" "$(cat "$evil/audit.so.log")" '^shepherd secure=0'
    unlike "row 6: never into one of ours, or Slurm's, that is more than the user's" "$log" \
        '^(keeper|dump|restore|criu|slurmstepd|slurmd) |secure=1'
    unlike "row 6: nor into any process that holds something" "$log" 'secure=[01].* 0*[1-9a-f][0-9a-f]*( |$)'
    is "row 6: nothing came by way of GCONV_PATH" "$(ls "$evil"/gconv/*.log 2>/dev/null)" ""
    # The shepherd, the user's own process, computes digests with OpenSSL; so does what holds a capability.
    log=$(cat "$evil"/openssl/*.log 2>/dev/null)
    unlike "row 6: nothing came by way of OpenSSL into anything that is more than the user's" "$log" \
        '^(keeper|dump|restore|criu|slurmstepd|slurmd) |secure=1'
    unlike "row 6: nor into any process that holds something" "$log" 'secure=[01].* 0*[1-9a-f][0-9a-f]*( |$)'
    log=$(cat "$evil"/plugins/*.log)
    like "row 7: a plugin of the user's own PluginDir was loaded by his shepherd (control)" "$log" '^shepherd '
    unlike "row 7: by nothing else, and nothing was held there" "$log" \
        '^(keeper|dump|restore|criu|slurmstepd|slurmd) |secure=1|secure=0.* 0*[1-9a-f][0-9a-f]*( |$)'
    is "row 7: nothing of HWLOC_PLUGINS_PATH was loaded by a helper" "$(cat "$evil"/hwloc/*.log 2>/dev/null |
        grep -vE '^shepherd secure=0( 0{16}){4}$')" ""
    is "row 8: nothing of CRIU_LIBS_DIR was loaded" "$(cat "$evil"/criu/*.log 2>/dev/null)" ""
    is "row 8: no configuration of the user's was followed" "$(find "$evil" -name 'criu-*.log')" ""
    is "row 8: XDG_RUNTIME_DIR was not written to" "$(find "$evil/run" -mindepth 1 ! -name criu.kdat)" ""
    is "row 8: and what lay there not changed" "$(tr -d '\0' <"$evil/run/criu.kdat" | wc -c)" 0
    is "row 9: of the user's own programs only his own call was run (control)" \
        "$(cat "$evil/bin.log")" \
        "tar CapInh: 0000000000000000 CapPrm: 0000000000000000 CapEff: 0000000000000000 CapAmb: 0000000000000000"
}
# It ends well or badly: its shepherd cannot talk to slurmctld
state_reached() { wait_until 40 state_in "$1" "COMPLETED FAILED CANCELLED"; }

sec_up
write_try
together ${SEC_ONLY:-row_4 rows_5_14 rows_6_to_9}
ok "no node was drained" node_fine
done_testing
