# What building, serving and testing need, and what each distribution calls it.
# Sourced by quickstart, install, tests/run and tests/fuzz/run: `need build serve test fuzz` installs what
# is missing.
#
# Every need is looked for by what it gives (a command, a library), not by package name, so that a
# Rust from rustup or an httpd from source is as good as the distribution's. Python is an exception:
# the web server's user has to reach it, so the one in a home directory does not count.
# shellcheck shell=bash

rust_minimum=1.85

# Administrators' directories are not on every user's PATH.
PATH="$PATH:/usr/sbin:/sbin"

say() { printf '%s\n' "$*" >&2; }

die() {
    say "${0##*/}: $*"
    exit 1
}

# Which family of packages this machine has; empty for one we do not know.
package_family() {
    if command -v apt-get >/dev/null; then
        echo debian
    elif command -v dnf >/dev/null; then
        echo fedora
    fi
}

# Is the first version at most the second?
in_order() { [ "$(printf '%s\n%s\n' "$1" "$2" | sort -V | head -n 1)" = "$1" ]; }

# Debian keeps a current Rust beside its own, under names with -web; Debian 12's own is too old. Their
# parts do not go together, so what is installed decides first.
debian_rust_is_web() {
    local own
    if dpkg-query -W -f '${Status}' rustc-web 2>/dev/null | grep -q ' installed'; then return 0; fi
    if dpkg-query -W -f '${Status}' rustc 2>/dev/null | grep -q ' installed'; then return 1; fi
    own=$(apt-cache policy rustc 2>/dev/null | sed -n 's/.*Candidate: //p')
    ! in_order "$rust_minimum" "$own"
}

# have NEED: is it there?
have() {
    case $1 in
    httpd) command -v apache2 >/dev/null || command -v httpd >/dev/null ;;
    httpd-headers) command -v apxs >/dev/null || command -v apxs2 >/dev/null ;;
    compiler) command -v cc >/dev/null && echo '#include <stdlib.h>' | cc -E - >/dev/null 2>&1 ;;
    c++-compiler) command -v c++ >/dev/null && echo '#include <vector>' | c++ -x c++ -E - >/dev/null 2>&1 ;;
    libclang) have_libclang ;;
    python) /usr/bin/python3 -c 'import sys; sys.exit(sys.version_info < (3, 9))' 2>/dev/null ;;
    python-venv) /usr/bin/python3 -c 'import ensurepip, venv' 2>/dev/null ;;
    cargo) command -v cargo >/dev/null ;;
    rustfmt) cargo fmt --version >/dev/null 2>&1 ;;
    clippy) cargo clippy --version >/dev/null 2>&1 ;;
    binutils) command -v readelf >/dev/null && command -v nm >/dev/null ;;
    mime-types) [ -e /etc/mime.types ] ;;
    openssl) command -v openssl >/dev/null ;;
    faketime) command -v faketime >/dev/null ;;
    strace) command -v strace >/dev/null ;;
    httpd-modules) have_module mod_ssl && have_module mod_http2 ;;
    *) die "no such need: $1" ;;
    esac
}

# have_module NAME: has httpd this module?
have_module() {
    [ -n "$(look_for "$1.so" /usr/lib/apache2/modules /usr/lib64/httpd/modules /usr/local/apache2/modules)" ]
}

# bindgen loads libclang and reads the headers that belong to it.
have_libclang() {
    [ -z "${LIBCLANG_PATH-}" ] || return 0
    [ -n "$(look_for 'libclang[.-]*so*' /usr/lib/llvm*/lib /usr/lib64 /usr/lib/*-linux-gnu /usr/local/lib)" ] &&
        [ -n "$(look_for stddef.h /usr/lib/llvm*/lib*/clang/*/ /usr/lib/clang/*/ /usr/lib64/clang/*/)" ]
}

# look_for NAME DIR..: a file of that name at the top of these directories or in their include/.
look_for() {
    local name=$1 dir
    shift
    for dir in "$@"; do
        [ -d "$dir" ] || continue
        find -L "$dir" "$dir/include" -maxdepth 1 -name "$name" 2>/dev/null | head -n 1 || true
    done
}

# packages_for FAMILY NEED: the packages that give it.
packages_for() {
    case $1:$2 in
    debian:httpd) echo apache2-bin ;; # the program alone: the package apache2 would start a service
    fedora:httpd) echo httpd ;;
    debian:httpd-headers) echo apache2-dev ;;
    fedora:httpd-headers) echo httpd-devel ;;
    debian:compiler) echo gcc libc6-dev ;;
    fedora:compiler) echo gcc ;;
    debian:c++-compiler) echo g++ ;;
    fedora:c++-compiler) echo gcc-c++ ;;
    debian:libclang) echo libclang-dev ;;
    fedora:libclang) echo clang-devel ;;
    *:python) echo python3 ;;
    debian:python-venv) echo python3-venv ;;
    fedora:python-venv) echo python3 ;;
    debian:cargo) debian_rust_is_web && echo rustc-web cargo-web || echo rustc cargo ;;
    fedora:cargo) echo rust cargo ;;
    debian:rustfmt) debian_rust_is_web && echo rustfmt-web || echo rustfmt ;;
    debian:clippy) debian_rust_is_web && echo rust-web-clippy || echo rust-clippy ;;
    fedora:rustfmt) echo rustfmt ;;
    fedora:clippy) echo clippy ;;
    *:binutils) echo binutils ;;
    debian:mime-types) echo media-types ;;
    fedora:mime-types) echo mailcap ;;
    *:openssl) echo openssl ;;
    debian:faketime) echo faketime ;;
    fedora:faketime) echo libfaketime ;;
    *:strace) echo strace ;;
    debian:httpd-modules) echo apache2-bin ;;
    fedora:httpd-modules) echo mod_ssl mod_http2 ;;
    esac
}

needs_of() {
    case $1 in
    build) echo cargo compiler httpd-headers libclang python ;;
    serve) echo httpd python mime-types ;;
    test) echo httpd httpd-modules python python-venv mime-types binutils openssl faketime strace rustfmt clippy ;;
    fuzz) echo cargo compiler c++-compiler httpd-headers libclang ;; # libFuzzer is C++
    *) die "no such set of needs: $1" ;;
    esac
}

# missing SET..: the needs of these sets that are not there, each once.
missing() {
    local set need seen=' '
    for set in "$@"; do
        for need in $(needs_of "$set"); do
            case $seen in *" $need "*) continue ;; esac
            seen="$seen$need "
            have "$need" || echo "$need"
        done
    done
}

# need SET..: installs what is missing, or says what it is and ends.
need() {
    local lacking
    lacking=$(missing "$@" | tr '\n' ' ')
    if command -v rustup >/dev/null; then
        lacking=$(rustup_adds "$lacking")
    fi
    if [ -n "$lacking" ]; then
        install_needs "$lacking"
    fi
    rust_is_new_enough
}

# A toolchain of rustup's takes its parts from there. Prints what is still lacking.
rustup_adds() {
    local need left=
    for need in $1; do
        case $need in
        rustfmt | clippy) rustup -q component add "$need" >&2 || left="$left$need " ;;
        *) left="$left$need " ;;
        esac
    done
    echo "$left"
}

install_needs() {
    local lacking=$1 family
    family=$(package_family)
    [ -n "$family" ] || die "missing here: $lacking. Neither apt-get nor dnf is on this machine; please install them."
    [ "$(id -u)" -eq 0 ] || die "missing here: $lacking. Run this once as root, or install: $(package_list "$family" "$lacking")"
    # Only up-to-date lists tell which names this release has.
    [ "$family" = fedora ] || apt-get -q update >&2 || die "apt-get update failed, see above."
    local packages
    packages=$(package_list "$family" "$lacking")
    say "missing here: $lacking. Installing: $packages"
    # shellcheck disable=SC2086 # a list of names
    case $family in
    debian) DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends install $packages >&2 ;;
    fedora) dnf -q -y install $packages >&2 ;;
    esac || die "the packages could not be installed, see above."
    local left
    left=$(for need in $lacking; do have "$need" || echo "$need"; done | tr '\n' ' ')
    [ -z "$left" ] || die "still missing after installing $packages: $left"
}

package_list() {
    local family=$1 need list=
    for need in $2; do
        list="$list $(packages_for "$family" "$need")"
    done
    echo "${list# }"
}

rust_is_new_enough() {
    local version
    version=$(rustc --version 2>/dev/null | cut -d' ' -f2)
    [ -n "$version" ] || die "rustc does not run; a Rust toolchain of at least $rust_minimum is needed."
    in_order "$rust_minimum" "$version" ||
        die "rustc is $version, and $rust_minimum is needed. Debian 12 has a newer one in rustc-web and cargo-web; with rustup: rustup update."
}
