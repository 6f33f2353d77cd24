/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A whole tree's images through the filter.  What is let through holds no privilege, and is let through again.
 *
 * The input is a list as in fuzz.h; the entry "index" is the index of pages.zst.  The images of a real tree in the
 * corpus were made by uid and gid 1001.
 */
#include "restore/filter.h"

#include "common/criu.pb-c.h"
#include "restore/wire.h"
#include "t/fuzz/fuzz.h"

#include <string.h>

static const gid_t groups[] = {1001};
static const struct filter_rules rules = {
    .uid = 1001,
    .gid = 1001,
    .groups = groups,
    .ngroups = 1,
    .label = "",
    .machine = FILTER_X86_64,
    .page_size = 4096,
};

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t len, size_t max, unsigned seed)
{
    return fuzz_images_mutate(data, len, max, seed);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct image *)a)->name, ((const struct image *)b)->name);
}

/* What bundle_load guarantees: names of the list, no bulk, none twice, sorted. */
static void make_bundle(const struct fuzz_image *list, size_t n, struct bundle *b)
{
    b->n = 0;
    b->images = calloc(n + 1, sizeof *b->images);
    FUZZ_ASSERT(b->images);
    for (size_t i = 0; i < n; i++) {
        struct image *im = &b->images[b->n];
        bool twice = false;

        for (size_t k = 0; k < b->n; k++)
            twice |= !strcmp(b->images[k].name, list[i].name);
        if (twice || !crimg_parse_name(list[i].name, &im->parsed) || im->parsed.kind == CRIMG_BULK)
            continue;
        memcpy(im->name, list[i].name, sizeof im->name);
        im->data = (uint8_t *)fuzz_text(list[i].data, list[i].len);
        im->len = list[i].len;
        b->n++;
    }
    qsort(b->images, b->n, sizeof *b->images, by_name);
}

static int make_index(const struct fuzz_image *list, size_t n, struct index *ix)
{
    char *text = NULL;
    int rc;

    for (size_t i = 0; i < n && !text; i++)
        if (!strcmp(list[i].name, "index"))
            text = fuzz_text(list[i].data, list[i].len);
    rc = index_load(text ? text : "", text ? strlen(text) : 0, 1, ix, NULL);
    free(text);
    return rc;
}

static void check_zero(const uint32_t *caps, size_t n)
{
    for (size_t i = 0; i < n; i++)
        FUZZ_ASSERT(caps[i] == 0);
}

static void check_creds(const CredsEntry *c)
{
    FUZZ_ASSERT(c->uid == rules.uid && c->euid == rules.uid && c->suid == rules.uid &&
                c->fsuid == rules.uid);
    FUZZ_ASSERT(c->gid == rules.gid && c->egid == rules.gid && c->sgid == rules.gid &&
                c->fsgid == rules.gid);
    FUZZ_ASSERT(c->secbits == 0 && c->n_groups == 1 && c->groups[0] == groups[0]);
    check_zero(c->cap_inh, c->n_cap_inh);
    check_zero(c->cap_prm, c->n_cap_prm);
    check_zero(c->cap_eff, c->n_cap_eff);
    check_zero(c->cap_amb, c->n_cap_amb);
}

/* As CRIU would read it: without our strictness. */
static void check_cores(const struct bundle *b)
{
    for (size_t i = 0; i < b->n; i++) {
        const struct image *im = &b->images[i];
        struct crimg_iter it;
        const uint8_t *msg;
        size_t len;
        CoreEntry *core;

        if (im->parsed.kind != CRIMG_CORE)
            continue;
        FUZZ_ASSERT(crimg_open(&it, &im->parsed, im->data, im->len, NULL) == 0 &&
                    crimg_next(&it, &msg, &len, NULL) == 1);
        core = core_entry__unpack(NULL, len, msg);
        FUZZ_ASSERT(core);
        if (!core->tc || core->tc->task_state != 2)
            FUZZ_ASSERT(core->thread_core && core->thread_core->creds);
        if (core->thread_core && core->thread_core->creds)
            check_creds(core->thread_core->creds);
        core_entry__free_unpacked(core, NULL);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static struct fuzz_image list[FUZZ_IMAGES_MAX];
    size_t n = fuzz_images(data, len, list);
    struct err err = {""};
    struct bundle b;
    struct index ix;
    struct tree t;

    if (make_index(list, n, &ix) < 0)
        return 0;
    make_bundle(list, n, &b);
    if (filter_run(&rules, &b, &ix, &t, &err) == 0) {
        tree_free(&t);
        check_cores(&b);
        for (size_t i = 0; i < b.n; i++)
            b.images[i].claimed = false;
        index_free(&ix);
        FUZZ_ASSERT(make_index(list, n, &ix) == 0);
        if (filter_run(&rules, &b, &ix, &t, &err) < 0) {
            fprintf(stderr, "does not hold: let through once, then refused: %s\n", err.text);
            abort();
        }
        tree_free(&t);
    } else if (getenv("FUZZ_VERBOSE")) {
        fprintf(stderr, "refused: %s\n", err.text);
    }
    bundle_free(&b);
    index_free(&ix);
    return 0;
}
