/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * evil.so - for whatever can be made to load it (LD_PRELOAD, LD_AUDIT, a plugin directory ...): says in
 * THIS-FILE.log which process it has come into and what that process holds.
 *
 * Every use has its own copy of the file, so that the logs tell the ways apart.  Into a shepherd's environment
 * the lines NAME=VALUE of THIS-FILE.env are put (Slurm overrides what the job says about some).
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* By system calls: a shepherd under private isolation stands outside the pid namespace of its /proc. */
static uint64_t set_of(const struct __user_cap_data_struct data[2], int which)
{
    const uint32_t low[] = {data[0].inheritable, data[0].permitted, data[0].effective};
    const uint32_t high[] = {data[1].inheritable, data[1].permitted, data[1].effective};

    return (uint64_t)high[which] << 32 | low[which];
}

static uint64_t ambient(void)
{
    uint64_t set = 0;

    for (unsigned long cap = 0; cap < 64; cap++)
        if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, cap, 0, 0) == 1)
            set |= UINT64_C(1) << cap;
    return set;
}

static void change_environment(const char *self)
{
    char path[4096], line[4096], *value;
    FILE *f;

    snprintf(path, sizeof path, "%s.env", self);
    f = fopen(path, "re");
    while (f && fgets(line, sizeof line, f)) {
        line[strcspn(line, "\n")] = '\0';
        value = strchr(line, '=');
        if (!value)
            continue;
        *value++ = '\0';
        setenv(line, value, 1);
    }
    if (f)
        fclose(f);
}

__attribute__((constructor)) static void evil(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {{0}};
    char comm[17] = "", path[4096];
    Dl_info self;
    int fd;

    if (!dladdr((void *)(uintptr_t)evil, &self) || !self.dli_fname)
        return;
    prctl(PR_GET_NAME, comm, 0, 0, 0);
    if (syscall(SYS_capget, &header, data) < 0)
        memset(data, 0xff, sizeof data);
    snprintf(path, sizeof path, "%s.log", self.dli_fname);
    fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (fd < 0)
        return;
    dprintf(fd, "%s secure=%lu %016llx %016llx %016llx %016llx\n", comm, getauxval(AT_SECURE),
            (unsigned long long)set_of(data, 0), (unsigned long long)set_of(data, 1),
            (unsigned long long)set_of(data, 2), (unsigned long long)ambient());
    close(fd);
    if (strcmp(comm, "shepherd") == 0)
        change_environment(self.dli_fname);
}

/* The dynamic loader takes us for an audit library when this is there. */
unsigned la_version(unsigned version);
unsigned la_version(unsigned version)
{
    return version;
}
