/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "check/impl.h"
#include "common/cpu.h"
#include "common/criurun.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

/* "6.18.1-test" to 6018; 0: not a release. */
static unsigned release(const char *text)
{
    unsigned major, minor;

    return sscanf(text, "%u.%u", &major, &minor) == 2 && minor < 1000 ? major * 1000 + minor : 0;
}

static void check_kernel(const struct manifest *m, const struct utsname *u, struct preflight *p)
{
    if (strcmp(m->machine, u->machine) != 0)
        preflight_add(p, "machine", PREFLIGHT_FAIL, HERE, "%s, saved on %s", u->machine,
                      m->machine);
    else
        preflight_add(p, "machine", PREFLIGHT_GOOD, HERE, "%s", u->machine);
    /* What the kernel gives a program (its vDSO, system calls) only grows. */
    if (release(u->release) < release(m->kernel))
        preflight_add(p, "kernel", PREFLIGHT_WARN, HERE,
                      "Linux %s is older than the %s it was saved under", u->release, m->kernel);
    else
        preflight_add(p, "kernel", PREFLIGHT_GOOD, HERE, "Linux %s", u->release);
}

static void check_criu(const struct manifest *m, const struct facts *f, struct preflight *p)
{
    struct criurun_version asked;
    struct err err = {""};
    char version[32];

    if (access(f->criu, X_OK) < 0) {
        preflight_add(p, "criu", PREFLIGHT_FAIL, HERE, "%s: %s", f->criu, strerror(errno));
        return;
    }
    criurun_version_ask(f->criu, &asked);
    criurun_version_tell(&asked, version, sizeof version);
    if (release(version) == 0)
        preflight_add(p, "criu", PREFLIGHT_FAIL, HERE, "%s does not tell its version", f->criu);
    else if (criurun_version_check(f->criu, version, &err) < 0)
        preflight_add(p, "criu", PREFLIGHT_FAIL, HERE, "%s", err.text);
    else if (release(version) < release(m->criu))
        preflight_add(p, "criu", PREFLIGHT_WARN, HERE, "%s is older than the %s that saved it",
                      version, m->criu);
    else
        preflight_add(p, "criu", PREFLIGHT_GOOD, HERE, "%s", version);
}

static void check_cpu(const struct manifest *m, struct preflight *p)
{
    char now[CPU_FEATURES_MAX], missing[300];

    cpu_features(NULL, now);
    if (!m->cpu[0])
        preflight_add(p, "cpu", PREFLIGHT_WARN, HERE,
                      "the checkpoint does not tell what it was saved on");
    else if (cpu_missing(m->cpu, now, missing, sizeof missing) > 0)
        preflight_add(p, "cpu", PREFLIGHT_FAIL, HERE, "it lacks %s", missing);
    else
        preflight_add(p, "cpu", PREFLIGHT_GOOD, HERE,
                      "it has all instruction sets of the one before");
}

void preflight_machine(const struct checkpoint *c, const struct facts *f, struct preflight *p)
{
    struct utsname u;

    if (uname(&u) == 0)
        check_kernel(&c->m, &u, p);
    check_criu(&c->m, f, p);
    check_cpu(&c->m, p);
}
