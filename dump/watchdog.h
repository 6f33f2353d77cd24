/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * watchdog - the last word when the main thread hangs in a filesystem call.
 *
 * A file server that is gone holds a process in the kernel for as long as it likes.  The watchdog is a
 * thread that then does what the caller wants done at the end: answer and exit.
 */
#ifndef DUMP_WATCHDOG_H
#define DUMP_WATCHDOG_H

#include "common/err.h"

#include <stdint.h>

/* Start the one watchdog of this process: at `deadline` (of runclock_ms()) fire(arg) is called in its
 * thread, unless watchdog_stop() came first.  fire must not return. */
int watchdog_start(int64_t deadline, void (*fire)(void *), void *arg, struct err *err);

/* No fire after this; waits for ever when it is firing just now.  Fine when none was started. */
void watchdog_stop(void);

#endif
