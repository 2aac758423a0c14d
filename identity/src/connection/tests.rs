//! What becomes of `Connection`.

use proptest::prelude::*;

use super::sanitized;

#[test]
fn an_upgrade_keeps_only_upgrade_and_close() {
    let upgrades = [
        "upgrade",
        "Upgrade",
        "UPGRADE",
        "Upgrade, close",
        "keep-alive, Upgrade",
        "Upgrade, X-Remote-User",
        "x-remote-user,upgrade,x-remote-group",
        " \tupgrade\t ",
        ",,upgrade,,",
        "close,upgrade,keep-alive",
        "upgrade,upgrade",
    ];
    for value in upgrades {
        assert_eq!(sanitized(value.as_bytes()), Some("Upgrade, close"), "{value:?}");
    }
}

#[test]
fn a_connection_header_without_upgrade_gives_nothing() {
    let others = [
        "",
        ",",
        "close",
        "keep-alive",
        "x-remote-user",
        "upgrades",
        "xupgrade",
        "up grade",
        "upgrade-insecure-requests",
        "\"upgrade\"",
        "upgrade;q=1",
        "upgrade close",
    ];
    for value in others {
        assert_eq!(sanitized(value.as_bytes()), None, "{value:?}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_sanitized_without_a_panic(value: Vec<u8>) {
        let _ = sanitized(&value);
    }
}
