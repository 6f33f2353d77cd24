bin_PROGRAMS += scheckpoint
scheckpoint_SOURCES = \
	cmd/scheckpoint.c cmd/cmd.h cmd/base.c cmd/base.h cmd/create.c cmd/errors.c cmd/job.c cmd/job.h \
	cmd/list.c cmd/list.h cmd/progress.c cmd/progress.h cmd/text.c cmd/text.h
scheckpoint_CPPFLAGS = $(AM_CPPFLAGS) $(SLURM_CFLAGS)
scheckpoint_CFLAGS = $(AM_CFLAGS) $(JANSSON_CFLAGS)
scheckpoint_LDADD = libimage.la libcommon.la $(JANSSON_LIBS) $(SLURM_LIBS)

# bash-completion finds it by the command's name.
bashcomp_DATA = cmd/completion/scheckpoint
EXTRA_DIST += cmd/scheckpoint.bash-completion
CLEANFILES += cmd/completion/scheckpoint
cmd/completion/scheckpoint: cmd/scheckpoint.bash-completion
	$(AM_V_GEN)$(MKDIR_P) cmd/completion && cp $(srcdir)/cmd/scheckpoint.bash-completion $@
