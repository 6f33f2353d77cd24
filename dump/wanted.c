/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dump/wanted.h"

#include "common/runclock.h"

#include <errno.h>

void wanted_pollfds(const struct wanted *w, struct pollfd fds[WANTED_FDS])
{
    fds[0] = (struct pollfd){.fd = w->cancel_fd, .events = POLLIN};
    fds[1] = (struct pollfd){.fd = w->result_fd}; /* its end is told unasked */
}

int wanted_look(const struct wanted *w, const struct pollfd fds[WANTED_FDS], struct err *err)
{
    if (fds[0].revents) {
        errno = ECANCELED;
        return err_set(err, "cancelled");
    }
    if (fds[1].revents & (POLLERR | POLLHUP)) {
        errno = EPIPE;
        return err_set(err, "the keeper is gone");
    }
    if (runclock_ms() >= w->deadline) {
        errno = ETIMEDOUT;
        return err_set(err, "the checkpoint did not end within the time limit for one");
    }
    return 0;
}

int wanted_still(const struct wanted *w, struct err *err)
{
    struct pollfd fds[WANTED_FDS];

    wanted_pollfds(w, fds);
    (void)poll(fds, WANTED_FDS, 0);
    return wanted_look(w, fds, err);
}
