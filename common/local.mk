noinst_LTLIBRARIES += libcommon.la
# Needs no library but libc and libcap: linked into everything, also into slurmstepd's process.
libcommon_la_SOURCES = \
	common/conf.c common/conf.h common/conf_dir.c common/conf_key.c common/conf_key.h \
	common/err.c common/err.h common/facts.c common/facts.h \
	common/io.c common/io.h common/proto.c common/proto.h common/runclock.c common/runclock.h common/slurmapi.h common/spec.c common/spec.h
libcommon_la_CFLAGS = $(AM_CFLAGS) $(INIH_CFLAGS)
libcommon_la_LIBADD = $(INIH_LIBS)

noinst_LTLIBRARIES += libhelper.la
libhelper_la_SOURCES = common/helper.c common/helper.h common/hostcheck.c common/hostcheck.h \
	common/trust.h common/trust_root.c
libhelper_la_CFLAGS = $(AM_CFLAGS) $(CAP_CFLAGS)
libhelper_la_LIBADD = libcommon.la $(CAP_LIBS)

# What reads and writes a user's checkpoint directory: never linked into slurmstepd.
noinst_LTLIBRARIES += libimage.la
libimage_la_SOURCES = \
	common/beneath.c common/beneath.h \
	common/event.c common/event.h common/jobnote.c common/jobnote.h common/jsonread.c common/jsonread.h \
	common/gendir.c common/gendir.h common/gendir_fence.c common/gendir_impl.h common/gendir_job.c common/gendir_remove.c \
	common/manifest.c common/manifest.h common/manifest_encode.c common/manifest_impl.h \
	common/cpu.c common/cpu.h common/history.c common/history.h common/place.c common/place.h common/place_map.c common/place_nodes.c \
	common/placement.c common/placement.h common/request.c common/request.h common/seal.c common/seal.h common/usage.c common/usage.h
libimage_la_CFLAGS = $(AM_CFLAGS) $(JANSSON_CFLAGS) $(CRYPTO_CFLAGS)
libimage_la_LIBADD = libcommon.la $(JANSSON_LIBS) $(CRYPTO_LIBS) $(MUNGE_LIBS)

# CRIU's images: framing, names, and the messages of criu.proto.  The generated code is compiled without our
# warning flags.
noinst_LTLIBRARIES += libcriupb.la libcrimg.la
nodist_libcriupb_la_SOURCES = common/criu.pb-c.c common/criu.pb-c.h
libcriupb_la_SOURCES =
libcriupb_la_CFLAGS = $(HARDEN_CFLAGS) $(SAN_CFLAGS) $(PROTOBUF_C_CFLAGS)
libcriupb_la_LIBADD = $(PROTOBUF_C_LIBS)
libcrimg_la_SOURCES = \
	common/crimg.c common/crimg.h common/filelist.c common/filelist.h common/frameline.c common/frameline.h
libcrimg_la_CFLAGS = $(AM_CFLAGS) $(PROTOBUF_C_CFLAGS) $(CRYPTO_CFLAGS)
libcrimg_la_LIBADD = libcommon.la libcriupb.la $(CRYPTO_LIBS)
common/libcrimg_la-crimg.lo common/libcrimg_la-filelist.lo: common/criu.pb-c.h
EXTRA_DIST += common/criu.proto
BUILT_SOURCES += common/criu.pb-c.h
CLEANFILES += common/criu.pb-c.c common/criu.pb-c.h
common/criu.pb-c.h: common/criu.pb-c.c
	@test -f $@ || { rm -f common/criu.pb-c.c; $(MAKE) $(AM_MAKEFLAGS) common/criu.pb-c.c; }
common/criu.pb-c.c: $(top_srcdir)/common/criu.proto
	$(AM_V_GEN)$(MKDIR_P) common && $(PROTOC_C) -I$(top_srcdir) --c_out=. $(top_srcdir)/common/criu.proto

# Running CRIU: for dump and restore.
noinst_LTLIBRARIES += libcriurun.la
libcriurun_la_SOURCES = common/criurun.c common/criurun.h common/criuver.c common/criuwhy.c
libcriurun_la_CFLAGS = $(AM_CFLAGS)
libcriurun_la_LIBADD = libhelper.la libimage.la

# Unit tests and what they share.
if HAVE_CMOCKA
check_LTLIBRARIES += libunit.la
libunit_la_SOURCES = \
	common/manifest_sample.c common/manifest_sample.h common/place_cores.h common/scratch.c common/scratch.h
libunit_la_CFLAGS = $(AM_CFLAGS) $(JANSSON_CFLAGS)
libunit_la_LIBADD = libimage.la

common_unit_cflags = $(AM_CFLAGS) $(JANSSON_CFLAGS) $(CMOCKA_CFLAGS)
common_unit_libs = libunit.la libimage.la libcommon.la $(CMOCKA_LIBS)
check_PROGRAMS += \
	common/beneath_test common/conf_test common/err_test common/event_test common/facts_test common/frameline_test \
	common/gendir_fence_test common/gendir_job_test common/gendir_test common/io_test common/jobnote_test common/manifest_lists_test common/manifest_test common/place_test \
	common/proto_test common/request_test common/runclock_test common/seal_test common/spec_test
common_beneath_test_CFLAGS = $(common_unit_cflags)
common_beneath_test_LDADD = $(common_unit_libs)
common_conf_test_CFLAGS = $(common_unit_cflags)
common_conf_test_LDADD = $(common_unit_libs)
common_err_test_CFLAGS = $(common_unit_cflags)
common_err_test_LDADD = $(common_unit_libs)
common_event_test_CFLAGS = $(common_unit_cflags)
common_event_test_LDADD = $(common_unit_libs)
common_facts_test_CFLAGS = $(common_unit_cflags)
common_facts_test_LDADD = $(common_unit_libs)
common_frameline_test_CFLAGS = $(common_unit_cflags)
common_frameline_test_LDADD = libcrimg.la $(common_unit_libs)
common_gendir_fence_test_CFLAGS = $(common_unit_cflags)
common_gendir_fence_test_LDADD = $(common_unit_libs)
common_gendir_job_test_CFLAGS = $(common_unit_cflags)
common_gendir_job_test_LDADD = $(common_unit_libs)
common_gendir_test_CFLAGS = $(common_unit_cflags)
common_gendir_test_LDADD = $(common_unit_libs)
common_jobnote_test_CFLAGS = $(common_unit_cflags)
common_jobnote_test_LDADD = $(common_unit_libs)
common_io_test_CFLAGS = $(common_unit_cflags)
common_io_test_LDADD = $(common_unit_libs)
common_manifest_lists_test_CFLAGS = $(common_unit_cflags)
common_manifest_lists_test_LDADD = $(common_unit_libs)
common_manifest_test_CFLAGS = $(common_unit_cflags)
common_manifest_test_LDADD = $(common_unit_libs)
common_place_test_CFLAGS = $(common_unit_cflags)
common_place_test_LDADD = $(common_unit_libs)
common_proto_test_CFLAGS = $(common_unit_cflags)
common_proto_test_LDADD = $(common_unit_libs)
common_request_test_CFLAGS = $(common_unit_cflags)
common_request_test_LDADD = $(common_unit_libs)
common_runclock_test_CFLAGS = $(common_unit_cflags)
common_runclock_test_LDADD = $(common_unit_libs)
common_seal_test_CFLAGS = $(common_unit_cflags)
common_seal_test_LDADD = $(common_unit_libs) $(MUNGE_LIBS)
check_PROGRAMS += common/trust_own_test
common_trust_own_test_SOURCES = common/trust_own_test.c common/trust_own.c common/helper.c
common_trust_own_test_CFLAGS = $(common_unit_cflags) $(CAP_CFLAGS)
common_trust_own_test_LDADD = $(common_unit_libs) $(CAP_LIBS)
common_spec_test_CFLAGS = $(common_unit_cflags)
common_spec_test_LDADD = $(common_unit_libs)
endif
