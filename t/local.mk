# Programs that the system tests run as jobs. They are built before the tests (make check, or make t-programs) and
# installed nowhere; they are what the tests say of any program, so no sanitizer or hardening flag of ours.
t_programs = t/progs/brim t/progs/counter t/progs/daemon t/progs/hazard t/progs/invariant t/progs/locks t/progs/openmp t/progs/policy t/progs/sleepers t/progs/snapped t/progs/special \
	t/progs/talker t/progs/threads
EXTRA_PROGRAMS = $(t_programs)
check_DATA += $(t_programs)
CLEANFILES += $(t_programs)

t_progs_snapped_SOURCES = t/progs/snapped.c t/progs/pages.h t/progs/prog.h
t_progs_snapped_CFLAGS = $(WARN_CFLAGS) -pthread
t_progs_snapped_LDFLAGS = -pthread
t_progs_special_SOURCES = t/progs/special.c t/progs/pages.h t/progs/prog.h
t_progs_special_CFLAGS = $(WARN_CFLAGS) -pthread
t_progs_special_LDFLAGS = -pthread
t_progs_brim_SOURCES = t/progs/brim.c t/progs/prog.h
t_progs_brim_CFLAGS = $(WARN_CFLAGS)
t_progs_brim_LDFLAGS =
t_progs_counter_SOURCES = t/progs/counter.c t/progs/prog.h
t_progs_counter_CFLAGS = $(WARN_CFLAGS)
t_progs_counter_LDFLAGS =
t_progs_daemon_SOURCES = t/progs/daemon.c t/progs/prog.h
t_progs_daemon_CFLAGS = $(WARN_CFLAGS)
t_progs_daemon_LDFLAGS =
t_progs_hazard_SOURCES = t/progs/hazard.c t/progs/prog.h
t_progs_hazard_CFLAGS = $(WARN_CFLAGS)
t_progs_hazard_LDFLAGS =
t_progs_invariant_SOURCES = t/progs/invariant.c t/progs/pages.h t/progs/prog.h
t_progs_invariant_CFLAGS = $(WARN_CFLAGS)
t_progs_invariant_LDFLAGS =
t_progs_locks_SOURCES = t/progs/locks.c t/progs/prog.h
t_progs_locks_CFLAGS = $(WARN_CFLAGS)
t_progs_locks_LDFLAGS =
t_progs_policy_SOURCES = t/progs/policy.c t/progs/prog.h
t_progs_policy_CFLAGS = $(WARN_CFLAGS) -pthread
t_progs_policy_LDFLAGS = -pthread
t_progs_openmp_SOURCES = t/progs/openmp.c t/progs/prog.h
t_progs_openmp_CFLAGS = $(WARN_CFLAGS) -fopenmp
t_progs_openmp_LDFLAGS = -fopenmp
t_programs += t/progs/partly
t_progs_partly_SOURCES = t/progs/partly.c t/progs/prog.h
t_progs_partly_CFLAGS = $(WARN_CFLAGS)
t_progs_partly_LDFLAGS =
t_programs += t/progs/shared
t_progs_shared_SOURCES = t/progs/shared.c t/progs/prog.h
t_progs_shared_CFLAGS = $(WARN_CFLAGS) -pthread
t_progs_shared_LDFLAGS = -pthread
t_programs += t/progs/registers
t_progs_registers_SOURCES = t/progs/registers.c t/progs/pages.h t/progs/prog.h
t_progs_registers_CFLAGS = $(WARN_CFLAGS)
t_progs_registers_LDFLAGS =
t_progs_sleepers_SOURCES = t/progs/sleepers.c t/progs/prog.h
t_progs_sleepers_CFLAGS = $(WARN_CFLAGS) -pthread
t_progs_sleepers_LDFLAGS = -pthread
t_progs_talker_SOURCES = t/progs/talker.c
t_progs_talker_CFLAGS = $(WARN_CFLAGS)
t_progs_talker_LDFLAGS =
t_progs_threads_SOURCES = t/progs/threads.c t/progs/prog.h
t_progs_threads_CFLAGS = $(WARN_CFLAGS) -pthread
t_progs_threads_LDFLAGS = -pthread

.PHONY: t-programs
t-programs: $(t_programs)

EXTRA_DIST += t/lib.sh t/gallery.sh t/progs/Counter.java t/progs/background.sh t/progs/counter.R t/progs/counter.py \
	t/progs/pipeline.sh t/progs/services.py

# Attack programs of the security tests (t/05*.t, t/06*.t): built like the programs above, by make t-attacks.
t_attacks = t/attack/client.so t/attack/crash t/attack/doomed t/attack/evil.so t/attack/hold t/attack/nsattack t/attack/seize t/attack/spin t/attack/steal t/attack/talk.so \
	t/attack/withbit
EXTRA_PROGRAMS += $(t_attacks)
check_DATA += $(t_attacks)
CLEANFILES += $(t_attacks)

# Shared objects that belong to no library: libtool's own -shared means something else.
t_attack_client_so_SOURCES = t/attack/client.c
t_attack_client_so_CPPFLAGS = $(AM_CPPFLAGS) $(SLURM_CFLAGS)
t_attack_client_so_CFLAGS = $(WARN_CFLAGS) -fPIC
t_attack_client_so_LDFLAGS = -XCClinker -shared
t_attack_crash_SOURCES = t/attack/crash.c
t_attack_crash_CFLAGS = $(WARN_CFLAGS)
t_attack_doomed_SOURCES = t/attack/doomed.c
t_attack_doomed_CFLAGS = $(WARN_CFLAGS)
t_attack_doomed_LDFLAGS = -all-static
t_attack_evil_so_SOURCES = t/attack/evil.c
t_attack_evil_so_CFLAGS = $(WARN_CFLAGS) -fPIC
t_attack_evil_so_LDFLAGS = -XCClinker -shared
t_attack_talk_so_SOURCES = t/attack/talk.c
t_attack_talk_so_CFLAGS = $(WARN_CFLAGS) -fPIC
t_attack_talk_so_LDFLAGS = -XCClinker -shared
t_attack_hold_SOURCES = t/attack/hold.c
t_attack_hold_CFLAGS = $(WARN_CFLAGS)
t_attack_nsattack_SOURCES = t/attack/nsattack.c
t_attack_nsattack_CFLAGS = $(WARN_CFLAGS)
t_attack_seize_SOURCES = t/attack/seize.c t/attack/proc.h
t_attack_seize_CFLAGS = $(WARN_CFLAGS)
t_attack_spin_SOURCES = t/attack/spin.c t/attack/proc.h
t_attack_spin_CFLAGS = $(WARN_CFLAGS)
t_attack_steal_SOURCES = t/attack/steal.c
t_attack_steal_CFLAGS = $(WARN_CFLAGS)
t_attack_withbit_SOURCES = t/attack/withbit.c
t_attack_withbit_LDADD = libhelper.la libcommon.la $(CAP_LIBS)

.PHONY: t-attacks
t-attacks: $(t_attacks)

EXTRA_DIST += t/seclib.sh t/attack/forge.py t/attack/sockets.py t/attack/watch.py

# A filesystem that fails when it is told to (t/08*.t, which skip without it): make t-faulty.
if HAVE_FUSE3
t_faulty = t/faulty/faulty t/faulty/fuse-mount t/faulty/rseq-shared
EXTRA_PROGRAMS += $(t_faulty)
check_DATA += $(t_faulty)
CLEANFILES += $(t_faulty)
t_faulty_faulty_SOURCES = t/faulty/faulty.c t/faulty/faults.c t/faulty/faults.h
t_faulty_faulty_CFLAGS = $(WARN_CFLAGS) $(FUSE3_CFLAGS) -pthread
t_faulty_faulty_LDFLAGS = -pthread
t_faulty_faulty_LDADD = $(FUSE3_LIBS)
t_faulty_fuse_mount_SOURCES = t/faulty/fuse-mount.c
t_faulty_fuse_mount_CFLAGS = $(WARN_CFLAGS)
t_faulty_fuse_mount_LDFLAGS =
t_faulty_rseq_shared_SOURCES = t/faulty/rseq-shared.c
t_faulty_rseq_shared_CFLAGS = $(WARN_CFLAGS)
t_faulty_rseq_shared_LDFLAGS =
endif

.PHONY: t-faulty
t-faulty: $(t_faulty)

EXTRA_DIST += t/squat.py t/faultlib.sh t/snaplib.sh t/faulty/flip.py t/faulty/procfs.py t/faulty/shoot.py t/faulty/hold-dump.py t/faulty/forge-generation.py t/faulty/hostile-start.py

# The tests themselves, whichever there are, and the fuzz targets with their corpora.
dist-hook:
	$(MKDIR_P) $(distdir)/t
	cp -p $(srcdir)/t/*.t $(distdir)/t/
	cp -pR $(srcdir)/t/fuzz $(distdir)/t/
	cp -pR $(srcdir)/t/helpers $(srcdir)/t/progs $(srcdir)/t/attack $(srcdir)/t/faulty $(distdir)/t/
