/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/manifest_sample.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void require(bool ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "manifest_sample: %s\n", what);
    abort();
}

static uint32_t threads_a[] = {300, 301, 302};
static uint32_t threads_b[] = {310};
static struct manifest_process processes[2];

struct manifest manifest_sample(void)
{
    static const struct manifest_process p[2] = {
        {300, 1, 300, 300, 3, threads_a, "ckpt-init"},
        {310, 300, 310, 300, 1, threads_b, "a \"b\""},
    };
    struct manifest m;

    memcpy(processes, p, sizeof processes);
    memset(&m, 0, sizeof m);
    snprintf(m.cluster, sizeof m.cluster, "test");
    m.job = 42;
    snprintf(m.task, sizeof m.task, "batch");
    snprintf(m.nonce, sizeof m.nonce, "0123456789abcdef");
    m.uid = 1000;
    m.epoch = 2;
    m.sequence = 7;
    snprintf(m.reason, sizeof m.reason, "interval");
    snprintf(m.created, sizeof m.created, "2026-01-31T23:59:59Z");
    snprintf(m.node, sizeof m.node, "n1");
    snprintf(m.isolation, sizeof m.isolation, "private");
    snprintf(m.kernel, sizeof m.kernel, "6.18.1-test #1");
    snprintf(m.machine, sizeof m.machine, "x86_64");
    snprintf(m.criu, sizeof m.criu, "4.2");
    snprintf(m.compress, sizeof m.compress, "zstd");
    snprintf(m.snapshot, sizeof m.snapshot, "copy-on-write");
    m.suspended = 1;
    m.pause_us = 46000;
    m.freeze_us = 1000;
    m.total_ms = 900;
    m.raw_bytes = UINT64_C(5000000000);
    m.stored_bytes = 1234;
    snprintf(m.parts[0].name, sizeof m.parts[0].name, MANIFEST_IMAGES);
    snprintf(m.parts[1].name, sizeof m.parts[1].name, MANIFEST_PAGES);
    snprintf(m.parts[2].name, sizeof m.parts[2].name, MANIFEST_INDEX);
    for (int i = 0; i < 3; i++) {
        m.parts[i].bytes = 100u * (unsigned)(i + 1);
        snprintf(m.parts[i].sha256, sizeof m.parts[i].sha256, SAMPLE_SHA);
    }
    m.nprocesses = 2;
    m.processes = processes;
    return m;
}

json_t *manifest_sample_json(void)
{
    struct manifest m = manifest_sample();
    char *text = manifest_encode(&m, NULL);
    json_t *o;

    require(text != NULL, "no text");
    o = json_loads(text, 0, NULL);
    require(o != NULL, "no object");
    free(text);
    return o;
}

int manifest_sample_decode(json_t *o)
{
    char *text = json_dumps(o, 0);
    struct manifest m, before;
    struct err e = {""};
    int rc;

    json_decref(o);
    require(text != NULL, "no text");
    memset(&m, 0x5a, sizeof m);
    before = m;
    errno = 0;
    rc = manifest_decode(text, strlen(text), &m, &e);
    if (rc == 0) {
        manifest_free(&m);
    } else {
        require(errno == EBADMSG, "another errno than EBADMSG");
        /* Bytes, padding and all. NOLINTNEXTLINE(bugprone-suspicious-memory-comparison) */
        require(!memcmp(&m, &before, sizeof m), "the output was touched");
        require(!strncmp(e.text, "manifest: ", 10) && e.text[10], "no text");
    }
    free(text);
    return rc;
}
