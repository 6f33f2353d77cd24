/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "t/helpers/run-options.h"

#include "common/spec.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct options o = {.out = "/dev/null"};

void die(const char *what)
{
    fprintf(stderr, "run-helper: %s: %s\n", what, strerror(errno));
    exit(2);
}

void usage(const char *what)
{
    fprintf(stderr, "run-helper: %s; see the head of run-helper.c\n", what);
    exit(2);
}

unsigned long number(const char *s)
{
    char *end;
    unsigned long v = strtoul(s, &end, 10);

    if (end == s || *end)
        usage("not a number");
    return v;
}

void text(char *to, size_t size, const char *from)
{
    if ((size_t)snprintf(to, size, "%s", from) >= size)
        usage("too long");
}

static void defaults(void)
{
    TEXT(cluster, "test");
    TEXT(node, "node1");
    TEXT(task, "batch");
    TEXT(nonce, "0123456789abcdef");
    TEXT(proctrack, "cgroup");
    TEXT(criu, "/opt/slurm-spank-checkpoint/criu/sbin/criu");
    TEXT(helper_dir, CKPT_HELPERDIR);
    o.facts.job = 4711;
    o.facts.keep = 2;
    o.facts.compress = COMPRESS_ZSTD;
    o.facts.compress_level = 1;
    o.facts.dump_timeout = o.facts.restore_timeout = 60;
    o.facts.mtbf = 3600;
    o.facts.hook_timeout = 30;
}

void set_compress(const char *v)
{
    if (!spec_parse_compress(v, &o.facts.compress, &o.facts.compress_level))
        usage("--compress: none, lz4, zstd or zstd:1..19");
}

void set_snapshot(const char *v)
{
    if (!strcmp(v, "yes"))
        o.facts.snapshot = SNAPSHOT_YES;
    else if (!strcmp(v, "no"))
        o.facts.snapshot = SNAPSHOT_NO;
    else if (!strcmp(v, "require"))
        o.facts.snapshot = SNAPSHOT_REQUIRE;
    else
        usage("--snapshot: yes, no or require");
}

enum opt {
    USER = 256,
    DIR_,
    CRIU,
    HELPER_DIR,
    HELPER,
    MUNGE,
    JOB,
    EPOCH,
    NONCE,
    COMPRESS,
    KEEP,
    INCREMENTAL,
    THREADS
};
enum opt2 {
    TIMEOUT = 300,
    MAX_SIZE,
    ISOLATION,
    OUT,
    DO,
    TARGET,
    NO_START,
    NO_CAP,
    USER_FACTS,
    KEEP_ENV
};
enum opt3 { BAD_FD = 350, BAD_REQUEST, SNAPSHOT, TIGHT, MEMORY_KILL };

static const struct option options[] = {
    {"user", 1, 0, USER},
    {"dir", 1, 0, DIR_},
    {"criu", 1, 0, CRIU},
    {"helper-dir", 1, 0, HELPER_DIR},
    {"helper", 1, 0, HELPER},
    {"munge-socket", 1, 0, MUNGE},
    {"job", 1, 0, JOB},
    {"epoch", 1, 0, EPOCH},
    {"nonce", 1, 0, NONCE},
    {"compress", 1, 0, COMPRESS},
    {"keep", 1, 0, KEEP},
    {"incremental", 1, 0, INCREMENTAL},
    {"threads", 1, 0, THREADS},
    {"timeout", 1, 0, TIMEOUT},
    {"max-size", 1, 0, MAX_SIZE},
    {"isolation", 1, 0, ISOLATION},
    {"out", 1, 0, OUT},
    {"do", 1, 0, DO},
    {"target", 1, 0, TARGET},
    {"no-start", 0, 0, NO_START},
    {"no-cap", 0, 0, NO_CAP},
    {"user-facts", 0, 0, USER_FACTS},
    {"keep-env", 0, 0, KEEP_ENV},
    {"bad-fd", 0, 0, BAD_FD},
    {"bad-request", 0, 0, BAD_REQUEST},
    {"snapshot", 1, 0, SNAPSHOT},
    {"tight", 1, 0, TIGHT},
    {"memory-kill", 1, 0, MEMORY_KILL},
    {0, 0, 0, 0},
};

static void set_fact(int c, const char *v)
{
    switch (c) {
    case DIR_:
        TEXT(dir, v);
        break;
    case CRIU:
        TEXT(criu, v);
        break;
    case HELPER_DIR:
        TEXT(helper_dir, v);
        break;
    case MUNGE:
        TEXT(munge_socket, v);
        break;
    case NONCE:
        TEXT(nonce, v);
        break;
    case COMPRESS:
        set_compress(v);
        break;
    case JOB:
        o.facts.job = (uint32_t)number(v);
        break;
    case EPOCH:
        o.facts.epoch = (uint32_t)number(v);
        break;
    case INCREMENTAL:
        o.facts.incremental = (uint32_t)number(v);
        break;
    case KEEP:
        o.facts.keep = (uint32_t)number(v);
        break;
    case THREADS:
        o.facts.threads = (uint32_t)number(v);
        break;
    case TIMEOUT:
        o.facts.dump_timeout = o.facts.restore_timeout = (uint32_t)number(v);
        break;
    case MAX_SIZE:
        o.facts.max_size = number(v);
        break;
    case SNAPSHOT:
        set_snapshot(v);
        break;
    case TIGHT:
        o.facts.snapshot_tight = strcmp(v, "drop") ? TIGHT_HOLD : TIGHT_DROP;
        break;
    case MEMORY_KILL:
        o.facts.memory_kill = number(v);
        break;
    case ISOLATION:
        o.facts.isolation = strcmp(v, "private") ? ISOLATION_HOST : ISOLATION_PRIVATE;
        break;
    default:
        usage("unknown option");
    }
}

void run_options_parse(int argc, char **argv)
{
    int c;

    defaults();
    while ((c = getopt_long(argc, argv, "+", options, NULL)) != -1) {
        if (c == USER)
            o.user = optarg;
        else if (c == HELPER)
            o.helper = optarg;
        else if (c == OUT)
            o.out = optarg;
        else if (c == DO)
            o.script = optarg;
        else if (c == TARGET)
            o.target = (pid_t)number(optarg);
        else if (c == NO_START)
            o.no_start = true;
        else if (c == NO_CAP)
            o.no_cap = true;
        else if (c == USER_FACTS)
            o.user_facts = true;
        else if (c == KEEP_ENV)
            o.keep_env = true;
        else if (c == BAD_FD)
            o.bad_fd = true;
        else if (c == BAD_REQUEST)
            o.bad_request = true;
        else
            set_fact(c, optarg);
    }
    if (!o.user || !o.script || !*o.facts.dir)
        usage("--user, --dir and --do are needed");
    o.program = argv + optind;
}
