/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "able/sockets.h"

#include "common/io.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define REPLY_BYTES 32768
#define SOCKETS_MAX 2000000
#define ALL_STATES 0xffffffffu

int able_sockets_add(struct able_sockets *s, const struct able_socket *one)
{
    if (s->n == s->room) {
        size_t room = s->room ? 2 * s->room : 256;
        struct able_socket *bigger =
            room > SOCKETS_MAX ? NULL : realloc(s->list, room * sizeof *bigger);

        if (!bigger)
            return -1;
        s->list = bigger;
        s->room = room;
    }
    s->list[s->n++] = *one;
    return 0;
}

static int by_inode(const void *a, const void *b)
{
    const struct able_socket *x = a, *y = b;

    return (x->inode > y->inode) - (x->inode < y->inode);
}

void able_sockets_sort(struct able_sockets *s)
{
    if (s->n > 0)
        qsort(s->list, s->n, sizeof *s->list, by_inode);
}

const struct able_socket *able_sockets_find(const struct able_sockets *s, uint32_t inode)
{
    struct able_socket key = {.inode = inode};

    return s->n == 0 ? NULL : bsearch(&key, s->list, s->n, sizeof *s->list, by_inode);
}

/* The attribute's bytes, or NULL. */
static const void *attribute(const struct nlmsghdr *h, size_t fixed, unsigned type, size_t *len)
{
    const char *at = (const char *)h + NLMSG_HDRLEN + NLMSG_ALIGN(fixed);
    const char *end = (const char *)h + h->nlmsg_len;

    while (at + sizeof(struct rtattr) <= end) {
        struct rtattr a;

        memcpy(&a, at, sizeof a);
        if (a.rta_len < sizeof a || at + a.rta_len > end)
            return NULL;
        if (a.rta_type == type) {
            *len = a.rta_len - RTA_LENGTH(0);
            return at + RTA_LENGTH(0);
        }
        at += RTA_ALIGN(a.rta_len);
    }
    return NULL;
}

static int take_unix(const struct nlmsghdr *h, struct able_socket *s)
{
    const struct unix_diag_msg *m = (const void *)((const char *)h + NLMSG_HDRLEN);
    const void *at;
    size_t len;

    if (h->nlmsg_len < NLMSG_LENGTH(sizeof *m))
        return -1;
    s->inode = m->udiag_ino;
    s->family = AF_UNIX;
    s->type = m->udiag_type;
    s->state = m->udiag_state;
    at = attribute(h, sizeof *m, UNIX_DIAG_PEER, &len);
    if (at && len == sizeof s->peer)
        memcpy(&s->peer, at, len);
    at = attribute(h, sizeof *m, UNIX_DIAG_NAME, &len);
    if (at && len > 0) {
        if (len >= sizeof s->name)
            len = sizeof s->name - 1;
        memcpy(s->name, at, len);
        if (s->name[0] == '\0')
            s->name[0] = '@';
    }
    return 0;
}

static void put_address(char *to, size_t size, unsigned family, const void *address, uint16_t port)
{
    char text[INET6_ADDRSTRLEN] = "?";

    inet_ntop((int)family, address, text, sizeof text);
    snprintf(to, size, family == AF_INET6 ? "[%s]:%u" : "%s:%u", text, ntohs(port));
}

static int take_inet(const struct nlmsghdr *h, struct able_socket *s)
{
    const struct inet_diag_msg *m = (const void *)((const char *)h + NLMSG_HDRLEN);

    if (h->nlmsg_len < NLMSG_LENGTH(sizeof *m))
        return -1;
    s->inode = m->idiag_inode;
    s->family = m->idiag_family;
    s->type = SOCK_STREAM;
    s->state = m->idiag_state;
    s->waiting = m->idiag_state == TCP_LISTEN ? m->idiag_rqueue : 0;
    put_address(s->name, sizeof s->name, s->family, m->id.idiag_src, m->id.idiag_sport);
    put_address(s->other, sizeof s->other, s->family, m->id.idiag_dst, m->id.idiag_dport);
    return 0;
}

/* Read one dump to its end; what the kernel does not support is an empty one. */
static int read_all(int fd, int (*take)(const struct nlmsghdr *, struct able_socket *),
                    struct able_sockets *s)
{
    char *buf = malloc(REPLY_BYTES);
    int rc = -1;

    while (buf) {
        ssize_t n = recv(fd, buf, REPLY_BYTES, 0);
        int left;

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        left = (int)n;
        for (struct nlmsghdr *h = (struct nlmsghdr *)(void *)buf; NLMSG_OK(h, (unsigned)left);
             h = NLMSG_NEXT(h, left)) {
            struct able_socket one;

            if (h->nlmsg_type == NLMSG_DONE || h->nlmsg_type == NLMSG_ERROR) {
                rc = 0;
                break;
            }
            memset(&one, 0, sizeof one);
            if (take(h, &one) == 0 && one.inode != 0)
                (void)able_sockets_add(s, &one);
        }
        if (rc == 0)
            break;
    }
    free(buf);
    return rc;
}

static int ask_unix(int fd, struct able_sockets *s)
{
    struct {
        struct nlmsghdr h;
        struct unix_diag_req r;
    } q = {.h = {.nlmsg_len = sizeof q,
                 .nlmsg_type = SOCK_DIAG_BY_FAMILY,
                 .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
           .r = {.sdiag_family = AF_UNIX,
                 .udiag_states = ALL_STATES,
                 .udiag_show = UDIAG_SHOW_NAME | UDIAG_SHOW_PEER}};

    return send(fd, &q, sizeof q, 0) == (ssize_t)sizeof q ? read_all(fd, take_unix, s) : -1;
}

static int ask_tcp(int fd, uint8_t family, struct able_sockets *s)
{
    struct {
        struct nlmsghdr h;
        struct inet_diag_req_v2 r;
    } q = {
        .h = {.nlmsg_len = sizeof q,
              .nlmsg_type = SOCK_DIAG_BY_FAMILY,
              .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
        .r = {.sdiag_family = family, .sdiag_protocol = IPPROTO_TCP, .idiag_states = ALL_STATES}};

    return send(fd, &q, sizeof q, 0) == (ssize_t)sizeof q ? read_all(fd, take_inet, s) : -1;
}

struct able_sockets *able_sockets_load(struct err *err)
{
    struct timeval patience = {5, 0};
    struct able_sockets *s = calloc(1, sizeof *s);
    int fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);

    if (!s || fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) < 0 ||
        ask_unix(fd, s) < 0 || ask_tcp(fd, AF_INET, s) < 0 || ask_tcp(fd, AF_INET6, s) < 0)
        goto fail;
    io_close(&fd);
    able_sockets_sort(s);
    return s;
fail:
    err_sys(err, "cannot ask the kernel for its sockets");
    io_close(&fd);
    able_sockets_destroy(s);
    return NULL;
}

void able_sockets_destroy(struct able_sockets *s)
{
    int saved = errno;

    if (s)
        free(s->list);
    free(s);
    errno = saved;
}
