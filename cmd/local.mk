bin_PROGRAMS += scheckpoint
scheckpoint_SOURCES = \
	cmd/scheckpoint.c cmd/able.c cmd/cmd.h cmd/options.c cmd/options.h cmd/verb.h cmd/base.c cmd/base.h cmd/become.c cmd/become.h cmd/foreign.c cmd/foreign.h cmd/ask.c cmd/ask.h cmd/ask_operator.c cmd/ask_owner.c cmd/ask_steps.c spank/steps_task.c spank/steps.h cmd/check.c cmd/history.c cmd/history.h cmd/history_html.c cmd/create.c cmd/capture.c cmd/capture.h cmd/diff.c cmd/disable.c cmd/doctor.c cmd/doctor.h cmd/doctor_node.c cmd/doctor_plugstack.c cmd/doctor_release.c cmd/doctor_release.h cmd/doctor_slurm.c cmd/doctor_try.c spank/nsroot.c spank/nsroot.h \
	cmd/own.c cmd/own.h cmd/run.c spank/jobclock.c spank/jobclock.h spank/policy.h spank/policy_user.c \
	cmd/errors.c cmd/generation.c cmd/generation.h cmd/job.c cmd/job.h cmd/job_name.c cmd/job_self.c cmd/list.c \
	cmd/look.c cmd/look.h cmd/look_files.c cmd/look_impl.h cmd/look_memory.c cmd/metrics.c \
	cmd/quietly.c cmd/quietly.h spank/clerk.c spank/clerk.h spank/metrics.c spank/metrics.h spank/tally.h spank/tally_root.c \
	cmd/progress.c cmd/progress.h cmd/prune.c cmd/prune_plan.c cmd/prune_plan.h cmd/prune_say.c cmd/prune_say.h \
	cmd/show.c cmd/show_json.c cmd/show.h cmd/show_place.c cmd/show_place.h cmd/target.c cmd/target.h cmd/target_with.c cmd/tasks.c cmd/text.c cmd/text.h \
	cmd/verify.c cmd/verify_pages.c cmd/verify_pages.h
scheckpoint_CPPFLAGS = $(AM_CPPFLAGS) $(SLURM_CFLAGS)
scheckpoint_CFLAGS = $(AM_CFLAGS) $(JANSSON_CFLAGS) $(PROTOBUF_C_CFLAGS)
scheckpoint_LDADD = libcriurun.la libcheck.la libread.la libhelper.la libimage.la libcommon.la $(CAP_LIBS) $(JANSSON_LIBS) $(SLURM_LIBS)
cmd/scheckpoint-look.o cmd/scheckpoint-look_files.o cmd/scheckpoint-look_memory.o: common/criu.pb-c.h

# bash-completion finds it by the command's name.
bashcomp_DATA = cmd/completion/scheckpoint
EXTRA_DIST += cmd/scheckpoint.bash-completion
CLEANFILES += cmd/completion/scheckpoint
cmd/completion/scheckpoint: cmd/scheckpoint.bash-completion
	$(AM_V_GEN)$(MKDIR_P) cmd/completion && cp $(srcdir)/cmd/scheckpoint.bash-completion $@

if HAVE_CMOCKA
check_PROGRAMS += \
	cmd/base_test cmd/generation_test cmd/look_test cmd/prune_plan_test cmd/target_test cmd/text_test \
	cmd/verify_pages_test
cmd_base_test_SOURCES = cmd/base_test.c cmd/base.c cmd/tasks.c cmd/job_name.c spank/steps_task.c
cmd_base_test_CPPFLAGS = $(AM_CPPFLAGS) $(SLURM_CFLAGS)
cmd_base_test_CFLAGS = $(AM_CFLAGS) $(JANSSON_CFLAGS) $(CMOCKA_CFLAGS)
cmd_base_test_LDADD = libimage.la libcommon.la $(CMOCKA_LIBS)
cmd_generation_test_SOURCES = cmd/generation_test.c cmd/generation.c
cmd_generation_test_CFLAGS = $(AM_CFLAGS) $(JANSSON_CFLAGS) $(CMOCKA_CFLAGS)
cmd_generation_test_LDADD = libimage.la libcommon.la $(CMOCKA_LIBS)
cmd_text_test_SOURCES = cmd/text_test.c cmd/text.c
cmd_text_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
cmd_text_test_LDADD = libcommon.la $(CMOCKA_LIBS)
cmd_look_test_SOURCES = \
	cmd/look_test.c cmd/look.c cmd/look_files.c cmd/look_memory.c restore/sample.c restore/sample.h
cmd_look_test_CFLAGS = $(AM_CFLAGS) $(JANSSON_CFLAGS) $(PROTOBUF_C_CFLAGS) $(CMOCKA_CFLAGS)
cmd_look_test_LDADD = librestore.la libread.la libimage.la libcommon.la $(CMOCKA_LIBS)
cmd_prune_plan_test_SOURCES = cmd/prune_plan_test.c cmd/prune_plan.c
cmd_prune_plan_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
cmd_prune_plan_test_LDADD = libimage.la libcommon.la $(CMOCKA_LIBS)
cmd_target_test_SOURCES = cmd/target_test.c cmd/target.c cmd/base.c cmd/tasks.c spank/steps_task.c cmd/job.c cmd/job_name.c cmd/text.c
cmd_target_test_CPPFLAGS = $(AM_CPPFLAGS) $(SLURM_CFLAGS)
cmd_target_test_CFLAGS = $(AM_CFLAGS) $(JANSSON_CFLAGS) $(CMOCKA_CFLAGS)
cmd_target_test_LDADD = libimage.la libcommon.la $(SLURM_LIBS) $(CMOCKA_LIBS)
cmd_verify_pages_test_SOURCES = cmd/verify_pages_test.c cmd/verify_pages.c
cmd_verify_pages_test_CFLAGS = $(AM_CFLAGS) $(ZSTD_CFLAGS) $(LZ4_CFLAGS) $(CMOCKA_CFLAGS)
cmd_verify_pages_test_LDADD = libread.la libimage.la libcommon.la $(ZSTD_LIBS) $(LZ4_LIBS) $(CMOCKA_LIBS)
check_PROGRAMS += cmd/doctor_release_test cmd/job_self_test
cmd_doctor_release_test_SOURCES = cmd/doctor_release_test.c cmd/doctor_release.c
cmd_doctor_release_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
cmd_doctor_release_test_LDADD = $(CMOCKA_LIBS)
cmd_job_self_test_SOURCES = cmd/job_self_test.c cmd/job_self.c cmd/job_name.c
cmd_job_self_test_CPPFLAGS = $(AM_CPPFLAGS) $(SLURM_CFLAGS)
cmd_job_self_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
cmd_job_self_test_LDADD = $(CMOCKA_LIBS)
check_PROGRAMS += cmd/capture_test
cmd_capture_test_SOURCES = cmd/capture_test.c cmd/capture.c cmd/progress.c
cmd_capture_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
cmd_capture_test_LDADD = libcommon.la $(CMOCKA_LIBS)
endif
