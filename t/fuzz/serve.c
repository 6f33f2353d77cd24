/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What criu and its forked tasks say over the stream at a restore.
 */
#include "restore/serve.h"

#include "t/fuzz/fuzz.h"
#include "t/fuzz/stream.h"

#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

static const char small[] = "contents";

/* The frame is "pages"; the digest of the second image is not that of its frame. */
static const char index_text[] =
    "pages-1.img 5 5 bfa062de040f55a15ce910800757061ec3d2fc31d6b7c72d9fa02b75a9ad1133\n"
    "pages-2.img 5 5 0000000000000000000000000000000000000000000000000000000000000000\n";

static struct image images[1];
static struct bundle bundle = {images, 1};
static struct index ix;
static int pages = -1;

static void prepare(void)
{
    signal(SIGPIPE, SIG_IGN);
    pages = memfd_create("pages", MFD_CLOEXEC);
    FUZZ_ASSERT(pages >= 0 && write(pages, "pagespages", 10) == 10);
    FUZZ_ASSERT(index_load(index_text, strlen(index_text), 0, &ix, NULL) == 0);
    snprintf(images[0].name, sizeof images[0].name, "pstree.img");
    FUZZ_ASSERT(crimg_parse_name(images[0].name, &images[0].parsed));
    images[0].data = (uint8_t *)fuzz_text((const uint8_t *)small, sizeof small);
    images[0].len = sizeof small;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct stream_play play = {.data = data, .len = len};
    struct pages files = {.fd = {pages}};
    struct serve_opts o = {.bundle = &bundle, .index = &ix, .pages = &files, .threads = 1};
    struct err err = {""};
    struct serve *s;
    int pair[2], rc = 0;

    if (pages < 0)
        prepare();
    FUZZ_ASSERT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
    o.sock = pair[0];
    files.fd[0] = pages;
    play.sock = pair[1];
    s = serve_create(&o, &err);
    FUZZ_ASSERT(s);
    while (rc == 0 && stream_step(&play)) {
        struct pollfd p = {.fd = serve_fd(s), .events = POLLIN};

        for (int i = 0; rc == 0 && i < 4 && poll(&p, 1, 0) > 0; i++)
            rc = serve_step(s, &err);
    }
    if (rc < 0)
        FUZZ_ASSERT(*err.text);
    stream_end(&play);
    (void)(rc == 0 && serve_step(s, &err));
    FUZZ_ASSERT(serve_destroy(s));
    return 0;
}
