#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# isolation: private
#
# Memory that processes share: a program that has all kinds of it, and Python's multiprocessing with numpy and HDF5.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/survive.sh"
. "$(dirname "$0")/gallery.sh"

export SCALE=2
shared() { survive shared -- "$PROGS/shared" "$HOME_DIR/shared.stop" "$HOME_DIR"; }
python() { gallery_test python c20 c40 r60; }

tb_up --nodes 2
together shared python
done_testing
