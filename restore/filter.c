/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "restore/filter_impl.h"

#include "restore/wire.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define IMG_VERSION 2u       /* CRIU's CRTOOLS_IMAGES_V1_1 */
#define NETWORK_LOCK_SKIP 2u /* of NETWORK_LOCK_METHOD */
#define LSM_APPARMOR 2u

int filter_refuse(struct filter *f, const struct image *im, int error, const char *fmt, ...)
{
    char text[256];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    errno = error;
    return err_set(f->err, "%s: %s", im->name, text);
}

struct image *filter_claim(struct filter *f, const char *prefix, uint64_t id)
{
    struct image *im = bundle_find_id(f->b, prefix, id);

    if (!im) {
        errno = EBADMSG;
        err_set(f->err, "%s%" PRIu64 ".img is missing", prefix, id);
        return NULL;
    }
    im->claimed = true;
    return im;
}

static struct image *claim_named(struct filter *f, const char *name)
{
    struct image *im = bundle_find(f->b, name);

    if (!im) {
        errno = EBADMSG;
        err_set(f->err, "%s is missing", name);
        return NULL;
    }
    im->claimed = true;
    return im;
}

ProtobufCMessage *filter_decode_one(struct filter *f, const struct image *im,
                                    const ProtobufCMessageDescriptor *type)
{
    struct crimg_iter it;
    const uint8_t *data, *more;
    ProtobufCMessage *msg;
    size_t len, more_len;
    int rc;

    rc = crimg_open(&it, &im->parsed, im->data, im->len, f->err) < 0
             ? -1
             : crimg_next(&it, &data, &len, f->err);
    if (rc <= 0) {
        if (rc == 0)
            filter_refuse(f, im, EBADMSG, "empty");
        else
            err_prefix(f->err, "%s", im->name);
        return NULL;
    }
    if (crimg_next(&it, &more, &more_len, f->err) != 0) {
        filter_refuse(f, im, EBADMSG, "more than its one message");
        return NULL;
    }
    msg = wire_decode(data, len, type, f->err);
    if (!msg)
        err_prefix(f->err, "%s", im->name);
    return msg;
}

int filter_append(struct filter *f, uint8_t **data, size_t *len, const ProtobufCMessage *msg)
{
    size_t n = protobuf_c_message_get_packed_size(msg);
    uint8_t *bigger;

    if (n > CRIMG_TOTAL_MAX) {
        errno = EFBIG;
        return err_set(f->err, "a message of %zu bytes", n);
    }
    bigger = realloc(*data, *len + 4 + n);
    if (!bigger)
        return err_sys(f->err, "image");
    *data = bigger;
    crimg_put32(bigger + *len, (uint32_t)n);
    protobuf_c_message_pack(msg, bigger + *len + 4);
    *len += 4 + n;
    return 0;
}

int filter_encode_one(struct filter *f, struct image *im, const ProtobufCMessage *msg)
{
    uint8_t *data = malloc(8);
    size_t len;

    if (!data)
        return err_sys(f->err, "%s", im->name);
    len = crimg_head_put(&im->parsed, data);
    if (filter_append(f, &data, &len, msg) < 0) {
        free(data);
        return -1;
    }
    free(im->data);
    im->data = data;
    im->len = len;
    return 0;
}

static int check_inventory(struct filter *f, const struct image *im, InventoryEntry *e)
{
    if (e->img_version != IMG_VERSION)
        return filter_refuse(f, im, EBADMSG, "image format %u, not %u", e->img_version,
                             IMG_VERSION);
    if (!e->has_fdinfo_per_id || !e->fdinfo_per_id || !e->has_ns_per_id || !e->ns_per_id ||
        !e->root_ids)
        return filter_refuse(f, im, EBADMSG, "of an old format");
    if (e->has_root_cg_set || (e->has_tcp_close && e->tcp_close) ||
        (e->has_allow_uprobes && e->allow_uprobes))
        return filter_refuse(f, im, EPERM, "cgroups, TCP or uprobes to restore");
    /* Without the list CRIU enables every plugin. */
    if (!e->plugins_entry || e->plugins_entry->n_plugins > 0)
        return filter_refuse(f, im, EPERM, "plugins to load");
    if (e->has_lsmtype && e->lsmtype > LSM_APPARMOR)
        return filter_refuse(f, im, EBADMSG, "security module %u", e->lsmtype);
    e->has_lsmtype = 1;
    e->lsmtype = 0; /* no label is restored, see filter_core.c */
    e->has_network_lock_method = 1;
    e->network_lock_method = NETWORK_LOCK_SKIP;
    free(e->dump_criu_run_id); /* only names firewall tables */
    e->dump_criu_run_id = NULL;
    f->root_ids = *e->root_ids;
    return 0;
}

static int filter_inventory(struct filter *f)
{
    struct image *im = claim_named(f, "inventory.img");
    ProtobufCMessage *msg = im ? filter_decode_one(f, im, &inventory_entry__descriptor) : NULL;
    int rc;

    if (!msg)
        return -1;
    rc = check_inventory(f, im, (InventoryEntry *)msg);
    if (rc == 0)
        rc = filter_encode_one(f, im, msg);
    protobuf_c_message_free_unpacked(msg, NULL);
    return rc;
}

typedef int each_fn(struct filter *f, struct image *im, ProtobufCMessage *msg);

/* Every message of an image through fn, and encoded anew. */
static int filter_each(struct filter *f, struct image *im, const ProtobufCMessageDescriptor *type,
                       each_fn *fn)
{
    struct crimg_iter it;
    const uint8_t *data;
    uint8_t *out = malloc(8);
    size_t len, out_len;
    int rc;

    if (!out)
        return err_sys(f->err, "%s", im->name);
    out_len = crimg_head_put(&im->parsed, out);
    rc = crimg_open(&it, &im->parsed, im->data, im->len, f->err);
    while (rc == 0 && (rc = crimg_next(&it, &data, &len, f->err)) > 0) {
        ProtobufCMessage *msg = wire_decode(data, len, type, f->err);

        rc = msg ? fn(f, im, msg) : -1;
        if (rc == 0)
            rc = filter_append(f, &out, &out_len, msg);
        if (msg)
            protobuf_c_message_free_unpacked(msg, NULL);
    }
    if (rc < 0) {
        free(out);
        if (strncmp(f->err ? f->err->text : "", im->name, strlen(im->name)) != 0)
            err_prefix(f->err, "%s", im->name);
        return -1;
    }
    free(im->data);
    im->data = out;
    im->len = out_len;
    return 0;
}

static int add_process(struct filter *f, struct image *im, ProtobufCMessage *msg)
{
    PstreeEntry *e = (PstreeEntry *)msg;
    struct proc p = {e->pid, e->ppid, e->pgid, e->sid, e->threads, e->n_threads, false};
    char name[CRIMG_NAME_MAX + 1];

    /* CRIU 4.2 writes whatever memory holds as the only thread of a zombie.  A zombie has a core
     * and no ids. */
    snprintf(name, sizeof name, "ids-%u.img", e->pid);
    if (e->n_threads == 1 && !bundle_find(f->b, name))
        e->threads[0] = e->pid;
    (void)im;
    return tree_add(f->tree, &p, f->err);
}

static bool same_namespaces(const TaskKobjIdsEntry *a, const TaskKobjIdsEntry *b)
{
#define SAME(field)                                                                                \
    (!a->has_##field == !b->has_##field && (!a->has_##field || a->field == b->field))
    return SAME(pid_ns_id) && SAME(net_ns_id) && SAME(ipc_ns_id) && SAME(uts_ns_id) &&
           SAME(mnt_ns_id) && SAME(user_ns_id) && SAME(cgroup_ns_id) && SAME(time_ns_id);
#undef SAME
}

static void claim_if_there(struct filter *f, const char *prefix, uint64_t id)
{
    struct image *im = bundle_find_id(f->b, prefix, id);

    if (im)
        im->claimed = true;
}

static int filter_ids(struct filter *f, const struct proc *p)
{
    struct image *im = filter_claim(f, "ids-", p->pid);
    ProtobufCMessage *msg;
    int rc = 0;

    if (!im)
        return -1;
    msg = filter_decode_one(f, im, &task_kobj_ids_entry__descriptor);
    if (!msg)
        return -1;
    if (!same_namespaces((TaskKobjIdsEntry *)msg, &f->root_ids))
        rc = filter_refuse(f, im, EPERM, "namespaces of its own");
    if (rc == 0)
        rc = filter_encode_one(f, im, msg);
    claim_if_there(f, "fdinfo-", ((TaskKobjIdsEntry *)msg)->files_id);
    protobuf_c_message_free_unpacked(msg, NULL);
    return rc;
}

static int filter_process(struct filter *f, struct proc *p)
{
    struct rseq_areas areas = {NULL, 0};
    int rc = filter_cores(f, p, &areas);

    if (rc == 0 && !p->dead) {
        claim_if_there(f, "fs-", p->pid);
        rc = filter_ids(f, p) < 0 ? -1 : filter_memory(f, p, &areas);
    }
    free(areas.v);
    return rc;
}

static int refuse_descriptors(const struct filter *f)
{
    errno = EPERM;
    return err_set(f->err, "a socket with open files on their way through it");
}

static int filter_queues(struct filter *f, struct image *im)
{
    struct crimg_iter it;
    const uint8_t *data;
    size_t len;
    int rc = crimg_open(&it, &im->parsed, im->data, im->len, f->err);

    while (rc == 0 && (rc = crimg_next(&it, &data, &len, f->err)) > 0) {
        ProtobufCMessage *msg = wire_decode(data, len, &sk_packet_entry__descriptor, f->err);
        const SkPacketEntry *e = (const SkPacketEntry *)msg;

        if (!msg)
            rc = -1;
        else if (e->n_scm > 0)
            rc = refuse_descriptors(f);
        else
            rc = crimg_skip(&it, e->length, f->err);
        if (msg)
            protobuf_c_message_free_unpacked(msg, NULL);
    }
    im->claimed = true;
    return rc < 0 ? err_prefix(f->err, "%s", im->name) : 0;
}

static int filter_plain(struct filter *f, struct image *im)
{
    struct crimg_iter it;
    const uint8_t *data;
    size_t len;
    int rc = crimg_open(&it, &im->parsed, im->data, im->len, f->err);

    while (rc == 0 && (rc = crimg_next(&it, &data, &len, f->err)) > 0)
        rc = 0;
    return rc < 0 ? err_prefix(f->err, "%s", im->name) : 0;
}

/* What is left once the processes have claimed theirs. */
static int filter_rest(struct filter *f, struct image *im)
{
    switch (im->parsed.kind) {
    case CRIMG_PAGEMAP_SHMEM:
        return filter_shmem(f, im);
    case CRIMG_SK_QUEUES:
        return filter_queues(f, im);
    case CRIMG_PLAIN:
        if (!im->parsed.numbered)
            im->claimed = true;
        return filter_plain(f, im);
    case CRIMG_PAYLOAD:
    case CRIMG_KEPT:
        im->claimed = true;
        return 0;
    default:
        return 0;
    }
}

static int filter_bulk(struct filter *f)
{
    for (size_t i = 0; i < f->ix->nimages; i++) {
        const struct bulk *im = &f->ix->images[i];
        /* Ghost files are not pages; for ours see filelist.h: CRIU never asks for them. */
        bool used = im->parsed.magic != 0 || strcmp(im->parsed.prefix, "ckpt-file-") == 0;

        for (size_t j = 0; j < f->npages && !used; j++)
            used = f->pages[j] == im;
        if (!used) {
            errno = EBADMSG;
            return err_set(f->err, "%s belongs to no process", im->name);
        }
    }
    return 0;
}

static int filter_all(struct filter *f)
{
    struct image *pstree, *files;

    if (filter_inventory(f) < 0 || !(pstree = claim_named(f, "pstree.img")) ||
        filter_each(f, pstree, &pstree_entry__descriptor, add_process) < 0 ||
        tree_finish(f->tree, f->err) < 0)
        return -1;
    for (size_t i = 0; i < f->tree->n; i++)
        if (filter_process(f, &f->tree->procs[i]) < 0)
            return -1;
    if (!(files = claim_named(f, "files.img")) ||
        filter_each(f, files, &file_entry__descriptor, filter_file) < 0)
        return -1;
    for (size_t i = 0; i < f->b->n; i++) {
        struct image *im = &f->b->images[i];

        if (filter_rest(f, im) < 0)
            return -1;
        if (!im->claimed)
            return filter_refuse(f, im, EBADMSG, "belongs to no process");
    }
    return filter_bulk(f);
}

int filter_run(const struct filter_rules *r, struct bundle *b, struct index *ix, struct tree *t,
               struct err *err)
{
    struct tree tree = {0};
    struct err own;
    struct filter f = {.rules = r, .b = b, .ix = ix, .tree = &tree, .err = err ? err : &own};
    int rc = -1;

    f.pages = calloc(ix->nimages ? ix->nimages : 1, sizeof(struct bulk *));
    if (!f.pages)
        return err_sys(err, "images");
    own.text[0] = '\0';
    rc = filter_all(&f);
    free(f.pages);
    if (rc == 0)
        *t = tree;
    else
        tree_free(&tree);
    return rc;
}

static char *own_label(void)
{
    char label[4096];
    ssize_t n = -1;
    int fd = open("/proc/thread-self/attr/current", O_RDONLY | O_CLOEXEC);

    if (fd >= 0) {
        n = read(fd, label, sizeof label - 1);
        close(fd);
    }
    label[n > 0 ? n : 0] = '\0';
    label[strcspn(label, "\n")] = '\0';
    return strdup(label);
}

int filter_rules_own(struct filter_rules *r, uid_t uid, gid_t gid, struct err *err)
{
    int n = getgroups(0, NULL);
    gid_t *groups;
    char *label;

    if (n < 0)
        return err_sys(err, "getgroups");
    groups = calloc((size_t)n + 1, sizeof *groups);
    label = own_label();
    if (!groups || !label || getgroups(n, groups) != n) {
        err_sys(err, "getgroups");
        free(groups);
        free(label);
        return -1;
    }
    r->any_size = NULL;
    r->any_size_arg = NULL;
    r->renames = NULL;
    r->nrenames = 0;
    r->uid = uid;
    r->gid = gid;
    r->groups = groups;
    r->ngroups = (size_t)n;
    r->label = label;
#if defined(__x86_64__)
    r->machine = FILTER_X86_64;
#elif defined(__aarch64__)
    r->machine = FILTER_AARCH64;
#else
#error "CRIU's number for this machine is not known here"
#endif
    r->page_size = (uint64_t)sysconf(_SC_PAGESIZE);
    return 0;
}

void filter_rules_free(struct filter_rules *r)
{
    free((void *)(uintptr_t)r->groups);
    free((void *)(uintptr_t)r->label);
    memset(r, 0, sizeof *r);
}
