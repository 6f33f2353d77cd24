/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "spank/tree.h"

#include "common/io.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

struct process {
    pid_t pid, parent;
    bool ours;
    char state;
    char comm[16];
};

static bool read_parent(const char *name, struct process *p)
{
    char path[300], buf[512], *close_bracket, *bracket;

    snprintf(path, sizeof path, "/proc/%s/stat", name);
    if (io_read_start(path, buf, sizeof buf) < 0)
        return false;
    close_bracket = strrchr(buf, ')');
    if (!close_bracket || sscanf(close_bracket + 1, " %c %d", &p->state, &p->parent) != 2)
        return false;
    bracket = strchr(buf, '(');
    *close_bracket = '\0';
    snprintf(p->comm, sizeof p->comm, "%.15s", bracket ? bracket + 1 : "");
    p->pid = (pid_t)strtol(name, NULL, 10);
    p->ours = false;
    return true;
}

static size_t read_all(struct process **out)
{
    DIR *d = opendir("/proc");
    struct process *list = NULL;
    size_t n = 0, room = 0;
    struct dirent *e;

    while (d && (e = readdir(d))) {
        if (*e->d_name < '1' || *e->d_name > '9')
            continue;
        if (n == room) {
            struct process *bigger = realloc(list, (room + 256) * sizeof *list);

            if (!bigger)
                break;
            list = bigger;
            room += 256;
        }
        if (read_parent(e->d_name, &list[n]))
            n++;
    }
    if (d)
        closedir(d);
    *out = list;
    return n;
}

static int signal_below(pid_t root, int sig)
{
    struct process *list = NULL;
    size_t n = read_all(&list);
    int killed = 0;
    bool more = true;

    while (more) {
        more = false;
        for (size_t i = 0; i < n; i++)
            for (size_t j = 0; j < n && !list[i].ours; j++)
                if (list[i].parent == root || (list[j].ours && list[i].parent == list[j].pid)) {
                    list[i].ours = more = true;
                    killed += kill(list[i].pid, sig) == 0;
                }
    }
    free(list);
    return killed;
}

size_t tree_list(pid_t root, pid_t **pids)
{
    struct process *list = NULL;
    size_t n = read_all(&list), found = 0;
    pid_t *out = calloc(n + 1, sizeof *out);

    for (size_t i = 0; out && i < n && found == 0; i++)
        if (list[i].pid == root)
            out[found++] = root;
    for (size_t k = 0; k < found; k++)
        for (size_t i = 0; i < n; i++)
            if (list[i].parent == out[k] && !list[i].ours) {
                list[i].ours = true;
                out[found++] = list[i].pid;
            }
    free(list);
    if (found == 0) {
        free(out);
        out = NULL;
    }
    *pids = out;
    return found;
}

/* Mark root and what is below it, but not what is called `comm` nor what is below that. */
static void mark_below(struct process *list, size_t n, pid_t root, const char *comm)
{
    bool more = true;

    for (size_t i = 0; i < n; i++)
        list[i].ours = list[i].pid == root;
    while (more) {
        more = false;
        for (size_t i = 0; i < n; i++)
            for (size_t j = 0; j < n && !list[i].ours; j++)
                if (list[j].ours && list[i].parent == list[j].pid &&
                    (!comm || strcmp(list[i].comm, comm) != 0))
                    list[i].ours = more = true;
    }
}

bool tree_has(pid_t root, const char *comm)
{
    struct process *list = NULL;
    size_t n = read_all(&list);
    bool found = false;

    if (root)
        mark_below(list, n, root, NULL);
    for (size_t i = 0; i < n && !found; i++)
        found = (!root || list[i].ours) && list[i].state != 'Z' && strcmp(list[i].comm, comm) == 0;
    free(list);
    return found;
}

void tree_stop_but(pid_t root, const char *comm)
{
    struct process *list = NULL;
    size_t n = read_all(&list);

    mark_below(list, n, root, comm);
    for (size_t i = 0; i < n; i++)
        if (list[i].ours)
            kill(list[i].pid, SIGSTOP);
    free(list);
}

int tree_kill(pid_t root)
{
    int killed = signal_below(root, SIGKILL);

    return killed + (kill(root, SIGKILL) == 0);
}

void tree_continue(pid_t root)
{
    kill(root, SIGCONT);
    signal_below(root, SIGCONT);
}

void tree_kill_own(int rounds)
{
    while (rounds-- > 0 && signal_below(getpid(), SIGKILL) > 0)
        while (waitpid(-1, NULL, WNOHANG) > 0)
            ;
}
