/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/job.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SLUID_DIGITS 13

bool job_parse_sluid(const char *text, uint64_t *sluid)
{
    static const char digits[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    uint64_t v = 0;

    if (!text || *text++ != 's')
        return false;
    for (int i = 0; i < SLUID_DIGITS; i++) {
        const char *at = text[i] ? strchr(digits, text[i]) : NULL;

        if (!at || v >> 59)
            return false;
        v = v << 5 | (uint64_t)(at - digits);
    }
    if (text[SLUID_DIGITS] || v == 0)
        return false;
    *sluid = v;
    return true;
}

bool job_in_cgroup(const char *line, uint32_t *id, uint64_t *sluid)
{
    const char *end, *begin = strstr(line, "/job_");
    char name[1 + SLUID_DIGITS + 1];
    struct job_name job;
    char number[16];
    size_t length;

    if (begin) {
        begin += strlen("/job_");
        length = strcspn(begin, "/\n");
        if (length < sizeof number && begin[length] == '/') {
            memcpy(number, begin, length);
            number[length] = '\0';
            if (job_parse_name(number, &job) && !job.is_task) {
                *id = job.id;
                *sluid = 0;
                return true;
            }
        }
    }
    end = strstr(line, "/step_");
    if (!end || end - line < (ptrdiff_t)sizeof name || end[-(ptrdiff_t)sizeof name] != '/')
        return false;
    memcpy(name, end - (sizeof name - 1), sizeof name - 1);
    name[sizeof name - 1] = '\0';
    if (!job_parse_sluid(name, sluid))
        return false;
    *id = 0;
    return true;
}

uint32_t job_self_at(const char *path)
{
    static uint64_t known; /* whom Slurm has told already */
    static uint32_t known_id;
    const char *env = getenv("SLURM_JOB_ID");
    FILE *f = fopen(path, "re");
    uint64_t sluid = 0;
    struct job_name name;
    char line[4096];
    uint32_t id = 0;
    bool found = false;

    while (f && !found && fgets(line, sizeof line, f))
        found = job_in_cgroup(line, &id, &sluid);
    if (f)
        fclose(f);
    if (id)
        return id;
    if (!found)
        return job_parse_name(env, &name) && !name.is_task ? name.id : 0;
    if (sluid != known) {
        known_id = job_of_sluid(sluid);
        known = known_id ? sluid : 0;
    }
    return known_id;
}

uint32_t job_self(void)
{
    return job_self_at("/proc/self/cgroup");
}
