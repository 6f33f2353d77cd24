/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/frameline.h"

#include "common/manifest.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Decimal without leading zeros, ended by `end`. */
static bool take_number(const char **p, uint64_t min, uint64_t max, char end, uint64_t *out)
{
    const char *s = *p;
    uint64_t v = 0;

    if (*s < '0' || *s > '9' || (*s == '0' && s[1] >= '0' && s[1] <= '9'))
        return false;
    for (; *s >= '0' && *s <= '9'; s++) {
        if (v > (UINT64_MAX - 9) / 10)
            return false;
        v = v * 10 + (uint64_t)(*s - '0');
    }
    if (v < min || v > max || *s++ != end)
        return false;
    *out = v;
    *p = s;
    return true;
}

static bool take_u32(const char **p, uint32_t max, uint32_t *out)
{
    uint64_t v;

    if (!take_number(p, 1, max, ' ', &v))
        return false;
    *out = (uint32_t)v;
    return true;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool take_hex(const char **p, uint8_t *to, size_t n, char end)
{
    for (size_t i = 0; i < n; i++) {
        const int high = hex_digit((*p)[0]), low = high < 0 ? -1 : hex_digit((*p)[1]);

        if (low < 0)
            return false;
        to[i] = (uint8_t)(high << 4 | low);
        *p += 2;
    }
    return *(*p)++ == end;
}

static bool take_name(const char **p, struct frameline *l)
{
    const char *space = strchr(*p, ' ');

    if (!space || (size_t)(space - *p) >= sizeof l->image)
        return false;
    memset(l->image, 0, sizeof l->image);
    memcpy(l->image, *p, (size_t)(space - *p));
    if (!crimg_parse_name(l->image, &l->parsed) || l->parsed.kind != CRIMG_BULK)
        return false;
    *p = space + 1;
    return true;
}

static bool take_from(const char **p, struct gendir_id *from)
{
    const char *space = strchr(*p, ' ');
    char name[40];

    *from = (struct gendir_id){0, 0};
    if (!space || (size_t)(space - *p) >= sizeof name)
        return false;
    memcpy(name, *p, (size_t)(space - *p));
    name[space - *p] = '\0';
    *p = space + 1;
    return strcmp(name, "-") == 0 || gendir_parse_name(name, from, NULL);
}

static bool parse_more(const char **p, struct frameline *l)
{
    uint8_t mark[8];

    if (!take_hex(p, l->raw_sha256, 32, ' ') || !take_hex(p, mark, sizeof mark, ' ') ||
        !take_from(p, &l->from) ||
        !take_number(p, 0, INT64_MAX - MANIFEST_STORED_MAX, '\n', &l->at))
        return false;
    l->mark = 0;
    for (size_t i = 0; i < sizeof mark; i++)
        l->mark = l->mark << 8 | mark[i];
    return true;
}

bool frameline_parse(const char **p, bool compressed, bool incremental, struct frameline *l)
{
    const uint32_t most = compressed ? MANIFEST_STORED_MAX : MANIFEST_FRAME_MAX;

    if (!take_name(p, l) || !take_u32(p, MANIFEST_FRAME_MAX, &l->raw) ||
        !take_u32(p, most, &l->stored) || (!compressed && l->raw != l->stored) ||
        !take_hex(p, l->sha256, 32, incremental ? ' ' : '\n'))
        return false;
    return !incremental || parse_more(p, l);
}

void frameline_hex(const uint8_t sha256[32], char hex[65])
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < 32; i++) {
        hex[2 * i] = digits[sha256[i] >> 4];
        hex[2 * i + 1] = digits[sha256[i] & 15];
    }
    hex[64] = '\0';
}

size_t frameline_format(const struct frameline *l, bool incremental, char to[FRAMELINE_MAX])
{
    char sum[65], raw[65], from[40] = "-";
    int n;

    frameline_hex(l->sha256, sum);
    if (!incremental) {
        n = snprintf(to, FRAMELINE_MAX, "%s %u %u %s\n", l->image, l->raw, l->stored, sum);
        return n < 0 ? 0 : (size_t)n;
    }
    frameline_hex(l->raw_sha256, raw);
    if (l->from.sequence)
        gendir_format_name(l->from, false, from);
    n = snprintf(to, FRAMELINE_MAX, "%s %u %u %s %s %016" PRIx64 " %s %" PRIu64 "\n", l->image,
                 l->raw, l->stored, sum, raw, l->mark, from, l->at);
    return n < 0 ? 0 : (size_t)n;
}

uint64_t frameline_mark(const uint8_t *data, size_t len)
{
    static const uint64_t prime = UINT64_C(0x9e3779b97f4a7c15);
    uint64_t lane[4] = {1, 2, 3, 4}, h = 0;

    if (len < FRAMELINE_MARK_BYTES)
        return 0;
    for (size_t i = 0; i < FRAMELINE_MARK_BYTES; i += 32)
        for (size_t k = 0; k < 4; k++) {
            uint64_t w;

            memcpy(&w, data + i + 8 * k, sizeof w);
            lane[k] = (lane[k] ^ w) * prime;
            lane[k] ^= lane[k] >> 29;
        }
    for (size_t k = 0; k < 4; k++)
        h = (h ^ lane[k]) * prime + (h >> 31);
    return h ? h : 1;
}
