helper_PROGRAMS += dump/dump
dump_dump_SOURCES = \
	dump/dump.c dump/dump.h dump/dump_capture.c dump/dump_prepare.c dump/dump_store.c
dump_dump_LDADD = libdump.la libcriurun.la libcrimg.la libimage.la libhelper.la libcommon.la
# The same in a user's own namespace: see common/trust.h.
helper_PROGRAMS += own-dump
own_dump_SOURCES = $(dump_dump_SOURCES) common/trust_own.c
own_dump_LDADD = $(dump_dump_LDADD)

# All of it but main, so that the unit tests can have it.
noinst_LTLIBRARIES += libdump.la
libdump_la_SOURCES = \
	dump/base.c dump/base.h dump/before.c dump/before.h \
	dump/capture.c dump/capture.h dump/cut.c dump/cut.h dump/files.c dump/files.h dump/files_copy.c dump/files_small.c dump/files_impl.h \
	dump/files_more.c dump/filescan.c dump/filescan.h dump/generation.c dump/generation.h dump/images.c dump/images.h \
	dump/pack.c dump/pack.h dump/pack_impl.h dump/pack_work.c dump/plain.c dump/plain.h dump/press.c dump/press.h dump/requests.c dump/requests.h \
	dump/room.c dump/room.h \
	dump/target.c dump/target.h dump/wanted.c dump/wanted.h dump/watchdog.c dump/watchdog.h
libdump_la_CFLAGS = $(AM_CFLAGS) -pthread $(PROTOBUF_C_CFLAGS) $(ZSTD_CFLAGS) $(LZ4_CFLAGS) $(CRYPTO_CFLAGS)
libdump_la_LIBADD = libable.la $(ZSTD_LIBS) $(LZ4_LIBS) $(CRYPTO_LIBS) $(PROTOBUF_C_LIBS) -lpthread
dump/libdump_la-filescan.lo dump/libdump_la-images.lo dump/libdump_la-requests.lo dump/libdump_la-snapshot_pages.lo: common/criu.pb-c.h

# Copy-on-write snapshots; the other half of them is in the plugin.
libdump_la_SOURCES += \
	dump/priority.c dump/priority.h dump/inject.c dump/inject.h dump/inject_arch.h dump/pagemap_scan.h \
	dump/smaps.c dump/smaps.h dump/snapshot.c dump/snapshot.h dump/snapshot_loss.c dump/snapshot_loss.h dump/snapshot_map.c dump/snapshot_map.h \
	dump/snapshot_pages.c dump/snapshot_pages.h dump/snapshot_policy.c dump/snapshot_policy.h \
	dump/snapshot_store.c dump/snapshot_store.h dump/snapshot_trim.c dump/snapshot_wire.h dump/tree_hold.c dump/tree_hold.h

# Preloaded into criu, and its plugin: they run in criu's process, which a sanitizer's runtime would break.
helper_LTLIBRARIES += criu-shim.la
criu_shim_la_SOURCES = dump/criu-shim.c dump/maps-line.c dump/maps-line.h dump/shim-maps.c dump/shim-maps.h
criu_shim_la_CFLAGS = $(WARN_CFLAGS) $(HARDEN_CFLAGS)
criu_shim_la_LDFLAGS = $(HARDEN_LDFLAGS) -module -avoid-version -shared
criuplugindir = $(helperdir)/criu-plugins
criuplugin_LTLIBRARIES = ckpt-criu.la
ckpt_criu_la_SOURCES = \
	dump/criu-plugin.c common/criu_plugin.h dump/inject.c dump/inject.h dump/inject_arch.h dump/pagemap_scan.h \
	dump/smaps.c dump/smaps.h dump/snapshot_early.c dump/snapshot_early.h \
	dump/snapshot_map.c dump/snapshot_map.h dump/snapshot_scan.c dump/snapshot_scan.h \
	dump/snapshot_take.c dump/snapshot_take.h dump/snapshot_tree.c dump/snapshot_tree.h dump/snapshot_wire.h \
	dump/vectors.c dump/vectors.h
ckpt_criu_la_CFLAGS = $(WARN_CFLAGS) $(HARDEN_CFLAGS)
ckpt_criu_la_LDFLAGS = $(HARDEN_LDFLAGS) -module -avoid-version -shared

# Runs a helper as the keeper does, without Slurm: for the system tests.
noinst_PROGRAMS += t/helpers/run-helper
t_helpers_run_helper_SOURCES = \
	t/helpers/run-helper.c t/helpers/run-options.c t/helpers/run-options.h
t_helpers_run_helper_LDADD = libimage.la libhelper.la libcommon.la $(CAP_LIBS)

if HAVE_CMOCKA
# Not with libcriurun.la: capture_test has functions of its own in its place.
dump_unit_cflags = $(AM_CFLAGS) -pthread $(PROTOBUF_C_CFLAGS) $(ZSTD_CFLAGS) $(LZ4_CFLAGS) $(CMOCKA_CFLAGS)
dump_unit_libs = libdump.la libcrimg.la libcriupb.la libimage.la libcommon.la $(CMOCKA_LIBS)
check_PROGRAMS += \
	common/criurun_test common/criuwhy_test \
	dump/capture_test dump/cut_test dump/images_test dump/maps-line_test dump/pack_test dump/plain_test dump/room_test dump/target_test \
	dump/watchdog_test
common_criurun_test_SOURCES = common/criurun_test.c common/scratch.c common/scratch.h
common_criurun_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
common_criurun_test_LDADD = libcriurun.la $(CMOCKA_LIBS)
EXTRA_common_criurun_test_DEPENDENCIES = criu-shim.la
common_criuwhy_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
common_criuwhy_test_LDADD = libcriurun.la $(CMOCKA_LIBS)
dump_capture_test_SOURCES = dump/capture_test.c dump/capture_sample.c dump/capture_sample.h
dump_capture_test_CFLAGS = $(dump_unit_cflags)
dump_capture_test_LDADD = $(dump_unit_libs)
dump_cut_test_SOURCES = dump/cut_test.c dump/cut.c
dump_cut_test_CFLAGS = $(dump_unit_cflags)
dump_cut_test_LDADD = libcrimg.la libcriupb.la libimage.la libcommon.la $(CMOCKA_LIBS)
dump_images_test_CFLAGS = $(dump_unit_cflags)
dump_images_test_LDADD = $(dump_unit_libs)
dump_maps_line_test_SOURCES = dump/maps-line_test.c dump/maps-line.c dump/maps-line.h
dump_maps_line_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
dump_maps_line_test_LDADD = $(CMOCKA_LIBS)
dump_pack_test_CFLAGS = $(dump_unit_cflags)
dump_pack_test_LDADD = $(dump_unit_libs) libcriurun.la
dump_plain_test_SOURCES = dump/plain_test.c common/scratch.c common/scratch.h
dump_plain_test_CFLAGS = $(dump_unit_cflags)
dump_plain_test_LDADD = $(dump_unit_libs)
dump_room_test_CFLAGS = $(dump_unit_cflags) $(JANSSON_CFLAGS)
dump_room_test_LDADD = libunit.la $(dump_unit_libs)
dump_target_test_CFLAGS = $(dump_unit_cflags)
dump_target_test_LDADD = $(dump_unit_libs)
dump_watchdog_test_CFLAGS = $(dump_unit_cflags)
dump_watchdog_test_LDADD = $(dump_unit_libs) libcriurun.la
dump/capture_test-capture_sample.$(OBJEXT) dump/images_test-images_test.$(OBJEXT): common/criu.pb-c.h
endif

# Of copy-on-write snapshots
if HAVE_CMOCKA
check_PROGRAMS += dump/before_test dump/smaps_test dump/snapshot_map_test dump/snapshot_pages_test
dump_before_test_CFLAGS = $(dump_unit_cflags)
dump_before_test_LDADD = $(dump_unit_libs) libcriurun.la
dump_smaps_test_CFLAGS = $(dump_unit_cflags)
dump_smaps_test_LDADD = $(dump_unit_libs)
dump_snapshot_map_test_CFLAGS = $(dump_unit_cflags)
dump_snapshot_map_test_LDADD = $(dump_unit_libs)
dump_snapshot_pages_test_CFLAGS = $(dump_unit_cflags)
dump_snapshot_pages_test_LDADD = $(dump_unit_libs) libcriurun.la
dump/snapshot_pages_test-snapshot_pages_test.$(OBJEXT): common/criu.pb-c.h
endif
