dist_man_MANS += doc/scheckpoint.1 doc/checkpoint.conf.5 doc/spank-checkpoint.8
dist_doc_DATA += doc/security.md doc/admin.md doc/vmtest.md doc/aarch64.md doc/format.md doc/gallery.md doc/snapshot.md doc/refusals.md doc/performance.md doc/files.md doc/nodes.md doc/steps.md
EXTRA_DIST += doc/pause.svg
