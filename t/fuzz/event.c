/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The history of a task.
 */
#include "common/event.h"

#include "t/fuzz/fuzz.h"

#include <string.h>

static int look(const struct event *e, void *arg)
{
    size_t *n = arg;

    FUZZ_ASSERT(*e->event && strlen(e->text) < sizeof e->text);
    return ++*n > 100;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct err err = {""};
    size_t n = 0;

    fuzz_write(fuzz_dir(), EVENTS_FILE, data, len);
    FUZZ_ASSERT(event_each(fuzz_dir(), look, &n, &err) == 0);
    return 0;
}
