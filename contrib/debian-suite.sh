# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# debian-suite.sh - packages of another release of Debian than the one that runs, without installing them: get-criu,
# slurm-devel and check-arm64 use it. say and die are the caller's.

# What apt is configured for, as apt itself understands its one-line and deb822 sources.
debian_mirror() {
    local codename
    # shellcheck disable=SC2016  # the dollars are apt's
    apt-get indextargets --format '$(ORIGIN)|$(LABEL)|$(REPO_URI)' 'Identifier: Packages' |
        sed -n 's/^Debian|Debian|//p' | grep -m 1 . && return
    # Before the first apt-get update apt does not know origins yet: go by the release's name.
    codename=$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)
    # shellcheck disable=SC2016
    [ "$(sed -n 's/^ID=//p' /etc/os-release)" = debian ] && [ -n "$codename" ] &&
        apt-get indextargets --format '$(RELEASE)|$(REPO_URI)' 'Created-By: Packages' |
        sed -n "s/^$codename|//p" | grep -m 1 .
}

# suite_update WORK MIRROR SUITE [ARCH]: an apt of its own below WORK, signatures checked, whose lists are SUITE's for
# machines of that architecture (default: as this one). The empty status file makes it see one with nothing installed.
suite_update() {
    local work=$1 mirror=$2 suite=$3 keyring=/usr/share/keyrings/debian-archive-keyring.gpg
    local arch=${4:-$(dpkg --print-architecture)}
    [ -e "$keyring" ] || die 2 "no $keyring: install the package debian-archive-keyring"
    mkdir -p "$work/state/lists/partial" "$work/cache/archives/partial"
    : >"$work/status"
    printf 'deb [signed-by=%s] %s %s main\n' "$keyring" "$mirror" "$suite" >"$work/sources.list"
    cat >"$work/apt.conf" <<END
Dir::State "$work/state";
Dir::State::status "$work/status";
Dir::Cache "$work/cache";
Dir::Etc::sourcelist "$work/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
Acquire::AllowInsecureRepositories "false";
Acquire::AllowDowngradeToInsecureRepositories "false";
Acquire::Languages "none";
APT::Architecture "$arch";
APT::Architectures { "$arch"; };
APT::Get::AllowUnauthenticated "false";
APT::Sandbox::User "root";
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear DPkg::Pre-Install-Pkgs;
END
    say "reading Debian $suite's package list from $mirror ..."
    # apt-get update succeeds with warnings when it fell back to nothing.
    if ! APT_CONFIG=$work/apt.conf apt-get -q update </dev/null >"$work/log" 2>&1 ||
        grep -qE '^(W|E|Err)[: ]' "$work/log"; then
        cat "$work/log" >&2
        die 1 "could not read $suite's package list (see above; --mirror names another mirror)"
    fi
}

# suite_download WORK PACKAGE...: they and all they need, into WORK/cache/archives
suite_download() {
    local work=$1
    shift
    if ! APT_CONFIG=$work/apt.conf apt-get -q -y install --download-only --no-install-recommends "$@" \
        </dev/null >"$work/log" 2>&1; then
        cat "$work/log" >&2
        die 1 "could not download $* (see above)"
    fi
}

# suite_fetch WORK PACKAGE...: they alone, into WORK/cache/archives
suite_fetch() {
    local work=$1
    shift
    if ! (cd "$work/cache/archives" && APT_CONFIG=$work/apt.conf apt-get -q download "$@") >"$work/log" 2>&1 </dev/null; then
        cat "$work/log" >&2
        die 1 "could not download $* (see above)"
    fi
}
