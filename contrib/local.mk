EXTRA_DIST += \
	contrib/bench contrib/check contrib/functions.sh contrib/get-criu contrib/install-deps contrib/package contrib/quickstart \
	contrib/testbed contrib/plugstack-checkpoint.conf contrib/debian/control contrib/debian/copyright \
	contrib/debian/postinst contrib/debian/rules contrib/debian/slurm-spank-checkpoint.lintian-overrides contrib/debian/source/format \
	contrib/rpm/slurm-spank-checkpoint.spec.in .ci/run .clang-tidy build-aux/tap-driver.sh
dist_doc_DATA += contrib/checkpoint.conf.example
