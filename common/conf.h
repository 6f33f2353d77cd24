/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * conf - checkpoint.conf, the site's policy.  checkpoint.conf(5) describes each key.
 */
#ifndef COMMON_CONF_H
#define COMMON_CONF_H

#include "common/err.h"
#include "common/facts.h"

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

struct conf {
    char dir[PATH_MAX];        /* Dir: template, %u user, %U uid, %h home, %c cluster; "" = none */
    char state_dir[PATH_MAX];  /* StateDir: root's, default /run/slurm-spank-checkpoint */
    char helper_dir[PATH_MAX]; /* HelperDir: default compiled in */
    char criu[PATH_MAX];       /* Criu: default /usr/sbin/criu */
    char munge_socket[PATH_MAX];    /* MungeSocket: "" = munge's default */
    char log_dir[PATH_MAX];         /* Log: "" = none */
    char metrics_dir[PATH_MAX];     /* MetricsDir: "" = none */
    char event_socket[PATH_MAX];    /* EventSocket: "" = the journal's, else syslog's */
    enum facts_isolation isolation; /* Isolation: private|host: the default */
    bool allow_host, allow_private; /* AllowIsolation: list of those users may choose */
    char host_users
        [1024];        /* HostUsers: comma-separated users who may use isolation=host; "" = all */
    uint32_t interval; /* Interval: a Slurm time; default 60 minutes */
    uint32_t keep;     /* Keep: default 2 */
    uint32_t max_keep; /* MaxKeep: default 10 */
    enum facts_compress compress; /* Compress: default zstd:1 */
    int compress_level;
    uint32_t dump_timeout;    /* DumpTimeout: a Slurm time, default 60 minutes */
    uint32_t restore_timeout; /* RestoreTimeout: default 60 minutes */
    uint32_t threads;         /* Threads: 0 = automatic */
    uint64_t max_size;        /* MaxSize: bytes with K/M/G/T suffix; 0 = no limit */
    uint64_t max_user_size;   /* MaxUserSize: of a user's checkpoints; 0 = no limit */
    uint64_t max_site_size;   /* MaxSiteSize: in use on their filesystem; 0 = no limit */
    uint64_t min_free;        /* MinFree: to stay free there; 0 = no limit */
    uint32_t expire_days;     /* ExpireDays: of jobs that have ended, default 14; 0 = never */
    uint32_t max_dumps;       /* MaxDumps: at once on a node, 0 = no limit; default 4 */
    bool job_clock;           /* JobClock: yes|no, default yes */
    uint32_t max_restarts;    /* MaxRestarts: default 20 */
    uint32_t busy_wait;       /* BusyWait: seconds, default 5 */
    uint32_t busy_retries;    /* BusyRetries: default 5 */
    uint32_t mtbf;            /* Mtbf: a Slurm time, default 30 days */
    uint64_t
        files_small; /* FilesSmall: largest of the job's own files that is copied in case it goes; default 1M */
    uint64_t
        files_limit; /* FilesLimit: bytes of files copied per generation; default 2G, 0 = no limit */
    enum facts_choice files_over;    /* FilesOver: refuse|warn, default refuse */
    enum facts_choice inputs;        /* Inputs: refuse|warn, default refuse */
    uint32_t incremental;            /* Incremental: yes|no|2..64, default no; facts.h */
    enum facts_snapshot snapshot;    /* Snapshot: yes|no|require, default yes */
    enum facts_tight snapshot_tight; /* SnapshotTight: hold|drop, default hold */
    struct facts_hooks hooks;        /* HookBefore, HookAfter, HookRestored: default "", none */
    uint32_t hook_timeout;           /* HookTimeout: a Slurm time, default 30 seconds */
};

#define CONF_DEFAULT_PATH CKPT_SYSCONFDIR "/checkpoint.conf"

/* Read path; unknown keys, repeated keys and values out of range are errors that name file and line. */
int conf_load(const char *path, struct conf *c, struct err *err);
void conf_defaults(struct conf *c);

/* Expand the Dir template; result must be an absolute path without "..".  -1 with a text. */
int conf_expand_dir(const char *template_, const char *user, uid_t uid, const char *home,
                    const char *cluster, char out[PATH_MAX], struct err *err);

#endif
