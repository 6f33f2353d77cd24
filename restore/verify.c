/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "restore/verify.h"

#include "common/beneath.h"
#include "common/io.h"
#include "common/seal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>

#define IMAGES_MAX_BYTES (CRIMG_TOTAL_MAX + (64u << 20)) /* stored: incompressible, and headers */

int verify_choose(int taskfd, const char *before, bool exact, struct gendir_id *id, struct err *err)
{
    struct gendir_id *all = NULL, limit = {0, 0};
    int n, found = -1;

    if (*before && !gendir_parse_name(before, &limit, NULL)) {
        errno = EINVAL;
        return err_set(err, "'%s' is not the name of a generation", before);
    }
    if (exact && !*before) {
        errno = EINVAL;
        return err_set(err, "which generation?");
    }
    n = gendir_list(taskfd, &all, err);
    if (n < 0)
        return -1;
    for (int i = 0; i < n && found < 0; i++) {
        int c = *before ? gendir_compare(all[i], limit) : -1;

        if (exact ? c == 0 : c < 0)
            found = i;
    }
    if (found >= 0)
        *id = all[found];
    free(all);
    if (found >= 0)
        return 0;
    errno = ENOENT;
    if (exact)
        return err_set(err, "there is no generation %s", before);
    return err_set(
        err, *before ? "no generation before %s is left" : "there is no checkpoint yet%s", before);
}

/* A whole file of the generation, at most max bytes. */
static char *slurp(int dirfd, const char *name, size_t max, size_t *len, struct err *err)
{
    int fd = gendir_open_file(dirfd, name, O_RDONLY, 0, err);
    char *text;

    if (fd < 0)
        return NULL;
    text = io_slurp(fd, max, len, err);
    io_close(&fd);
    if (!text)
        err_prefix(err, "%s", name);
    return text;
}

/* A part that nobody vouches for is not one to be silent about.  *links: how many of others' files there are. */
static int check_names(int dirfd, size_t *links, struct err *err)
{
    static const char *const known[] = {".",
                                        "..",
                                        MANIFEST_FILE,
                                        MANIFEST_SEAL,
                                        MANIFEST_PAGES,
                                        MANIFEST_IMAGES,
                                        MANIFEST_INDEX,
                                        MANIFEST_PLACEMENT};
    DIR *d = beneath_list(dirfd, err);
    const struct dirent *e;
    int rc = 0;

    *links = 0;
    if (!d)
        return -1;
    while (rc == 0 && (errno = 0, e = readdir(d))) {
        struct gendir_id id;
        char name[sizeof e->d_name];
        size_t i = 0;

        while (i < sizeof known / sizeof known[0] && strcmp(e->d_name, known[i]) != 0)
            i++;
        if (i < sizeof known / sizeof known[0])
            continue;
        if (gendir_parse_link(e->d_name, &id)) {
            ++*links;
            continue;
        }
        snprintf(name, sizeof name, "%s", e->d_name);
        err_clean(name);
        errno = EBADMSG;
        rc = err_set(err, "it holds '%s', which is no part of it", name);
    }
    if (rc == 0 && errno)
        rc = err_sys(err, "cannot read the directory");
    beneath_end(d);
    return rc;
}

/* dump makes it 0600; one that others could read was put there by somebody else. */
static int check_seal_mode(int fd, struct err *err)
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        return err_sys(err, MANIFEST_SEAL);
    if (!(st.st_mode & 077))
        return 0;
    errno = EPERM;
    return err_set(err, MANIFEST_SEAL " is open to others than its owner (mode %04o): chmod 600 it",
                   (unsigned)(st.st_mode & 07777));
}

static char *load_seal(int dirfd, struct err *err)
{
    int fd = gendir_open_file(dirfd, MANIFEST_SEAL, O_RDONLY, 0, err);
    char *cred = NULL;
    size_t len;

    if (fd < 0)
        return NULL;
    if (check_seal_mode(fd, err) == 0 && !(cred = io_slurp(fd, SEAL_MAX_BYTES, &len, err)))
        err_prefix(err, MANIFEST_SEAL);
    io_close(&fd);
    return cred;
}

static int check_seal(int dirfd, const char *hex, const struct facts *f, struct err *err)
{
    char *cred = load_seal(dirfd, err);
    int rc;

    if (!cred)
        return -1;
    cred[strcspn(cred, "\n")] = '\0';
    rc = seal_check(cred, hex, f->uid, f->munge_socket, err);
    free(cred);
    return rc;
}

static int check_here(const struct manifest *m, struct gendir_id id, struct err *err)
{
    struct utsname u;

    errno = EBADMSG;
    if (m->epoch != id.epoch || m->sequence != id.sequence)
        return err_set(err, "it is the manifest of another generation (" GENDIR_NAME ")", m->epoch,
                       m->sequence);
    if (uname(&u) == 0 && strcmp(u.machine, m->machine) != 0) {
        errno = ENOEXEC;
        return err_set(err, "it was made on %s, this node is %s", m->machine, u.machine);
    }
    return 0;
}

static int load_manifest(int dirfd, const struct facts *f, struct checkpoint *c, struct err *err)
{
    char *text, hex[65];
    size_t len;
    int rc;

    text = slurp(dirfd, MANIFEST_FILE, MANIFEST_MAX_BYTES, &len, err);
    if (!text)
        return -1;
    seal_digest(text, len, hex);
    rc = check_seal(dirfd, hex, f, err);
    if (rc == 0) {
        rc = manifest_decode(text, len, &c->m, err);
        if (rc == 0 && (manifest_match(&c->m, f, err) < 0 || check_here(&c->m, c->id, err) < 0)) {
            manifest_free(&c->m);
            memset(&c->m, 0, sizeof c->m);
            rc = -1;
        }
    }
    free(text);
    return rc;
}

static const struct manifest_part *part(const struct manifest *m, const char *name)
{
    for (size_t i = 0; i < sizeof m->parts / sizeof m->parts[0]; i++)
        if (strcmp(m->parts[i].name, name) == 0)
            return &m->parts[i];
    return NULL;
}

/* A part that is read whole: size and digest as the manifest says.  NUL-terminated. */
static char *load_part(int dirfd, const struct manifest *m, const char *name, size_t max,
                       size_t *len, struct err *err)
{
    const struct manifest_part *p = part(m, name);
    char *data = p ? slurp(dirfd, name, max, len, err) : NULL;
    char hex[65];

    if (!data) {
        if (!p) {
            errno = EBADMSG;
            err_set(err, "%s is not in the manifest", name);
        }
        return NULL;
    }
    seal_digest(data, *len, hex);
    if (*len == p->bytes && strcmp(hex, p->sha256) == 0)
        return data;
    if (*len != p->bytes)
        errno = EBADMSG, err_set(err, "%s: %zu bytes, should be %" PRIu64, name, *len, p->bytes);
    else
        errno = EBADMSG, err_set(err, "%s: damaged (its digest differs)", name);
    free(data);
    return NULL;
}

static int load_index(int dirfd, struct checkpoint *c, struct err *err)
{
    const bool compressed = manifest_compress(&c->m) != COMPRESS_NONE;
    size_t len;
    char *text = load_part(dirfd, &c->m, MANIFEST_INDEX, INDEX_MAX_BYTES, &len, err);
    int rc;

    if (!text)
        return -1;
    rc = c->m.incremental ? index_load_incremental(text, len, &c->m, &c->ix, err)
                          : index_load(text, len, compressed, &c->ix, err);
    free(text);
    return rc < 0 ? err_prefix(err, MANIFEST_INDEX) : 0;
}

static int load_images(int dirfd, struct checkpoint *c, struct err *err)
{
    size_t len;
    char *data = load_part(dirfd, &c->m, MANIFEST_IMAGES, IMAGES_MAX_BYTES, &len, err);
    int rc;

    if (!data)
        return -1;
    rc = bundle_load(data, len, &c->b, err);
    free(data);
    return rc < 0 ? err_prefix(err, MANIFEST_IMAGES) : 0;
}

/* shared: other generations may have links to it. */
static int open_measured(int dirfd, const char *name, uint64_t bytes, bool shared, int *fd,
                         struct err *err)
{
    struct stat st;

    *fd = shared ? gendir_open_shared(dirfd, name, err)
                 : gendir_open_file(dirfd, name, O_RDONLY, 0, err);
    if (*fd < 0)
        return -1;
    if (fstat(*fd, &st) < 0)
        return err_sys(err, "%s", name);
    if ((uint64_t)st.st_size == bytes)
        return 0;
    errno = EBADMSG;
    return err_set(err, "%s: %" PRIu64 " bytes, should be %" PRIu64, name, (uint64_t)st.st_size,
                   bytes);
}

/* As many as the manifest names, and each of those is opened: so there is no other. */
static int check_links(const struct manifest *m, size_t links, struct err *err)
{
    if (links <= m->nlinks)
        return 0;
    errno = EBADMSG;
    return err_set(err, "it holds %zu files of earlier generations, its manifest names %zu", links,
                   m->nlinks);
}

static int open_pages(int dirfd, struct checkpoint *c, struct err *err)
{
    const struct manifest_part *p = part(&c->m, MANIFEST_PAGES);
    const struct manifest_part *index = part(&c->m, MANIFEST_INDEX);

    errno = EBADMSG;
    /* Its digest is that of the index, which has the digests of all of its frames. */
    if (!p || !index || strcmp(p->sha256, index->sha256) != 0 || p->bytes != c->ix.stored)
        return err_set(err, "manifest and index disagree about " MANIFEST_PAGES);
    if (open_measured(dirfd, MANIFEST_PAGES, p->bytes, c->m.incremental, &c->pages.fd[0], err) < 0)
        return -1;
    for (size_t i = 0; i < c->m.nlinks; i++) {
        const struct manifest_link *l = &c->m.links[i];
        char name[48];

        c->pages.from[i + 1] = l->generation;
        gendir_format_link(l->generation, name);
        if (open_measured(dirfd, name, l->bytes, true, &c->pages.fd[i + 1], err) < 0)
            return -1;
    }
    return 0;
}

int verify_open(int taskfd, struct gendir_id id, const struct facts *f, struct checkpoint *c,
                struct err *err)
{
    size_t links;
    int dirfd, rc;

    memset(c, 0, sizeof *c);
    for (size_t i = 0; i <= MANIFEST_LINKS_MAX; i++)
        c->pages.fd[i] = -1;
    c->id = id;
    gendir_format_name(id, false, c->name);
    dirfd = gendir_open_dir(taskfd, c->name, err);
    if (dirfd < 0)
        return -1;
    rc = check_names(dirfd, &links, err);
    if (rc == 0)
        rc = load_manifest(dirfd, f, c, err);
    if (rc == 0)
        rc = check_links(&c->m, links, err);
    if (rc == 0)
        rc = load_index(dirfd, c, err);
    if (rc == 0)
        rc = load_images(dirfd, c, err);
    if (rc == 0)
        rc = open_pages(dirfd, c, err);
    io_close(&dirfd);
    if (rc < 0)
        verify_close(c);
    return rc;
}

void verify_close(struct checkpoint *c)
{
    for (size_t i = 0; i <= MANIFEST_LINKS_MAX; i++)
        io_close(&c->pages.fd[i]);
    bundle_free(&c->b);
    index_free(&c->ix);
    manifest_free(&c->m);
    memset(&c->m, 0, sizeof c->m);
}
