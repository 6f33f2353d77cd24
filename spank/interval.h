/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * interval - how far apart checkpoints should be, from what they cost (interval=auto, overhead=).
 */
#ifndef SPANK_INTERVAL_H
#define SPANK_INTERVAL_H

#include <stdint.h>

#define INTERVAL_FIRST_S 300 /* nothing is measured yet */
#define INTERVAL_LEAST_S 30
#define INTERVAL_MOST_S 86400

/* What a checkpoint costs the job, in milliseconds: the pause, and of the time until it is written as much as its
 * threads take of the job's CPUs. */
uint32_t interval_cost(uint32_t pause_us, uint32_t total_ms, unsigned threads, unsigned cpus);

/* Seconds from the end of a checkpoint to the next, between the bounds above, and never less than three times what one
 * takes until it is written.
 *
 * overhead > 0 (thousandths): such that the cost is this part of the time.  Else the length that makes the expected
 * time to completion shortest, J. T. Daly, "A higher order estimate of the optimum checkpoint interval for restart
 * dumps", Future Generation Computer Systems 22 (2006) 303-312, equation (37): with cost d and mean time between
 * failures M, for d < 2M
 *
 *     sqrt(2 d M) (1 + sqrt(d / 2M) / 3 + (d / 2M) / 9) - d,    else M,
 *
 * whose first term is J. W. Young's, Communications of the ACM 17 (1974) 530-531. */
uint32_t interval_next(uint32_t cost_ms, uint32_t total_ms, uint32_t mtbf_s, uint32_t overhead);

#endif
