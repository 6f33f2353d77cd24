/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * show_place - draw which threads are bound to which CPUs.
 */
#ifndef CMD_SHOW_PLACE_H
#define CMD_SHOW_PLACE_H

#include "common/placement.h"

#include <jansson.h>

/* A table on stdout, a line per place.  -1 without memory. */
int show_place_print(const struct placement *p, const char *title);

/* As placement.json; NULL without memory. */
json_t *show_place_json(const struct placement *p);

#endif
