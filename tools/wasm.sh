# shellcheck shell=bash
#
# Sourced: the Rust toolchains that can build for wasm32. rustup's needs the
# target; Debian's brings the library sources, from which std is built.

target=wasm32-unknown-unknown
packages="rustc-web cargo-web rust-web-src lld-22"

rustup_has_target() {
    command -v rustup >/dev/null 2>&1 && rustup target list --installed 2>/dev/null | grep -qx "$target"
}

# Changes rustup's own folder only.
rustup_gets_target() {
    command -v rustup >/dev/null 2>&1 || return 1
    say "asking rustup for $target"
    timeout 120 rustup target add "$target" >&2 && rustup_has_target
}

debian_has_toolchain() {
    [ -x /usr/bin/cargo ] && command -v wasm-ld-22 >/dev/null 2>&1 &&
        [ -d "$(/usr/bin/rustc --print sysroot 2>/dev/null)/lib/rustlib/src/rust/library" ]
}
