/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * counter - counts; ends with a chosen status, or by a signal.
 *
 *   counter STOP [STATUS | -SIGNAL]
 */
#include "prog.h"

#include <signal.h>
#include <sys/resource.h>

int main(int argc, char **argv)
{
    int end = argc > 2 ? (int)strtol(argv[2], NULL, 10) : 0;
    struct rlimit none = {0, 0};

    prog_need(argc, 1, "counter STOP [STATUS | -SIGNAL]");
    prog_print("start pid %d pgid %d sid %d\n", (int)getpid(), (int)getpgrp(), (int)getsid(0));
    for (unsigned n = 1; !prog_stop(argv[1]); n++) {
        prog_step(n);
        prog_sleep_ms(50);
    }
    prog_print("result ok\n");
    if (end >= 0)
        return end;
    setrlimit(RLIMIT_CORE, &none);
    raise(-end);
    return 126;
}
