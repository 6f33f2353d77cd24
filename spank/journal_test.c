/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "spank/journal.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

static struct facts facts(void)
{
    struct facts f = {.job = 12, .step = 3, .epoch = 1};

    snprintf(f.cluster, sizeof f.cluster, "big");
    snprintf(f.task, sizeof f.task, "batch");
    return f;
}

static struct proto_reply reply(uint32_t verb, int error)
{
    struct proto_reply r = {.verb = verb, .error = error, .pause_us = 1234567, .stored_bytes = 99};

    snprintf(r.generation, sizeof r.generation, "gen-0001-000002");
    if (error)
        snprintf(r.text, sizeof r.text, "no space left");
    return r;
}

static void no_event(void **state)
{
    struct facts f = facts();
    struct proto_reply r;
    char out[2048];

    (void)state;
    r = reply(PROTO_PING, 0);
    assert_int_equal(journal_format(&f, &r, true, out, sizeof out), 0);
    r = reply(PROTO_DUMP, ECANCELED);
    assert_int_equal(journal_format(&f, &r, true, out, sizeof out), 0);
    r = reply(PROTO_DUMP, EUSERS);
    assert_int_equal(journal_format(&f, &r, false, out, sizeof out), 0);
    r = reply(PROTO_RESTORE, ENOENT);
    assert_int_equal(journal_format(&f, &r, true, out, sizeof out), 0);
    assert_string_equal(out, "");
}

static void fields(void **state)
{
    struct facts f = facts();
    struct proto_reply r = reply(PROTO_DUMP, 0);
    char out[2048];
    size_t len = journal_format(&f, &r, true, out, sizeof out);

    (void)state;
    assert_int_equal(len, strlen(out));
    assert_string_equal(
        out, "MESSAGE=job 12 batch: checkpoint gen-0001-000002, stood still for 1.234 s, 99 bytes\n"
             "PRIORITY=6\nSYSLOG_IDENTIFIER=slurm-checkpoint\n"
             "SLURM_CLUSTER_NAME=big\nSLURM_JOB_ID=12\nSLURM_STEP_ID=batch\n"
             "SLURM_RESTART_COUNT=1\nCHECKPOINT_TASK=batch\nCHECKPOINT_EVENT=checkpoint\n"
             "CHECKPOINT_GENERATION=gen-0001-000002\n"
             "CHECKPOINT_PAUSE_USEC=1234567\nCHECKPOINT_BYTES=99\n");
    snprintf(f.task, sizeof f.task, "step-x.0");
    r = reply(PROTO_RESTORE, EIO);
    journal_format(&f, &r, true, out, sizeof out);
    assert_non_null(strstr(out, "MESSAGE=job 12 step-x.0: restore-failed gen-0001-000002: no space "
                                "left\nPRIORITY=4\n"));
    assert_non_null(strstr(out, "SLURM_STEP_ID=3\n"));
    assert_null(strstr(out, "CHECKPOINT_BYTES"));
}

static void syslog_form(void **state)
{
    struct facts f = facts();
    struct proto_reply r = reply(PROTO_RESTORE, 0);
    char out[2048];

    (void)state;
    journal_format(&f, &r, false, out, sizeof out);
    assert_memory_equal(out, "<30>", 4);
    assert_non_null(strstr(out, " slurm-checkpoint: job 12 batch: restored gen-0001-000002 "
                                "cluster=big job=12 step=batch task=batch event=restored"));
    assert_null(strchr(out, '\n'));
    snprintf(f.task, sizeof f.task, "step-x.0");
    journal_format(&f, &r, false, out, sizeof out);
    assert_non_null(strstr(out, " job=12 step=3 task=step-x.0 event=restored"));
}

/* What does not fit is left out, and nothing is written beyond. */
static void small(void **state)
{
    struct facts f = facts();
    struct proto_reply r = reply(PROTO_DUMP, 0);
    char out[2048], all[2048];

    (void)state;
    journal_format(&f, &r, true, all, sizeof all);
    for (size_t size = 1; size < strlen(all); size++) {
        memset(out, 'x', sizeof out);
        assert_true(journal_format(&f, &r, true, out, size) < size);
        assert_int_equal(out[size], 'x');
    }
}

static void sent(void **state)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    struct facts f = facts();
    struct proto_reply r = reply(PROTO_DUMP, 0);
    char got[2048] = "", want[2048];
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    (void)state;
    snprintf(f.event_socket, sizeof f.event_socket, "/tmp/ckpt-journal-test.%d", (int)getpid());
    journal_tell(&f, &r); /* nobody listens */
    snprintf(at.sun_path, sizeof at.sun_path, "%.100s", f.event_socket);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    journal_tell(&f, &r);
    assert_true(recv(fd, got, sizeof got - 1, MSG_DONTWAIT) > 0);
    journal_format(&f, &r, true, want, sizeof want);
    assert_string_equal(got, want);
    unlink(at.sun_path);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_event), cmocka_unit_test(fields), cmocka_unit_test(syslog_form),
        cmocka_unit_test(small),    cmocka_unit_test(sent),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
