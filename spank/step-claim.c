/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * step-claim - srun's helper: which step of the script is this one, and has it ended before?
 *
 *   step-claim BASE CLUSTER JOBID NONCE WORD COMMAND
 *
 * An ordinary program that srun's side of the plugin starts as the user, so that neither jansson nor what reads a
 * user's directory is loaded into srun.  One line on standard output: "run KEY", or "done CODE": give that exit
 * code back, the step ended in an earlier run of the script.  Exit 1 with the reason on standard error.
 */
#include "common/err.h"
#include "common/facts.h"
#include "common/io.h"
#include "spank/steps.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config.h"

#define HOLD_WAIT_MS 900000 /* a dump of the script's tree may take long to write */

static int number(const char *text, uint32_t *value)
{
    unsigned long v;
    char *end;

    errno = 0;
    v = strtoul(text, &end, 10);
    if (errno || *text < '0' || *text > '9' || *end || v > UINT32_MAX)
        return -1;
    *value = (uint32_t)v;
    return 0;
}

static int fill(struct facts *f, char **argv, struct err *err)
{
    snprintf(f->dir, sizeof f->dir, "%s", argv[1]);
    snprintf(f->cluster, sizeof f->cluster, "%s", argv[2]);
    snprintf(f->nonce, sizeof f->nonce, "%s", argv[4]);
    f->uid = getuid();
    errno = EINVAL;
    if (number(argv[3], &f->job) < 0 || !facts_name_ok(argv[2]) || !facts_nonce_ok(argv[4]) ||
        !facts_name_ok(argv[5]) || *argv[1] != '/')
        return err_set(err, "the job's key is not usable");
    return 0;
}

static int claim(const struct facts *f, const char *word, const char *command, struct err *err)
{
    char key[STEPS_KEY_MAX], before[512];
    struct steps_run run = {0, false};
    unsigned order;
    int fd = steps_open(f, true, err), code = 0;

    if (fd < 0)
        return -1;
    if (steps_claim(fd, word, command, HOLD_WAIT_MS, key, &order, err) < 0)
        return -1;
    if (steps_run_read(fd, &run, NULL) == 0 && run.from_start && run.epoch > 0) {
        if (steps_exit_code(f, key, run.epoch, &code, NULL) == 0) {
            printf("done %d\n", code);
            io_close(&fd);
            return 0;
        }
        if (steps_changed(fd, key, order, before, sizeof before))
            fprintf(stderr,
                    "checkpoint: step %u of this script was another command when it ran before "
                    "(%s): this one starts from its beginning, and nothing of the other is used\n",
                    order, before);
    }
    printf("run %s\n", key);
    io_close(&fd);
    return 0;
}

int main(int argc, char **argv)
{
    struct facts *f;
    struct err err = {{0}};

    if (argc == 2 && strcmp(argv[1], "--version") == 0) {
        puts("step-claim (" PACKAGE_NAME ") " PACKAGE_VERSION);
        return 0;
    }
    if (argc != 7 || !(f = calloc(1, sizeof *f))) {
        fputs("usage: step-claim BASE CLUSTER JOBID NONCE WORD COMMAND\n", stderr);
        return 2;
    }
    if (fill(f, argv, &err) < 0 || claim(f, argv[5], argv[6], &err) < 0) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    return fflush(stdout) == 0 ? 0 : 1;
}
