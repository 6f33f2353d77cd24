/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "restore/inputs.h"

#include "common/io.h"
#include "common/proto.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define HEADERS_MAX 512u
#define NOTES_MAX 65536u
#define GNU_BUILD_ID 3u
#define NOBODY 65534u

/* A note's header is three words: length of the name, of the contents, type; both padded to 4. */
static size_t find_note(const uint8_t *notes, size_t len, uint8_t id[FILELIST_BUILD_ID_MAX])
{
    for (size_t at = 0; len - at >= 12;) {
        uint32_t name, desc, type;
        size_t name_end, end;

        memcpy(&name, notes + at, 4);
        memcpy(&desc, notes + at + 4, 4);
        memcpy(&type, notes + at + 8, 4);
        if (name > NOTES_MAX || desc > NOTES_MAX)
            return 0;
        name_end = at + 12 + ((name + 3u) & ~3u);
        end = name_end + ((desc + 3u) & ~3u);
        if (end > len)
            return 0;
        if (type == GNU_BUILD_ID && name == 4 && !memcmp(notes + at + 12, "GNU", 4)) {
            if (desc < 1 || desc > FILELIST_BUILD_ID_MAX)
                return 0;
            memcpy(id, notes + name_end, desc);
            return desc;
        }
        at = end;
    }
    return 0;
}

static size_t read_notes(int fd, uint64_t at, uint64_t len, uint8_t id[FILELIST_BUILD_ID_MAX])
{
    uint8_t *notes;
    size_t n = 0;

    if (len < 12 || len > NOTES_MAX || at > INT64_MAX - NOTES_MAX)
        return 0;
    notes = malloc(len);
    if (notes && io_pread_full(fd, notes, (size_t)len, (off_t)at) == 0)
        n = find_note(notes, (size_t)len, id);
    free(notes);
    return n;
}

size_t inputs_build_id(int fd, uint8_t id[FILELIST_BUILD_ID_MAX])
{
    Elf64_Ehdr h;
    Elf64_Phdr p;

    if (io_pread_full(fd, &h, sizeof h, 0) < 0 || memcmp(h.e_ident, ELFMAG, SELFMAG) != 0 ||
        h.e_ident[EI_CLASS] != ELFCLASS64 || h.e_phentsize != sizeof p || h.e_phnum > HEADERS_MAX ||
        h.e_phoff > INT64_MAX - HEADERS_MAX * sizeof p)
        return 0;
    for (size_t i = 0; i < h.e_phnum; i++) {
        size_t n;

        if (io_pread_full(fd, &p, sizeof p, (off_t)(h.e_phoff + i * sizeof p)) < 0)
            return 0;
        if (p.p_type == PT_NOTE && (n = read_notes(fd, p.p_offset, p.p_filesz, id)) > 0)
            return n;
    }
    return 0;
}

enum verdict { SAME, TOUCHED, GREW, DIFFERS };

static enum verdict compare_code(const struct file_entry *e, int fd, const struct stat *st)
{
    uint8_t id[FILELIST_BUILD_ID_MAX], head[32], tail[32];

    if ((uint64_t)st->st_size != e->size)
        return DIFFERS;
    if (e->build_id_len > 0) {
        size_t n = inputs_build_id(fd, id);

        /* CRIU 4.2 pads it to whole words, and looks into the first MiB only: an id that only it or only we
         * find decides nothing. */
        return n == 0 || (n <= e->build_id_len && !memcmp(id, e->build_id, n)) ? SAME : DIFFERS;
    }
    if (!e->has_sums)
        return SAME;
    if (filelist_sums(fd, e->size, head, tail, NULL) < 0)
        return DIFFERS;
    return memcmp(head, e->head, 32) || memcmp(tail, e->tail, 32) ? DIFFERS : SAME;
}

/* In a user namespace of the user's own (scheckpoint run) root has no number, and its files read as nobody's. */
static bool is_root(uid_t uid)
{
    char map[64];

    if (uid != NOBODY)
        return uid == 0;
    return io_read_start("/proc/self/uid_map", map, sizeof map) > 0 && strtoul(map, NULL, 10) != 0;
}

static enum verdict compare_input(const struct file_entry *e, int fd, const struct stat *st)
{
    uint8_t head[32], tail[32];
    bool touched = st->st_mtim.tv_sec != e->mtime_s || st->st_mtim.tv_nsec != e->mtime_ns;

    if ((uint64_t)st->st_size < e->size)
        return DIFFERS;
    if (e->has_sums && (filelist_sums(fd, e->size, head, tail, NULL) < 0 ||
                        memcmp(head, e->head, 32) || memcmp(tail, e->tail, 32)))
        return DIFFERS;
    if ((uint64_t)st->st_size > e->size)
        return GREW;
    /* The sums cover all of a small one; each node has its own copy of the system's. */
    if (!touched || e->size <= 2 * FILELIST_SUM_BYTES || is_root(st->st_uid))
        return SAME;
    return TOUCHED;
}

static void note_one(char *note, size_t size, const char *path, const char *what)
{
    if (!*note)
        snprintf(note, size, "%.200s has %s since the checkpoint", path, what);
    else if (!strstr(note, " (and others)") && strlen(note) + sizeof " (and others)" < size)
        memcpy(note + strlen(note), " (and others)", sizeof " (and others)");
}

static int refuse(const struct file_entry *e, const char *what, struct err *err)
{
    errno = PROTO_E_HOLD;
    if (e->role == FILE_CODE)
        return err_set(
            err,
            "%.250s, which the job runs, %s since the checkpoint: bring the former version "
            "back, then release the job",
            e->path, what);
    return err_set(
        err,
        "%.250s, which the job reads, %s since the checkpoint: bring the former version back, "
        "then release the job; jobs submitted with --checkpoint=inputs=warn go on in spite "
        "of that",
        e->path, what);
}

/* Caches that daemons rewrite all the time and that programs have mapped (sssd, nscd): the system's own business. */
static bool is_system_cache(const struct file_entry *e, const struct stat *st)
{
    return is_root(st->st_uid) && (!strncmp(e->path, "/var/", 5) || !strncmp(e->path, "/run/", 5));
}

static int compare(const struct file_entry *e, enum facts_choice policy, char *note, size_t size,
                   struct err *err)
{
    int fd = open(e->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    enum verdict v = DIFFERS;
    struct stat st;
    bool fd_ok;

    if (fd < 0 && errno == EACCES)
        return 0; /* CRIU says what it needs of it */
    if (fd < 0 && errno == ENOENT && filelist_may_be_missing(e))
        return 0; /* putback */
    if (fd < 0)
        return refuse(e, errno == ENOENT ? "has gone" : "cannot be opened any more", err);
    fd_ok = fstat(fd, &st) == 0;
    if (fd_ok && S_ISREG(st.st_mode))
        v = e->role == FILE_CODE ? compare_code(e, fd, &st) : compare_input(e, fd, &st);
    io_close(&fd);
    if (e->role == FILE_INPUT && fd_ok && is_system_cache(e, &st))
        return 0;
    if (v == DIFFERS && (e->role == FILE_CODE || policy == CHOICE_REFUSE))
        return refuse(e, "has changed", err);
    if (v != SAME)
        note_one(note, size, e->path,
                 v == GREW      ? "grown"
                 : v == TOUCHED ? "been written to"
                                : "changed");
    return 0;
}

int inputs_compare(const struct filelist *l, enum facts_choice policy, char *note, size_t size,
                   struct err *err)
{
    *note = '\0';
    for (size_t i = 0; i < l->n; i++)
        if ((l->v[i].role == FILE_INPUT || l->v[i].role == FILE_CODE) &&
            compare(&l->v[i], policy, note, size, err) < 0)
            return -1;
    return 0;
}
