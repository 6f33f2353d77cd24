/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "t/faulty/faults.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum action { NONE, FAIL, KILL, STALL, ALTER, CUT };

struct plan {
    bool any, change;
    enum faults_op op;
    unsigned n;
    bool all_after;
    enum action action;
    int value; /* errno, or milliseconds */
    char name[64];
    unsigned count;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct plan plan;

/* Of the operation that this thread is about. */
static __thread pid_t victim;
static __thread bool alter;

static const struct {
    const char *name;
    enum faults_op op;
} operations[] = {
    {"getattr", FAULTS_GETATTR}, {"open", FAULTS_OPEN},         {"read", FAULTS_READ},
    {"opendir", FAULTS_OPENDIR}, {"statfs", FAULTS_STATFS},     {"mkdir", FAULTS_MKDIR},
    {"create", FAULTS_CREATE},   {"write", FAULTS_WRITE},       {"flush", FAULTS_FLUSH},
    {"fsync", FAULTS_FSYNC},     {"fsyncdir", FAULTS_FSYNCDIR}, {"rename", FAULTS_RENAME},
    {"unlink", FAULTS_UNLINK},   {"link", FAULTS_LINK},
};

static const struct {
    const char *name;
    enum action action;
    int value;
} actions[] = {
    {"EIO", FAIL, EIO}, {"ENOSPC", FAIL, ENOSPC}, {"EDQUOT", FAIL, EDQUOT},
    {"EPERM", FAIL, EPERM},
    {"kill", KILL, 0},  {"alter", ALTER, 0},      {"cut", CUT, 0},
};

static bool parse_which(struct plan *p, const char *word)
{
    p->any = !strcmp(word, "any");
    p->change = !strcmp(word, "change");
    for (size_t i = 0; i < sizeof operations / sizeof operations[0]; i++)
        if (!strcmp(operations[i].name, word)) {
            p->op = operations[i].op;
            return true;
        }
    return p->any || p->change;
}

static bool parse_action(struct plan *p, const char *word)
{
    if (!strncmp(word, "stall=", 6)) {
        p->action = STALL;
        p->value = (int)strtol(word + 6, NULL, 10);
        return true;
    }
    for (size_t i = 0; i < sizeof actions / sizeof actions[0]; i++)
        if (!strcmp(actions[i].name, word)) {
            p->action = actions[i].action;
            p->value = actions[i].value;
            return true;
        }
    return false;
}

int faults_plan(const char *text, size_t len)
{
    struct plan p = {.action = NONE};
    char copy[128] = "", *save = NULL, *words[4] = {NULL}, *end;

    if (len >= sizeof copy)
        return -EINVAL;
    memcpy(copy, text, len);
    for (int i = 0; i < 4; i++)
        words[i] = strtok_r(i ? NULL : copy, " ", &save);
    if (!words[0])
        return -EINVAL;
    if (strcmp(words[0], "off") != 0) {
        if (!words[2] || !parse_which(&p, words[0]) || !parse_action(&p, words[2]))
            return -EINVAL;
        p.n = (unsigned)strtoul(words[1], &end, 10);
        p.all_after = *end == '+';
        if (words[3])
            snprintf(p.name, sizeof p.name, "%s", words[3]);
    }
    pthread_mutex_lock(&lock);
    plan = p;
    pthread_mutex_unlock(&lock);
    return 0;
}

unsigned faults_count(void)
{
    unsigned n;

    pthread_mutex_lock(&lock);
    n = plan.count;
    pthread_mutex_unlock(&lock);
    return n;
}

/* The action that is due, with its value. */
static enum action due(enum faults_op op, const char *path, int *value)
{
    /* libfuse has no path for a file that was removed while it is open. */
    const char *name = path ? strrchr(path, '/') : NULL;
    enum action action = NONE;

    pthread_mutex_lock(&lock);
    if (plan.action != NONE &&
        (plan.any || (plan.change && op >= FAULTS_MKDIR) || (!plan.change && plan.op == op)) &&
        (!*plan.name || (name && !strcmp(name + 1, plan.name)))) {
        plan.count++;
        if (plan.count == plan.n || (plan.all_after && plan.count > plan.n))
            action = plan.action;
        *value = plan.value;
    }
    pthread_mutex_unlock(&lock);
    return action;
}

int faults_before(enum faults_op op, const char *path, int fd, pid_t caller)
{
    int value = 0;
    struct timespec t;
    struct stat st;

    victim = 0;
    alter = false;
    switch (due(op, path, &value)) {
    case FAIL:
        return -value;
    case KILL:
        victim = caller;
        break;
    case STALL:
        t = (struct timespec){value / 1000, value % 1000 * 1000000};
        nanosleep(&t, NULL);
        break;
    case ALTER:
        alter = true;
        break;
    case CUT:
        /* fd is open for reading only. */
        if (fd >= 0 && fstat(fd, &st) == 0) {
            char self[64];

            snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
            (void)!truncate(self, st.st_size / 2);
        }
        break;
    case NONE:
        break;
    }
    return 0;
}

bool faults_alter(void)
{
    return alter;
}

void faults_after(void)
{
    if (victim > 0)
        kill(victim, SIGKILL);
    victim = 0;
}
