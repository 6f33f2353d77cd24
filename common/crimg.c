/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/crimg.h"

#include <errno.h>
#include <string.h>

/* How the number in a name is written. */
enum number { NONE, DECIMAL, HEX };

struct row {
    const char *prefix;
    enum number number;
    enum crimg_kind kind;
    uint32_t magic;
};

/* What CRIU 4.2 writes for a tree without namespaces of its own, seccomp filters, LSM labels,
 * established TCP connections or plugins, and what we add (ckpt-*).  ".img" follows. */
static const struct row rows[] = {
    {"inventory", NONE, CRIMG_INVENTORY, 0x58313116},
    {"pstree", NONE, CRIMG_PSTREE, 0x50273030},
    {"files", NONE, CRIMG_FILES, 0x56303138},
    {"core-", DECIMAL, CRIMG_CORE, 0x55053847},
    {"ids-", DECIMAL, CRIMG_IDS, 0x54432030},
    {"mm-", DECIMAL, CRIMG_MM, 0x57492820},
    {"fs-", DECIMAL, CRIMG_PLAIN, 0x51403912},
    {"fdinfo-", DECIMAL, CRIMG_PLAIN, 0x56213732},
    {"pagemap-", DECIMAL, CRIMG_PAGEMAP, 0x56084025},
    {"pagemap-shmem-", DECIMAL, CRIMG_PAGEMAP_SHMEM, 0x56084025},
    {"remap-fpath", NONE, CRIMG_PLAIN, 0x59133954},
    {"filelocks", NONE, CRIMG_PLAIN, 0x54323616},
    {"memfd", NONE, CRIMG_PLAIN, 0x48453499},
    {"tty-info", NONE, CRIMG_PLAIN, 0x59453036},
    {"tty-data", NONE, CRIMG_PLAIN, 0x59413026},
    {"pipes-data", NONE, CRIMG_PAYLOAD, 0x56453709},
    {"fifo-data", NONE, CRIMG_PAYLOAD, 0x59333054},
    {"sk-queues", NONE, CRIMG_SK_QUEUES, 0x56264026},
    {"pages-", DECIMAL, CRIMG_BULK, 0},
    {"ghost-file-", HEX, CRIMG_BULK, 0x52583605},
    {"ckpt-files", NONE, CRIMG_KEPT, 0x464b4350},
    {"ckpt-file-", DECIMAL, CRIMG_BULK, 0},
};
#define NROWS (sizeof rows / sizeof rows[0])

static const char suffix[] = ".img";

/* The digits of s in one form only: no sign, no leading zero, lower case.  Returns what follows
 * them, NULL when there are none or they exceed 64 bits. */
static const char *parse_number(const char *s, enum number number, uint64_t *value)
{
    const unsigned base = number == HEX ? 16 : 10;
    uint64_t v = 0;
    const char *p;

    for (p = s;; p++) {
        unsigned digit;

        if (*p >= '0' && *p <= '9')
            digit = (unsigned)(*p - '0');
        else if (number == HEX && *p >= 'a' && *p <= 'f')
            digit = (unsigned)(*p - 'a') + 10;
        else
            break;
        if (v > (UINT64_MAX - digit) / base)
            return NULL;
        v = v * base + digit;
    }
    if (p == s || (*s == '0' && p - s > 1))
        return NULL;
    *value = v;
    return p;
}

bool crimg_parse_name(const char *name, struct crimg_name *out)
{
    if (strnlen(name, CRIMG_NAME_MAX + 1) > CRIMG_NAME_MAX)
        return false;
    for (size_t i = 0; i < NROWS; i++) {
        size_t n = strlen(rows[i].prefix);
        const char *rest = name + n;
        uint64_t id = 0;

        if (strncmp(name, rows[i].prefix, n) != 0)
            continue;
        if (rows[i].number != NONE)
            rest = parse_number(rest, rows[i].number, &id);
        /* shmem ids are inode numbers; every other number is a 32-bit one */
        if (!rest || strcmp(rest, suffix) != 0 ||
            (id > UINT32_MAX && rows[i].kind != CRIMG_PAGEMAP_SHMEM))
            continue;
        out->prefix = rows[i].prefix;
        out->kind = rows[i].kind;
        out->magic = rows[i].magic;
        out->numbered = rows[i].number != NONE;
        out->id = id;
        return true;
    }
    return false;
}

bool crimg_ignored(const char *name)
{
    /* Written although there is nothing in them: the table of seccomp filters of a tree without
     * any, and the offsets of the initial time namespace, which an unprivileged restore does not
     * look at. */
    static const char *const names[] = {"seccomp.img", "timens-0.img", "stats-dump"};

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return false;
}

uint32_t crimg_get32(const uint8_t *p)
{
    return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

void crimg_put32(uint8_t *p, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        p[i] = (uint8_t)(v >> (8 * i));
}

size_t crimg_head_size(const struct crimg_name *name)
{
    if (name->magic == 0)
        return 0;
    return name->kind == CRIMG_INVENTORY ? 4 : 8;
}

size_t crimg_head_put(const struct crimg_name *name, uint8_t head[8])
{
    size_t n = crimg_head_size(name);

    if (n == 8)
        crimg_put32(head, CRIMG_MAGIC_COMMON);
    if (n > 0)
        crimg_put32(head + n - 4, name->magic);
    return n;
}

int crimg_open(struct crimg_iter *it, const struct crimg_name *name, const void *data, size_t len,
               struct err *err)
{
    uint8_t head[8];
    size_t n = crimg_head_put(name, head);

    if (len < n || memcmp(data, head, n) != 0) {
        errno = EBADMSG;
        return err_set(err, "wrong magic: not such an image, or of an old format");
    }
    it->data = data;
    it->len = len;
    it->off = n;
    return 0;
}

int crimg_next(struct crimg_iter *it, const uint8_t **msg, size_t *len, struct err *err)
{
    size_t left = it->len - it->off;
    uint32_t n;

    if (left == 0)
        return 0;
    errno = EBADMSG;
    if (left < 4)
        return err_set(err, "%zu stray bytes at the end", left);
    n = crimg_get32(it->data + it->off);
    if (n > left - 4)
        return err_set(err, "a message of %u bytes where %zu are left", n, left - 4);
    *msg = it->data + it->off + 4;
    *len = n;
    it->off += 4 + (size_t)n;
    return 1;
}

int crimg_skip(struct crimg_iter *it, size_t n, struct err *err)
{
    if (n > it->len - it->off) {
        errno = EBADMSG;
        return err_set(err, "%zu bytes of payload where %zu are left", n, it->len - it->off);
    }
    it->off += n;
    return 0;
}
