//! Who the client is: what is never left to it, and what the front proxy says.

use filter_core::mock::{MockProxy, fields};
use filter_core::{Action, Certificate};

use crate::setup::*;

const CLUSTER: &str = "x-mixed-version-proxy-cluster";
const DIGEST: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

/// A client of this subject asks for a path; Envoy says that it verified a
/// certificate.
fn with_certificate(proxy: &MockProxy, subject: &str, path: &str) -> Action {
    proxy.change(STREAM, |stream| {
        let subject = subject.as_bytes().to_vec();
        stream.certificate = Some(Certificate { subject, sha256: DIGEST.into() });
    });
    let hint = ("x-forwarded-client-cert", "Hash=00");
    proxy.request(STREAM, &[(":method", "GET"), (":path", path), hint, ("x-remote-user", "admin")])
}

macro_rules! removed {
    ($($name:ident: $header:literal)+) => {
        $(#[test]
        fn $name() {
            let proxy = MockProxy::golden();
            let request = [(":method", "POST"), (":path", COMMON), ($header, "admin"), ("x-kept", "1")];
            assert_eq!(proxy.request(STREAM, &request), Action::Continue);
            let stream = proxy.stream(STREAM);
            assert_eq!(stream.sent($header), None);
            assert_eq!(stream.sent("x-kept").as_deref(), Some("1"));
            assert_eq!(proxy.metric("requests_with_identity_headers_removed_total"), Some(1));
        })+
    };
}

removed! {
    a_clients_user_header_is_removed: "x-remote-user"
    a_clients_group_header_is_removed: "x-remote-group"
    a_clients_uid_header_is_removed: "x-remote-uid"
    a_clients_extra_header_is_removed: "x-remote-extra-scopes"
    an_underscore_does_not_save_a_header: "x_remote_user"
    a_clients_own_cluster_header_is_removed: "x-mixed-version-proxy-cluster"
    a_clients_own_hop_marker_is_removed: "x-kubernetes-apiserver-rerouted"
}

#[test]
fn a_header_is_removed_as_often_as_it_is_there() {
    let proxy = MockProxy::golden();
    let claim = ("x-remote-group", "system:masters");
    proxy.request(STREAM, &[claim, (":method", "GET"), (":path", COMMON), claim, claim]);
    assert_eq!(proxy.stream(STREAM).request, fields(&[(":method", "GET"), (":path", COMMON)]));
}

#[test]
fn a_header_that_only_the_map_names_is_removed() {
    let proxy = MockProxy::with_map(&changed(|map| {
        map["identity"]["usernameHeaders"] = serde_json::json!(["x-remote-user", "x-user"]);
    }));
    proxy.request(STREAM, &[(":method", "GET"), (":path", COMMON), ("x-user", "admin")]);
    assert_eq!(proxy.stream(STREAM).sent("x-user"), None);
}

#[test]
fn a_request_without_claims_is_not_rewritten() {
    let proxy = MockProxy::golden();
    proxy.request(STREAM, &[(":method", "GET"), (":path", COMMON), ("authorization", "Bearer t")]);
    assert_eq!(proxy.metric("requests_with_identity_headers_removed_total"), Some(0));
    assert_eq!(proxy.stream(STREAM).sent("authorization").as_deref(), Some("Bearer t"));
}

#[test]
fn a_hint_without_a_certificate_is_removed_and_nothing_else() {
    let proxy = MockProxy::golden();
    let hint = ("x-forwarded-client-cert", "By=admin");
    assert_eq!(
        proxy.request(STREAM, &[(":method", "GET"), (":path", COMMON), hint]),
        Action::Continue
    );
    assert_eq!(proxy.stream(STREAM).request, fields(&[(":method", "GET"), (":path", COMMON)]));
}

#[test]
fn without_the_hint_the_certificate_is_not_asked_for() {
    let proxy = MockProxy::golden();
    proxy.change(STREAM, |stream| {
        stream.certificate = Some(Certificate { subject: "CN=j".into(), sha256: DIGEST.into() });
    });
    proxy.get(STREAM, COMMON);
    assert_eq!(proxy.stream(STREAM).request.len(), 2);
}

#[test]
fn a_client_with_a_certificate_goes_to_the_twin_of_the_default_cluster() {
    let proxy = MockProxy::golden();
    assert_eq!(with_certificate(&proxy, "CN=jane", COMMON), Action::Continue);
    let cluster = proxy.stream(STREAM).sent(CLUSTER);
    assert_eq!(cluster.as_deref(), Some("kube-apiserver__front-proxy"));
}

#[test]
fn a_client_with_a_certificate_goes_to_the_twin_of_a_sets_cluster() {
    let proxy = MockProxy::golden();
    with_certificate(&proxy, "CN=jane", SKEWED);
    let cluster = proxy.stream(STREAM).sent(CLUSTER);
    assert_eq!(cluster.as_deref(), Some("kube-apiserver_cp-2__front-proxy"));
}

#[test]
fn the_front_proxy_says_who_the_client_is() {
    let proxy = MockProxy::golden();
    with_certificate(&proxy, "CN=jane,O=dev,O=ops", COMMON);
    let stream = proxy.stream(STREAM);
    assert_eq!(stream.sent("x-remote-user").as_deref(), Some("jane"));
    let groups = stream.sent("x-remote-group").unwrap();
    assert!(groups == "dev,ops" || groups == "ops,dev", "{groups}");
    let credential = stream.sent("x-remote-extra-authentication.kubernetes.io%2fcredential-id");
    assert_eq!(credential, Some(format!("X509SHA256={DIGEST}")));
    assert_eq!(stream.sent("x-forwarded-client-cert"), None);
}

#[test]
fn a_subject_without_a_common_name_is_answered_401() {
    let proxy = MockProxy::golden();
    assert_eq!(with_certificate(&proxy, "O=dev", COMMON), Action::Pause);
    let reply = &proxy.stream(STREAM).replies[0];
    assert_eq!((reply.code, reply.header("retry-after")), (401, String::new()));
    assert!(reply.text().contains("common name"), "{}", reply.text());
    assert_eq!(proxy.metric("client_certificates_refused_total"), Some(1));
}

#[test]
fn a_refused_certificate_is_not_counted_as_a_decision() {
    let proxy = MockProxy::golden();
    with_certificate(&proxy, "O=dev", COMMON);
    assert_eq!(proxy.metric("requests_total.decision.common"), Some(0));
}

#[test]
fn a_digest_that_cannot_be_read_is_answered_401() {
    let proxy = MockProxy::golden();
    proxy.change(STREAM, |stream| {
        stream.certificate = Some(Certificate { subject: "CN=j".into(), sha256: "zz".into() });
    });
    let hint = ("x-forwarded-client-cert", "");
    proxy.request(STREAM, &[(":method", "GET"), (":path", COMMON), hint]);
    assert_eq!(proxy.stream(STREAM).codes(), [401]);
}

#[test]
fn without_a_front_proxy_a_client_certificate_is_answered_401() {
    let proxy = MockProxy::with_map(&changed(|map| map["identity"]["frontProxy"] = false.into()));
    assert_eq!(with_certificate(&proxy, "CN=jane", COMMON), Action::Pause);
    let reply = &proxy.stream(STREAM).replies[0];
    assert_eq!(reply.code, 401);
    assert!(reply.text().contains("client certificates are not accepted here"));
}

#[test]
fn a_client_with_a_certificate_gets_503_where_no_server_can_be_reached() {
    let proxy = MockProxy::golden();
    with_certificate(&proxy, "CN=jane", UNAVAILABLE);
    assert_eq!(proxy.stream(STREAM).codes(), [503]);
}

#[test]
fn an_upgrades_connection_header_is_written_anew() {
    let proxy = MockProxy::golden();
    let path = (":path", "/api/v1/namespaces/n/pods/p/exec");
    let connection = ("connection", "Upgrade, X-Remote-User");
    proxy.request(STREAM, &[(":method", "GET"), path, connection, ("upgrade", "SPDY/3.1")]);
    let stream = proxy.stream(STREAM);
    assert_eq!(stream.sent("connection").as_deref(), Some("Upgrade, close"));
    assert_eq!(stream.sent("upgrade").as_deref(), Some("SPDY/3.1"));
}

#[test]
fn a_connection_header_that_asks_for_no_upgrade_is_removed() {
    let proxy = MockProxy::golden();
    proxy.request(STREAM, &[(":method", "GET"), (":path", COMMON), ("connection", "x-kept")]);
    assert_eq!(proxy.stream(STREAM).sent("connection"), None);
}

#[test]
fn claims_in_trailers_are_removed() {
    let proxy = MockProxy::golden();
    let trailers = [("x-remote-group", "system:masters"), ("x-kept", "1")];
    assert_eq!(proxy.trailers(STREAM, &trailers), Action::Continue);
    assert_eq!(proxy.stream(STREAM).trailers, fields(&[("x-kept", "1")]));
}

#[test]
fn trailers_that_are_all_claims_become_none() {
    let proxy = MockProxy::golden();
    assert_eq!(proxy.trailers(STREAM, &[("x-remote-user", "admin")]), Action::Continue);
    assert_eq!(proxy.stream(STREAM).trailers, []);
}

#[test]
fn a_request_without_trailers_passes() {
    assert_eq!(MockProxy::golden().trailers(STREAM, &[]), Action::Continue);
}

#[test]
fn trailers_that_the_host_does_not_show_whole_end_the_request() {
    let proxy = MockProxy::golden();
    proxy.trailers(STREAM, &[("x", "y")]);
    assert_eq!(proxy.filters.on_request_trailers(STREAM, 2), Action::Pause);
    assert_eq!(proxy.stream(STREAM).codes(), [503]);
}
