# Everything of the helper but main, for the unit tests too.
noinst_LTLIBRARIES += librestore.la
librestore_la_SOURCES = \
	restore/attempt.c restore/attempt.h restore/bundle.c restore/bundle.h \
	restore/filter.c restore/filter.h restore/filter_core.c restore/filter_impl.h restore/filter_mm.c \
	restore/index.c restore/index.h restore/procs.c restore/procs.h restore/serve.c restore/serve.h \
	restore/tree.c restore/tree.h restore/unpack.c restore/unpack.h restore/verify.c restore/verify.h \
	restore/wire.c restore/wire.h
librestore_la_CFLAGS = $(AM_CFLAGS) $(PROTOBUF_C_CFLAGS) $(ZSTD_CFLAGS) $(CRYPTO_CFLAGS) -pthread
librestore_la_LIBADD = \
	libcriurun.la libcrimg.la libcriupb.la libimage.la libhelper.la libcommon.la \
	$(PROTOBUF_C_LIBS) $(ZSTD_LIBS) $(CRYPTO_LIBS) -lpthread
restore/librestore_la-filter.lo restore/librestore_la-filter_core.lo restore/librestore_la-filter_mm.lo \
	restore/librestore_la-serve.lo: common/criu.pb-c.h

helper_PROGRAMS += restore/restore
restore_restore_SOURCES = restore/restore.c
restore_restore_LDADD = librestore.la

# criu loads every plugin of this directory (dump/local.mk says where it is).
criuplugin_LTLIBRARIES += ckpt-restore.la
ckpt_restore_la_SOURCES = restore/criu-plugin.c
ckpt_restore_la_CFLAGS = $(WARN_CFLAGS) $(HARDEN_CFLAGS)
ckpt_restore_la_LDFLAGS = $(HARDEN_LDFLAGS) -module -avoid-version -shared -export-symbols-regex '^CR_PLUGIN_DESC$$'
