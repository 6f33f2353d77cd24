/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * client.so - a SPANK plugin for the submitting side, named like ours, that checks nothing: what anybody can
 * do who brings his own slurm.conf.  FORGE_NONCE is the job's key; the options go through as they are.
 */
#include <slurm/spank.h>
#include <stdlib.h>

SPANK_PLUGIN(checkpoint, 1)

static int take(int val, const char *optarg, int remote)
{
    (void)val;
    (void)optarg;
    (void)remote;
    return 0;
}

static struct spank_option table[] = {
    {(char[]){"checkpoint"}, (char[]){"SPEC"}, (char[]){"forged"}, 2, 0, take},
    {(char[]){"checkpoint-dir"}, (char[]){"DIR"}, (char[]){"forged"}, 1, 0, take},
};

int slurm_spank_init(spank_t sp, int ac, char **av)
{
    const char *nonce = getenv("FORGE_NONCE");

    (void)ac;
    (void)av;
    spank_option_register(sp, &table[0]);
    spank_option_register(sp, &table[1]);
    if (nonce && spank_context() == S_CTX_ALLOCATOR)
        spank_job_control_setenv(sp, "CHECKPOINT_NONCE", nonce, 1);
    return ESPANK_SUCCESS;
}
