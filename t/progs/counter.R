#!/usr/bin/Rscript
# SPDX-License-Identifier: GPL-2.0-or-later
#
# counter.R STOP - random numbers and a growing vector; all recomputed at the end
stop <- commandArgs(trailingOnly = TRUE)[1]
say <- function(...) { cat(sprintf(...), "\n", sep = ""); flush(stdout()) }
pid <- Sys.getpid()
set.seed(42)
sums <- c()
ballast <- matrix(as.double(seq_len(1e6)), 1000)
n <- 0
say("start")
while (!file.exists(stop)) {
    n <- n + 1
    sums[n] <- sum(runif(1000))
    if (sum(ballast) != 1e6 * (1e6 + 1) / 2) { say("broken: the matrix"); quit(status = 9) }
    if (Sys.getpid() != pid) { say("broken: another pid"); quit(status = 9) }
    say("step %d pid %d", n, pid)
    Sys.sleep(0.05)
}
set.seed(42)
again <- vapply(seq_len(n), function(i) sum(runif(1000)), 0)
if (!identical(sums, again)) { say("broken: the random numbers"); quit(status = 9) }
say("result ok")
