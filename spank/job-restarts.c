/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * job-restarts - how often slurmctld has started a job again, for the plugin (restarts.h).
 *
 *   job-restarts JOBID NODE [batch]
 *
 * The number on standard output.  Exit 1 with the reason on standard error; RESTARTS_ELSEWHERE: it runs, but not on NODE, or
 * not its batch script.
 */
#include "spank/restarts.h"
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
    bool here = false;
    int rc = -1;

    errno = 0;
    id = argc == 3 || argc == 4 ? strtoul(argv[1], &end, 10) : 0;
    if (!end || *end || errno || id == 0 || id > UINT32_MAX) {
        fputs("usage: job-restarts JOBID NODE [batch]\n", stderr);
        return 2;
    }
    for (int i = 0; i < TRIES && rc < 0; i++) {
        if (i > 0)
            sleep(BETWEEN_S);
        rc = slurmjob_load_at((uint32_t)id, argv[2], argc == 4, &job, &here, &err);
    }
    if (rc < 0 || job.state == SLURMJOB_UNKNOWN) {
        fprintf(stderr, "%s\n", rc < 0 ? err.text : "slurmctld does not know the job");
        return 1;
    }
    if (job.state == SLURMJOB_RUNNING && !job.completing && !here) {
        fputs("it has been started on other nodes since\n", stderr);
        return RESTARTS_ELSEWHERE;
    }
    /* One that waits in the queue has been counted already. */
    if (job.state == SLURMJOB_REQUEUED && job.restart_count > 0)
        job.restart_count--;
    return printf("%u\n", job.restart_count) > 0 && fflush(stdout) == 0 ? 0 : 1;
}
