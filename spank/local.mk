slurmplugin_LTLIBRARIES += checkpoint.la
checkpoint_la_SOURCES = \
	spank/plugin.c spank/node.c spank/node.h spank/expire.c spank/expire.h spank/launch.c spank/launch.h spank/jobclock.c spank/jobclock.h spank/launch_env.h spank/leftgroup.c spank/leftgroup.h spank/nsroot.c spank/nsroot.h \
	spank/policy.c spank/policy.h spank/policy_start.c spank/policy_user.c spank/restarts.c spank/restarts.h spank/slurmconf.c spank/slurmconf.h spank/state.c spank/state.h \
	spank/metrics.c spank/metrics.h spank/tally.h spank/tally_root.c \
	spank/srun.c spank/srun.h spank/submit.c spank/submit.h spank/submit_restore.c spank/submit_restore.h
checkpoint_la_CPPFLAGS = $(AM_CPPFLAGS) $(SLURM_CFLAGS) -DCKPT_BINDIR='"$(bindir)"'
# Slurm loads plugins into one name space: only its callbacks are visible, and libslurm is never linked.
checkpoint_la_CFLAGS = $(AM_CFLAGS) $(CAP_CFLAGS)
checkpoint_la_LDFLAGS = $(AM_LDFLAGS) -module -avoid-version -shared \
	-export-symbols-regex '^(slurm_spank_.*|plugin_.*|spank_plugin)'
checkpoint_la_LIBADD = libhelper.la $(CAP_LIBS) -ldl

helper_PROGRAMS += keeper shepherd ckpt-init step-claim job-restarts
keeper_SOURCES = spank/journal.c spank/journal.h spank/keeper.c spank/keeper.h spank/keeper_run.c spank/tally.c spank/tally.h spank/slots.c spank/slots.h spank/tree.c spank/tree.h
keeper_LDADD = libhelper.la libcommon.la $(CAP_LIBS)
# The same in a user's own namespace: see common/trust.h.
helper_PROGRAMS += own-keeper
own_keeper_SOURCES = $(keeper_SOURCES) common/trust_own.c
own_keeper_LDADD = $(keeper_LDADD)

shepherd_SOURCES = \
	spank/shepherd_able.c spank/shepherd_caps.c spank/shepherd_found.c spank/shepherd_hook.c spank/hook.c spank/hook.h \
	spank/shepherd.c spank/shepherd.h spank/shepherd_asked.c spank/shepherd_dump.c spank/shepherd_fence.c spank/shepherd_files.c spank/shepherd_final.c \
	spank/shepherd_limit.c spank/shepherd_request.c \
	spank/shepherd_slurm.c spank/shepherd_start.c spank/clerk.c spank/clerk.h spank/slurmjob.c spank/slurmjob.h spank/slurmjob_load.c \
	spank/relay.c spank/relay.h spank/shepherd_launch.c spank/shepherd_script.c spank/shepherd_step.c spank/steps.c \
	spank/steps.h spank/steps_task.c \
	spank/interval.c spank/interval.h spank/environ.c spank/environ.h spank/shepherd_environ.c spank/shepherd_budget.c spank/elsewhere.c spank/elsewhere.h spank/shepherd_elsewhere.c spank/slurmjob_elsewhere.c \
	spank/mempolicy.c spank/mempolicy.h spank/placing.c spank/placing.h spank/placing_memory.c spank/placing_memory.h \
	dump/inject.c dump/inject.h dump/inject_arch.h spank/shepherd_place.c spank/topo.c spank/topo.h spank/witness.c spank/witness.h spank/tree.c spank/tree.h
step_claim_SOURCES = spank/step-claim.c spank/steps.c spank/steps.h spank/steps_task.c
step_claim_LDADD = libimage.la libcommon.la
job_restarts_SOURCES = spank/job-restarts.c spank/slurmjob_load.c spank/slurmjob.h
job_restarts_CPPFLAGS = $(AM_CPPFLAGS) $(SLURM_CFLAGS)
job_restarts_LDADD = libcommon.la $(SLURM_LIBS)

shepherd_CPPFLAGS = $(AM_CPPFLAGS) $(SLURM_CFLAGS)
shepherd_CFLAGS = $(AM_CFLAGS) $(HWLOC_CFLAGS)
shepherd_LDADD = -lm libcheck.la libable.la libimage.la libcommon.la $(SLURM_LIBS) $(HWLOC_LIBS)

ckpt_init_SOURCES = spank/ckpt-init.c
ckpt_init_CFLAGS = $(WARN_CFLAGS) -fstack-protector-strong
ckpt_init_LDFLAGS = -all-static

if HAVE_CMOCKA
check_PROGRAMS += spank/elsewhere_test spank/environ_test spank/interval_test spank/topo_test
spank_interval_test_SOURCES = spank/interval_test.c spank/interval.c spank/interval.h
spank_interval_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
spank_interval_test_LDADD = libimage.la libcommon.la $(CMOCKA_LIBS) -lm
spank_environ_test_SOURCES = spank/environ_test.c spank/environ.c
spank_environ_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
spank_environ_test_LDADD = $(CMOCKA_LIBS)
spank_elsewhere_test_SOURCES = spank/elsewhere_test.c spank/elsewhere.c
spank_elsewhere_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
spank_elsewhere_test_LDADD = libcommon.la $(CMOCKA_LIBS)
check_PROGRAMS += spank/leftgroup_test
spank_leftgroup_test_SOURCES = spank/leftgroup_test.c spank/leftgroup.c spank/leftgroup.h
spank_leftgroup_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
spank_leftgroup_test_LDADD = libcommon.la $(CMOCKA_LIBS)
check_PROGRAMS += spank/hook_test
spank_hook_test_SOURCES = spank/hook_test.c spank/hook.c
spank_hook_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
spank_hook_test_LDADD = libcommon.la $(CMOCKA_LIBS)
check_PROGRAMS += spank/witness_test
spank_witness_test_SOURCES = spank/witness_test.c spank/witness.c
spank_witness_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
spank_witness_test_LDADD = libcommon.la $(CMOCKA_LIBS)
check_PROGRAMS += spank/relay_test spank/slots_test spank/steps_test
spank_relay_test_SOURCES = spank/relay_test.c spank/relay.c
spank_relay_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
spank_relay_test_LDADD = libcommon.la $(CMOCKA_LIBS)
spank_slots_test_SOURCES = spank/slots_test.c spank/slots.c
spank_slots_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
spank_slots_test_LDADD = $(CMOCKA_LIBS)
spank_steps_test_SOURCES = spank/steps_test.c spank/steps.c spank/steps_task.c
spank_steps_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
spank_steps_test_LDADD = libunit.la libimage.la libcommon.la $(CMOCKA_LIBS)
spank_topo_test_SOURCES = spank/topo_test.c common/place_cores.h spank/topo.c
spank_topo_test_CFLAGS = $(AM_CFLAGS) $(HWLOC_CFLAGS) $(CMOCKA_CFLAGS)
spank_topo_test_LDADD = libimage.la libcommon.la $(HWLOC_LIBS) $(CMOCKA_LIBS)
check_PROGRAMS += spank/journal_test spank/tally_test
spank_journal_test_SOURCES = spank/journal_test.c spank/journal.c
spank_journal_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
spank_journal_test_LDADD = libcommon.la $(CMOCKA_LIBS)
spank_tally_test_SOURCES = spank/tally_test.c spank/metrics.c spank/tally.c spank/tally_root.c
spank_tally_test_CPPFLAGS = $(AM_CPPFLAGS) $(SLURM_CFLAGS)
spank_tally_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
spank_tally_test_LDADD = libunit.la libimage.la libcommon.la $(CMOCKA_LIBS)
endif
