//! Which names are claims, in every spelling.

use discovery_map::IdentityHeaders;
use proptest::prelude::*;

use super::Claims;

fn is_claim(name: &[u8], names: &IdentityHeaders) -> bool {
    Claims::new(names).include(name)
}

fn configured() -> IdentityHeaders {
    IdentityHeaders {
        front_proxy: true,
        username_headers: vec!["x-proxy-user".into(), "remote_user".into()],
        group_headers: vec!["u".into()],
        uid_headers: vec!["x-uid".into()],
        extra_header_prefixes: vec!["proxy-extra-".into()],
    }
}

fn empty() -> IdentityHeaders {
    IdentityHeaders {
        username_headers: Vec::new(),
        group_headers: Vec::new(),
        extra_header_prefixes: Vec::new(),
        ..IdentityHeaders::default()
    }
}

#[test]
fn some_names_are_claims_whatever_is_configured() {
    let claims = [
        "x-remote-user",
        "X-Remote-User",
        "X-REMOTE-USER",
        "x_remote_user",
        "X_Remote-User",
        "x-remote_user",
        "x-remote-group",
        "X-Remote_Group",
        "x-remote-uid",
        "X-REMOTE-UID",
        "x-remote-extra-",
        "x-remote-extra-scopes",
        "X-Remote-Extra-Authentication.kubernetes.io%2fCredential-Id",
        "x_remote_extra_scopes",
        "X_REMOTE-EXTRA_a",
        "x-remote-extra-%",
        "x-forwarded-client-cert",
        "X-Forwarded-Client-Cert",
        "x_forwarded_client_cert",
        "x-kubernetes-apiserver-rerouted",
        "X-Kubernetes-APIServer-Rerouted",
        "x_kubernetes_apiserver_rerouted",
        "x-mixed-version-proxy-cluster",
        "X_Mixed_Version_Proxy_Cluster",
    ];
    for name in claims {
        for names in [empty(), IdentityHeaders::default(), configured()] {
            assert!(is_claim(name.as_bytes(), &names), "{name}");
        }
    }
}

#[test]
fn other_names_are_not_claims() {
    let others = [
        "",
        "x",
        "x-",
        "x-r",
        "x-remote",
        "x-remote-",
        "x-remote-use",
        "x-remote-userx",
        "x-remote-user-",
        "x-remote-users",
        "xx-remote-user",
        "-x-remote-user",
        "xxremote-user",
        "x-remote-groups",
        "x-remote-extra",
        "x-remote-extras-a",
        "x-remote-addr",
        "x-forwarded-for",
        "x-forwarded-proto",
        "x-forwarded-client-certs",
        "x-request-id",
        "x-mixed-version-proxy",
        "x-mixed-version-proxy-cluster-",
        "impersonate-user",
        "impersonate-group",
        "impersonate-uid",
        "impersonate-extra-scopes",
        "authorization",
        "accept",
        "connection",
        "remote-user-agent",
        ":path",
        ":authority",
        "\u{212a}-remote-user",
        "x-proxy-user-agent",
        "proxy-extra",
        "v",
    ];
    for name in others {
        for names in [empty(), IdentityHeaders::default(), configured()] {
            assert!(!is_claim(name.as_bytes(), &names), "{name}");
        }
    }
}

#[test]
fn configured_names_are_claims_in_every_spelling() {
    let claims = [
        "x-proxy-user",
        "X-Proxy_User",
        "remote_user",
        "Remote-User",
        "REMOTE_USER",
        "u",
        "U",
        "x-uid",
        "X_UID",
        "proxy-extra-",
        "Proxy-Extra-Scopes",
        "PROXY_EXTRA_a",
    ];
    for name in claims {
        assert!(is_claim(name.as_bytes(), &configured()), "{name}");
        assert!(!is_claim(name.as_bytes(), &IdentityHeaders::default()), "{name}");
    }
}

#[test]
fn an_empty_prefix_does_not_take_every_header() {
    let names = IdentityHeaders { extra_header_prefixes: vec![String::new()], ..configured() };
    assert!(!is_claim(b"accept", &names));
    assert!(is_claim(b"x-uid", &names));
}

proptest! {
    #[test]
    fn spelling_changes_nothing(
        name in "[ux_-]{0,3}(remote|proxy|forwarded)?[-_]?(user|group|uid|extra|client-cert)?[-_]?[a-z]{0,3}",
        spelling: Vec<bool>,
    ) {
        let respelled: Vec<u8> = name
            .bytes()
            .zip(spelling.into_iter().chain(std::iter::repeat(true)))
            .map(|(byte, change)| match byte {
                b'-' if change => b'_',
                b'_' if change => b'-',
                _ if change => byte.to_ascii_uppercase(),
                _ => byte,
            })
            .collect();
        for names in [IdentityHeaders::default(), configured()] {
            prop_assert_eq!(is_claim(name.as_bytes(), &names), is_claim(&respelled, &names));
        }
    }

    #[test]
    fn any_bytes_are_classified_without_a_panic(name: Vec<u8>) {
        let _ = is_claim(&name, &configured());
    }
}
