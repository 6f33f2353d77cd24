/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/doctor.h"

#include "cmd/text.h"
#include "common/criurun.h"
#include "common/hostcheck.h"
#include "common/io.h"
#include "common/seal.h"
#include "dump/pagemap_scan.h"
#include "spank/nsroot.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <unistd.h>

#define FULL_PERCENT 5 /* less free than that is told */

void doctor_conf(struct doctor *d)
{
    struct err err = {""};

    if (conf_load(d->conf_path, &d->conf, &err) < 0) {
        conf_defaults(&d->conf);
        doctor_add(d, "conf", PREFLIGHT_FAIL, "%s", err.text);
    } else if (!d->conf.dir[0]) {
        doctor_add(d, "conf", PREFLIGHT_WARN,
                   "%s has no Dir: only jobs with --checkpoint-dir are checkpointed", d->conf_path);
    } else {
        doctor_add(d, "conf", PREFLIGHT_GOOD, "%s: Dir=%s", d->conf_path, d->conf.dir);
    }
}

/* A point that is good, or what the error says. */
static void judge(struct doctor *d, const char *name, int rc, const struct err *err,
                  const char *good)
{
    doctor_add(d, name, rc < 0 ? PREFLIGHT_FAIL : PREFLIGHT_GOOD, "%s", rc < 0 ? err->text : good);
}

/* An empty range: answered 0 by a kernel that knows the call. */
static bool has_pagemap_scan(void)
{
    struct scan_arg arg = {.size = sizeof arg, .return_mask = SCAN_PRESENT};
    int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    bool has = fd >= 0 && (ioctl(fd, SCAN_IOCTL, &arg) >= 0 || errno != ENOTTY);

    io_close(&fd);
    return has;
}

static void kernel(struct doctor *d, const struct utsname *u)
{
    struct err err = {""};

    if (hostcheck_kernel(&err) < 0)
        doctor_add(d, "kernel", PREFLIGHT_FAIL, "%s", err.text);
    else if (!has_pagemap_scan())
        doctor_add(d, "kernel", PREFLIGHT_WARN,
                   "Linux %s has no PAGEMAP_SCAN (6.7 has): jobs stand still until their memory is "
                   "copied",
                   u->release);
    else
        doctor_add(d, "kernel", PREFLIGHT_GOOD, "Linux %s", u->release);
    judge(d, "ptrace", hostcheck_ptrace(&err), &err, "criu may look into a job's processes");
}

static void criu(struct doctor *d)
{
    struct criurun_version asked;
    struct err err = {""};
    char version[32];

    if (hostcheck_criu(d->conf.criu, &err) < 0) {
        doctor_add(d, "criu", PREFLIGHT_FAIL,
                   "%s (Criu= in checkpoint.conf; contrib/get-criu where the system's is too old)",
                   err.text);
        return;
    }
    criurun_version_ask(d->conf.criu, &asked);
    criurun_version_tell(&asked, version, sizeof version);
    if (criurun_version_check(d->conf.criu, version, &err) < 0)
        doctor_add(d, "criu", PREFLIGHT_FAIL, "%s", err.text);
    else
        doctor_add(d, "criu", PREFLIGHT_GOOD, "%s, version %s", d->conf.criu, version);
}

/* The kernel's own switch against all file capabilities. */
static bool is_no_file_caps(char *word, void *arg)
{
    (void)arg;
    return strcmp(word, "no_file_caps") == 0;
}

static void helpers(struct doctor *d)
{
    struct err err = {""};
    char dir[PATH_MAX];

    if (!realpath(d->conf.helper_dir, dir)) {
        doctor_add(d, "keeper", PREFLIGHT_FAIL, "%s: %s", d->conf.helper_dir, strerror(errno));
        return;
    }
    if (doctor_each("/proc/cmdline", " \n", is_no_file_caps, NULL))
        doctor_add(
            d, "keeper", PREFLIGHT_FAIL,
            "the kernel was booted with no_file_caps: no file capability counts; take it out "
            "of the boot loader's configuration");
    else
        judge(d, "keeper", hostcheck_keeper(dir, &err), &err,
              "has cap_checkpoint_restore=i, and it counts");
    judge(d, "helpers", hostcheck_helpers(dir, &err), &err, dir);
}

static void isolation(struct doctor *d)
{
    const struct conf *c = &d->conf;
    struct err err = {""};

    if (!c->allow_private)
        doctor_add(d, "isolation", PREFLIGHT_GOOD, "host only (AllowIsolation)");
    else if (nsroot_possible(&err) == 0)
        doctor_add(d, "isolation", PREFLIGHT_GOOD, "private: namespaces can be made%s",
                   c->isolation == ISOLATION_HOST ? "; the default is host" : "");
    else
        doctor_add(d, "isolation", c->allow_host ? PREFLIGHT_WARN : PREFLIGHT_FAIL, "%s%s",
                   err.text, c->allow_host ? ": jobs fall back to isolation=host" : "");
}

static bool is_mounted(const char *path, unsigned long magic)
{
    struct statfs fs;

    return statfs(path, &fs) == 0 && fs.f_type == (__fsword_t)magic;
}

/* Version 1 has a mount for each controller; Slurm tracks processes by the freezer's. */
static void cgroup(struct doctor *d)
{
    if (is_mounted("/sys/fs/cgroup", CGROUP2_SUPER_MAGIC))
        doctor_add(d, "cgroup", PREFLIGHT_GOOD, "version 2");
    else if (is_mounted("/sys/fs/cgroup/freezer", CGROUP_SUPER_MAGIC))
        doctor_add(d, "cgroup", PREFLIGHT_GOOD, "version 1");
    else
        doctor_add(d, "cgroup", PREFLIGHT_WARN,
                   "no control groups at /sys/fs/cgroup: proctrack/cgroup and memory limits need "
                   "them");
}

static void munge(struct doctor *d)
{
    const char *socket = d->conf.munge_socket;
    struct err err = {""};
    char hex[65], *cred;

    seal_digest("doctor", 6, hex);
    cred = seal_make(hex, 0, socket, &err);
    judge(d, "munge", cred ? seal_check(cred, hex, 0, socket, &err) : -1, &err,
          "makes and takes credentials");
    free(cred);
}

static void pids(struct doctor *d)
{
    char text[32] = "";
    int fd = open("/proc/sys/kernel/pid_max", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    long max = strtol(text, NULL, 10);

    io_close(&fd);
    if (n > 0 && max < 100000)
        doctor_add(
            d, "pid_max", d->conf.allow_host ? PREFLIGHT_WARN : PREFLIGHT_GOOD,
            "kernel.pid_max=%ld: under isolation=host a job's pids are soon taken by others; "
            "4194304 is advised",
            max);
    else
        doctor_add(d, "pid_max", PREFLIGHT_GOOD, "%ld", max);
}

static void state_dir(struct doctor *d)
{
    const char *dir = d->conf.state_dir;
    struct stat st;

    if (lstat(dir, &st) < 0)
        doctor_add(
            d, "prolog", errno == ENOENT ? PREFLIGHT_WARN : PREFLIGHT_FAIL,
            "%s: %s: the prolog hook has run for no job yet; restart slurmd after the plugin "
            "was enabled",
            dir, strerror(errno));
    else if (!S_ISDIR(st.st_mode) || st.st_uid != 0 || (st.st_mode & 022))
        doctor_add(d, "prolog", PREFLIGHT_FAIL, "%s is not a directory that is root's alone", dir);
    else
        doctor_add(d, "prolog", PREFLIGHT_GOOD, "the hook has run (%s)", dir);
}

/* What of Dir is the same for every user: as far as the last slash before the first %. */
static void space(struct doctor *d)
{
    char path[PATH_MAX], size[16];
    struct statvfs fs;
    unsigned percent;

    if (!d->conf.dir[0] || d->conf.dir[0] != '/')
        return;
    snprintf(path, sizeof path, "%s", d->conf.dir);
    if (strchr(path, '%')) {
        *strchr(path, '%') = '\0';
        strrchr(path, '/')[1] = '\0';
    }
    if (statvfs(path, &fs) < 0) {
        doctor_add(d, "space", PREFLIGHT_FAIL, "%s: %s (is it mounted on this node?)", path,
                   strerror(errno));
        return;
    }
    percent = fs.f_blocks ? (unsigned)(fs.f_bavail * 100 / fs.f_blocks) : 100;
    text_bytes((uint64_t)fs.f_bavail * fs.f_frsize, size);
    if (fs.f_flag & ST_RDONLY)
        doctor_add(d, "space", PREFLIGHT_FAIL, "%s is mounted read-only", path);
    else
        doctor_add(d, "space", percent < FULL_PERCENT ? PREFLIGHT_WARN : PREFLIGHT_GOOD,
                   "%s: %s free, %u %%", path, size, percent);
}

void doctor_node(struct doctor *d)
{
    struct utsname u;

    if (uname(&u) == 0)
        kernel(d, &u);
    criu(d);
    helpers(d);
    isolation(d);
    cgroup(d);
    munge(d);
    pids(d);
    state_dir(d);
    space(d);
}
