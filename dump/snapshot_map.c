/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dump/snapshot_map.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* Properties that change nothing: access, accounting, advice, stack, locked (a copy is not, its owner stays so). */
static const char known[] = " rd wr ex mr mw me gd gu lo lf sl sr rr ac nr dd sd hg nh mg ";

struct area {
    struct snapshot_area at;
    bool anonymous; /* private, without a file or a name that means something else */
    bool private;
    uint64_t bytes; /* anonymous pages and swap */
};

static bool number(char **at, int base, uint64_t *v)
{
    char *end;

    errno = 0;
    *v = strtoull(*at, &end, base);
    if (errno || end == *at)
        return false;
    *at = end;
    return true;
}

/* START-END rwxp OFFSET MAJOR:MINOR INODE      NAME; false: another line. */
static bool parse_head(char *line, struct area *a, struct snapshot_map *map)
{
    uint64_t offset, major, minor, inode;
    char *at = line, *perms;

    memset(a, 0, sizeof *a);
    if (!number(&at, 16, &a->at.start) || *at++ != '-' || !number(&at, 16, &a->at.end) ||
        *at++ != ' ')
        return false;
    perms = at;
    if (strnlen(perms, 5) < 5 || perms[4] != ' ')
        return false;
    at += 5;
    if (!number(&at, 16, &offset) || !number(&at, 16, &major) || *at++ != ':' ||
        !number(&at, 16, &minor) || !number(&at, 10, &inode) || a->at.end <= a->at.start)
        return false;
    while (*at == ' ')
        at++;
    a->private = perms[3] == 'p';
    a->anonymous =
        a->private && major == 0 && minor == 0 && inode == 0 &&
        (!*at || !strcmp(at, "[heap]") || !strcmp(at, "[stack]") || !strncmp(at, "[anon:", 6));
    if (!strcmp(at, "[vdso]")) {
        map->vdso_start = a->at.start;
        map->vdso_end = a->at.end;
    }
    return true;
}

static int add(struct snapshot_map *map, const struct area *a)
{
    if (map->n > 0 && map->areas[map->n - 1].end > a->at.start) {
        errno = EBADMSG;
        return -1;
    }
    if (map->n > 0 && map->areas[map->n - 1].end == a->at.start) {
        map->areas[map->n - 1].end = a->at.end;
        return 0;
    }
    if (map->n == map->room) {
        size_t room = map->room ? 2 * map->room : 256;
        struct snapshot_area *areas = realloc(map->areas, room * sizeof *areas);

        if (!areas)
            return -1;
        map->areas = areas;
        map->room = room;
    }
    map->areas[map->n++] = a->at;
    return 0;
}

/* The last line of an area. */
static int parse_flags(char *flags, const struct area *a, struct snapshot_map *map)
{
    bool take = a->anonymous && a->at.end - a->at.start >= SNAPSHOT_AREA_MIN;
    char *save = NULL;

    for (char *f = strtok_r(flags, " ", &save); f; f = strtok_r(NULL, " ", &save)) {
        char word[8] = " ";

        /* A fork may have to wait for whoever reads its userfaultfd, and that one stands still. */
        if (!strcmp(f, "um") || !strcmp(f, "uw") || !strcmp(f, "ui"))
            map->refuse = "it uses userfaultfd";
        if (strlen(f) != 2) {
            take = false;
            continue;
        }
        memcpy(word + 1, f, 2);
        word[3] = ' ';
        if (!strstr(known, word))
            take = false;
    }
    if (!take) {
        if (a->private)
            map->rest += a->bytes;
        return 0;
    }
    map->bytes += a->bytes;
    return add(map, a);
}

static uint64_t kib(const char *text)
{
    return strtoull(text, NULL, 10) << 10;
}

int snapshot_map_parse(char *text, struct snapshot_map *map)
{
    struct area a = {.at = {0, 0}};
    bool inside = false;
    char *save = NULL;

    memset(map, 0, sizeof *map);
    for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        int rc = 0;

        if (!strncmp(line, "Anonymous:", 10)) {
            a.bytes += kib(line + 10);
        } else if (!strncmp(line, "Swap:", 5)) {
            a.bytes += kib(line + 5);
        } else if (!strncmp(line, "VmFlags:", 8)) {
            rc = inside ? parse_flags(line + 8, &a, map) : -1;
            inside = false;
        } else if (line[0] >= 'A' && line[0] <= 'Z') {
            continue;
        } else {
            /* Without its flags nothing is known of an area. */
            rc = !inside && parse_head(line, &a, map) ? 0 : -1;
            inside = true;
        }
        if (rc < 0) {
            if (errno != ENOMEM)
                errno = EBADMSG;
            snapshot_map_free(map);
            return -1;
        }
    }
    if (inside) {
        snapshot_map_free(map);
        errno = EBADMSG;
        return -1;
    }
    return 0;
}

void snapshot_map_free(struct snapshot_map *map)
{
    free(map->areas);
    memset(map, 0, sizeof *map);
}
