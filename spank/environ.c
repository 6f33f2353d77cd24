/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "spank/environ.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool is_name(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!((s[i] >= 'A' && s[i] <= 'Z') || (s[i] >= 'a' && s[i] <= 'z') || s[i] == '_' ||
              (i > 0 && s[i] >= '0' && s[i] <= '9')))
            return false;
    return n > 0;
}

static void add(FILE *f, const char *name, size_t n, const char *value)
{
    fprintf(f, "export %.*s='", (int)n, name);
    for (; *value; value++)
        if (*value == '\'')
            fputs("'\\''", f);
        else
            fputc(*value, f);
    fputs("'\n", f);
}

char *environ_text(char *const *env, const char *host)
{
    char *text = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&text, &size);

    if (!f)
        return NULL;
    for (; *env; env++) {
        size_t n = strcspn(*env, "=");

        if (strncmp(*env, "SLURM", 5) == 0 && (*env)[n] == '=' && is_name(*env, n))
            add(f, *env, n, *env + n + 1);
    }
    add(f, "HOSTNAME", 8, host);
    if (fclose(f) != 0) {
        free(text);
        return NULL;
    }
    return text;
}
