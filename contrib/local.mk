EXTRA_DIST += \
	contrib/bench contrib/bench-image contrib/bench-incremental contrib/bench-job contrib/bench-launch contrib/bench-pause contrib/check contrib/check-arm64 contrib/check-messages contrib/debian-suite.sh contrib/functions.sh contrib/gallery contrib/get-criu contrib/install-deps contrib/package contrib/pid-collisions contrib/quickstart contrib/slurm-devel contrib/vmtest \
	contrib/testbed contrib/plugstack-checkpoint.conf contrib/debian/control contrib/debian/copyright \
	contrib/debian/postinst contrib/debian/postrm contrib/debian/rules contrib/debian/slurm-spank-checkpoint.lintian-overrides contrib/debian/source/format \
	contrib/rpm/rpmlint.toml contrib/rpm/slurm-spank-checkpoint.spec.in .ci/run .clang-tidy build-aux/tap-driver.sh
dist_doc_DATA += contrib/checkpoint.conf.example
EXTRA_DIST += contrib/bench.d/Heap.java contrib/bench.d/heap.py contrib/bench.d/memory.c
EXTRA_DIST += contrib/gallery.d/bwa contrib/gallery.d/gromacs contrib/gallery.d/iqtree contrib/gallery.d/jvm \
	contrib/gallery.d/make contrib/gallery.d/octave contrib/gallery.d/parallel contrib/gallery.d/pari \
	contrib/gallery.d/povray contrib/gallery.d/python contrib/gallery.d/r contrib/gallery.d/snakemake \
	contrib/gallery.d/sqlite
EXTRA_DIST += contrib/check-arm64.skip contrib/emulated contrib/check-arm64.d/boot contrib/check-arm64.d/initramfs \
	contrib/check-arm64.d/machine.sh contrib/check-arm64.d/sve.c contrib/check-arm64.d/vectors.t
EXTRA_DIST += contrib/vmtest.d/boot contrib/vmtest.d/cgroup.conf contrib/vmtest.d/count.sh contrib/vmtest.d/install \
	contrib/vmtest.d/lib.sh contrib/vmtest.d/machines.sh contrib/vmtest.d/memory.pl contrib/vmtest.d/slurm.conf \
	contrib/vmtest.d/smoke contrib/vmtest.d/doctor contrib/vmtest.d/yama contrib/vmtest.d/namespaces contrib/vmtest.d/memory \
	contrib/vmtest.d/back-soon contrib/vmtest.d/limit contrib/vmtest.d/steps contrib/vmtest.d/private-tmp contrib/vmtest.d/two-nodes contrib/vmtest.d/nfs-restart \
	contrib/vmtest.d/nfs-home contrib/vmtest.d/node-lost contrib/vmtest.d/flaky-disk contrib/vmtest.d/numa contrib/vmtest.d/rows \
	contrib/vmtest.d/leftovers contrib/vmtest.d/threads.c contrib/vmtest.d/inside contrib/vmtest.d/upgrade
