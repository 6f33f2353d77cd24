#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# isolation: private
#
# Real applications of several processes: an aligner piped into a sorter, make with its job server.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/gallery.sh"

export SCALE=3
bwa() { SCALE=6 gallery_test bwa c20 c40 r60; }
make_j4() { gallery_test make c20 c40 r60; }

tb_up --nodes 2
together bwa make_j4
done_testing
