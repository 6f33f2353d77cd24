/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "check/impl.h"
#include "common/seal.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void preflight_add(struct preflight *p, const char *name, enum preflight_verdict verdict,
                   enum preflight_scope scope, const char *fmt, ...)
{
    struct preflight_point *x;
    va_list ap;

    if (p->n == PREFLIGHT_MAX) {
        x = &p->points[PREFLIGHT_MAX - 1];
        x->verdict = x->verdict > verdict ? x->verdict : verdict;
        snprintf(x->text, sizeof x->text, "and more");
        return;
    }
    x = &p->points[p->n++];
    snprintf(x->name, sizeof x->name, "%s", name);
    x->verdict = verdict;
    x->node = scope == HERE;
    va_start(ap, fmt);
    vsnprintf(x->text, sizeof x->text, fmt, ap);
    va_end(ap);
    err_clean(x->text);
}

const char *preflight_word(enum preflight_verdict v)
{
    static const char *const words[] = {"good", "warn", "fail"};

    return words[v];
}

enum preflight_verdict preflight_worst(const struct preflight *p)
{
    enum preflight_verdict worst = PREFLIGHT_GOOD;

    for (size_t i = 0; i < p->n; i++)
        if (p->points[i].verdict > worst)
            worst = p->points[i].verdict;
    return worst;
}

/* Without munge no seal can be verified, nor a new one made. */
static bool check_munge(const struct facts *f, struct preflight *p)
{
    struct err err = {""};
    char hex[65], *cred;

    seal_digest("", 0, hex);
    cred = seal_make(hex, f->uid, f->munge_socket, &err);
    if (cred)
        preflight_add(p, "munge", PREFLIGHT_GOOD, HERE, "it answers");
    else
        preflight_add(p, "munge", PREFLIGHT_FAIL, HERE, "%s", err.text);
    free(cred);
    return cred != NULL;
}

void preflight_run(int taskfd, struct gendir_id id, const struct facts *f, bool by_hand,
                   struct preflight *p)
{
    struct checkpoint c;
    struct err err = {""};

    memset(p, 0, sizeof *p);
    p->by_hand = by_hand;
    gendir_format_name(id, false, p->generation);
    if (!check_munge(f, p))
        return;
    if (verify_open(taskfd, id, f, &c, &err) < 0) {
        preflight_add(p, "images", PREFLIGHT_FAIL, EVERYWHERE, "%s", err.text);
        return;
    }
    preflight_add(p, "images", PREFLIGHT_GOOD, EVERYWHERE,
                  "seal, manifest and small images are good; the memory is verified as it is read");
    preflight_machine(&c, f, p);
    preflight_pids(&c, f, p);
    preflight_paths(&c, f, p);
    preflight_limits(taskfd, &c, p);
    verify_close(&c);
}
