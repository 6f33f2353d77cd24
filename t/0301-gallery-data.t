#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# isolation: private
#
# Real applications: a computer algebra system, a database's writer with a log, R's forked workers.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/gallery.sh"

export SCALE=3
pari() { gallery_test pari c20 c40 r60; }
sqlite() { SCALE=2 gallery_test sqlite c20 c40 r60; }
r() { gallery_test r c20 c40 r60; }

tb_up --nodes 2
together pari sqlite r
done_testing
