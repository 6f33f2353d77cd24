/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/job.h"

#include <errno.h>
#include <slurm/slurm.h>
#include <stdlib.h>
#include <string.h>

static bool parse_number(const char *text, char **end, uint32_t *value)
{
    unsigned long v;

    if (*text < '0' || *text > '9')
        return false;
    errno = 0;
    v = strtoul(text, end, 10);
    if (errno || v >= NO_VAL)
        return false;
    *value = (uint32_t)v;
    return true;
}

bool job_parse_name(const char *text, struct job_name *name)
{
    struct job_name n = {0};
    char *end;

    if (!text || !parse_number(text, &end, &n.id) || n.id == 0)
        return false;
    if (*end == '_') {
        n.is_task = true;
        if (!parse_number(end + 1, &end, &n.task))
            return false;
    }
    if (*end)
        return false;
    *name = n;
    return true;
}

bool job_parse_step(const char *text, struct job_name *name)
{
    const char *dot = text ? strchr(text, '.') : NULL;
    char job[64], *end;
    uint32_t step, taskid = 0;
    bool has_taskid = false;

    if (!dot)
        return job_parse_name(text, name);
    if ((size_t)(dot - text) >= sizeof job || !parse_number(dot + 1, &end, &step))
        return false;
    if (*end == '/') {
        has_taskid = true;
        if (!parse_number(end + 1, &end, &taskid))
            return false;
    }
    if (*end)
        return false;
    memcpy(job, text, (size_t)(dot - text));
    job[dot - text] = '\0';
    if (!job_parse_name(job, name))
        return false;
    name->has_step = true;
    name->step = step;
    name->has_taskid = has_taskid;
    name->taskid = taskid;
    return true;
}
