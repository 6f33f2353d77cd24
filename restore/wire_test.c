/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/criu.pb-c.h"
#include "restore/wire.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define BYTES(...) (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__})

static void refused(const ProtobufCMessageDescriptor *type, const char *why, const uint8_t *data,
                    size_t len)
{
    struct err err = {""};

    errno = 0;
    assert_null(wire_decode(data, len, type, &err));
    assert_int_equal(errno, EBADMSG);
    if (!strstr(err.text, why))
        fail_msg("%s, not %s", err.text, why);
}

static void *accepted(const ProtobufCMessageDescriptor *type, const uint8_t *data, size_t len)
{
    struct err err = {""};
    void *msg = wire_decode(data, len, type, &err);

    if (!msg)
        fail_msg("refused: %s", err.text);
    return msg;
}

static void test_numbers(void **state)
{
    const ProtobufCMessageDescriptor *head = &pagemap_head__descriptor,
                                     *entry = &pagemap_entry__descriptor;
    PagemapHead *h;
    PagemapEntry *e;

    (void)state;
    refused(head, "missing", BYTES());
    refused(head, "cut off", BYTES(8));
    refused(head, "cut off", BYTES(8, 0x80));
    refused(head, "longer than", BYTES(8, 0x81, 0));
    refused(head, "32 bits", BYTES(8, 0x80, 0x80, 0x80, 0x80, 0x10)); /* 2^32 */
    refused(head, "given twice", BYTES(8, 1, 8, 1));
    h = accepted(head, BYTES(8, 0xff, 0xff, 0xff, 0xff, 0x0f));
    assert_int_equal(h->pages_id, UINT32_MAX);
    pagemap_head__free_unpacked(h, NULL);
    e = accepted(entry, BYTES(8, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 16, 0));
    assert_true(e->vaddr == UINT64_MAX);
    pagemap_entry__free_unpacked(e, NULL);
    refused(entry, "longer than",
            BYTES(8, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 3, 16, 0));
    refused(entry, "longer than",
            BYTES(8, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x81, 0, 16, 0));
    refused(entry, "truth", BYTES(8, 1, 16, 1, 24, 2));
}

static void test_wire_types(void **state)
{
    const ProtobufCMessageDescriptor *head = &pagemap_head__descriptor;

    (void)state;
    refused(head, "wrong wire type", BYTES(8 | 1, 0, 0, 0, 0, 0, 0, 0, 0)); /* fixed64 */
    refused(head, "wrong wire type", BYTES(8 | 5, 0, 0, 0, 0));             /* fixed32 */
    refused(head, "wrong wire type", BYTES(8 | 2, 1, 1));  /* packed, not repeated */
    refused(head, "wrong wire type", BYTES(8 | 3, 8 | 4)); /* a group */
    refused(head, "unknown field 2", BYTES(8, 1, 16, 1));
    refused(head, "unknown field 0", BYTES(0, 1, 8, 1));
    refused(&img_streamer_request_entry__descriptor, "wrong wire type", BYTES(8, 1));
    refused(&img_streamer_request_entry__descriptor, "longer than its message", BYTES(10, 2, 'a'));
    refused(&img_streamer_request_entry__descriptor, "zero byte", BYTES(10, 3, 'a', 0, 'b'));
}

static void test_repeated(void **state)
{
    const ProtobufCMessageDescriptor *type = &pstree_entry__descriptor;
    PstreeEntry *e;

    (void)state;
    e = accepted(type, BYTES(8, 5, 16, 0, 24, 5, 32, 5, 40, 5, 40, 6));
    assert_int_equal(e->n_threads, 2);
    pstree_entry__free_unpacked(e, NULL);
    e = accepted(type, BYTES(8, 5, 16, 0, 24, 5, 32, 5, 42, 2, 5, 6)); /* packed */
    assert_int_equal(e->n_threads, 2);
    assert_int_equal(e->threads[1], 6);
    pstree_entry__free_unpacked(e, NULL);
    refused(type, "cut off", BYTES(8, 5, 16, 0, 24, 5, 32, 5, 42, 2, 5, 0x86));
    refused(type, "32 bits",
            BYTES(8, 5, 16, 0, 24, 5, 32, 5, 42, 6, 0x80, 0x80, 0x80, 0x80, 0x80, 1));
}

static void test_nested(void **state)
{
    const ProtobufCMessageDescriptor *type = &sk_packet_entry__descriptor;
    SkPacketEntry *e;

    (void)state;
    e = accepted(type, BYTES(8, 1, 16, 0, 34, 2, 8, 1, 34, 2, 8, 1)); /* repeated messages */
    assert_int_equal(e->n_scm, 2);
    sk_packet_entry__free_unpacked(e, NULL);
    refused(type, "ScmEntry.type: missing", BYTES(8, 1, 16, 0, 34, 0));
    refused(type, "ScmEntry.type: given twice", BYTES(8, 1, 16, 0, 34, 4, 8, 1, 8, 2));
    refused(type, "ScmEntry: unknown field", BYTES(8, 1, 16, 0, 34, 4, 8, 1, 24, 2));
    refused(type, "longer than its message", BYTES(8, 1, 16, 0, 34, 5, 8, 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_wire_types),
        cmocka_unit_test(test_repeated),
        cmocka_unit_test(test_nested),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
