/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "able/sockets.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
/* cmocka.h wants some of those before it */
#include <cmocka.h>

static uint32_t inode_of(int fd)
{
    struct stat st;

    assert_int_equal(fstat(fd, &st), 0);
    return (uint32_t)st.st_ino;
}

static void by_inode(void **state)
{
    struct able_sockets s = {0};

    (void)state;
    able_sockets_sort(&s);
    assert_null(able_sockets_find(&s, 1));
    for (uint32_t i = 1000; i > 0; i--) {
        struct able_socket one = {.inode = i * 7, .peer = i};

        assert_int_equal(able_sockets_add(&s, &one), 0);
    }
    able_sockets_sort(&s);
    assert_int_equal(s.n, 1000);
    assert_null(able_sockets_find(&s, 8));
    assert_non_null(able_sockets_find(&s, 7000));
    assert_int_equal(able_sockets_find(&s, 21)->peer, 3);
    free(s.list);
    able_sockets_destroy(NULL);
}

static void unix_sockets(void **state)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    const struct able_socket *found;
    struct able_sockets *s;
    int pair[2], bound;

    (void)state;
    snprintf(name.sun_path + 1, sizeof name.sun_path - 1, "ckpt-sockets-test-%d", (int)getpid());
    bound = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_int_equal(
        bind(bound, (struct sockaddr *)&name,
             (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name.sun_path + 1))),
        0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    s = able_sockets_load(NULL);
    assert_non_null(s);
    found = able_sockets_find(s, inode_of(pair[0]));
    assert_non_null(found);
    assert_int_equal(found->family, AF_UNIX);
    assert_int_equal(found->type, SOCK_STREAM);
    assert_int_equal(found->peer, inode_of(pair[1]));
    assert_string_equal(found->name, "");
    found = able_sockets_find(s, inode_of(bound));
    assert_non_null(found);
    assert_int_equal(found->peer, 0);
    assert_int_equal(found->name[0], '@');
    assert_string_equal(found->name + 1, name.sun_path + 1);
    able_sockets_destroy(s);
    close(bound);
    close(pair[0]);
    close(pair[1]);
}

static void tcp(void **state)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof a;
    const struct able_socket *found;
    struct able_sockets *s;
    char name[64];
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    (void)state;
    assert_int_equal(bind(listener, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(listen(listener, 5), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&a, &len), 0);
    assert_int_equal(connect(client, (struct sockaddr *)&a, sizeof a), 0);
    snprintf(name, sizeof name, "127.0.0.1:%u", ntohs(a.sin_port));
    s = able_sockets_load(NULL);
    assert_non_null(s);
    found = able_sockets_find(s, inode_of(listener));
    assert_non_null(found);
    assert_int_equal(found->state, TCP_LISTEN);
    assert_int_equal(found->waiting, 1);
    assert_string_equal(found->name, name);
    found = able_sockets_find(s, inode_of(client));
    assert_non_null(found);
    assert_int_equal(found->state, TCP_ESTABLISHED);
    assert_string_equal(found->other, name);
    able_sockets_destroy(s);
    close(listener);
    close(client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(by_inode),
        cmocka_unit_test(unix_sockets),
        cmocka_unit_test(tcp),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
