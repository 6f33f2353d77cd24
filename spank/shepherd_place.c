/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/io.h"
#include "common/manifest.h"
#include "common/placement.h"
#include "spank/clerk.h"
#include "spank/placing.h"
#include "spank/shepherd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define PLACE_TIMEOUT_MS                                                                           \
    60000 /* placing_memory.c stops long before: its thread would end with it */

struct place_work {
    const struct facts *facts;
    const struct topo_cpus *own;
    int rootfd;
    const char *generation;
    bool source; /* it is that of the job whose checkpoint this one begins with */
};

/* A clerk is a child in the job's own pid namespace: /proc and the numbers there are the tree's. */
static pid_t root_of(int rootfd)
{
    pid_t pid = shepherd_root_pid(rootfd);

    return pid > 0 ? pid : -1;
}

static int write_placement(int taskfd, const char *name, const struct placement *p, struct err *err)
{
    char *text = placement_encode(p, err);
    int fd = -1, rc = -1;

    if (!text)
        return -1;
    (void)unlinkat(taskfd, name, 0);
    fd = gendir_open_file(taskfd, name, O_WRONLY | O_CREAT, 0600, err);
    if (fd >= 0 && io_write_full(fd, text, strlen(text)) == 0)
        rc = 0;
    else if (fd >= 0)
        err_sys(err, "cannot write %s", name);
    if (rc < 0)
        (void)unlinkat(taskfd, name, 0);
    io_close(&fd);
    free(text);
    return rc;
}

static void stamp(const struct facts *f, const char *generation, struct placement *p)
{
    time_t now = time(NULL);
    struct tm tm;

    snprintf(p->node, sizeof p->node, "%s", f->node);
    snprintf(p->generation, sizeof p->generation, "%s", generation);
    if (gmtime_r(&now, &tm))
        strftime(p->created, sizeof p->created, "%Y-%m-%dT%H:%M:%SZ", &tm);
}

static int save(void *arg, void *result, struct err *err)
{
    const struct place_work *w = arg;
    struct placement p = {.nbindings = 0};
    int taskfd = gendir_open_task(w->facts, false, err), rc;

    (void)result;
    if (taskfd < 0)
        return -1;
    (void)unlinkat(taskfd, PLACEMENT_NEXT, 0); /* an older one must not be taken for this one */
    rc = placing_look(root_of(w->rootfd), w->own, &p, err);
    if (rc == 0) {
        stamp(w->facts, "", &p);
        rc = write_placement(taskfd, PLACEMENT_NEXT, &p, err);
    }
    placement_free(&p);
    io_close(&taskfd);
    return rc;
}

void shepherd_place_save(struct shepherd *s)
{
    struct place_work w = {.facts = &s->facts, .own = &s->own, .rootfd = s->rootfd};
    struct err err = {{0}};
    static bool said;

    if (clerk_run(save, &w, NULL, 0, PLACE_TIMEOUT_MS, &err) == 0 || said)
        return;
    said = true;
    shepherd_say("the CPU binding of the threads is not saved: %s", err.text);
}

/* ---- after a restore ---- */

/* The restore has verified manifest and seal. */
static int load(int genfd, struct placement *p, struct err *err)
{
    int fd = gendir_open_file(genfd, MANIFEST_FILE, O_RDONLY, 0, err);
    size_t len = 0;
    char *text = fd < 0 ? NULL : io_slurp(fd, MANIFEST_MAX_BYTES, &len, err);
    struct manifest m;
    int rc = text ? manifest_decode(text, len, &m, err) : -1;

    io_close(&fd);
    free(text);
    if (rc < 0)
        return -1;
    rc = placement_load(genfd, &m, p, err);
    manifest_free(&m);
    return rc;
}

static int place(void *arg, void *result, struct err *err)
{
    const struct place_work *w = arg;
    struct placing_result *r = result;
    struct placement old = {.nbindings = 0}, now = {.nbindings = 0};
    int taskfd = gendir_open_task(w->facts, false, err), fromfd, genfd = -1, rc = -1;

    if (taskfd < 0)
        return -1;
    fromfd = w->source ? shepherd_files_open_source(w->facts, err) : taskfd;
    if (fromfd >= 0)
        genfd = gendir_open_dir(fromfd, w->generation, err);
    if (fromfd != taskfd)
        io_close(&fromfd);
    if (genfd >= 0)
        rc = load(genfd, &old, err);
    if (rc > 0) {
        rc = placing_restore(root_of(w->rootfd), w->own, &old, &now, r, err);
        if (rc == 0) {
            stamp(w->facts, w->generation, &now);
            rc = write_placement(taskfd, PLACEMENT_NOW, &now, err);
        }
    }
    placement_free(&old);
    placement_free(&now);
    io_close(&genfd);
    io_close(&taskfd);
    return rc;
}

void shepherd_place_restore(struct shepherd *s, const char *generation)
{
    struct place_work w = {.facts = &s->facts,
                           .own = &s->own,
                           .rootfd = s->rootfd,
                           .generation = generation,
                           .source = s->from_source};
    struct placing_result r = {.bound = 0};
    struct err err = {{0}};

    if (clerk_run(place, &w, &r, sizeof r, PLACE_TIMEOUT_MS, &err) < 0) {
        shepherd_say("the threads are not bound to CPUs as before: %s", err.text);
        return;
    }
    if (r.bound > 0)
        shepherd_say("%u threads are bound to CPUs as before%s", r.bound,
                     r.same_shape ? "" : ", mapped onto another set of cores");
    if (r.failed > 0)
        shepherd_say("%u threads could not be bound to CPUs: %s", r.failed, r.why);
    if (r.policies > 0 || r.areas > 0)
        shepherd_say("the NUMA memory policy of %u threads and %u areas is as before", r.policies,
                     r.areas);
    if (r.policies_failed > 0)
        shepherd_say("the NUMA memory policy of %u threads or processes could not be given back: "
                     "%s; what they allocate from now on comes from the node that touches it first",
                     r.policies_failed, r.policy_why);
    if (r.back_ms > 0)
        shepherd_say(
            "this node's clock since its start (CLOCK_MONOTONIC) is %llu.%03u s behind the one "
            "that the job had: programs may wait for that long, or see times before their "
            "beginning",
            (unsigned long long)(r.back_ms / 1000), (unsigned)(r.back_ms % 1000));
}
