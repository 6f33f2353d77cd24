/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * slurmapi - the calls of libslurm whose form depends on Slurm's release, under one form.  What SLURM_VERSION_NUMBER says
 * at the build counts; the plugin and the programs are built for one release (slurm.h and slurm_errno.h of 22.05, 24.11, 25.11
 * and 26.05 were compared).
 *
 * For programs that link libslurm (shepherd, scheckpoint); never the keeper and its helpers.
 */
#ifndef CKPT_SLURMAPI_H
#define CKPT_SLURMAPI_H

#include "config.h"

#include <errno.h>
#include <slurm/slurm.h>
#include <slurm/slurm_errno.h>

/* A job's id as the calls below want it: a number before 26.05, a structure since. */
#if SLURM_VERSION_NUMBER >= SLURM_VERSION_NUM(26, 5, 0)
#define SLURMAPI_JOB(id)                                                                           \
    ((slurm_step_id_t){.job_id = (id), .step_id = NO_VAL, .step_het_comp = NO_VAL})
#else
#define SLURMAPI_JOB(id) (id)
#endif

/* slurm_load_job(): 0 and *resp (slurm_free_job_info_msg), or an error with slurmapi_errno() */
static inline int slurmapi_load_job(job_info_msg_t **resp, uint32_t job_id, uint16_t show_flags)
{
    return slurm_load_job(resp, SLURMAPI_JOB(job_id), show_flags);
}

/* The job that one of its runs is known by; before 26.05 no control group is named so, and no job is found. */
static inline int slurmapi_load_sluid(job_info_msg_t **resp, uint64_t sluid, uint16_t show_flags)
{
#if SLURM_VERSION_NUMBER >= SLURM_VERSION_NUM(26, 5, 0)
    return slurm_load_job(resp, (slurm_step_id_t){.sluid = sluid}, show_flags);
#else
    (void)resp;
    (void)sluid;
    (void)show_flags;
    return SLURM_ERROR;
#endif
}

/* slurm_requeue(): 0, or an error with slurmapi_errno(); flags: JOB_REQUEUE_HOLD and its like */
static inline int slurmapi_requeue(uint32_t job_id, uint32_t flags)
{
    return slurm_requeue(SLURMAPI_JOB(job_id), flags);
}

/* slurm_signal_job_step(): 0, or an error with slurmapi_errno() */
static inline int slurmapi_signal_step(uint32_t job_id, uint32_t step_id, uint16_t signal)
{
#if SLURM_VERSION_NUMBER >= SLURM_VERSION_NUM(25, 11, 0)
    slurm_step_id_t step = {.job_id = job_id, .step_id = step_id, .step_het_comp = NO_VAL};

    return slurm_signal_job_step(&step, signal);
#else
    return slurm_signal_job_step(job_id, step_id, signal);
#endif
}

/* A list of hosts: the type is a pointer in some releases and what it points to in others. */
typedef __typeof__(slurm_hostlist_create(NULL)) slurmapi_hostlist;

/* Makes a description for slurm_update_job() that names a job. (By job_id_str, the last task of an array would name the
 * whole of it.) */
static inline void slurmapi_init_update(job_desc_msg_t *desc, uint32_t job_id)
{
    slurm_init_job_desc_msg(desc);
#if SLURM_VERSION_NUMBER >= SLURM_VERSION_NUM(25, 11, 0)
    desc->step_id = (slurm_step_id_t){.job_id = job_id, .step_id = NO_VAL, .step_het_comp = NO_VAL};
#else
    desc->job_id = job_id;
#endif
}

/* Another number for a job that was loaded: what slurm_get_job_stdout() puts for %j. Since 25.11 that stands in another
 * member, beside job_id. */
static inline void slurmapi_renumber(slurm_job_info_t *j, uint32_t job_id)
{
    j->job_id = job_id;
#if SLURM_VERSION_NUMBER >= SLURM_VERSION_NUM(25, 11, 0)
    j->step_id.job_id = job_id;
#endif
}

/* slurm_get_job_stderr(); since 25.11 that gives nothing where standard error goes to the same file as standard output. */
static inline void slurmapi_job_stderr(char *buf, int size, slurm_job_info_t *j)
{
    slurm_get_job_stderr(buf, size, j);
    if (!buf[0] && j->batch_flag)
        slurm_get_job_stdout(buf, size, j);
}

/* What the last call failed with: errno, where slurm_get_errno() is no longer */
static inline int slurmapi_errno(void)
{
#if HAVE_DECL_SLURM_GET_ERRNO
    return slurm_get_errno();
#else
    return errno;
#endif
}

#endif
