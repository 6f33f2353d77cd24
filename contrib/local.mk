EXTRA_DIST += \
	contrib/bench contrib/check contrib/functions.sh contrib/get-criu contrib/install-deps contrib/quickstart \
	contrib/testbed .ci/run .clang-tidy build-aux/tap-driver.sh
