# shellcheck shell=bash
#
# Sourced by the tools next to it. Each provider prints the path of its program
# on stdout and its progress on stderr, and does nothing if the program exists.
#
# All programs are in one cache folder, one entry each, named after what it was
# made from. You can delete any entry at any time.

set -euo pipefail

cache="${XDG_CACHE_HOME:-$HOME/.cache}/mixed-version-proxy"
tool="$(basename "$0")"
# shellcheck disable=SC2034 # for those that source this
checkout="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"

say() { echo "$tool: $*" >&2; }

fail() {
    say "$@"
    exit 1
}

# need COMMAND HINT: fails with the hint if COMMAND is not installed.
need() {
    command -v "$1" >/dev/null 2>&1 || fail "\`$1\` is missing: $2"
}

# retry COMMAND…: runs a command that downloads, up to three times: a registry can fail for a moment. In a
# function that it runs, set -e has no effect.
retry() {
    local pause
    for pause in 5 30; do
        "$@" && return
        say "trying again in $pause s: $*"
        sleep "$pause"
    done
    "$@"
}

# The names that images and Debian have for this machine's architecture.
case "$(uname -m)" in
x86_64) architecture=amd64 ;;
# shellcheck disable=SC2034 # for those that source this
aarch64) architecture=arm64 ;;
*) architecture="$(uname -m)" ;;
esac

# go_build build|install|"test -c" ARGUMENT… : every Go build has these flags, because
# builds with equal flags share compiled packages, from the standard library to all
# of Kubernetes. Debug information would only cost time, and so would collecting
# garbage often.
go_build() {
    local command=$1
    shift
    # shellcheck disable=SC2086 # a command and its flag
    CGO_ENABLED=0 GOGC=400 go $command -trimpath -gcflags=all=-dwarf=false "$@"
}

# same_everywhere [FOLDER]: makes Rust and C builds independent of the paths of this checkout, of
# Cargo's folder and of FOLDER, in which Cargo builds. Otherwise messages of panics contain them.
same_everywhere() {
    local folder flags=("--remap-path-prefix=$checkout=/source") crates="${CARGO_HOME:-$HOME/.cargo}/registry/src"
    [ -d "$crates" ] || cargo fetch --quiet --locked >&2
    for folder in "$crates"/*; do
        flags+=("--remap-path-prefix=$folder=/crates")
        export CFLAGS="${CFLAGS:-} -ffile-prefix-map=$folder=/crates"
    done
    [ $# = 0 ] || flags+=("--remap-path-prefix=$1=/source/target")
    CARGO_ENCODED_RUSTFLAGS="$(IFS=$'\x1f'; echo "${flags[*]}")"
    export CARGO_ENCODED_RUSTFLAGS
}

# go_install FOLDER PACKAGE@VERSION: builds a program of a Go module into FOLDER.
go_install() {
    need go "install Go 1.26 or newer (https://go.dev/doc/install)"
    say "building $2"
    GOBIN="$1" retry go_build install "$2"
}

# go_module MODULE@VERSION: prints the folder with the sources of a Go module.
go_module() {
    retry go mod download -json "$1" | sed -n 's/^\t"Dir": "\(.*\)",$/\1/p'
}

# digest FILE… : a short name for the contents of files and of stdin.
digest() {
    cat -- "$@" | sha256sum | cut -c1-16
}

# provide ENTRY FILE BUILD: prints the path of FILE in the cache entry ENTRY. If
# it does not exist, the function BUILD fills a new folder, which then becomes
# the entry, so an entry is always complete. Two providers at the same time do
# the work once. With ONLY_CACHED=yes nothing is made: it fails.
provide() {
    local entry="$cache/$1" file=$2 build=$3
    if [ ! -e "$entry/$file" ]; then
        [ "${ONLY_CACHED-}" != yes ] || fail "$entry/$file is not cached"
        mkdir -p "$cache"
        exec 9>"$cache/$1.lock"
        flock 9
        [ -e "$entry/$file" ] || make_entry "$entry" "$file" "$build"
    fi
    echo "$entry/$file"
}

make_entry() {
    local entry=$1 file=$2 build=$3
    work="$(mktemp -d "$cache/.new-XXXXXX")"
    # Go makes module files read-only.
    trap 'chmod -R u+w "$work" 2>/dev/null || true; rm -rf "$work"' EXIT
    "$build" "$work" >&2
    [ -e "$work/$file" ] || fail "$file was not made"
    chmod 755 "$work"
    rm -rf "$entry"
    mv -T "$work" "$entry"
    say "made $entry/$file"
}
