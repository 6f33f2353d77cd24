/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * talker - writes and reads without a pause: numbered lines, so that none can be lost or come twice unseen.
 *
 *   talker STOPFILE            "step N pid P" to standard output and "err N" to standard error, until STOPFILE is there
 *   talker - COUNT             the same, but reads COUNT numbered lines from standard input, one per line written, and
 *                              says "bad input ..." when it is not the one expected; waits a little at each
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    unsigned long count = argc > 2 ? strtoul(argv[2], NULL, 10) : 0;
    char line[64];

    setvbuf(stdout, NULL, _IOLBF, 0);
    printf("start\n");
    for (unsigned long n = 1;; n++) {
        if (strcmp(argv[1], "-") == 0) {
            if (!fgets(line, sizeof line, stdin))
                break;
            if (strtoul(line, NULL, 10) != n)
                printf("bad input %lu: %s", n, line);
        } else if (n % 64 == 0 && access(argv[1], F_OK) == 0) {
            break;
        }
        printf("step %lu pid %d\n", n, (int)getpid());
        fprintf(stderr, "err %lu\n", n);
        usleep(count ? 10000 : 500);
    }
    printf("end of %s\n", argv[0]);
    return 4;
}
