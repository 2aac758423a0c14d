# shellcheck shell=bash
#
# Sourced, after lib.sh: downloads packages of Debian 12 on any system with apt,
# without root and without changing the system's state.

keyring=/usr/share/keyrings/debian-archive-keyring.gpg

# private_apt FOLDER ARCHITECTURE PROGRAM ARGUMENT…: apt with an own state in FOLDER.
private_apt() {
    local folder=$1 architecture=$2 program=$3
    shift 3
    "$program" -qq -o "Dir::State=$folder/state" -o "Dir::Cache=$folder/cache" \
        -o "Dir::Etc::SourceList=$folder/sources.list" -o Dir::Etc::SourceParts=- \
        -o "APT::Architecture=$architecture" -o "APT::Architectures=$architecture" \
        -o APT::Sandbox::User= "$@"
}

# debian_package FOLDER ARCHITECTURE PACKAGE[=VERSION]: unpacks it in FOLDER/package.
debian_package() {
    local folder=$1 architecture=$2 package=$3 apt="$1/apt"
    need apt-get "$package is a package of Debian, which apt downloads"
    need dpkg-deb "$package is a package of Debian, which dpkg unpacks"
    [ -e "$keyring" ] || fail "$keyring is missing: install debian-archive-keyring"
    say "reading Debian's package lists"
    mkdir -p "$apt/state/lists/partial" "$apt/cache/archives/partial"
    {
        echo "deb [signed-by=$keyring] http://deb.debian.org/debian bookworm main"
        echo "deb [signed-by=$keyring] http://deb.debian.org/debian-security bookworm-security main"
    } >"$apt/sources.list"
    retry private_apt "$apt" "$architecture" apt-get -o APT::Update::Error-Mode=any update
    (cd "$apt" && retry private_apt "$apt" "$architecture" apt-get download "$package") ||
        fail "Debian's archive has no $package; it has$(private_apt "$apt" "$architecture" \
            apt-cache madison "${package%%=*}" | awk -F '|' '{ print $2 }' | tr -d '\n')"
    dpkg-deb -x "$apt"/*.deb "$folder/package"
    rm -rf "$apt"
}
