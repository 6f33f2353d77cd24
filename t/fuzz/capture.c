/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What CRIU says over its stream at a dump, with a criu that has ended well already.
 */
#include "dump/capture.h"

#include "t/fuzz/fuzz.h"
#include "t/fuzz/stream.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* In place of criurun.c. */
struct criurun {
    int stream;
};

int criurun_take_stream(struct criurun *run)
{
    return run->stream;
}

void criurun_pollfds(const struct criurun *run, struct pollfd fds[CRIURUN_NFDS])
{
    (void)run;
    for (int i = 0; i < CRIURUN_NFDS; i++)
        fds[i] = (struct pollfd){.fd = -1};
}

int criurun_pump(struct criurun *run)
{
    (void)run;
    return 1;
}

int criurun_wait(struct criurun *run, int ms)
{
    (void)run;
    (void)ms;
    return 1;
}

void criurun_kill(struct criurun *run)
{
    (void)run;
}

int criurun_exit_status(const struct criurun *run)
{
    (void)run;
    return 0;
}

void criurun_explain(const struct criurun *run, char *text, size_t size)
{
    (void)run;
    snprintf(text, size, "failed");
}

/* Its threads and buffers serve many inputs; its index grows. */
static struct pack *new_pack(struct pack *old)
{
    struct pack *p;
    int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);

    FUZZ_ASSERT(pack_destroy(old) && fd >= 0);
    p = pack_create(fd, 1, COMPRESS_NONE, 0, 0, NULL);
    FUZZ_ASSERT(p);
    return p;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static struct pack *pack;
    static int never[2];
    struct stream_play play = {.writing = true, .data = data, .len = len};
    struct capture_opts o = {.deadline = capture_now_ms() + 60000};
    struct criurun run;
    struct err err = {""};
    int pair[2];

    if (!pack) {
        signal(SIGPIPE, SIG_IGN);
        FUZZ_ASSERT(pipe2(never, O_CLOEXEC) == 0);
        pack = new_pack(NULL);
    }
    FUZZ_ASSERT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
    play.sock = pair[1];
    run.stream = pair[0];
    while (stream_step(&play))
        ;
    stream_end(&play);
    o.run = &run;
    o.images = images_create();
    o.pack = pack;
    o.cancel_fd = never[0];
    o.result_fd = never[1];
    FUZZ_ASSERT(o.images);
    if (capture_run(&o, &err) < 0)
        FUZZ_ASSERT(*err.text);
    FUZZ_ASSERT(pack_finish(pack, capture_now_ms() + 10000, &err) == 0);
    images_destroy(o.images);
    return 0;
}
