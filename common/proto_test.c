/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/proto.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
/* cmocka.h wants those before it */
#include <cmocka.h>

static struct proto_request good(uint32_t verb)
{
    struct proto_request r = {PROTO_MAGIC, PROTO_VERSION, verb, 7, 0, "interval", ""};

    return r;
}

static void magic_and_version(void **state)
{
    struct proto_request r = good(PROTO_DUMP);

    (void)state;
    assert_true(proto_request_ok(&r));
    r.magic ^= 1;
    assert_false(proto_request_ok(&r));
    r = good(PROTO_DUMP);
    r.version = 0;
    assert_false(proto_request_ok(&r));
    r.version = PROTO_VERSION + 1;
    assert_false(proto_request_ok(&r));
}

/* Which flags go with which verb; every other bit is a refusal. */
static void verbs_and_flags(void **state)
{
    (void)state;
    for (uint32_t verb = 0; verb < 40; verb++) {
        struct proto_request r = good(verb);
        bool known = verb == PROTO_PING || verb == PROTO_DUMP || verb == PROTO_RESTORE ||
                     verb == PROTO_CANCEL || verb == PROTO_LAUNCH || verb == PROTO_CONTINUE;

        assert_int_equal(proto_request_ok(&r), known);
        for (unsigned bit = 0; bit < 32; bit++) {
            bool allowed = (verb == PROTO_DUMP &&
                            ((1u << bit) == PROTO_F_STOP || (1u << bit) == PROTO_F_PLAIN)) ||
                           (verb == PROTO_RESTORE &&
                            ((1u << bit) == PROTO_F_EXACT || (1u << bit) == PROTO_F_CUT ||
                             (1u << bit) == PROTO_F_SOURCE));

            r.flags = 1u << bit;
            assert_int_equal(proto_request_ok(&r), allowed);
        }
    }
}

static void request_strings(void **state)
{
    static const char *const reasons[] = {"A", "a b", "a\n", "a\033", "a/b", "a1", "\303\251"};
    static const char *const gens[] = {
        "gen-0001-00000a", "x", "gen", "../gen-1", "gen-1/2", "gen-0001-000001.partial", "gen-\n"};
    struct proto_request r;

    (void)state;
    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++) {
        r = good(PROTO_DUMP);
        memset(r.reason, 0, sizeof r.reason);
        memcpy(r.reason, reasons[i], strlen(reasons[i]));
        assert_false(proto_request_ok(&r));
    }
    for (size_t i = 0; i < sizeof gens / sizeof *gens; i++) {
        r = good(PROTO_RESTORE);
        memcpy(r.generation, gens[i], strlen(gens[i]));
        assert_false(proto_request_ok(&r));
    }
    r = good(PROTO_RESTORE);
    memcpy(r.generation, "gen-0001-000002", 15);
    assert_true(proto_request_ok(&r));
}

static void strings_end_inside_their_arrays(void **state)
{
    struct proto_request r = good(PROTO_DUMP);
    struct proto_reply reply;

    (void)state;
    memset(r.reason, 'a', sizeof r.reason);
    assert_false(proto_request_ok(&r));
    r = good(PROTO_RESTORE);
    memcpy(r.generation, "gen-", 4);
    memset(r.generation + 4, '1', sizeof r.generation - 4);
    assert_false(proto_request_ok(&r));

    r = good(PROTO_PING);
    proto_reply_init(&reply, &r);
    memset(reply.text, 'a', sizeof reply.text);
    assert_false(proto_reply_ok(&reply));
    proto_reply_init(&reply, &r);
    memset(reply.generation, '1', sizeof reply.generation);
    assert_false(proto_reply_ok(&reply));
}

static void replies(void **state)
{
    struct proto_request r = good(PROTO_RESTORE);
    struct proto_reply reply, ok;

    (void)state;
    memset(&ok, 0xff, sizeof ok);
    proto_reply_init(&ok, &r);
    assert_true(proto_reply_ok(&ok));
    assert_int_equal(ok.id, 7);
    assert_int_equal(ok.verb, PROTO_RESTORE);
    assert_int_equal(ok.error, 0);
    assert_int_equal(ok.stored_bytes, 0);

    reply = ok;
    reply.magic++;
    assert_false(proto_reply_ok(&reply));
    reply = ok;
    reply.version++;
    assert_false(proto_reply_ok(&reply));
    reply = ok;
    reply.verb = 0;
    assert_false(proto_reply_ok(&reply));
    reply.verb = PROTO_CONTINUE + 1;
    assert_false(proto_reply_ok(&reply));
    reply = ok;
    reply.error = -1;
    assert_false(proto_reply_ok(&reply));
    reply = ok;
    reply.text[0] = '\n';
    assert_false(proto_reply_ok(&reply));
}

static void failures_have_an_error_and_a_clean_text(void **state)
{
    struct proto_request r = good(PROTO_DUMP);
    struct proto_reply reply;
    char big[2000];

    (void)state;
    memset(big, 'b', sizeof big - 1);
    big[sizeof big - 1] = '\0';
    proto_reply_init(&reply, &r);
    proto_reply_fail(&reply, 0, "a\nb %d", 3);
    assert_int_equal(reply.error, EIO);
    assert_string_equal(reply.text, "a?b 3");
    assert_true(proto_reply_ok(&reply));
    proto_reply_fail(&reply, -5, "%s", big);
    assert_int_equal(reply.error, EIO);
    assert_true(proto_reply_ok(&reply));
    proto_reply_fail(&reply, EBUSY, "busy");
    assert_int_equal(reply.error, EBUSY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(magic_and_version),
        cmocka_unit_test(verbs_and_flags),
        cmocka_unit_test(request_strings),
        cmocka_unit_test(strings_end_inside_their_arrays),
        cmocka_unit_test(replies),
        cmocka_unit_test(failures_have_an_error_and_a_clean_text),
    };

    return cmocka_run_group_tests_name("proto", tests, NULL, NULL);
}
