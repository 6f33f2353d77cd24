/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * evil.so - for whatever can be made to load it (LD_PRELOAD, LD_AUDIT, a plugin directory ...): says in
 * THIS-FILE.log which process it has come into and what that process holds.
 *
 * Every use has its own copy of the file, so that the logs tell the ways apart.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

static const char *capability_sets(char *status)
{
    static char text[128];
    static const char *const names[] = {"CapInh:\t", "CapPrm:\t", "CapEff:\t", "CapAmb:\t"};
    size_t used = 0;

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const char *at = strstr(status, names[i]);

        used += (size_t)snprintf(text + used, sizeof text - used, " %.16s",
                                 at ? at + strlen(names[i]) : "?");
    }
    return text;
}

static ssize_t slurp(const char *path, char *buf, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, buf, size - 1);

    if (fd >= 0)
        close(fd);
    buf[n > 0 ? n : 0] = '\0';
    return n;
}

__attribute__((constructor)) static void evil(void)
{
    char comm[32], status[8192], path[4096];
    Dl_info self;
    int fd;

    if (!dladdr((void *)(__UINTPTR_TYPE__)evil, &self) || !self.dli_fname)
        return;
    slurp("/proc/self/comm", comm, sizeof comm);
    comm[strcspn(comm, "\n")] = '\0';
    slurp("/proc/self/status", status, sizeof status);
    snprintf(path, sizeof path, "%s.log", self.dli_fname);
    fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (fd < 0)
        return;
    dprintf(fd, "%s secure=%lu%s\n", comm, getauxval(AT_SECURE), capability_sets(status));
    close(fd);
}

/* The dynamic loader takes us for an audit library when this is there. */
unsigned la_version(unsigned version);
unsigned la_version(unsigned version)
{
    return version;
}
