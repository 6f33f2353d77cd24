/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The keeper's side.
 */
#include "spank/tally.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>

/* Mapped, because a write() to a file is subject to the user's RLIMIT_FSIZE, and kills. */
struct tally *tally_map(int fd)
{
    struct stat st;
    void *at;

    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_uid != 0 ||
        st.st_size != (off_t)sizeof(struct tally))
        return NULL;
    at = mmap(NULL, sizeof(struct tally), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    return at == MAP_FAILED ? NULL : at;
}

/* One keeper writes; root may read in between, and then finds the number before or after. */
static void add(volatile uint64_t *to, uint64_t n)
{
    *to += n;
}

void tally_count(struct tally *t, const struct proto_reply *reply)
{
    if (!t || reply->error == ECANCELED || reply->error == EUSERS)
        return;
    if (reply->verb == PROTO_RESTORE) {
        /* That there is nothing to restore is no failure. */
        if (reply->error != ENOENT)
            add(reply->error ? &t->restore_failures : &t->restores, 1);
    } else if (reply->verb == PROTO_DUMP && reply->error) {
        add(&t->dump_failures, 1);
    } else if (reply->verb == PROTO_DUMP) {
        add(&t->dumps, 1);
        add(&t->pause_us, reply->pause_us);
        add(&t->dump_ms, reply->total_ms);
        add(&t->stored_bytes, reply->stored_bytes);
        __atomic_store_n(&t->last_dump, (int64_t)time(NULL), __ATOMIC_RELAXED);
    }
}
