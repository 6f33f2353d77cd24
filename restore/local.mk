# What reads and verifies a generation: for scheckpoint, too.
noinst_LTLIBRARIES += libread.la
libread_la_SOURCES = \
	restore/bundle.c restore/bundle.h restore/fetch.c restore/fetch.h restore/index.c restore/index.h restore/inputs.c restore/inputs.h \
	restore/keptlist.c restore/keptlist.h restore/unfold.c restore/unfold.h \
	restore/unpack.c restore/unpack.h \
	restore/verify.c restore/verify.h restore/vdso.c restore/vdso.h restore/wire.c restore/wire.h
libread_la_CFLAGS = $(AM_CFLAGS) $(PROTOBUF_C_CFLAGS) $(ZSTD_CFLAGS) $(LZ4_CFLAGS) $(CRYPTO_CFLAGS) -pthread
libread_la_LIBADD = libcrimg.la libimage.la libcommon.la $(PROTOBUF_C_LIBS) $(ZSTD_LIBS) $(LZ4_LIBS) $(CRYPTO_LIBS) -lpthread

# Everything of the helper but main, for the unit tests too.
noinst_LTLIBRARIES += librestore.la
librestore_la_SOURCES = \
	restore/attempt.c restore/attempt.h \
	restore/filter.c restore/filter.h restore/filter_core.c restore/filter_file.c restore/filter_impl.h restore/filter_mm.c \
	restore/procs.c restore/procs.h \
	restore/putback.c restore/putback.h restore/putback_copy.c restore/putback_cut.c \
	restore/putback_impl.h restore/putback_path.c restore/serve.c restore/serve.h restore/serve_impl.h restore/serve_stream.c restore/tree.c restore/tree.h
librestore_la_CFLAGS = $(AM_CFLAGS) $(PROTOBUF_C_CFLAGS) $(ZSTD_CFLAGS) $(LZ4_CFLAGS) $(CRYPTO_CFLAGS) -pthread
librestore_la_LIBADD = \
	libread.la libcriurun.la libcrimg.la libcriupb.la libimage.la libhelper.la libcommon.la \
	$(PROTOBUF_C_LIBS) $(ZSTD_LIBS) $(LZ4_LIBS) $(CRYPTO_LIBS) -lpthread
restore/librestore_la-filter.lo restore/librestore_la-filter_core.lo restore/librestore_la-filter_file.lo restore/librestore_la-filter_mm.lo \
	restore/librestore_la-serve.lo: common/criu.pb-c.h

helper_PROGRAMS += restore/restore
restore_restore_SOURCES = restore/restore.c restore/source.c restore/source.h
restore_restore_LDADD = librestore.la libable.la
# The same in a user's own namespace: see common/trust.h.
helper_PROGRAMS += own-restore
own_restore_SOURCES = $(restore_restore_SOURCES) common/trust_own.c
own_restore_LDADD = $(restore_restore_LDADD)

# criu loads every plugin of this directory (dump/local.mk says where it is).
criuplugin_LTLIBRARIES += ckpt-restore.la
ckpt_restore_la_SOURCES = restore/criu-plugin.c common/criu_plugin.h
ckpt_restore_la_CFLAGS = $(WARN_CFLAGS) $(HARDEN_CFLAGS)
ckpt_restore_la_LDFLAGS = $(HARDEN_LDFLAGS) -module -avoid-version -shared -export-symbols-regex '^CR_PLUGIN_DESC$$'

if HAVE_CMOCKA
restore_unit_cflags = $(AM_CFLAGS) $(PROTOBUF_C_CFLAGS) $(ZSTD_CFLAGS) $(LZ4_CFLAGS) $(CRYPTO_CFLAGS) $(CMOCKA_CFLAGS)
restore_unit_libs = librestore.la $(CMOCKA_LIBS)
check_PROGRAMS += \
	common/crimg_test restore/bundle_test restore/fetch_test restore/filter_test restore/filter_tree_test restore/index_test \
	restore/keptlist_test restore/procs_test restore/serve_test restore/unfold_test restore/vdso_test restore/wire_test
common_crimg_test_CFLAGS = $(restore_unit_cflags)
common_crimg_test_LDADD = $(restore_unit_libs)
restore_bundle_test_CFLAGS = $(restore_unit_cflags)
restore_bundle_test_LDADD = $(restore_unit_libs)
restore_fetch_test_SOURCES = restore/fetch_test.c common/scratch.c common/scratch.h
restore_fetch_test_CFLAGS = $(restore_unit_cflags)
restore_fetch_test_LDADD = $(restore_unit_libs)
restore_filter_test_SOURCES = restore/filter_test.c restore/sample.c restore/sample.h
restore_filter_test_CFLAGS = $(restore_unit_cflags)
restore_filter_test_LDADD = $(restore_unit_libs)
restore_filter_tree_test_SOURCES = restore/filter_tree_test.c restore/sample.c restore/sample.h
restore_filter_tree_test_CFLAGS = $(restore_unit_cflags)
restore_filter_tree_test_LDADD = $(restore_unit_libs)
restore_keptlist_test_SOURCES = restore/keptlist_test.c common/scratch.c common/scratch.h
restore_keptlist_test_CFLAGS = $(restore_unit_cflags)
restore_keptlist_test_LDADD = $(restore_unit_libs)
restore_index_test_CFLAGS = $(restore_unit_cflags)
restore_index_test_LDADD = $(restore_unit_libs)
restore_procs_test_CFLAGS = $(restore_unit_cflags) $(CAP_CFLAGS)
restore_procs_test_LDADD = $(restore_unit_libs) $(CAP_LIBS)
restore_serve_test_CFLAGS = $(restore_unit_cflags)
restore_serve_test_LDADD = $(restore_unit_libs)
restore_unfold_test_CFLAGS = $(restore_unit_cflags)
restore_unfold_test_LDADD = $(restore_unit_libs)
restore_vdso_test_CFLAGS = $(restore_unit_cflags)
restore_vdso_test_LDADD = $(restore_unit_libs)
restore_wire_test_CFLAGS = $(restore_unit_cflags)
restore_wire_test_LDADD = $(restore_unit_libs)
endif
