/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * job-restarts - how often slurmctld has started a job again, for the plugin (restarts.h).
 *
 *   job-restarts JOBID
 *
 * The number on standard output.  Exit 1 with the reason on standard error.
 */
#include "spank/slurmjob.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define TRIES 3
#define BETWEEN_S 3

int main(int argc, char **argv)
{
    struct slurmjob job = {0};
    struct err err = {{0}};
    char *end = NULL;
    unsigned long id;
    int rc = -1;

    errno = 0;
    id = argc == 2 ? strtoul(argv[1], &end, 10) : 0;
    if (!end || *end || errno || id == 0 || id > UINT32_MAX) {
        fputs("usage: job-restarts JOBID\n", stderr);
        return 2;
    }
    for (int i = 0; i < TRIES && rc < 0; i++) {
        if (i > 0)
            sleep(BETWEEN_S);
        rc = slurmjob_load((uint32_t)id, &job, &err);
    }
    if (rc < 0 || job.state == SLURMJOB_UNKNOWN) {
        fprintf(stderr, "%s\n", rc < 0 ? err.text : "slurmctld does not know the job");
        return 1;
    }
    /* One that waits in the queue has been counted already. */
    if (job.state == SLURMJOB_REQUEUED && job.restart_count > 0)
        job.restart_count--;
    return printf("%u\n", job.restart_count) > 0 && fflush(stdout) == 0 ? 0 : 1;
}
