/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/doctor_release.h"

#include <stdio.h>

static bool parse(const char *text, struct doctor_release *r)
{
    struct doctor_release got = {0, 0};

    if (!text || sscanf(text, "%4u.%4u", &got.major, &got.minor) != 2)
        return false;
    *r = got;
    return true;
}

static bool same(struct doctor_release a, struct doctor_release b)
{
    return a.major == b.major && a.minor == b.minor;
}

enum preflight_verdict doctor_release_judge(const char *slurmctld, const char *slurmd,
                                            struct doctor_release built, char *text, size_t size)
{
    struct doctor_release ctld, d;
    bool has_ctld = parse(slurmctld, &ctld), has_d = parse(slurmd, &d);

    if (has_d && !same(d, built)) {
        snprintf(text, size,
                 "slurmd is %s, this was built for %u.%02u: Slurm does not load a plugin of "
                 "another release; install the package for this one",
                 slurmd, built.major, built.minor);
        return PREFLIGHT_FAIL;
    }
    if (!has_d && has_ctld && !same(ctld, built)) {
        snprintf(text, size,
                 "slurmctld is %s, this was built for %u.%02u, and slurmd does not tell its "
                 "release: a plugin fits that one only",
                 slurmctld, built.major, built.minor);
        return PREFLIGHT_FAIL;
    }
    if (has_d && has_ctld && !same(ctld, d))
        snprintf(text, size, "%s (slurmctld is %s)", slurmd, slurmctld);
    else
        snprintf(text, size, "%s", has_d ? slurmd : slurmctld ? slurmctld : "?");
    return PREFLIGHT_GOOD;
}
