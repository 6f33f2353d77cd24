/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * This program plays criu itself when its argv[0] is "criu".
 */
#include "common/criurun.h"

#include "common/helper.h"
#include "common/io.h"
#include "common/scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
/* cmocka.h wants some of those before it */
#include <cmocka.h>

/* CAP_CHECKPOINT_RESTORE */
#define CAP_NUMBER 40

static bool is_open(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}

/* Says what it sees, then answers one byte of the stream and ends as the byte says. */
static int play_criu(int argc, char **argv)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX, .sun_path = "//streamer-capture.sock"};
    int sock = socket(AF_UNIX, SOCK_STREAM, 0), other = socket(AF_UNIX, SOCK_STREAM, 0);
    int extra = 0;
    char c = 0;

    for (int fd = 5; fd < 100; fd++)
        extra += fd != sock && fd != other && is_open(fd);
    printf("args=");
    for (int i = 0; i < argc; i++)
        printf("%s ", argv[i]);
    printf("\nambient=%d\nsecret=%s\npreload=%s\nextra=%d\nfourth=%d\ndrain=%s\n",
           prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, CAP_NUMBER, 0, 0),
           getenv("SECRET") ? "seen" : "none", getenv("LD_PRELOAD") ? "seen" : "none", extra,
           is_open(4), getenv("CKPT_DRAIN_FD") ? getenv("CKPT_DRAIN_FD") : "none");
    fprintf(stderr, "Error (fake.c:1): something\n");
    /* other names go to the kernel, and a second time there is none */
    snprintf(addr.sun_path, sizeof addr.sun_path, "/nowhere/else");
    printf("elsewhere=%d\n", connect(other, (struct sockaddr *)&addr, sizeof addr) < 0);
    snprintf(addr.sun_path, sizeof addr.sun_path, "//streamer-capture.sock");
    printf("stream=%d\n", connect(sock, (struct sockaddr *)&addr, sizeof addr));
    printf("second=%d\n", connect(other, (struct sockaddr *)&addr, sizeof addr) < 0);
    fflush(stdout);
    if (read(sock, &c, 1) != 1)
        return 3;
    if (c == 'L') /* more log than is kept */
        for (int i = 0; i < 40000; i++)
            fprintf(stderr, "line %d of a log that is longer than what is kept of it\n", i);
    if (c == 'S')
        pause();
    return c == '0' ? 0 : 7;
}

static char self[PATH_MAX], helpers[256];

#ifdef __SANITIZE_ADDRESS__
#define SANITIZED true /* AddressSanitizer refuses to come behind a preloaded library */
#else
#define SANITIZED false
#endif

/* Only where this build lies on a path of root's, with the shim built. */
static bool have_stage(void)
{
    char shim[PATH_MAX + 32], plugins[300], to[sizeof plugins + 32], *slash;
    struct err e = {""};
    size_t len;
    int fd;
    char *data;

    if (SANITIZED || geteuid() != 0 || helper_path_trusted(self, "this", &e) < 0)
        return false;
    snprintf(shim, sizeof shim, "%s", self);
    slash = strstr(shim, "/common/");
    if (!slash)
        return false;
    snprintf(slash, sizeof shim - (size_t)(slash - shim), "/.libs/criu-shim.so");
    fd = open(shim, O_RDONLY | O_CLOEXEC);
    data = fd < 0 ? NULL : io_slurp(fd, 1u << 20, &len, NULL);
    io_close(&fd);
    if (!data)
        return false;
    scratch_make(helpers);
    snprintf(to, sizeof to, "%s/criu-shim.so", helpers);
    fd = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0755);
    assert_int_equal(io_write_full(fd, data, len), 0);
    close(fd);
    free(data);
    snprintf(plugins, sizeof plugins, "%s/criu-plugins", helpers);
    assert_int_equal(mkdir(plugins, 0755), 0);
    snprintf(to, sizeof to, "%s/ckpt-criu.so", plugins);
    close(open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
    return true;
}

static void need_stage(void)
{
    if (!*helpers) {
        print_message("# skipped: needs root, a build below directories of root's, no sanitizer\n");
        skip();
    }
}

static struct criurun *prepare(const char *verb, const int *fds, int nfds)
{
    const char *args[] = {verb, "-t", "4711", NULL};
    struct criurun_opts o = {.criu = self,
                             .helper_dir = helpers,
                             .args = args,
                             .fds = fds,
                             .nfds = nfds,
                             .drain = nfds > 0};
    struct err e = {""};
    struct criurun *r = criurun_prepare(&o, &e);

    if (!r)
        fail_msg("%s", e.text);
    return r;
}

static void bad_arguments(void **state)
{
    const char *none[] = {NULL}, *args[] = {"dump", NULL};
    struct criurun_opts o = {.criu = "/bin/true", .helper_dir = "/", .args = none};
    struct err e = {""};

    (void)state;
    assert_null(criurun_prepare(&o, &e));
    assert_int_equal(errno, EINVAL);
    o.args = args;
    o.nfds = CRIURUN_FDS_MAX + 1;
    assert_null(criurun_prepare(&o, &e));
    assert_int_equal(errno, EINVAL);
    o.nfds = 0;
    o.helper_dir = "/with a space";
    assert_null(criurun_prepare(&o, &e));
    assert_int_equal(errno, EINVAL);
    o.helper_dir = "/nonexistent";
    assert_null(criurun_prepare(&o, &e));
    assert_non_null(strstr(e.text, "criu"));
    criurun_destroy(NULL);
}

/* A criu that anybody else than root might have put there. */
static void untrusted_path(void **state)
{
    char dir[256], path[300];
    const char *args[] = {"dump", NULL};
    struct criurun_opts o = {.criu = path, .helper_dir = dir, .args = args};
    struct err e = {""};
    int dirfd;

    (void)state;
    scratch_make(dir);
    snprintf(path, sizeof path, "%s/criu", dir);
    dirfd = open(dir, O_DIRECTORY | O_RDONLY | O_CLOEXEC);
    scratch_write(dirfd, "criu", "x", 0, 0755);
    assert_int_equal(fchmodat(dirfd, "criu", 0757, 0), 0);
    close(dirfd);
    assert_null(criurun_prepare(&o, &e));
    assert_int_equal(errno, EPERM);
    scratch_remove(dir);
}

static void version_fits(void **state)
{
    (void)state;
    assert_false(criurun_version_fits("", "6.18.0"));
    assert_false(criurun_version_fits("unknown", "6.1.0"));
    assert_false(criurun_version_fits("4.1.1", ""));
    assert_false(criurun_version_fits("3.17.1", "6.1.0"));
    assert_false(criurun_version_fits("4.1", "6.12.0"));
    assert_true(criurun_version_fits("4.1.1", "6.12.107+deb13-cloud-amd64"));
    assert_false(criurun_version_fits("4.1.1", "6.16.0"));
    assert_true(criurun_version_fits("4.2", "6.18.1"));
    assert_true(criurun_version_fits("4.2.1", "6.1"));
}

static void version(void **state)
{
    struct criurun_version v;
    char text[32];

    (void)state;
    criurun_version_ask("/nonexistent", &v);
    criurun_version_tell(&v, text, sizeof text);
    assert_string_equal(text, "unknown");
    criurun_version_tell(&v, text, sizeof text); /* once more is fine */
    assert_string_equal(text, "unknown");
    criurun_version_ask("/bin/true", &v);
    criurun_version_tell(&v, text, sizeof text);
    assert_string_equal(text, "unknown");
}

static void runs(void **state)
{
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    struct criurun *r;
    struct err e = {""};
    const char *out;
    char why[256];

    (void)state;
    need_stage();
    setenv("SECRET", "x", 1);
    r = prepare("dump", &null, 1);
    assert_int_equal(criurun_wait(r, 50), 0); /* it waits for its word */
    assert_int_equal(criurun_go(r, 0, &e), 0);
    assert_int_equal(write(criurun_stream(r), "0", 1), 1);
    assert_int_equal(criurun_wait(r, 20000), 1);
    out = criurun_stdout(r);
    assert_int_equal(criurun_exit_status(r), 0);
    assert_non_null(
        strstr(out, "args=criu dump --no-default-config --unprivileged --stream -D / -W / -L"));
    assert_non_null(strstr(out, " -t 4711 \n"));
    assert_non_null(strstr(out, "ambient=1\n"));
    assert_non_null(strstr(out, "secret=none\npreload=none\nextra=0\nfourth=1\ndrain=4\n"));
    assert_non_null(strstr(out, "elsewhere=1\nstream=0\nsecond=1\n"));
    criurun_explain(r, why, sizeof why);
    assert_string_equal(why, "CRIU: something");
    criurun_destroy(r);
    close(null);
}

static void keeps_both_ends_of_a_log(void **state)
{
    struct criurun *r;
    size_t len;
    const char *log;

    (void)state;
    need_stage();
    r = prepare("restore", NULL, 0);
    assert_int_equal(criurun_go(r, 0, NULL), 0);
    assert_int_equal(write(criurun_stream(r), "L", 1), 1);
    assert_int_equal(criurun_wait(r, 20000), 1);
    assert_true(WIFEXITED(criurun_exit_status(r)));
    assert_int_equal(WEXITSTATUS(criurun_exit_status(r)), 7);
    log = criurun_log(r, &len);
    assert_true(len <= CRIURUN_LOG_MAX && len > CRIURUN_LOG_MAX / 4);
    assert_int_equal(strlen(log), len);
    assert_non_null(strstr(log, "Error (fake.c:1): something\nline 0 of"));
    assert_non_null(strstr(log, "[...]"));
    assert_non_null(strstr(log, "line 39999 of"));
    criurun_destroy(r);
}

static void broken_stream_and_kill(void **state)
{
    struct criurun *r;
    char why[256];
    int fd;

    (void)state;
    need_stage();
    r = prepare("dump", NULL, 0);
    assert_int_equal(criurun_go(r, 0, NULL), 0);
    fd = criurun_take_stream(r);
    close(fd);
    assert_int_equal(criurun_wait(r, 20000), 1);
    assert_int_equal(WEXITSTATUS(criurun_exit_status(r)), 3);
    criurun_destroy(r);

    r = prepare("dump", NULL, 0);
    assert_int_equal(criurun_go(r, 0, NULL), 0);
    assert_int_equal(write(criurun_stream(r), "S", 1), 1);
    assert_int_equal(criurun_wait(r, 300), 0);
    criurun_kill(r);
    assert_int_equal(criurun_wait(r, 20000), 1);
    assert_true(WIFSIGNALED(criurun_exit_status(r)));
    criurun_explain(r, why, sizeof why);
    criurun_destroy(r);
}

/* Never told to go: it leaves when the helper does. */
static void no_word(void **state)
{
    struct criurun *r;
    pid_t pid;

    (void)state;
    need_stage();
    r = prepare("dump", NULL, 0);
    pid = criurun_pid(r);
    assert_int_equal(kill(pid, 0), 0);
    criurun_destroy(r);
    assert_int_equal(kill(pid, 0), -1);
    assert_int_equal(errno, ESRCH);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_arguments),
        cmocka_unit_test(untrusted_path),
        cmocka_unit_test(version),
        cmocka_unit_test(version_fits),
        cmocka_unit_test(runs),
        cmocka_unit_test(keeps_both_ends_of_a_log),
        cmocka_unit_test(broken_stream_and_kill),
        cmocka_unit_test(no_word),
    };
    int rc;

    if (argc > 0 && !strcmp(argv[0], "criu"))
        return play_criu(argc, argv);
    if (!realpath("/proc/self/exe", self) || !have_stage())
        *helpers = '\0';
    rc = cmocka_run_group_tests(tests, NULL, NULL);
    if (*helpers)
        scratch_remove(helpers);
    return rc;
}
