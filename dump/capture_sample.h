/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * capture_sample - for capture_test: CRIU played by a thread that speaks its side of the protocol.
 *
 * The functions of criurun.h that capture.c uses are replaced by the ones in here.
 */
#ifndef DUMP_CAPTURE_SAMPLE_H
#define DUMP_CAPTURE_SAMPLE_H

#include "common/criurun.h"
#include "dump/capture.h"

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct criurun {
    int stream; /* ours */
    int sock;   /* CRIU's */
    int drain;  /* its plugin's */
    int ended;  /* eventfd */
    int status;
    bool deaf; /* does not end when its stream breaks */
    _Atomic bool killed;
    pthread_t thread;
    int (*play)(struct criurun *);
};

/* What one test needs. */
struct stage {
    struct criurun run;
    struct capture_opts o;
    int pages, cancel[2], result[2], drain;
    struct err err;
};

/* To be called once: a stopped and traced process that stands for the root of the tree. */
void stage_make_victim(void);

/* Let play be criu: its return value is the wait status. */
void raise_curtain(struct stage *s, int (*play)(struct criurun *));
void drop_curtain(struct stage *s);

/* CRIU's side */
bool send_request(int sock, const char *name);
bool send_fd(int sock, int fd);                        /* one byte with fd; -1: without any */
int open_image(struct criurun *run, const char *name); /* the end to write to, or -1 */
bool fill(int fd, char c, size_t len);
bool whole_image(struct criurun *run, const char *name, char c, size_t len);
bool drain(struct criurun *run); /* as the plugin does it */
bool is_empty(int fd);

#endif
