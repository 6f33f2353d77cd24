/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "spank/policy.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool in_list(const char *list, const char *name)
{
    size_t len = strlen(name);

    for (const char *p = list; *p; p += strcspn(p, ",")) {
        p += strspn(p, ", ");
        if (strncmp(p, name, len) == 0 && (p[len] == ',' || p[len] == ' ' || p[len] == '\0'))
            return true;
    }
    return false;
}

bool policy_host_allowed(const struct conf *conf, const char *user)
{
    return conf->allow_host && (!conf->host_users[0] || in_list(conf->host_users, user));
}

int policy_spec(const struct conf *conf, const char *user, const char *text, struct spec *s,
                struct err *err)
{
    enum facts_isolation isolation;

    memset(s, 0, sizeof *s);
    if (spec_parse(text, s, err) < 0)
        return -1;
    errno = EPERM;
    if (s->has_keep && s->keep > conf->max_keep)
        return err_set(err, "keep=%u is more than this site allows (MaxKeep=%u)", s->keep,
                       conf->max_keep);
    isolation = s->has_isolation ? s->isolation : conf->isolation;
    if (s->has_isolation && !(isolation == ISOLATION_HOST ? conf->allow_host : conf->allow_private))
        return err_set(err, "isolation=%s is not allowed at this site (AllowIsolation)",
                       isolation == ISOLATION_HOST ? "host" : "private");
    if (s->has_isolation && isolation == ISOLATION_HOST && conf->host_users[0] &&
        !in_list(conf->host_users, user))
        return err_set(err, "isolation=host is not allowed for user %s (HostUsers)", user);
    return 0;
}

static int copy_text(char *to, size_t size, const char *from, const char *what, struct err *err)
{
    if (strlen(from) >= size) {
        errno = ENAMETOOLONG;
        return err_set(err, "%s is too long", what);
    }
    memcpy(to, from, strlen(from) + 1);
    return 0;
}

/* Paths of ours are handed on without symbolic links, so that what was checked is what is executed.
 */
static int canonical(char *to, const char *from, const char *what, struct err *err)
{
    if (!realpath(from, to))
        return err_sys(err, "%s: %s", what, from);
    return 0;
}

int policy_directory(const struct conf *conf, const struct policy_task *t, struct facts *f,
                     struct err *err)
{
    bool own = t->dir && *t->dir;

    if (!own && !conf->dir[0]) {
        errno = ENOENT;
        return err_set(err, "this site sets no Dir in checkpoint.conf: give --checkpoint-dir=DIR");
    }
    if (conf_expand_dir(own ? t->dir : conf->dir, f->user, t->uid, t->home, f->cluster, f->dir,
                        err) < 0)
        return err_prefix(err, "%s", own ? "--checkpoint-dir" : "Dir in checkpoint.conf");
    return 0;
}

static int isolation(const struct conf *conf, struct facts *f, struct err *err)
{
    if (f->isolation == ISOLATION_PRIVATE || policy_host_allowed(conf, f->user))
        return 0;
    if (!conf->allow_private) {
        errno = EPERM;
        return err_set(err, "user %s may not have isolation=host, and nothing else is allowed here",
                       f->user);
    }
    f->isolation = ISOLATION_PRIVATE;
    return 0;
}

int policy_user_part(const struct conf *conf, const struct policy_task *t, struct facts *f,
                     struct err *err)
{
    struct spec s;

    errno = ENOENT;
    if (!t->user[0])
        return err_set(err, "user id %u is not known on this node", t->uid);
    if (copy_text(f->user, sizeof f->user, t->user, "the user's name", err) < 0 ||
        policy_spec(conf, f->user, t->spec, &s, err) < 0)
        return -1;
    f->interval =
        s.has_interval && !(s.interval == 0 && s.interval_auto) ? s.interval : conf->interval;
    f->interval_auto = s.interval_auto;
    f->overhead = s.overhead;
    f->max_runtime = s.max_runtime;
    f->keep = s.has_keep ? s.keep : conf->keep;
    f->compress = s.has_compress ? s.compress : conf->compress;
    f->compress_level = s.has_compress ? s.compress_level : conf->compress_level;
    f->isolation = s.has_isolation ? s.isolation : conf->isolation;
    f->source_job = t->batch ? s.restore_job : 0; /* steps inherit the option */
    f->source_task = t->batch ? s.restore_task : 0;
    memcpy(f->source_generation, s.restore_generation, sizeof f->source_generation);
    memcpy(f->files, s.files, sizeof f->files);
    f->files_limit = s.has_files_limit ? s.files_limit : conf->files_limit;
    f->files_small = s.has_files_small ? s.files_small : conf->files_small;
    f->files_over = s.has_files_over ? s.files_over : conf->files_over;
    f->inputs = s.has_inputs ? s.inputs : conf->inputs;
    f->snapshot = s.has_snapshot ? s.snapshot : conf->snapshot;
    f->snapshot_tight = conf->snapshot_tight;
    f->site_hooks = conf->hooks;
    f->hooks = s.hooks;
    f->hook_timeout = s.has_hook_timeout ? s.hook_timeout : conf->hook_timeout;
    f->incremental = s.has_incremental ? s.incremental : conf->incremental;
    return isolation(conf, f, err);
}

int policy_dir(const struct conf *conf, const struct policy_task *t, const char *cluster,
               char dir[PATH_MAX], struct err *err)
{
    static struct facts f;

    if (copy_text(f.cluster, sizeof f.cluster, cluster, "the cluster's name", err) < 0 ||
        policy_user_part(conf, t, &f, err) < 0 || policy_directory(conf, t, &f, err) < 0)
        return -1;
    memcpy(dir, f.dir, PATH_MAX);
    return 0;
}

int policy_site_part(const struct conf *conf, struct facts *f, struct err *err)
{
    if (canonical(f->helper_dir, conf->helper_dir, "HelperDir", err) < 0 ||
        canonical(f->criu, conf->criu, "Criu", err) < 0)
        return -1;
    memcpy(f->munge_socket, conf->munge_socket, sizeof f->munge_socket);
    memcpy(f->log_dir, conf->log_dir, sizeof f->log_dir);
    memcpy(f->event_socket, conf->event_socket, sizeof f->event_socket);
    f->dump_timeout = conf->dump_timeout;
    f->restore_timeout = conf->restore_timeout;
    f->threads = conf->threads;
    f->max_size = conf->max_size;
    f->max_user_size = conf->max_user_size;
    f->max_site_size = conf->max_site_size;
    f->min_free = conf->min_free;
    f->max_dumps = conf->max_dumps;
    f->max_restarts = conf->max_restarts;
    f->busy_wait = conf->busy_wait;
    f->busy_retries = conf->busy_retries;
    f->mtbf = conf->mtbf;
    return 0;
}

/* srun's side of the plugin chooses the key; it may be anything that is a name, and names nothing of anybody else's. */
int policy_task_name(const struct policy_task *t, char name[64], struct err *err)
{
    char text[128];

    if (t->batch) {
        memcpy(name, "batch", 6);
        return 0;
    }
    errno = ENOENT;
    if (!t->key || !*t->key)
        return err_set(err, "srun has given this step no key: is the plugin in the plugstack.conf "
                            "of the node that srun ran on?");
    errno = EINVAL;
    if (strlen(t->key) > POLICY_KEY_MAX || strchr(t->key, '.'))
        return err_set(err, "the step's key has a form that is not accepted");
    snprintf(text, sizeof text, "step-%s.%u", t->key, t->taskid);
    if (strlen(text) >= 64 || !facts_name_ok(text))
        return err_set(err, "the step's key has a form that is not accepted");
    memcpy(name, text, strlen(text) + 1);
    return 0;
}
