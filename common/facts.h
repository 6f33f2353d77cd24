/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * facts - what root knows about a task, handed to the keeper and its helpers.
 *
 * Root (checkpoint.so in slurmstepd, task_init_privileged) writes them as `key=value` lines into a
 * memfd and seals it against every change.  The file belongs to root, which no user can imitate, so
 * a reader that finds owner 0 and all seals may trust every value.  Nothing in here comes from the
 * job's environment, except what is marked (user), which holds only validated numbers and names.
 */
#ifndef COMMON_FACTS_H
#define COMMON_FACTS_H

#include "common/err.h"

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define FACTS_MAX_BYTES 16384
#define FACTS_DUMPS_MAX 1024
#define FACTS_SMALL_MAX (UINT64_C(64) << 20)
#define FACTS_INCREMENTAL_MAX 64
#define FACTS_INCREMENTAL_YES 8 /* what "yes" means */

enum facts_isolation { ISOLATION_HOST = 0, ISOLATION_PRIVATE = 1 };
enum facts_compress { COMPRESS_NONE = 0, COMPRESS_ZSTD = 1, COMPRESS_LZ4 = 2 };
enum facts_choice { CHOICE_REFUSE = 0, CHOICE_WARN = 1 };
enum facts_snapshot { SNAPSHOT_YES = 0, SNAPSHOT_NO = 1, SNAPSHOT_REQUIRE = 2 };
enum facts_tight { TIGHT_HOLD = 0, TIGHT_DROP = 1 };

#define FACTS_FILES_MAX 4096 /* with its NUL */
#define FACTS_HOOK_MAX 1024  /* with its NUL */

/* Programs that the shepherd runs around checkpoints, by absolute path; "": none. */
struct facts_hooks {
    char before[FACTS_HOOK_MAX]; /* a dump */
    char after[FACTS_HOOK_MAX];
    char restored[FACTS_HOOK_MAX];
};

struct facts {
    char cluster[64];
    char node[64];
    uint32_t job;       /* Slurm job id; of an array task its own raw id */
    uint32_t array_job; /* 0: not an array */
    uint32_t array_task;
    char task[64];   /* name of the task's own directory: "batch", "step-KEY.TASKID" (KEY: user) */
    uint32_t step;   /* Slurm's step id; of the batch script Slurm's own number for it */
    uint32_t ntasks; /* of the step */
    char nonce[17];  /* (user) 16 hex digits chosen at submission; part of the key */
    uint32_t epoch;  /* restart count as the root prolog was told it */
    uid_t uid;
    gid_t gid;
    char user[64];
    pid_t task_pid;      /* pid of the Slurm task (shepherd) in the initial pid namespace */
    uint64_t task_start; /* its start time, field 22 of /proc/PID/stat, clock ticks */
    enum facts_isolation isolation;
    char proctrack[32]; /* "cgroup", "linuxproc", ...: the part after "proctrack/" */
    char dir[PATH_MAX]; /* (user, --checkpoint-dir) absolute base directory of the checkpoints */
    char helper_dir[PATH_MAX];
    char criu[PATH_MAX];
    char munge_socket[PATH_MAX];  /* "": munge's default */
    char log_dir[PATH_MAX];       /* "": none; details go to JOBDIR/TASK/log */
    char event_socket[PATH_MAX];  /* "": the journal's, else syslog's */
    uint32_t interval;            /* (user) seconds between checkpoints; 0: none by the clock */
    uint32_t keep;                /* (user) generations kept, >= 1 */
    enum facts_compress compress; /* (user) */
    int compress_level;           /* (user) zstd level, 1..19; 1 with the others */
    uint32_t dump_timeout;        /* seconds for one dump */
    uint32_t restore_timeout;     /* seconds for one restore attempt */
    uint32_t threads;             /* compressor threads; 0: number of allowed CPUs, at most 8 */
    uint64_t max_size;            /* bytes stored per generation; 0: no limit */
    uint64_t max_user_size;       /* bytes of the user's generations in dir; 0: no limit */
    uint64_t max_site_size;       /* bytes in use on the filesystem of dir; 0: no limit */
    uint64_t min_free;            /* bytes that must stay free there; 0: no limit */
    uint32_t max_dumps;           /* at once on this node; 0: no limit */
    uint32_t max_restarts;        /* 0: no limit */
    uint32_t
        busy_wait; /* seconds for processes that are about to end to give back a pid of the job's */
    uint32_t
        busy_retries; /* requeues to other nodes, when this one cannot have it, before it is held */
    uint32_t
        interval_auto; /* (user) 1: interval is only the first one, later ones follow from the cost */
    uint32_t
        overhead; /* (user) with it: thousandths of the time that checkpoints may take; 0: by mtbf */
    uint32_t mtbf; /* seconds between failures of this job's nodes, on average */
    uint32_t
        max_runtime; /* (user) seconds that the job may run, over all its starts; 0: no limit */
    uint32_t
        source_task; /* (user) with source_job an array's id: 1 and the task's number; 0: none */
    uint32_t source_job;        /* (user) whose checkpoint this job begins with; 0: none */
    char source_generation[32]; /* (user) which; "": the newest that is good */
    char files
        [FACTS_FILES_MAX]; /* (user) paths and patterns, ':' between them, to be copied into each
                                     generation; relative ones begin at the job's directory */
    uint64_t files_small;  /* (user) files of the job's own up to this size are copied in case they
                              are gone at a restore; 0: none */
    uint64_t files_limit;  /* (user) bytes of files copied at most; 0: no limit */
    enum facts_choice
        files_over; /* (user) what may not be copied for its size: no dump, or a warning */
    enum facts_snapshot snapshot;    /* (user) copy-on-write snapshots: snapshot_policy.h */
    enum facts_tight snapshot_tight; /* when memory gets scarce while one is written */
    uint64_t memory_kill;            /* bytes of all processes together at which Slurm kills the job
                             (OverMemoryKill); 0: it does not */
    uint32_t
        incremental; /* (user) take over what has not changed: one in so many generations is written whole; 0: all */
    enum facts_choice inputs; /* (user) an input file that has changed: no restore, or a warning */
    struct facts_hooks site_hooks, hooks; /* hooks: (user) */
    uint32_t hook_timeout;                /* (user) seconds for those of one moment together */
};

/* Write *f into a new sealed memfd.  Returns the fd (close-on-exec) or -1.  Call as root: the owner
 * of the file is what readers check. */
int facts_store(const struct facts *f, struct err *err);

/* Read and check the sealed memfd.  `root_only`: refuse a file that is not owned by uid 0. Unknown,
 * missing or repeated keys, a missing seal, values out of range: -1.  The fd stays open. */
int facts_load(int fd, bool root_only, struct facts *f, struct err *err);

/* Checks used at the border: names that go into paths. */
bool facts_name_ok(const char *s);  /* [A-Za-z0-9_.-]{1,63}, not starting with '.' or '-' */
bool facts_nonce_ok(const char *s); /* 16 lower-case hex digits */

/* "none", "zstd", "lz4": as SPEC, checkpoint.conf and the manifest call them. */
const char *facts_compress_name(enum facts_compress c);
bool facts_compress_parse(const char *name, enum facts_compress *c);
/* "yes", "no", or 2 to FACTS_INCREMENTAL_MAX */
bool facts_incremental_parse(const char *text, uint32_t *n);
/* "yes", "no", "require"; "hold", "drop" */
bool facts_snapshot_parse(const char *name, enum facts_snapshot *s);
bool facts_tight_parse(const char *name, enum facts_tight *t);

#endif
