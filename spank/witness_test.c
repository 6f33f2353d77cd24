/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "spank/witness.h"

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/wait.h>
#include <unistd.h>
/* cmocka.h wants those before it */
#include <cmocka.h>

/* A group of our own, all signals blocked: the signals of these tests are for nobody else. */
static int set_up(void **state)
{
    sigset_t all;

    (void)state;
    sigfillset(&all);
    if (sigprocmask(SIG_SETMASK, &all, NULL) < 0)
        return -1;
    return setpgid(0, 0);
}

static void take(int sig)
{
    sigset_t one;

    sigemptyset(&one);
    sigaddset(&one, sig);
    assert_int_equal(sigwaitinfo(&one, NULL), sig);
}

static bool asked(struct witness *w, int sig)
{
    struct pollfd p = {.fd = w->sock, .events = POLLIN};
    bool group = false;
    int got = 0;

    assert_true(witness_ask(w, sig));
    assert_int_equal(poll(&p, 1, 60000), 1);
    assert_true(witness_answer(w, &got, &group));
    assert_int_equal(got, sig);
    return group;
}

static void nobody(void **state)
{
    struct witness w = WITNESS_NONE;
    bool group = true;
    int sig = 7;

    (void)state;
    assert_false(witness_ask(&w, SIGUSR1));
    assert_false(witness_answer(&w, &sig, &group));
    assert_int_equal(sig, 7);
    assert_true(group);
}

static void answers(void **state)
{
    struct witness w = WITNESS_NONE;
    bool group;
    int sig;

    (void)state;
    assert_int_equal(witness_start(&w, NULL), 0);
    assert_false(witness_answer(&w, &sig, &group)); /* nothing was asked */
    assert_int_equal(kill(getpid(), SIGUSR1), 0);
    take(SIGUSR1);
    assert_false(asked(&w, SIGUSR1));
    assert_int_equal(killpg(0, SIGUSR1), 0);
    take(SIGUSR1);
    assert_true(asked(&w, SIGUSR1));
    assert_false(asked(&w, SIGUSR1)); /* once */
    assert_int_equal(killpg(0, SIGUSR2), 0);
    take(SIGUSR2);
    assert_false(asked(&w, SIGUSR1)); /* another one */
    assert_true(asked(&w, SIGUSR2));
    assert_false(asked(&w, 0)); /* no signal at all */
    assert_false(asked(&w, 1000));

    assert_int_equal(kill(w.pid, SIGKILL), 0);
    assert_int_equal(waitpid(w.pid, NULL, 0), w.pid);
    assert_false(witness_answer(&w, &sig, &group));
    assert_int_equal(w.sock, -1);
    assert_false(witness_ask(&w, SIGUSR1));
}

static void ends_with_us(void **state)
{
    struct witness w = WITNESS_NONE;

    (void)state;
    assert_int_equal(witness_start(&w, NULL), 0);
    assert_int_equal(close(w.sock), 0);
    assert_int_equal(waitpid(w.pid, NULL, 0), w.pid);
    w = (struct witness)WITNESS_NONE;
    witness_end(&w);
    assert_int_equal(witness_start(&w, NULL), 0);
    witness_end(&w);
    assert_int_equal(w.pid, 0);
    assert_int_equal(w.sock, -1);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* no zombie */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody),
        cmocka_unit_test(answers),
        cmocka_unit_test(ends_with_us),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, set_up, NULL);
}
