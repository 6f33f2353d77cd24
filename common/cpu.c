/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/cpu.h"

#include "common/io.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Of x86 only these: the others are the kernel's or the hypervisor's business and change with them.  The names are
 * those of Linux's cpufeatures.h. */
static const char *const sets[] = {
    "mmx",
    "sse",
    "sse2",
    "pni",
    "ssse3",
    "sse4_1",
    "sse4_2",
    "sse4a",
    "avx",
    "avx2",
    "fma",
    "fma4",
    "f16c",
    "bmi1",
    "bmi2",
    "abm",
    "popcnt",
    "lahf_lm",
    "movbe",
    "aes",
    "vaes",
    "pclmulqdq",
    "vpclmulqdq",
    "sha_ni",
    "gfni",
    "adx",
    "rdrand",
    "rdseed",
    "clflushopt",
    "clwb",
    "fsgsbase",
    "xsave",
    "xsaveopt",
    "xsavec",
    "avx512f",
    "avx512dq",
    "avx512cd",
    "avx512bw",
    "avx512vl",
    "avx512ifma",
    "avx512vbmi",
    "avx512_vbmi2",
    "avx512_vnni",
    "avx512_bitalg",
    "avx512_vpopcntdq",
    "avx512_vp2intersect",
    "avx512_bf16",
    "avx512_fp16",
    "avx512er",
    "avx512pf",
    "avx512_4vnniw",
    "avx512_4fmaps",
    "avx_vnni",
    "avx_vnni_int8",
    "avx_ifma",
    "amx_tile",
    "amx_int8",
    "amx_bf16",
    "amx_fp16",
    "movdiri",
    "movdir64b",
    "serialize",
    "waitpkg",
    "rdpid",
    "rdtscp",
    "cx16",
    "xop",
    "tbm",
    "lwp",
    "3dnow",
    "3dnowext",
    "cldemote",
    "enqcmd",
    "rtm",
    "hle",
    "erms",
    "fsrm",
    "pku",
};

static bool is_set(const char *word, size_t len)
{
    for (size_t i = 0; i < sizeof sets / sizeof sets[0]; i++)
        if (strlen(sets[i]) == len && strncmp(sets[i], word, len) == 0)
            return true;
    return false;
}

/* Words are letters, digits and '_', as the kernel's are; anything else is skipped. */
static bool word_ok(const char *word, size_t len)
{
    return len > 0 && len < 32 &&
           strspn(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") >= len;
}

static void append(char *out, size_t size, const char *word, size_t len)
{
    size_t used = strlen(out);

    if (used + len + 2 > size)
        return;
    if (used)
        out[used++] = ' ';
    memcpy(out + used, word, len);
    out[used + len] = '\0';
}

/* The next word, or NULL. */
static const char *next(const char **at, size_t *len)
{
    const char *word = *at + strspn(*at, " \t");

    *len = strcspn(word, " \t\n");
    *at = word + *len;
    return *len ? word : NULL;
}

static void pick(const char *text, char out[CPU_FEATURES_MAX])
{
    const char *line = strstr(text, "\nflags\t"), *word;
    bool x86 = line != NULL;
    size_t len;

    *out = '\0';
    if (!line)
        line = strstr(text, "\nFeatures\t");
    line = line ? strchr(line, ':') : NULL;
    if (!line)
        return;
    for (line++; (word = next(&line, &len));)
        if (word_ok(word, len) && (!x86 || is_set(word, len)))
            append(out, CPU_FEATURES_MAX, word, len);
}

void cpu_features(const char *text, char out[CPU_FEATURES_MAX])
{
    char *buf;
    size_t used = 0;
    ssize_t n = 0;
    int fd;

    if (text) {
        pick(text, out);
        return;
    }
    /* The first CPU's paragraph is within its first pages. */
    buf = calloc(1, 16384);
    fd = buf ? open("/proc/cpuinfo", O_RDONLY | O_CLOEXEC) : -1;
    while (fd >= 0 && used < 16383 && (n = read(fd, buf + used, 16383 - used)) > 0)
        used += (size_t)n;
    io_close(&fd);
    pick(buf ? buf : "", out);
    free(buf);
}

static bool has_word(const char *list, const char *word, size_t len)
{
    const char *w;
    size_t n;

    while ((w = next(&list, &n)))
        if (n == len && strncmp(w, word, n) == 0)
            return true;
    return false;
}

size_t cpu_missing(const char *before, const char *now, char *out, size_t size)
{
    const char *word;
    size_t len, n = 0;

    *out = '\0';
    while ((word = next(&before, &len)))
        if (!has_word(now, word, len)) {
            append(out, size, word, len);
            n++;
        }
    return n;
}
