/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * With two munge daemons of its own, which have different keys.
 */
#include "common/seal.h"

#include "common/io.h"
#include "common/scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <munge.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
/* cmocka.h wants those before it */
#include <cmocka.h>

#define EMPTY "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define ABC "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
#define PREFIX "slurm-spank-checkpoint seal v1 "

static char dir[256];
static struct realm {
    pid_t pid;
    char socket[300];
} realms[2];

static const char *find_munged(void)
{
    static const char *const paths[] = {"/usr/sbin/munged", "/usr/local/sbin/munged",
                                        "/sbin/munged"};

    for (size_t i = 0; i < 3; i++)
        if (access(paths[i], X_OK) == 0)
            return paths[i];
    return NULL;
}

static void exec_munged(const char *munged, const char *name)
{
    static const char *const kinds[] = {"key-file", "socket", "pid-file", "log-file", "seed-file"};
    char options[5][400];

    for (size_t i = 0; i < 5; i++)
        snprintf(options[i], sizeof options[i], "--%s=%s/%s.%s", kinds[i], dir, name, kinds[i]);
    execl(munged, munged, "--force", "--foreground", options[0], options[1], options[2], options[3],
          options[4], (char *)NULL);
    _exit(127);
}

static int start(struct realm *r, const char *name)
{
    const char *munged = find_munged();
    char path[300], key[1024];
    int fd = open("/dev/urandom", O_RDONLY | O_CLOEXEC);

    if (!munged || fd < 0 || io_read_full(fd, key, sizeof key) < 0)
        return -1;
    io_close(&fd);
    snprintf(path, sizeof path, "%s/%s.key-file", dir, name);
    scratch_write(AT_FDCWD, path, key, sizeof key, 0400);
    snprintf(r->socket, sizeof r->socket, "%s/%s.socket", dir, name);
    r->pid = fork();
    if (r->pid == 0) {
        int null = open("/dev/null", O_RDWR | O_CLOEXEC);

        prctl(PR_SET_PDEATHSIG, SIGTERM); /* not to outlive a test that crashed */
        dup2(null, 1);
        dup2(null, 2);
        exec_munged(munged, name);
    }
    for (int i = 0; i < 100; i++) {
        munge_ctx_t ctx = munge_ctx_create();
        char *cred = NULL;
        munge_err_t e;

        munge_ctx_set(ctx, MUNGE_OPT_SOCKET, r->socket);
        e = munge_encode(&cred, ctx, NULL, 0);
        free(cred);
        munge_ctx_destroy(ctx);
        if (e == EMUNGE_SUCCESS)
            return 0;
        usleep(50000);
    }
    return -1;
}

static void stop(struct realm *r)
{
    if (r->pid > 0) {
        kill(r->pid, SIGTERM);
        waitpid(r->pid, NULL, 0);
        r->pid = 0;
    }
}

static int start_realms(void **state)
{
    (void)state;
    scratch_make(dir);
    if (chmod(dir, 0711) < 0)
        return -1;
    if (!find_munged() || start(&realms[0], "a") < 0 || start(&realms[1], "b") < 0) {
        stop(&realms[0]);
        stop(&realms[1]);
    }
    return 0;
}

static int stop_realms(void **state)
{
    (void)state;
    stop(&realms[0]);
    stop(&realms[1]);
    scratch_remove(dir);
    return 0;
}

#define NEED_MUNGED()                                                                              \
    do {                                                                                           \
        if (realms[1].pid <= 0) {                                                                  \
            print_message("# skipped: munged is not installed or does not start here\n");          \
            skip();                                                                                \
        }                                                                                          \
    } while (0)

static int check(const char *cred, const char *hex)
{
    struct err e = {""};
    int rc = seal_check(cred, hex, geteuid(), realms[0].socket, &e);

    if (rc < 0)
        assert_true(strncmp(e.text, "seal: ", 6) == 0 && strlen(e.text) > 6);
    return rc;
}

/* A credential over any payload, without a restriction. */
static char *forge(const struct realm *r, const void *payload, int len)
{
    munge_ctx_t ctx = munge_ctx_create();
    char *cred = NULL;

    munge_ctx_set(ctx, MUNGE_OPT_SOCKET, r->socket);
    munge_encode(&cred, ctx, payload, len);
    munge_ctx_destroy(ctx);
    return cred;
}

static void digests(void **state)
{
    char hex[65];

    (void)state;
    seal_digest(NULL, 0, hex);
    assert_string_equal(hex, EMPTY);
    seal_digest("abc", 3, hex);
    assert_string_equal(hex, ABC);
}

static void not_a_digest(void **state)
{
    static const char *const bad[] = {
        "", "abc", (ABC "0"), "BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD",
        "ga7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"};
    struct err e = {""};

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_null(seal_make(bad[i], geteuid(), NULL, &e));
        assert_int_equal(errno, EINVAL);
        assert_int_equal(seal_check("MUNGE:x:", bad[i], geteuid(), NULL, &e), -1);
        assert_int_equal(errno, EINVAL);
    }
}

static void not_our_own_uid(void **state)
{
    struct err e = {""};

    (void)state;
    assert_null(seal_make(ABC, geteuid() + 1, NULL, &e));
    assert_int_equal(errno, EPERM);
}

static void no_daemon(void **state)
{
    struct err e = {""};

    (void)state;
    assert_null(seal_make(ABC, geteuid(), "/nonexistent/munge.sock", &e));
    assert_int_equal(errno, EHOSTDOWN);
    assert_non_null(strstr(e.text, "/nonexistent/munge.sock"));
    assert_int_equal(seal_check("MUNGE:x:", ABC, geteuid(), "/nonexistent/munge.sock", &e), -1);
    assert_int_equal(errno, EHOSTDOWN);
}

static void garbage(void **state)
{
    static const char *const bad[] = {
        "", "x", "MUNGE:", "MUNGE::", "MUNGE:AAAA:", "\n", "-----BEGIN PGP SIGNATURE-----"};
    char big[SEAL_MAX_BYTES + 2];

    (void)state;
    NEED_MUNGED();
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(check(bad[i], ABC), -1);
    memset(big, 'A', sizeof big - 1);
    big[sizeof big - 1] = '\0';
    assert_int_equal(check(big, ABC), -1);
    assert_int_equal(errno, EBADMSG);
}

static void good_again_and_after_its_time(void **state)
{
    struct err e = {""};
    char *cred, line[SEAL_MAX_BYTES + 1];

    (void)state;
    NEED_MUNGED();
    cred = seal_make(ABC, geteuid(), realms[0].socket, &e);
    assert_non_null(cred);
    assert_true(strlen(cred) < SEAL_MAX_BYTES);
    assert_int_equal(check(cred, ABC), 0);
    assert_int_equal(check(cred, ABC), 0); /* replayed */
    snprintf(line, sizeof line, "%s\n", cred);
    assert_int_equal(check(line, ABC), 0); /* as a file has it */
    sleep(2);
    {
        munge_ctx_t ctx = munge_ctx_create();
        void *payload = NULL;
        int len = 0;
        uid_t uid;
        gid_t gid;

        munge_ctx_set(ctx, MUNGE_OPT_SOCKET, realms[0].socket);
        assert_int_equal(munge_decode(cred, ctx, &payload, &len, &uid, &gid), EMUNGE_CRED_EXPIRED);
        free(payload);
        munge_ctx_destroy(ctx);
    }
    assert_int_equal(check(cred, ABC), 0); /* expired */
    free(cred);
}

static void of_another_digest(void **state)
{
    char *cred;

    (void)state;
    NEED_MUNGED();
    cred = seal_make(ABC, geteuid(), realms[0].socket, NULL);
    assert_non_null(cred);
    assert_int_equal(check(cred, EMPTY), -1);
    assert_int_equal(errno, EPERM);
    free(cred);
}

static void each_changed_byte(void **state)
{
    char *cred;
    size_t len;

    (void)state;
    NEED_MUNGED();
    cred = seal_make(ABC, geteuid(), realms[0].socket, NULL);
    assert_non_null(cred);
    len = strlen(cred);
    /* "MUNGE:" and the ":" at the end are the frame; the last characters of base64 may hold
     * padding. */
    for (size_t i = 6; i + 6 < len; i++) {
        char kept = cred[i];

        cred[i] = kept == 'A' ? 'B' : 'A';
        if (check(cred, ABC) != -1)
            fail_msg("accepted with byte %zu of %zu changed", i, len);
        cred[i] = kept;
    }
    cred[len / 2] = '\0';
    assert_int_equal(check(cred, ABC), -1);
    free(cred);
}

static void for_another_purpose(void **state)
{
    static const char *const bad[] = {
        ABC,    ("slurm-spank-checkpoint seal v2 " ABC), (PREFIX ABC "0"), (PREFIX ABC " "),
        PREFIX, ("xlurm-spank-checkpoint seal v1 " ABC), (" " PREFIX ABC)};
    char *cred;

    (void)state;
    NEED_MUNGED();
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        cred = forge(&realms[0], bad[i], (int)strlen(bad[i]));
        assert_non_null(cred);
        if (check(cred, ABC) != -1)
            fail_msg("accepted: %s", bad[i]);
        assert_int_equal(errno, EPERM);
        free(cred);
    }
    cred = forge(&realms[0], PREFIX ABC, (int)sizeof(PREFIX ABC)); /* a zero byte more */
    assert_int_equal(check(cred, ABC), -1);
    free(cred);
    cred = forge(&realms[0], NULL, 0);
    assert_int_equal(check(cred, ABC), -1);
    free(cred);
    /* so that the loop above fails for the reason it should */
    cred = forge(&realms[0], PREFIX ABC, (int)strlen(PREFIX ABC));
    assert_int_equal(check(cred, ABC), 0);
    free(cred);
}

static void of_another_realm(void **state)
{
    char *cred;

    (void)state;
    NEED_MUNGED();
    cred = seal_make(ABC, geteuid(), realms[1].socket, NULL);
    assert_non_null(cred);
    assert_int_equal(seal_check(cred, ABC, geteuid(), realms[1].socket, NULL), 0);
    assert_int_equal(check(cred, ABC), -1);
    assert_int_equal(errno, EBADMSG);
    free(cred);
}

/* In a child: 0 accepted, 1 refused with EPERM, 2 with another errno. */
static int check_as(void *cred)
{
    if (seal_check(cred, ABC, geteuid(), realms[0].socket, NULL) == 0)
        return 0;
    return errno == EPERM ? 1 : 2;
}

static void made_by_another_user(void **state)
{
    char *cred;

    (void)state;
    NEED_MUNGED();
    SCRATCH_NEED_ROOT();
    cred =
        forge(&realms[0], PREFIX ABC, (int)strlen(PREFIX ABC)); /* by root, everybody may decode */
    assert_non_null(cred);
    assert_int_equal(scratch_as(SCRATCH_UID, check_as, cred), 1);
    free(cred);
}

/* Without what seal_check asks: what munge itself says to somebody else. */
static int decode_as(void *cred)
{
    munge_ctx_t ctx = munge_ctx_create();
    void *payload = NULL;
    int len = 0;
    uid_t uid;
    gid_t gid;
    munge_err_t e;

    munge_ctx_set(ctx, MUNGE_OPT_SOCKET, realms[0].socket);
    e = munge_decode(cred, ctx, &payload, &len, &uid, &gid);
    free(payload);
    munge_ctx_destroy(ctx);
    return (int)e;
}

static int make_into(void *fd)
{
    char *cred = seal_make(ABC, geteuid(), realms[0].socket, NULL);
    int rc = cred ? io_write_full(*(int *)fd, cred, strlen(cred)) : -1;

    free(cred);
    return rc < 0;
}

static void for_its_owner_only(void **state)
{
    char cred[SEAL_MAX_BYTES] = "";
    ssize_t n;
    int p[2];

    (void)state;
    NEED_MUNGED();
    SCRATCH_NEED_ROOT();
    assert_int_equal(pipe2(p, O_CLOEXEC), 0);
    assert_int_equal(scratch_as(SCRATCH_UID, make_into, &p[1]), 0);
    n = read(p[0], cred, sizeof cred - 1);
    assert_true(n > 0);
    io_close(&p[0]);
    io_close(&p[1]);
    assert_int_equal(scratch_as(SCRATCH_UID, check_as, cred), 0);
    assert_int_equal(scratch_as(SCRATCH_UID + 1, check_as, cred), 1);
    assert_int_equal(scratch_as(SCRATCH_UID + 1, decode_as, cred), EMUNGE_CRED_UNAUTHORIZED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(digests),
        cmocka_unit_test(not_a_digest),
        cmocka_unit_test(not_our_own_uid),
        cmocka_unit_test(no_daemon),
        cmocka_unit_test(garbage),
        cmocka_unit_test(good_again_and_after_its_time),
        cmocka_unit_test(of_another_digest),
        cmocka_unit_test(each_changed_byte),
        cmocka_unit_test(for_another_purpose),
        cmocka_unit_test(of_another_realm),
        cmocka_unit_test(made_by_another_user),
        cmocka_unit_test(for_its_owner_only),
    };

    return cmocka_run_group_tests_name("seal", tests, start_realms, stop_realms);
}
