/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * crash - in place of a helper of ours: ends by SIGSEGV at once.
 */
#include <signal.h>
#include <sys/resource.h>

int main(void)
{
    struct rlimit none = {0, 0};

    setrlimit(RLIMIT_CORE, &none);
    raise(SIGSEGV);
    return 1;
}
