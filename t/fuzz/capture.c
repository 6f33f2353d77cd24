/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What CRIU says over its stream at a dump.
 */
#include "dump/capture.h"

#include "dump/target.h"
#include "t/fuzz/fuzz.h"
#include "t/fuzz/stream.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

/* In place of criurun.c and target.c: a criu that does what the input says, asks through its plugin whether the
 * pipes are empty, and ends well when they are, or after some turns. */
struct criurun {
    int stream, plugin, turns;
    int ready; /* always readable, so that nobody waits */
    struct stream_play *play;
};

int criurun_take_stream(struct criurun *run)
{
    return run->stream;
}

void criurun_pollfds(const struct criurun *run, struct pollfd fds[CRIURUN_NFDS])
{
    for (int i = 0; i < CRIURUN_NFDS; i++)
        fds[i] = (struct pollfd){.fd = i ? -1 : run->ready, .events = POLLIN};
}

int criurun_pump(struct criurun *run)
{
    char c;

    if (run->plugin >= 0 && recv(run->plugin, &c, 1, MSG_DONTWAIT) != 1 && run->turns++ < 20)
        return 0;
    if (run->plugin >= 0)
        close(run->plugin);
    run->plugin = -1;
    stream_end(run->play);
    return 1;
}

bool target_alive(int pidfd)
{
    (void)pidfd;
    return true;
}

char target_state(pid_t pid)
{
    return pid == getpid() ? 't' : '\0';
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

/* Its threads and buffers serve all inputs.  Compressed: what is not is written at places of a real file. */
static struct pack *new_pack(void)
{
    struct pack *p;
    int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);

    FUZZ_ASSERT(fd >= 0);
    p = pack_create(fd, 1, COMPRESS_LZ4, 1, 0, NULL);
    FUZZ_ASSERT(p);
    return p;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static struct pack *pack;
    static int never[2], ready = -1;
    struct stream_play play = {.writing = true, .data = data, .len = len};
    struct capture_opts o = {.wanted.deadline = capture_now_ms() + 60000, .root = getpid()};
    struct criurun run = {.play = &play};
    struct err err = {""};
    int pair[2], drain[2];

    if (!pack) {
        signal(SIGPIPE, SIG_IGN);
        ready = eventfd(1, EFD_CLOEXEC);
        FUZZ_ASSERT(ready >= 0 && pipe2(never, O_CLOEXEC) == 0);
        pack = new_pack();
    }
    FUZZ_ASSERT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0 &&
                socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, drain) == 0 &&
                send(drain[1], "d", 1, MSG_NOSIGNAL) == 1);
    play.sock = pair[1];
    while (stream_step(&play))
        ;
    stream_end_pipes(&play);
    run.stream = pair[0];
    run.plugin = drain[1];
    run.ready = ready;
    o.run = &run;
    o.images = images_create();
    o.pack = pack;
    o.drain_fd = drain[0];
    o.wanted.cancel_fd = never[0];
    o.wanted.result_fd = never[1];
    FUZZ_ASSERT(o.images);
    if (capture_run(&o, &err) < 0)
        FUZZ_ASSERT(*err.text);
    FUZZ_ASSERT(pack_finish(pack, capture_now_ms() + 10000, &err) == 0);
    images_destroy(o.images);
    stream_end(&play);
    close(drain[0]);
    if (run.plugin >= 0)
        close(run.plugin);
    return 0;
}
