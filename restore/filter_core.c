/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "restore/filter_impl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* CRIU's task states */
enum { ALIVE = 1, DEAD = 2, STOPPED = 3 };

#define RSEQ_ALIGN 32u
#define RSEQ_SIZE_MIN 32u
#define RSEQ_SIZE_MAX 4096u
#define NGROUPS_LIMIT 65536u

struct reader {
    struct filter *f;
    struct image *im;
};

static int refuse(const struct reader *r, const char *what)
{
    return filter_refuse(r->f, r->im, EPERM, "%s", what);
}

static int check_ids(const struct reader *r, const CredsEntry *c)
{
    const uint32_t uid = r->f->rules->uid, gid = r->f->rules->gid;
    const struct {
        const char *name;
        uint32_t has, wants;
    } ids[] = {
        {"uid", c->uid, uid},     {"euid", c->euid, uid},   {"suid", c->suid, uid},
        {"fsuid", c->fsuid, uid}, {"gid", c->gid, gid},     {"egid", c->egid, gid},
        {"sgid", c->sgid, gid},   {"fsgid", c->fsgid, gid},
    };

    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++)
        if (ids[i].has != ids[i].wants)
            return filter_refuse(r->f, r->im, EPERM, "%s is %u, the job's is %u", ids[i].name,
                                 ids[i].has, ids[i].wants);
    return 0;
}

static int check_no_caps(const struct reader *r, const char *set, const uint32_t *words, size_t n)
{
    if (n != 2)
        return filter_refuse(r->f, r->im, EPERM, "capability set %s has %zu words, not 2", set, n);
    if (words[0] || words[1])
        return filter_refuse(r->f, r->im, EPERM, "capabilities in set %s: %08x%08x", set, words[1],
                             words[0]);
    return 0;
}

static int by_value(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return x < y ? -1 : x > y;
}

/* The same groups as ours, in any order: served in the order in which the kernel tells them,
 * because CRIU compares in order and calls setgroups() when it differs. */
static int check_groups(const struct reader *r, CredsEntry *c)
{
    const struct filter_rules *rules = r->f->rules;
    uint32_t *ours;
    bool same;

    if (c->n_groups != rules->ngroups || c->n_groups > NGROUPS_LIMIT)
        return filter_refuse(r->f, r->im, EPERM, "%zu supplementary groups, the job has %zu",
                             c->n_groups, rules->ngroups);
    if (c->n_groups == 0)
        return 0;
    ours = malloc(c->n_groups * sizeof *ours);
    if (!ours)
        return err_sys(r->f->err, "groups");
    memcpy(ours, rules->groups, c->n_groups * sizeof *ours);
    qsort(ours, c->n_groups, sizeof *ours, by_value);
    qsort(c->groups, c->n_groups, sizeof *c->groups, by_value);
    same = memcmp(ours, c->groups, c->n_groups * sizeof *ours) == 0;
    free(ours);
    if (!same)
        return refuse(r, "other supplementary groups than the job's");
    memcpy(c->groups, rules->groups, c->n_groups * sizeof *c->groups);
    return 0;
}

/* A label equal to our own is what the process gets anyway, as a child of CRIU: nothing need be
 * set. */
static int check_label(const struct reader *r, CredsEntry *c)
{
    if (c->lsm_profile && *c->lsm_profile && strcmp(c->lsm_profile, r->f->rules->label) != 0)
        return refuse(r, "a security label (LSM profile) that is not the job's");
    if ((c->lsm_sockcreate && *c->lsm_sockcreate) ||
        (c->has_apparmor_data && c->apparmor_data.len > 0))
        return refuse(r, "a security label (LSM)");
    free(c->lsm_profile);
    free(c->lsm_sockcreate);
    free(c->apparmor_data.data);
    c->lsm_profile = c->lsm_sockcreate = NULL;
    c->has_apparmor_data = 0;
    c->apparmor_data.data = NULL;
    c->apparmor_data.len = 0;
    return 0;
}

/* The restorer drops every bit that the image lacks, which needs CAP_SETPCAP even where the bit is
 * gone already.  With all ones it leaves the set as it is: that of this job here. */
static int fill_bounding_set(const struct reader *r, CredsEntry *c)
{
    uint32_t *words = malloc(2 * sizeof *words);

    if (!words)
        return err_sys(r->f->err, "capabilities");
    words[0] = 0xffffffff;
    words[1] = 0x1ff; /* up to CAP_CHECKPOINT_RESTORE, the last one: more make CRIU warn */
    free(c->cap_bnd);
    c->cap_bnd = words;
    c->n_cap_bnd = 2;
    return 0;
}

static int check_creds(const struct reader *r, CredsEntry *c)
{
    if (check_ids(r, c) < 0 || check_no_caps(r, "inheritable", c->cap_inh, c->n_cap_inh) < 0 ||
        check_no_caps(r, "permitted", c->cap_prm, c->n_cap_prm) < 0 ||
        check_no_caps(r, "effective", c->cap_eff, c->n_cap_eff) < 0 ||
        check_no_caps(r, "ambient", c->cap_amb, c->n_cap_amb) < 0)
        return -1;
    if (c->n_cap_bnd != 2)
        return refuse(r, "a bounding set that is not two words");
    if (c->secbits != 0)
        return filter_refuse(r->f, r->im, EPERM, "securebits 0x%x", c->secbits);
    if (c->has_no_new_privs && c->no_new_privs > 1)
        return refuse(r, "no_new_privs is neither 0 nor 1");
    if (check_groups(r, c) < 0 || check_label(r, c) < 0)
        return -1;
    return fill_bounding_set(r, c);
}

static int note_rseq(const struct reader *r, const RseqEntry *e, struct rseq_areas *areas)
{
    struct rseq_area *more;

    if (e->rseq_abi_pointer == 0)
        return 0;
    if (e->rseq_abi_pointer % RSEQ_ALIGN || e->rseq_abi_size < RSEQ_SIZE_MIN ||
        e->rseq_abi_size > RSEQ_SIZE_MAX)
        return refuse(r, "an rseq area that the kernel would not take");
    more = realloc(areas->v, (areas->n + 1) * sizeof *more);
    if (!more)
        return err_sys(r->f->err, "rseq");
    areas->v = more;
    more[areas->n].at = e->rseq_abi_pointer;
    more[areas->n++].size = e->rseq_abi_size;
    return 0;
}

static int check_thread(const struct reader *r, ThreadCoreEntry *t, struct rseq_areas *areas)
{
    if (!t)
        return refuse(r, "no thread state: it would keep CRIU's credentials");
    if (!t->creds)
        return refuse(r, "no credentials: it would keep CRIU's");
    if ((t->has_seccomp_mode && t->seccomp_mode != 0) || t->has_seccomp_filter)
        return refuse(r, "a seccomp filter: cannot be restored without root");
    if (t->has_cg_set && t->cg_set != 0)
        return refuse(r, "a cgroup to move to");
    if (check_creds(r, t->creds) < 0)
        return -1;
    return t->rseq_entry ? note_rseq(r, t->rseq_entry, areas) : 0;
}

static int check_task(const struct reader *r, const TaskCoreEntry *t)
{
    if (t->task_state != ALIVE && t->task_state != DEAD && t->task_state != STOPPED)
        return filter_refuse(r->f, r->im, EBADMSG, "task state %u", t->task_state);
    if (t->has_old_seccomp_mode || t->has_old_seccomp_filter)
        return refuse(r, "seccomp state in an old form");
    if (t->has_cg_set && t->cg_set != 0)
        return refuse(r, "a cgroup to move to");
    return 0;
}

static int check_core(const struct reader *r, CoreEntry *c, struct proc *p, bool leader,
                      struct rseq_areas *areas)
{
    const uint32_t machine = r->f->rules->machine;

    if (c->mtype != machine)
        return filter_refuse(r->f, r->im, EBADMSG, "of another machine type (%u, here %u)",
                             c->mtype, machine);
    if (c->ids)
        return refuse(r, "ids in an old form");
    if (leader != (c->tc != NULL))
        return filter_refuse(r->f, r->im, EBADMSG, "task state %s",
                             leader ? "is missing" : "in a thread");
    if (leader && check_task(r, c->tc) < 0)
        return -1;
    if (leader && c->tc->task_state == DEAD) {
        /* It runs no code of its own any more: CRIU makes it exit. */
        if (c->thread_core || p->ntids != 1 || p->ppid == 0)
            return refuse(r, "a zombie that is more than that");
        p->dead = true;
        return 0;
    }
    if (c->has_thread_info != (machine == FILTER_X86_64) ||
        c->has_ti_aarch64 != (machine == FILTER_AARCH64))
        return filter_refuse(r->f, r->im, EBADMSG, "registers of another machine type");
    return check_thread(r, c->thread_core, areas);
}

static int filter_core(struct filter *f, struct proc *p, uint32_t tid, struct rseq_areas *areas)
{
    struct reader r = {f, filter_claim(f, "core-", tid)};
    ProtobufCMessage *msg;
    int rc;

    if (!r.im)
        return -1;
    msg = filter_decode_one(f, r.im, &core_entry__descriptor);
    if (!msg)
        return -1;
    rc = check_core(&r, (CoreEntry *)msg, p, tid == p->pid, areas);
    if (rc == 0)
        rc = filter_encode_one(f, r.im, msg);
    protobuf_c_message_free_unpacked(msg, NULL);
    return rc;
}

int filter_cores(struct filter *f, struct proc *p, struct rseq_areas *areas)
{
    for (size_t i = 0; i < p->ntids; i++)
        if (filter_core(f, p, p->tids[i], areas) < 0)
            return -1;
    return 0;
}
