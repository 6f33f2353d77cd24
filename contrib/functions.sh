# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# functions.sh - what quickstart and check share: a work directory, steps with a log and a duration, a build.

# copy_source FROM TO: the sources without what a build left in them. Building in a copy writes nothing into
# the checkout, which may belong to somebody else than root, and works whatever state that is in.
copy_source() {
    mkdir -p "$2" &&
        tar -C "$1" -cf - --exclude-vcs --exclude=./autom4te.cache --exclude=./build --exclude=./build-gcc \
            --exclude=./Makefile --exclude=./config.status --exclude=./config.h --exclude=./stamp-h1 \
            --exclude=./libtool --exclude=.deps --exclude=.libs --exclude='*.o' --exclude='*.lo' \
            --exclude='*.la' --exclude='*.log' --exclude='*.trs' --exclude=.dirstamp . |
        tar -C "$2" -xf - --no-same-owner
}

# autoreconf_source DIR: makes configure where it is missing or older than what it is made from.
autoreconf_source() {
    local file
    for file in "$1"/configure.ac "$1"/Makefile.am "$1"/*/local.mk; do
        if [ "$file" -nt "$1/Makefile.in" ] || [ "$file" -nt "$1/configure" ]; then
            (cd "$1" && autoreconf -i)
            return
        fi
    done
}

# configure_and_make SOURCE BUILD [configure's arguments]
configure_and_make() {
    local source=$1 build=$2
    shift 2
    mkdir -p "$build" && cd "$build" || return 1
    "$source/configure" "$@" && make -j"$(nproc)"
}

# milliseconds: since some fixed time.
milliseconds() { local t=${EPOCHREALTIME/./}; echo $((t / 1000)); }

# seconds_of MS: "12.3"
seconds_of() { printf '%d.%d' $(($1 / 1000)) $(($1 % 1000 / 100)); }
