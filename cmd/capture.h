/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * capture - run a command of Slurm's and take what it prints.
 */
#ifndef CMD_CAPTURE_H
#define CMD_CAPTURE_H

#include "common/err.h"

#include <stdbool.h>
#include <stddef.h>

/* Run argv (looked for in PATH) with /dev/null as standard input; its output and error output, NUL-terminated, into text,
 * cut at `size`.  Returns its exit status; -1 with a text when it cannot be run, is killed, or does not end within
 * `seconds` (then it is killed). */
int capture_run(const char *const argv[], unsigned seconds, char *text, size_t size,
                struct err *err);

/* The value of `key` in lines of "Key = Value" (scontrol show config); false when there is none.  Cut at size. */
bool capture_value(const char *text, const char *key, char *value, size_t size);

#endif
