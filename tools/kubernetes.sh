# shellcheck shell=bash
#
# Sourced by the tools that build parts of Kubernetes from its Go modules, after
# lib.sh. integration/control-plane has a module file for each minor version.

# shellcheck disable=SC2034 # for those that source this
source="$checkout/integration/control-plane"
versions="$(basename -s .mod "$source"/v*.mod | sort -V)"

# choose_version v1.36: sets what builds of this version need.
choose_version() {
    minor_version=$1
    [ -f "$source/$minor_version.mod" ] || fail "$source/$minor_version.mod does not exist"
    need go "install Go 1.26 or newer (https://go.dev/doc/install)"
    cd "$source"
    local base=k8s.io/component-base/version
    version="$(awk '$1 == "k8s.io/kubernetes" { print $2; exit }' "$minor_version.mod")"
    link_flags="-s -w -X $base.gitVersion=$version -X $base.gitMajor=1 \
-X $base.gitMinor=${minor_version#v1.} -X k8s.io/client-go/pkg/version.gitVersion=$version"
}

# key_of FILE… : the key of what is built of these files and the version.
key_of() {
    { cat "$@" "$minor_version.mod" "$minor_version.sum"; go env GOVERSION GOOS GOARCH; echo "$link_flags"; } |
        digest -
}

# compile "build"|"test -c" OUTPUT PACKAGE: builds a package of this version.
compile() {
    local command=$1 output=$2 package=$3 total
    say "building $package of Kubernetes $version; this takes minutes, once"
    say "downloading its modules"
    retry go mod download -modfile="$minor_version.mod"
    total="$(go list -modfile="$minor_version.mod" -tags "$minor_version" -deps "$package" | wc -l)"
    go_build "$command" -v -tags "$minor_version" -modfile="$minor_version.mod" \
        -ldflags "$link_flags" -o "$output" "$package" 2>&1 |
        progress "$total"
}

# Counts the names of compiled packages that go prints, and passes on
# everything else.
progress() {
    local total=$1 done=0 line
    while IFS= read -r line; do
        case "$line" in
        *[\ :]*) echo "$line" ;;
        *)
            done=$((done + 1))
            [ $((done % 100)) != 0 ] || say "$version: $done of $total packages compiled"
            ;;
        esac
    done
}
