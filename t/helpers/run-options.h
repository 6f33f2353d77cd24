/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * run-options - command line of run-helper (see there).
 */
#ifndef HELPERS_RUN_OPTIONS_H
#define HELPERS_RUN_OPTIONS_H

#include "common/facts.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct options {
    struct facts facts;
    const char *user, *out, *script, *helper;
    pid_t target; /* instead of a program of ours */
    bool no_start, no_cap, user_facts, keep_env, bad_fd, bad_request;
    char **program;
};

extern struct options o;

/* Fill o; ends the program with status 2 when the command line is wrong. */
void run_options_parse(int argc, char **argv);

/* Say what is wrong (die: and errno) and end with status 2. */
void die(const char *what) __attribute__((noreturn));
void usage(const char *what) __attribute__((noreturn));

unsigned long number(const char *s);
void text(char *to, size_t size, const char *from);
/* As SPEC has it, into the facts */
void set_compress(const char *v);
void set_snapshot(const char *v);
#define TEXT(field, value) text(o.facts.field, sizeof o.facts.field, value)

#endif
