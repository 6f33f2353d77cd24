#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# isolation: private
# timeout: 200
#
# A restored script reads the names of its present run, and what the site's hook has made of them.
. "$(dirname "$0")/lib.sh"

HOOK=/usr/local/lib/ckpt-test-hook.$$
trap 'rm -f "$HOOK"; test_cleanup' EXIT
cat >"$HOOK" <<'END'
#!/bin/sh
# as a site would: a licence server by the node
echo "export LICENCE='by $SLURMD_NODENAME'" >>"$CHECKPOINT_ENVIRONMENT"
END
chmod 755 "$HOOK"
echo "HookRestored=$HOOK" >"$TEST_TMP/conf"
tb_up --nodes 2 --conf "$TEST_TMP/conf"

put_script names.job <<END >/dev/null
#!/bin/bash
while [ ! -e $HOME_DIR/names.stop ]; do
    n=\$((n + 1))
    echo "step \$n pid \$\$"
    echo "old \$SLURMD_NODENAME \${SLURM_RESTART_COUNT:-none}"
    (. "\$CHECKPOINT_ENVIRONMENT"
     echo "new \$SLURMD_NODENAME \${SLURM_RESTART_COUNT:-none} \$SLURM_JOB_NODELIST \$SLURM_JOB_NAME \${LICENCE:-no licence}")
    sleep 0.1
done
END
job=$(submit --checkpoint=interval=0 -w "${NODE}1" -J "it's \$(a) name" -- "$HOME_DIR/names.job")
ok "it starts" wait_step "$job" 3
like "the names are there from the beginning" "$(out "$job")" \
    "^new ${NODE}1 none ${NODE}1 it's \\\$\\(a\\) name no licence$"
is "the file is the user's alone" "$(stat -c '%U %a' "$(taskdir "$job")/environment")" "ckptest 600"
ok "saved and held" requeue_hold "$job"
ok "sent to the other node" run_root scontrol update job="$job" ReqNodeList="${NODE}2"
ok "released" release "$job"
ok "restored" restored "$job"
ok "the new names are read, with the site's" wait_out "$job" \
    "^new ${NODE}2 1 ${NODE}2 it's \\\$\\(a\\) name by ${NODE}2$"
like "the script's own are the old ones" "$(out "$job" | grep ^old | tail -n 1)" "^old ${NODE}1 none$"
touch "$HOME_DIR/names.stop"
ok "it ends well" wait_state "$job" COMPLETED
ok "nothing is left" wait_until 30 no_images "$job"
done_testing
