# What cannot be checkpointed, found in /proc; room in the memory control group.  For dump and shepherd.
noinst_LTLIBRARIES += libable.la
libable_la_SOURCES = \
	able/able.c able/able.h able/files.c able/headroom.c able/headroom.h able/impl.h able/kinds.c able/maps.c \
	able/process.c able/sockets.c able/sockets.h
libable_la_LIBADD = libcommon.la

if HAVE_CMOCKA
able_unit_cflags = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
able_unit_libs = libable.la libunit.la libcommon.la $(CMOCKA_LIBS)
check_PROGRAMS += able/able_test able/headroom_test able/sockets_test
able_able_test_CFLAGS = $(able_unit_cflags)
able_able_test_LDADD = $(able_unit_libs)
able_headroom_test_CFLAGS = $(able_unit_cflags)
able_headroom_test_LDADD = $(able_unit_libs)
able_sockets_test_CFLAGS = $(able_unit_cflags)
able_sockets_test_LDADD = $(able_unit_libs)
endif
