/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "spank/interval.h"

#include <math.h>

uint32_t interval_cost(uint32_t pause_us, uint32_t total_ms, unsigned threads, unsigned cpus)
{
    double pause = pause_us / 1000.0, rest = total_ms > pause ? total_ms - pause : 0;
    double share = cpus == 0 || threads >= cpus ? 1 : (double)threads / cpus;
    double cost = pause + rest * share;

    return cost < 1 ? 1 : cost > UINT32_MAX ? UINT32_MAX : (uint32_t)cost;
}

static double daly(double d, double m)
{
    double x = d / (2 * m);

    if (d >= 2 * m)
        return m;
    return sqrt(2 * d * m) * (1 + sqrt(x) / 3 + x / 9) - d;
}

uint32_t interval_next(uint32_t cost_ms, uint32_t total_ms, uint32_t mtbf_s, uint32_t overhead)
{
    double d = cost_ms / 1000.0, least = 3 * (total_ms / 1000.0), s;

    s = overhead > 0 ? d * (1000.0 - overhead) / overhead : daly(d, mtbf_s);
    if (s < least)
        s = least;
    if (s < INTERVAL_LEAST_S)
        s = INTERVAL_LEAST_S;
    return s > INTERVAL_MOST_S ? INTERVAL_MOST_S : (uint32_t)s;
}
