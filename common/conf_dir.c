/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/conf_key.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static bool has_dotdot(const char *path)
{
    for (const char *p = path; (p = strstr(p, "/..")); p += 3)
        if (p[3] == '/' || p[3] == '\0')
            return true;
    return false;
}

bool conf_text_ok(const char *s)
{
    for (; *s; s++)
        if ((unsigned char)*s < 0x20 || *s == 0x7f)
            return false;
    return true;
}

bool conf_path_ok(const char *s)
{
    return *s == '/' && s[1] != '\0' && !has_dotdot(s) && conf_text_ok(s);
}

/* A name that stands for one component of a path. */
static bool component_ok(const char *s)
{
    return *s && !strchr(s, '/') && strcmp(s, ".") != 0 && strcmp(s, "..") != 0 && conf_text_ok(s);
}

int conf_expand_dir(const char *template_, const char *user, uid_t uid, const char *home,
                    const char *cluster, char out[PATH_MAX], struct err *err)
{
    char path[PATH_MAX], number[16];
    size_t n = 0;

    snprintf(number, sizeof number, "%u", uid);
    for (const char *p = template_; *p; p++) {
        char one[2] = {*p, '\0'};
        const char *add = one;

        errno = EINVAL;
        if (*p == '%') {
            switch (*++p) {
            case 'u':
                add = component_ok(user) ? user : NULL;
                break;
            case 'U':
                add = number;
                break;
            case 'h':
                add = conf_path_ok(home) ? home : NULL;
                break;
            case 'c':
                add = component_ok(cluster) ? cluster : NULL;
                break;
            case '%':
                break;
            default:
                return err_set(err, "'%s': only %%u, %%U, %%h, %%c and %%%% are known", template_);
            }
            if (!add)
                return err_set(err, "'%s': the value of %%%c cannot stand in a path", template_,
                               *p);
        }
        if (strlen(add) >= sizeof path - n) {
            errno = ENAMETOOLONG;
            return err_set(err, "'%s': the path becomes too long", template_);
        }
        memcpy(path + n, add, strlen(add));
        n += strlen(add);
    }
    path[n] = '\0';
    if (!conf_path_ok(path)) {
        errno = EINVAL;
        return err_set(err, "'%s' is not an absolute path without '..'", path);
    }
    memcpy(out, path, n + 1);
    return 0;
}
