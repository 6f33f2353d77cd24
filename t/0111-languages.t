#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# isolation: private
#
# Shell scripts with children, Python, a JVM and R, each checkpointed while it runs on, again, then requeued.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/survive.sh"

pipeline() { survive pipeline -- "$PROGS/pipeline.sh" "$HOME_DIR/pipeline.stop"; }
background() { survive background -- "$PROGS/background.sh" "$HOME_DIR/background.stop"; }
python() { survive python -- "$PROGS/counter.py" "$HOME_DIR/python.stop"; }

jvm() {
    command -v java >/dev/null || { skip jvm "no java on this machine"; return; }
    SURVIVE_TREE=processes survive jvm --mem=1000 --cpus-per-task=2 -- \
        java -Xmx128m "$PROGS/Counter.java" "$HOME_DIR/jvm.stop"
}

r_language() {
    command -v Rscript >/dev/null || { skip R "no R on this machine"; return; }
    survive R --mem=800 -- Rscript "$PROGS/counter.R" "$HOME_DIR/R.stop"
}

tb_up --nodes 2
together pipeline background python jvm r_language
done_testing
