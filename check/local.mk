# Would a generation come back to life here?  For shepherd and scheckpoint.
noinst_LTLIBRARIES += libcheck.la
libcheck_la_SOURCES = \
	check/impl.h check/limits.c check/node.c check/paths.c check/pids.c \
	check/preflight.c check/preflight.h check/tasks.c restore/procs.c restore/procs.h
libcheck_la_CFLAGS = $(AM_CFLAGS) $(PROTOBUF_C_CFLAGS)
libcheck_la_LIBADD = libread.la libable.la libcriurun.la libimage.la libcommon.la
check/libcheck_la-limits.lo check/libcheck_la-paths.lo: common/criu.pb-c.h

if HAVE_CMOCKA
check_PROGRAMS += check/check_test
check_check_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
check_check_test_LDADD = libcheck.la libimage.la libcommon.la $(CMOCKA_LIBS)
endif
