/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/target.h"

int target_with(const struct cmd *c, const char *verb, const struct target_name *name,
                int (*fn)(const struct cmd *c, const struct target *t, struct err *err))
{
    struct target t = {.taskfd = -1};
    struct err err = {""};
    int status;

    if (cmd_is_root(c, verb, &err))
        return cmd_fail(c, CMD_REFUSED, &err);
    status = target_open(c, name, &t, &err) < 0 ? -1 : fn(c, &t, &err);
    if (status < 0)
        status = cmd_fail(c, CMD_FAILED, &err);
    target_close(&t);
    return status;
}
