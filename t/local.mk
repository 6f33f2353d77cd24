# Programs that the system tests run as jobs. They are built before the tests (make check, or make t-programs) and
# installed nowhere; they are what the tests say of any program, so no sanitizer or hardening flag of ours.
t_programs = t/progs/counter t/progs/daemon t/progs/invariant t/progs/locks t/progs/openmp t/progs/sleepers \
	t/progs/threads
EXTRA_PROGRAMS = $(t_programs)
check_DATA += $(t_programs)
CLEANFILES += $(t_programs)

t_progs_counter_SOURCES = t/progs/counter.c t/progs/prog.h
t_progs_counter_CFLAGS = $(WARN_CFLAGS)
t_progs_counter_LDFLAGS =
t_progs_daemon_SOURCES = t/progs/daemon.c t/progs/prog.h
t_progs_daemon_CFLAGS = $(WARN_CFLAGS)
t_progs_daemon_LDFLAGS =
t_progs_invariant_SOURCES = t/progs/invariant.c t/progs/prog.h
t_progs_invariant_CFLAGS = $(WARN_CFLAGS)
t_progs_invariant_LDFLAGS =
t_progs_locks_SOURCES = t/progs/locks.c t/progs/prog.h
t_progs_locks_CFLAGS = $(WARN_CFLAGS)
t_progs_locks_LDFLAGS =
t_progs_openmp_SOURCES = t/progs/openmp.c t/progs/prog.h
t_progs_openmp_CFLAGS = $(WARN_CFLAGS) -fopenmp
t_progs_openmp_LDFLAGS = -fopenmp
t_progs_sleepers_SOURCES = t/progs/sleepers.c t/progs/prog.h
t_progs_sleepers_CFLAGS = $(WARN_CFLAGS) -pthread
t_progs_sleepers_LDFLAGS = -pthread
t_progs_threads_SOURCES = t/progs/threads.c t/progs/prog.h
t_progs_threads_CFLAGS = $(WARN_CFLAGS) -pthread
t_progs_threads_LDFLAGS = -pthread

.PHONY: t-programs
t-programs: $(t_programs)

EXTRA_DIST += t/lib.sh t/progs/Counter.java t/progs/background.sh t/progs/counter.R t/progs/counter.py \
	t/progs/pipeline.sh
