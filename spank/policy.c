/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "spank/policy.h"

#include "common/hostcheck.h"
#include "common/io.h"
#include "spank/slurmconf.h"
#include "spank/state.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

/* Field 22 of /proc/self/stat; what stands before it may hold spaces and brackets (the name). */
static int start_time(uint64_t *start)
{
    char buf[1024], *p;
    int fd = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, buf, sizeof buf - 1);

    io_close(&fd);
    if (n <= 0)
        return -1;
    buf[n] = '\0';
    p = strrchr(buf, ')');
    for (int field = 2; p && field < 22; field++)
        p = strchr(p + 1, ' ');
    if (!p) {
        errno = EINVAL;
        return -1;
    }
    *start = strtoull(p + 1, NULL, 10);
    return 0;
}

int policy_facts(const struct conf *conf, const struct policy_task *t, struct facts *f,
                 struct err *err)
{
    struct state state;

    memset(f, 0, sizeof *f);
    errno = EPERM;
    if (t->uid == 0)
        return err_set(err, "jobs of root are not checkpointed");
    if (policy_start(conf, t, &state, err) < 0)
        return -1;
    f->job = t->job;
    f->array_job = t->array_job;
    f->array_task = t->array_task;
    f->uid = t->uid;
    f->gid = t->gid;
    f->epoch = state.epoch;
    memcpy(f->nonce, state.nonce, sizeof f->nonce);
    f->step = t->step;
    f->ntasks = t->batch ? 1 : t->ntasks;
    if (policy_task_name(t, f->task, err) < 0)
        return -1;
    f->task_pid = getpid();
    if (start_time(&f->task_start) < 0)
        return err_sys(err, "/proc/self/stat");
    memcpy(f->cluster, state.cluster, sizeof f->cluster);
    memcpy(f->node, state.node, sizeof f->node);
    if (slurmconf_memory_kill())
        f->memory_kill = t->memory_mib << 20;
    if (slurmconf_proctrack(f->proctrack, sizeof f->proctrack, err) < 0)
        return -1;
    if (strcmp(f->proctrack, "pgid") == 0) {
        errno = ENOTSUP;
        return err_set(err, "not possible with ProctrackType=proctrack/pgid: it loses sight of a "
                            "job's processes; use proctrack/cgroup");
    }
    if (policy_user_part(conf, t, f, err) < 0 || policy_directory(conf, t, f, err) < 0)
        return -1;
    return policy_site_part(conf, f, err);
}

int policy_preflight(const struct facts *f, struct err *err)
{
    errno = EPERM;
    if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1)
        return err_set(err,
                       "the task has no_new_privs set: the keeper's file capability has no effect");
    if (hostcheck_kernel(err) < 0 || hostcheck_ptrace(err) < 0 ||
        hostcheck_keeper(f->helper_dir, err) < 0 || hostcheck_helpers(f->helper_dir, err) < 0)
        return -1;
    return hostcheck_criu(f->criu, err);
}
