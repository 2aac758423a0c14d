# shellcheck shell=bash
#
# Sourced by the installers next to it. Each installer prints the path of what
# it provides on stdout and what it does on stderr, and does nothing when that
# is there already.
#
# Everything lives in one cache folder, one entry for each thing, named after
# what it was made from. Any entry may be deleted at any time.

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

# need COMMAND HINT: fails with the hint when COMMAND is not installed.
need() {
    command -v "$1" >/dev/null 2>&1 || fail "\`$1\` is missing: $2"
}

# digest FILE… : a short name for the contents of files and of stdin.
digest() {
    cat -- "$@" | sha256sum | cut -c1-16
}

# provide ENTRY FILE BUILD: prints the path of FILE in the cache entry ENTRY.
# When it is not there, runs the function BUILD with a new folder that it fills,
# which then becomes the entry as a whole: half an entry is never seen. Two
# installers at once do the work once.
provide() {
    local entry="$cache/$1" file=$2 build=$3
    if [ ! -e "$entry/$file" ]; then
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
    # Go's module files are read-only.
    trap 'chmod -R u+w "$work" 2>/dev/null || true; rm -rf "$work"' EXIT
    "$build" "$work" >&2
    [ -e "$work/$file" ] || fail "made no $file"
    chmod 755 "$work"
    rm -rf "$entry"
    mv -T "$work" "$entry"
    say "made $entry/$file"
}
