/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * criurun - run CRIU: arguments and environment from nothing, its stream, its log, its end.
 *
 * A helper that still holds the capability forks the launcher first (criurun_prepare): a child with
 * everything that criu will be told fixed before any byte of the user's directory is read.  It waits
 * for one word from the helper and then execs criu with the capability ambient.  The helper drops its own capabilities
 * (helper_caps_drop) and drives criu from a poll loop:
 *
 *   run = criurun_prepare(&opts, &err);          capability held, no threads yet
 *   helper_caps_drop(&err);
 *   ... open the directory, parse, verify ...
 *   criurun_go(run, last_pid, &err);
 *   loop: criurun_pollfds + own descriptors -> poll -> criurun_pump, until it returns 1
 *   criurun_exit_status / criurun_explain / criurun_log / criurun_destroy
 *
 * At a dump criu is in a process group of its own: whoever kills the helper's group must not kill a criu
 * that holds the job seized; its stream breaks, and it lets the job go.
 *
 * criu sees: 0 = /dev/null, 1 = pipe (statistics), 2 = pipe (log), 3 = the stream socket, 4.. = opts.fds.
 */
#ifndef COMMON_CRIURUN_H
#define COMMON_CRIURUN_H

#include "common/err.h"

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define CRIURUN_NFDS 3     /* descriptors that criurun_pollfds fills in */
#define CRIURUN_FIRST_FD 4 /* number of opts.fds[0] inside criu */
#define CRIURUN_FDS_MAX 8
#define CRIURUN_ARGS_MAX 64
#define CRIURUN_LOG_MAX                                                                            \
    (1u << 20) /* bytes of log kept; when there is more, its middle is dropped */

struct criurun_opts {
    const char *criu;       /* absolute path; must pass helper_path_trusted */
    const char *helper_dir; /* where criu-shim.so is; must pass helper_path_trusted */
    const char *const
        *args;      /* after argv[0], NULL-terminated: "dump", ...; copied.  --no-default-config,
                                --unprivileged, --stream, -D, -W, the log options are added */
    const int *fds; /* passed on as CRIURUN_FIRST_FD.. (close-on-exec here is fine) */
    int nfds;
    bool drain;    /* fds[0] is the socket of capture.h's drain_fd: criu's plugin is told */
    bool snapshot; /* fds[1] is the socket of snapshot_wire.h */
};

struct criurun;

/* Fork the launcher.  Needs CAP_CHECKPOINT_RESTORE permitted (helper_caps_hold) in a single-threaded
 * process.  The paths are checked here.  NULL with a text. */
struct criurun *criurun_prepare(const struct criurun_opts *opts, struct err *err);

/* What `criu --version` tells ("4.2.1"), run without any capability; "unknown" when it does not within a few
 * seconds.  Ask after helper_caps_drop; it answers while something else is done; then tell, in any case. */
struct criurun_version {
    pid_t pid;
    int fd;
};
void criurun_version_ask(const char *criu, struct criurun_version *v);
void criurun_version_tell(struct criurun_version *v, char *text, size_t size);

/* Is that version good on this kernel (uname's release)?  4.2 or later; 4.1.1, Debian 13's, below Linux 6.16, where it
 * fails on every socket (SO_PASSCRED). */
bool criurun_version_fits(const char *version, const char *kernel);

/* The same of the kernel that runs: 0, or -1 (ENOTSUP) with what is needed. */
int criurun_version_check(const char *criu, const char *version, struct err *err);

/* Our end of the streaming protocol's socket (SOCK_STREAM, close-on-exec, blocking).  Owned by run until taken
 * over with criurun_take_stream (then the caller closes it). */
int criurun_stream(const struct criurun *run);
int criurun_take_stream(struct criurun *run);

/* Let criu start.  last_pid != 0: the launcher writes it to /proc/sys/kernel/ns_last_pid of its pid
 * namespace first (with the capability raised for that one write) and gives up when that fails. */
int criurun_go(struct criurun *run, uint32_t last_pid, struct err *err);

/* Fill in what to poll for: entries with fd -1 are over.  criu's pid, as this process numbers it. */
void criurun_pollfds(const struct criurun *run, struct pollfd fds[CRIURUN_NFDS]);
pid_t criurun_pid(const struct criurun *run);

/* Read what criu has written and see whether it has ended; never blocks.  1: ended and reaped, 0: runs. */
int criurun_pump(struct criurun *run);

/* Pump until the end or `ms` milliseconds have passed: 1 ended, 0 not. */
int criurun_wait(struct criurun *run, int ms);

/* SIGKILL to criu's pidfd.  At a dump a last resort: what criu has seized is let go by the kernel with
 * whatever state it is in.  Closing the stream makes criu fail and clean up by itself. */
void criurun_kill(struct criurun *run);

/* Wait status after the end; meaningless before. */
int criurun_exit_status(const struct criurun *run);
/* It has ended, by a signal. */
bool criurun_killed(const struct criurun *run);
/* It has ended, with status 0. */
bool criurun_ended_well(const struct criurun *run);

/* What it has written so far, NUL-terminated: log (stderr) and statistics (stdout). */
const char *criurun_log(const struct criurun *run, size_t *len);
const char *criurun_stdout(const struct criurun *run);

/* Put the cause of a failure in one line into text: a known message in our words, else criu's own first error
 * line, else how it ended. */
void criurun_explain(const struct criurun *run, char *text, size_t size);
/* The same over any log (for tests); false when there is no error line in it. */
bool criurun_explain_log(const char *log, char *text, size_t size);

/* Write the log to LOGDIR/name beneath taskfd (made 0700 when missing; a former file of that name is
 * replaced); nothing when the log is empty.  Failing is not serious. */
int criurun_save_log(const struct criurun *run, int taskfd, const char *name, struct err *err);

/* Kills and reaps it if it still runs.  NULL is fine; errno is kept. */
void criurun_destroy(struct criurun *run);

#endif
