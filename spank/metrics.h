/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * metrics - a node's tallies in the text format of Prometheus.
 *
 * Format: https://prometheus.io/docs/instrumenting/exposition_formats/ (text, version 0.0.4).  spank-checkpoint(8) lists the names.
 * Labels hold numbers and the node's name only: nothing that a user has chosen.
 */
#ifndef SPANK_METRICS_H
#define SPANK_METRICS_H

#include "common/err.h"

/* As root: malloc'ed text, the caller frees; NULL with a text. */
char *metrics_text(const char *state_dir, const char *node, struct err *err);

/* As root: write it to DIR/slurm_checkpoint_NODE.prom (0644), which is replaced at once.  The directory may belong to
 * somebody else (the collector's), but others than root and its owner must not write there. */
int metrics_write(const char *state_dir, const char *node, const char *dir, struct err *err);

#endif
