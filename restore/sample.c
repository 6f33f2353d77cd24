/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "restore/sample.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const gid_t groups[] = {SAMPLE_GID, 6001, 6002};

static void init_creds(struct sample *s, int i)
{
    CredsEntry *c = &s->creds[i];

    creds_entry__init(c);
    c->uid = c->euid = c->suid = c->fsuid = SAMPLE_UID;
    c->gid = c->egid = c->sgid = c->fsgid = SAMPLE_GID;
    c->n_cap_inh = c->n_cap_prm = c->n_cap_eff = c->n_cap_amb = c->n_cap_bnd = 2;
    c->cap_inh = s->inh[i];
    c->cap_prm = s->prm[i];
    c->cap_eff = s->eff[i];
    c->cap_amb = s->amb[i];
    c->cap_bnd = s->bnd[i];
    c->cap_bnd[0] = 0xfeffffff;
    c->cap_bnd[1] = 0x1ff;
    c->groups = s->groups[i];
    c->n_groups = 3;
    for (size_t g = 0; g < 3; g++)
        c->groups[g] = groups[g];
}

static void init_core(struct sample *s, int i)
{
    static uint8_t registers[] = {8, 0};
    CoreEntry *c = &s->core[i];

    core_entry__init(c);
    task_core_entry__init(&s->task[i]);
    thread_core_entry__init(&s->thread[i]);
    rseq_entry__init(&s->rseq[i]);
    init_creds(s, i);
    c->mtype = FILTER_X86_64;
    s->task[i].task_state = i == 4 ? 2 : 1;
    s->task[i].comm = (char *)(uintptr_t) "program";
    if (i == 0 || i >= 3)
        c->tc = &s->task[i];
    if (i == 4)
        return;
    c->has_thread_info = 1;
    c->thread_info.data = registers;
    c->thread_info.len = sizeof registers;
    c->thread_core = &s->thread[i];
    s->thread[i].creds = &s->creds[i];
    s->thread[i].rseq_entry = &s->rseq[i];
    s->rseq[i].rseq_abi_pointer = SAMPLE_RSEQ + 0x100u * (unsigned)i;
    s->rseq[i].rseq_abi_size = 32;
    s->rseq[i].signature = 0x53053053;
}

static void init_ids(TaskKobjIdsEntry *e, uint32_t files_id)
{
    task_kobj_ids_entry__init(e);
    e->vm_id = e->fs_id = e->sighand_id = 1;
    e->files_id = files_id;
#define NS(field, value) (e->has_##field = 1, e->field = value)
    NS(pid_ns_id, 1);
    NS(net_ns_id, 2);
    NS(ipc_ns_id, 3);
    NS(uts_ns_id, 4);
    NS(mnt_ns_id, 6);
    NS(user_ns_id, 7);
    NS(cgroup_ns_id, 8);
    NS(time_ns_id, 5);
#undef NS
}

static void set_vma(VmaEntry *v, uint64_t start, uint64_t end, uint32_t flags, uint32_t status)
{
    vma_entry__init(v);
    v->start = start;
    v->end = end;
    v->prot = 3;
    v->flags = flags;
    v->status = status;
    v->fd = -1;
}

static void init_mm(struct sample *s, int i)
{
    MmEntry *m = &s->mm[i];

    mm_entry__init(m);
    m->has_dumpable = 1;
    m->dumpable = 1;
    set_vma(&s->vma[i][0], 0x10000000, 0x10002000, 0x2, 0x41);   /* file, private */
    set_vma(&s->vma[i][1], 0x20000000, 0x20004000, 0x22, 0x201); /* anonymous, private */
    set_vma(&s->vma[i][2], 0x30000000, 0x30001000, 0x1, 0x81);   /* file, shared */
    set_vma(&s->vma[i][3], UINT64_C(0xffffffffff600000), UINT64_C(0xffffffffff601000), 0x22, 0x204);
    for (int v = 0; v < SAMPLE_VMAS; v++)
        s->vmas[i][v] = &s->vma[i][v];
    m->vmas = s->vmas[i];
    m->n_vmas = SAMPLE_VMAS;
    pagemap_head__init(&s->pagehead[i]);
    s->pagehead[i].pages_id = (uint32_t)i + 1;
    for (int p = 0; p < 2; p++) {
        PagemapEntry *e = &s->pages[i][p];

        pagemap_entry__init(e);
        e->vaddr = p ? 0x20000000 : 0x10001000;
        e->has_flags = e->has_nr_pages = 1;
        e->flags = 4;
        e->nr_pages = p ? 2 : 1;
    }
}

static void init_pstree(struct sample *s)
{
    static const uint32_t tids[SAMPLE_PROCS][3] = {{1000, 1001, 1002}, {1003}, {3628075424u}};

    memcpy(s->tids, tids, sizeof tids);
    for (int i = 0; i < SAMPLE_PROCS; i++) {
        PstreeEntry *e = &s->pstree[i];

        pstree_entry__init(e);
        e->pid = i ? 1002 + (uint32_t)i : 1000;
        e->ppid = i ? 1000 : 0;
        e->pgid = e->sid = 1000;
        e->threads = s->tids[i];
        e->n_threads = i ? 1 : 3;
    }
}

void sample_init(struct sample *s)
{
    memset(s, 0, sizeof *s);
    inventory_entry__init(&s->inventory);
    plugins_entry__init(&s->plugins);
    init_ids(&s->root_ids, 1);
    s->inventory.img_version = 2;
    s->inventory.has_fdinfo_per_id = s->inventory.fdinfo_per_id = 1;
    s->inventory.has_ns_per_id = s->inventory.ns_per_id = 1;
    s->inventory.has_lsmtype = 1;
    s->inventory.lsmtype = 2;
    s->inventory.root_ids = &s->root_ids;
    s->inventory.plugins_entry = &s->plugins;
    s->inventory.dump_criu_run_id = (char *)(uintptr_t) "x\";reboot";
    init_pstree(s);
    for (int i = 0; i < SAMPLE_THREADS; i++)
        init_core(s, i);
    for (int i = 0; i < SAMPLE_LIVE; i++) {
        init_ids(&s->ids[i], 2 + (uint32_t)i);
        init_mm(s, i);
    }
    file_entry__init(&s->file);
    reg_file_entry__init(&s->reg);
    s->file.type = CRIMG_FD_REG;
    s->file.id = s->reg.id = 1;
    s->file.reg = &s->reg;
    s->reg.name = (char *)(uintptr_t) "/usr/bin/program";
    sk_packet_entry__init(&s->packet);
    s->packet.id_for = 3;
    s->packet.length = 5;
    s->rules = (struct filter_rules){.uid = SAMPLE_UID,
                                     .gid = SAMPLE_GID,
                                     .groups = groups,
                                     .ngroups = 3,
                                     .label = "our-label",
                                     .machine = FILTER_X86_64,
                                     .page_size = SAMPLE_PAGE};
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct image *)a)->name, ((const struct image *)b)->name);
}

static struct image *find(struct sample *s, const char *name)
{
    for (size_t i = 0; i < s->b.n; i++)
        if (strcmp(s->b.images[i].name, name) == 0)
            return &s->b.images[i];
    return NULL;
}

static void append_message(struct image *im, const ProtobufCMessage *msg)
{
    size_t n = protobuf_c_message_get_packed_size(msg);

    im->data = realloc(im->data, im->len + 4 + n);
    assert(im->data);
    crimg_put32(im->data + im->len, (uint32_t)n);
    protobuf_c_message_pack(msg, im->data + im->len + 4);
    im->len += 4 + n;
}

void sample_add(struct sample *s, const char *name, const ProtobufCMessage *msg)
{
    struct image *im = find(s, name);

    if (!im) {
        s->b.images = realloc(s->b.images, (s->b.n + 1) * sizeof *im);
        assert(s->b.images);
        im = &s->b.images[s->b.n++];
        memset(im, 0, sizeof *im);
        snprintf(im->name, sizeof im->name, "%s", name);
        assert(crimg_parse_name(name, &im->parsed));
        im->data = malloc(8);
        assert(im->data);
        im->len = crimg_head_put(&im->parsed, im->data);
    }
    if (msg)
        append_message(im, msg);
    qsort(s->b.images, s->b.n, sizeof *s->b.images, by_name);
}

void sample_remove(struct sample *s, const char *name)
{
    struct image *im = find(s, name);

    assert(im);
    free(im->data);
    *im = s->b.images[--s->b.n];
    qsort(s->b.images, s->b.n, sizeof *s->b.images, by_name);
}

void sample_append(struct sample *s, const char *image, const void *bytes, size_t n, bool inside)
{
    struct image *im = find(s, image);
    size_t last = 0, head;

    assert(im);
    head = crimg_head_size(&im->parsed);
    for (size_t at = head; at < im->len; at += 4 + crimg_get32(im->data + at))
        last = at;
    im->data = realloc(im->data, im->len + n);
    assert(im->data && last);
    memcpy(im->data + im->len, bytes, n);
    im->len += n;
    if (inside)
        crimg_put32(im->data + last, crimg_get32(im->data + last) + (uint32_t)n);
}

#define MSG(m) ((const ProtobufCMessage *)&(m).base)

static void add_numbered(struct sample *s, const char *prefix, uint32_t id,
                         const ProtobufCMessage *msg)
{
    char name[64];

    snprintf(name, sizeof name, "%s%u.img", prefix, id);
    sample_add(s, name, msg);
}

void sample_encode(struct sample *s)
{
    static const char text[] = "pages-1.img 12288 12288 "
                               "0000000000000000000000000000000000000000000000000000000000000000\n"
                               "pages-2.img 12288 12288 "
                               "0000000000000000000000000000000000000000000000000000000000000000\n";
    static const uint32_t tid[] = {1000, 1001, 1002, 1003, 1004};

    sample_free(s);
    sample_add(s, "inventory.img", MSG(s->inventory));
    for (int i = 0; i < SAMPLE_PROCS; i++)
        sample_add(s, "pstree.img", MSG(s->pstree[i]));
    for (int i = 0; i < SAMPLE_THREADS; i++)
        add_numbered(s, "core-", tid[i], MSG(s->core[i]));
    for (int i = 0; i < SAMPLE_LIVE; i++) {
        add_numbered(s, "ids-", s->pstree[i].pid, MSG(s->ids[i]));
        add_numbered(s, "mm-", s->pstree[i].pid, MSG(s->mm[i]));
        add_numbered(s, "fs-", s->pstree[i].pid, NULL);
        add_numbered(s, "fdinfo-", s->ids[i].files_id, NULL);
        add_numbered(s, "pagemap-", s->pstree[i].pid, MSG(s->pagehead[i]));
        for (int p = 0; p < 2; p++)
            add_numbered(s, "pagemap-", s->pstree[i].pid, MSG(s->pages[i][p]));
    }
    sample_add(s, "files.img", MSG(s->file));
    sample_add(s, "sk-queues.img", MSG(s->packet));
    sample_append(s, "sk-queues.img", "hello", 5, false);
    assert(index_load(text, sizeof text - 1, 0, &s->ix, NULL) == 0);
}

void sample_free(struct sample *s)
{
    bundle_free(&s->b);
    index_free(&s->ix);
}

int sample_filter(struct sample *s, struct tree *t, char text[512])
{
    struct err err = {""};
    int rc = filter_run(&s->rules, &s->b, &s->ix, t, &err);

    snprintf(text, 512, "%s", err.text);
    return rc < 0 ? errno : 0;
}
