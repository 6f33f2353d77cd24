/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * sockets - the kernel's sockets of this network namespace, by inode.
 */
#ifndef ABLE_SOCKETS_H
#define ABLE_SOCKETS_H

#include "common/err.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* States as in <netinet/tcp.h>; Unix sockets use ESTABLISHED, LISTEN and CLOSE of them. */
struct able_socket {
    uint32_t inode;
    uint8_t family;   /* AF_UNIX, AF_INET, AF_INET6 */
    uint8_t type;     /* Unix: SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET; else SOCK_STREAM */
    uint8_t state;    /* TCP_ESTABLISHED ... */
    uint32_t waiting; /* in LISTEN: connections that nobody has accepted */
    uint32_t peer;    /* Unix: inode of the other end; 0: none */
    char name
        [112]; /* Unix: what it is bound to, "@..." for an abstract one, or ""; else ADDRESS:PORT */
    char other[64]; /* not Unix: ADDRESS:PORT of the other end */
};

struct able_sockets {
    struct able_socket *list; /* by inode */
    size_t n, room;
};

/* Ask the kernel for all Unix and TCP sockets.  (Not for others: asking would load their modules.) */
struct able_sockets *able_sockets_load(struct err *err);
void able_sockets_destroy(struct able_sockets *s);

/* For the loader and for tests: add one, in any order; then sort. */
int able_sockets_add(struct able_sockets *s, const struct able_socket *one);
void able_sockets_sort(struct able_sockets *s);

/* NULL: not there. */
const struct able_socket *able_sockets_find(const struct able_sockets *s, uint32_t inode);

#endif
