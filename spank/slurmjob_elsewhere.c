/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/slurmapi.h"
#include "spank/slurmjob.h"

#include <slurm/slurm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct where {
    char excluded[4096]; /* a hostlist */
    char partition[256];
};

static int load(uint32_t job, struct where *w)
{
    job_info_msg_t *msg = NULL;

    memset(w, 0, sizeof *w);
    if (slurmapi_load_job(&msg, job, SHOW_DETAIL) != SLURM_SUCCESS)
        return -1;
    for (uint32_t i = 0; i < msg->record_count; i++) {
        const slurm_job_info_t *j = &msg->job_array[i];

        if (j->job_id != job)
            continue;
        snprintf(w->excluded, sizeof w->excluded, "%s", j->exc_nodes ? j->exc_nodes : "");
        snprintf(w->partition, sizeof w->partition, "%s", j->partition ? j->partition : "");
        /* Asked for by name, there is no other. */
        if (j->req_nodes && *j->req_nodes)
            w->partition[0] = '\0';
    }
    slurm_free_job_info_msg(msg);
    return 0;
}

/* Nodes of the partition; of several ("a,b") the job may run in any: the largest counts. 0: not known. */
static uint32_t nodes_of(const char *partitions)
{
    partition_info_msg_t *msg = NULL;
    uint32_t most = 0;

    if (!*partitions || slurm_load_partitions(0, &msg, SHOW_ALL) != SLURM_SUCCESS)
        return 0;
    for (uint32_t i = 0; i < msg->record_count; i++) {
        const partition_info_t *p = &msg->partition_array[i];
        const char *at = p->name ? strstr(partitions, p->name) : NULL;
        size_t len = p->name ? strlen(p->name) : 0;

        if (at && (at == partitions || at[-1] == ',') && (at[len] == '\0' || at[len] == ',') &&
            p->total_nodes > most)
            most = p->total_nodes;
    }
    slurm_free_partition_info_msg(msg);
    return most;
}

/* Adds node to the list; false when that would leave the job none. */
static bool exclude(struct where *w, const char *node)
{
    slurmapi_hostlist list = slurm_hostlist_create(w->excluded);
    uint32_t all = nodes_of(w->partition);
    bool some = false;
    char text[sizeof w->excluded];

    if (!list)
        return false;
    if (slurm_hostlist_find(list, node) < 0)
        slurm_hostlist_push_host(list, node);
    if (slurm_hostlist_ranged_string(list, sizeof text, text) >= 0 &&
        (uint32_t)slurm_hostlist_count(list) < all) {
        memcpy(w->excluded, text, strlen(text) + 1);
        some = true;
    }
    slurm_hostlist_destroy(list);
    return some;
}

int slurmjob_elsewhere(uint32_t job, const char *node, uint32_t delay_s, const char *note,
                       bool *excluded, struct err *err)
{
    job_desc_msg_t desc;
    struct where w;

    slurm_init(NULL);
    if (load(job, &w) < 0)
        return slurmjob_fail("cannot ask slurmctld about", job, err);
    *excluded = exclude(&w, node);
    /* Best effort: it is in the job's standard error too. */
    (void)slurmjob_note(job, note, NULL);
    if (slurmjob_requeue(job, SLURMJOB_AGAIN, err) < 0)
        return -1;
    /* Only what is pending can be sent elsewhere.  Slurm starts a requeued job no earlier than after
     * cred_expire, so that this comes in time. */
    slurmapi_init_update(&desc, job);
    desc.begin_time = time(NULL) + (time_t)delay_s;
    if (*excluded)
        desc.exc_nodes = w.excluded;
    for (int i = 0; i < 5; i++) {
        struct timespec nap = {1, 0};

        if (slurm_update_job(&desc) == SLURM_SUCCESS)
            return 0;
        nanosleep(&nap, NULL);
    }
    *excluded = false; /* requeued it is */
    return 0;
}
