/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/doctor.h"

#include "cmd/become.h"
#include "cmd/capture.h"
#include "cmd/progress.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE_S 180
#define START_S 60
#define TEXT_BYTES 8192

/* It ends by itself, and well, only where it goes on: with restore= nothing starts from scratch. */
#define SCRIPT "i=0; while [ $i -lt 30 ]; do sleep 1; i=$((i + 1)); done"

/* Shared with the child that is the user: he may write what he likes into it, it is shown and nothing else. */
struct verdict {
    bool good;
    char text[400];
};

struct try_args {
    const struct doctor *d;
    struct verdict *v;
};

static int fail(struct verdict *v, const char *what, const char *why)
{
    snprintf(v->text, sizeof v->text, "%s: %.300s", what, why);
    return 1;
}

/* The last line that says something: Slurm's programs put the reason there. */
static char *last_line(char *text)
{
    size_t len = strlen(text);
    char *nl;

    while (len > 0 && isspace((unsigned char)text[len - 1]))
        text[--len] = '\0';
    nl = strrchr(text, '\n');
    return nl ? nl + 1 : text;
}

static bool submit(const struct try_args *a, const char *restore, char job[16])
{
    char option[64], node[80], text[TEXT_BYTES], *line;
    const char *argv[] = {"sbatch",
                          "--parsable",
                          "--job-name=scheckpoint-doctor",
                          "--output=/dev/null",
                          "--time=10",
                          "--ntasks=1",
                          "--requeue",
                          node,
                          option,
                          "--wrap",
                          SCRIPT,
                          NULL};
    struct err err = {""};
    int rc;

    snprintf(option, sizeof option, "--checkpoint=interval=0%s%s", restore ? ",restore=" : "",
             restore ? restore : "");
    snprintf(node, sizeof node, "--nodelist=%s", a->d->node);
    rc = capture_run(argv, PATIENCE_S, text, sizeof text, &err);
    line = last_line(text);
    if (rc != 0 || !isdigit((unsigned char)*line)) {
        fail(a->v, "sbatch", rc < 0 ? err.text : line);
        return false;
    }
    snprintf(job, 16, "%.*s", (int)strspn(line, "0123456789"), line);
    return true;
}

static void state_of(const char *job, char state[32], char reason[64])
{
    const char *argv[] = {"scontrol", "--oneliner", "show", "job", job, NULL};
    char text[TEXT_BYTES];
    const char *at;

    snprintf(state, 32, "unknown");
    *reason = '\0';
    if (capture_run(argv, PATIENCE_S, text, sizeof text, NULL) != 0)
        return;
    at = strstr(text, "JobState=");
    if (at)
        snprintf(state, 32, "%.*s", (int)strcspn(at + 9, " \n"), at + 9);
    at = strstr(text, "Reason=");
    if (at)
        snprintf(reason, 64, "%.*s", (int)strcspn(at + 7, " \n"), at + 7);
}

/* Until it is in none of the states that lead to `wanted`. */
static bool wait_for(const struct try_args *a, const char *what, const char *job,
                     const char *wanted)
{
    int64_t end = progress_now_ms() + (int64_t)PATIENCE_S * 1000;
    char state[32], reason[64], text[200];

    do {
        state_of(job, state, reason);
        if (strcmp(state, wanted) == 0)
            return true;
        if (strcmp(state, "PENDING") != 0 && strcmp(state, "RUNNING") != 0 &&
            strcmp(state, "CONFIGURING") != 0 && strcmp(state, "COMPLETING") != 0)
            break;
        nanosleep(&(struct timespec){.tv_nsec = 500000000}, NULL);
    } while (progress_now_ms() < end);
    snprintf(text, sizeof text, "job %s is %s (%s), not %s", job, state, reason, wanted);
    fail(a->v, what, text);
    return false;
}

static void cancel(const char *job)
{
    const char *argv[] = {"scancel", job, NULL};
    char text[TEXT_BYTES];

    (void)capture_run(argv, PATIENCE_S, text, sizeof text, NULL);
}

/* This program itself, as the user: scheckpoint VERB OPTION JOB. */
static bool ours(const struct try_args *a, const char *verb, const char *option, const char *job,
                 char *text, size_t size)
{
    const char *argv[] = {"/proc/self/exe", "--conf", a->d->conf_path, verb, option, job, NULL};
    struct err err = {""};
    int rc = capture_run(argv, PATIENCE_S + 10, text, size, &err);

    if (rc == 0)
        return true;
    fail(a->v, verb, rc < 0 ? err.text : last_line(text));
    return false;
}

/* Slurm calls a job running before its script has begun: until then nothing answers.  An answer that it cannot be saved may
 * be of the moment (a process is just ending), but not three times. */
static bool create(const struct try_args *a, const char *job, char *text, size_t size)
{
    int64_t end = progress_now_ms() + (int64_t)START_S * 1000;
    int failed = 0;

    while (!ours(a, "create", "--wait=180", job, text, size)) {
        char state[32], reason[64];

        failed += strstr(text, "not saved: ") != NULL;
        state_of(job, state, reason);
        if (failed == 3 || progress_now_ms() > end || strcmp(state, "RUNNING") != 0)
            return false;
        nanosleep(&(struct timespec){.tv_sec = 1}, NULL);
    }
    return true;
}

static int as_user(void *arg)
{
    const struct try_args *a = arg;
    char first[16] = "", second[16] = "", made[TEXT_BYTES] = "", text[TEXT_BYTES];
    bool good = false;

    if (chdir("/") < 0)
        return fail(a->v, "/", strerror(errno));
    if (submit(a, NULL, first) && wait_for(a, "the first job", first, "RUNNING") &&
        create(a, first, made, sizeof made)) {
        cancel(first);
        good = wait_for(a, "the first job", first, "CANCELLED") && submit(a, first, second) &&
               wait_for(a, "the restored job", second, "COMPLETED");
    }
    if (good) {
        snprintf(a->v->text, sizeof a->v->text, "%s, restored in job %s", last_line(made), second);
        (void)ours(a, "prune", "--keep=0", first, text, sizeof text);
    } else {
        if (*first)
            cancel(first);
        if (*second)
            cancel(second);
    }
    a->v->good = good;
    return good ? 0 : 1;
}

void doctor_try(struct doctor *d, const char *user)
{
    struct try_args a = {.d = d};
    struct err err = {""};
    void *shared =
        mmap(NULL, sizeof *a.v, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int rc;

    if (shared == MAP_FAILED) {
        doctor_add(d, "try", PREFLIGHT_FAIL, "no memory");
        return;
    }
    a.v = shared;
    rc = become_run(user, as_user, &a, &err);
    a.v->text[sizeof a.v->text - 1] = '\0';
    if (rc < 0)
        doctor_add(d, "try", PREFLIGHT_FAIL, "%s: %s", user, err.text);
    else
        doctor_add(d, "try", rc == 0 && a.v->good ? PREFLIGHT_GOOD : PREFLIGHT_FAIL, "%s",
                   a.v->text);
    munmap(shared, sizeof *a.v);
}
