//! The path grammar as a table. Each path was sent to a real kube-apiserver
//! (1.35, 1.36) or stands in `RequestInfo`'s own tests' territory.

use crate::{RequestPath, ResourceTarget, Target};

/// A target as one readable word group: `apps/v1 deployments/scale ns named`.
fn words(target: Target<'_>) -> String {
    let text = String::from_utf8_lossy;
    match target {
        Target::NotAnApi => "not an API".into(),
        Target::Discovery => "discovery".into(),
        Target::OpenApiV2 => "openapi v2".into(),
        Target::OpenApiV3 { document, group_version: None } => {
            format!("openapi v3 {}", text(document))
        }
        Target::OpenApiV3 { document, group_version: Some((group, version)) } => {
            format!("openapi v3 {} of {}/{}", text(document), text(group), text(version))
        }
        Target::Group(group) => format!("group {}", text(group)),
        Target::GroupVersion { group, version } => {
            format!("group-version {}/{}", text(group), text(version))
        }
        Target::Resource(ResourceTarget {
            group,
            version,
            resource,
            subresource,
            in_namespace,
            is_named,
            has_tail,
            is_watch: _,
        }) => {
            let mut words = format!("{}/{} {}", text(group), text(version), text(resource));
            if let Some(subresource) = subresource {
                words += &format!("/{}", text(subresource));
            }
            for (flag, word) in [(in_namespace, " ns"), (is_named, " named"), (has_tail, " tail")] {
                words += if flag { word } else { "" };
            }
            words
        }
    }
}

const TABLE: &[(&str, &str)] = &[
    // Not an API path, or none that a server takes for one.
    ("", "not an API"),
    ("/", "not an API"),
    ("//", "not an API"),
    ("*", "not an API"),
    ("api/v1/pods", "not an API"),
    ("/healthz", "not an API"),
    ("/healthz/etcd", "not an API"),
    ("/livez", "not an API"),
    ("/readyz?verbose", "not an API"),
    ("/version", "not an API"),
    ("/version/", "not an API"),
    ("/metrics", "not an API"),
    ("/logs/kube-apiserver.log", "not an API"),
    ("/.well-known/openid-configuration", "not an API"),
    ("/apiary/v1/pods", "not an API"),
    ("/API/v1/pods", "not an API"),
    ("/nosuch/api/v1", "not an API"),
    ("//api/v1/pods", "not an API"),
    ("/api//v1/pods", "not an API"),
    ("/api/v1//pods", "not an API"),
    ("/apis//v1/pods", "not an API"),
    ("/apis/apps//deployments", "not an API"),
    ("/apis/apps/v1//deployments", "not an API"),
    ("/api/v1/watch", "not an API"),
    ("/api/v1/pods/x//", "not an API"),
    ("/api/v1/%zz/pods", "not an API"),
    ("/api/v1/pods/%4", "not an API"),
    ("/api/v1/pods/%", "not an API"),
    // Discovery and OpenAPI.
    ("/api", "discovery"),
    ("/api/", "discovery"),
    ("/apis", "discovery"),
    ("/apis/", "discovery"),
    ("/apis?timeout=32s", "discovery"),
    ("/openapi/v2", "openapi v2"),
    ("/openapi/v2?timeout=32s", "openapi v2"),
    ("/openapi", "discovery"),
    ("/openapi/v3", "discovery"),
    ("/openapi/v3/", "openapi v3 "),
    ("/openapi/v3/version", "openapi v3 version"),
    ("/openapi/v3/apis/apps", "openapi v3 apis/apps"),
    ("/openapi/v3/openapi/v3/api/v1", "openapi v3 openapi/v3/api/v1"),
    ("/openapi/v3/api/v1/", "openapi v3 api/v1/"),
    ("/openapi/v3/apis/apps/v1/", "openapi v3 apis/apps/v1/"),
    ("/openapi/v3/apis/apps/v1?hash=0A", "openapi v3 apis/apps/v1 of apps/v1"),
    ("/api/v1", "group-version /v1"),
    ("/api/v1/", "group-version /v1"),
    ("/apis/apps", "group apps"),
    ("/apis/apps/", "group apps"),
    ("/apis/apps/v1", "group-version apps/v1"),
    ("/apis/rbac.authorization.k8s.io/v1/", "group-version rbac.authorization.k8s.io/v1"),
    // The core group.
    ("/api/v1/pods", "/v1 pods"),
    ("/api/v1/pods/", "/v1 pods"),
    ("/api/v1/pods?watch=1&a=/b", "/v1 pods"),
    ("/api/v1/pods#fragment", "/v1 pods#fragment"),
    ("/api/v1/nodes/n", "/v1 nodes named"),
    ("/api/v1/nodes/n/status", "/v1 nodes/status named"),
    ("/api/v1/componentstatuses", "/v1 componentstatuses"),
    ("/api/v1/namespaces", "/v1 namespaces"),
    ("/api/v1/namespaces/", "/v1 namespaces"),
    ("/api/v1/namespaces/n", "/v1 namespaces named"),
    ("/api/v1/namespaces/n/", "/v1 namespaces named"),
    ("/api/v1/namespaces/n/status", "/v1 namespaces/status named"),
    ("/api/v1/namespaces/n/finalize", "/v1 namespaces/finalize named"),
    ("/api/v1/namespaces/n/status/x", "/v1 namespaces/status named tail"),
    ("/api/v1/namespaces/n/nosuch", "/v1 nosuch ns"),
    ("/api/v1/namespaces/n/pods", "/v1 pods ns"),
    ("/api/v1/namespaces//pods", "/v1 pods ns"),
    ("/api/v1/namespaces/n/pods/p", "/v1 pods ns named"),
    ("/api/v1/namespaces/n/pods/p/", "/v1 pods ns named"),
    ("/api/v1/namespaces/n/pods/p/log?follow=true", "/v1 pods/log ns named"),
    ("/api/v1/namespaces/n/pods/p/resize", "/v1 pods/resize ns named"),
    ("/api/v1/namespaces/n/pods/p/log/extra", "/v1 pods/log ns named tail"),
    ("/api/v1/namespaces/namespaces/pods", "/v1 pods ns"),
    ("/api/v1/namespaces/status", "/v1 namespaces named"),
    ("/api/v1/pods/x", "/v1 pods named"),
    ("/api/v1/namespaces/n/serviceaccounts/s/token", "/v1 serviceaccounts/token ns named"),
    ("/api/v1/namespaces/n/pods/p/eviction", "/v1 pods/eviction ns named"),
    // Named groups.
    ("/apis/apps/v1/deployments", "apps/v1 deployments"),
    ("/apis/apps/v1/namespaces/n/deployments/", "apps/v1 deployments ns"),
    ("/apis/apps/v1/namespaces//deployments", "apps/v1 deployments ns"),
    ("/apis/apps/v1/namespaces/n/deployments/d", "apps/v1 deployments ns named"),
    ("/apis/apps/v1/namespaces/n/deployments/d/scale", "apps/v1 deployments/scale ns named"),
    ("/apis/apps/v1/namespaces/n/deployments/d/status", "apps/v1 deployments/status ns named"),
    ("/apis/apps/v1/namespaces/n/status", "apps/v1 namespaces/status named"),
    ("/apis/example.com/v1/widgets/w", "example.com/v1 widgets named"),
    (
        "/apis/admissionregistration.k8s.io/v1/mutatingadmissionpolicies/p",
        "admissionregistration.k8s.io/v1 mutatingadmissionpolicies named",
    ),
    (
        "/apis/subresources.kubevirt.io/v1/namespaces/n/virtualmachineinstances/v/portforward/22/tcp",
        "subresources.kubevirt.io/v1 virtualmachineinstances/portforward ns named tail",
    ),
    (
        "/apis/custom.metrics.k8s.io/v1beta1/namespaces/n/pods/*/http_requests",
        "custom.metrics.k8s.io/v1beta1 pods/http_requests ns named",
    ),
    // The verb of old that stands before the resource.
    ("/api/v1/watch/pods", "/v1 pods"),
    ("/api/v1/watch/namespaces", "/v1 namespaces"),
    ("/api/v1/watch/namespaces/n", "/v1 namespaces named"),
    ("/api/v1/watch/namespaces/n/pods", "/v1 pods ns"),
    ("/api/v1/watch/namespaces/n/pods/p", "/v1 pods ns named"),
    ("/api/v1/watch/nodes/n", "/v1 nodes named"),
    ("/apis/apps/v1/watch/deployments?timeoutSeconds=1", "apps/v1 deployments"),
    ("/apis/apps/v1/watch/namespaces/n/deployments/d", "apps/v1 deployments ns named"),
    // Another one, `proxy`, is gone; it is read as a resource that nobody has.
    ("/api/v1/proxy/nodes/n", "/v1 proxy/n named"),
    // The subresource `proxy`, and whatever follows it.
    ("/api/v1/nodes/n/proxy", "/v1 nodes/proxy named"),
    ("/api/v1/nodes/n/proxy/metrics/cadvisor", "/v1 nodes/proxy named tail"),
    ("/api/v1/namespaces/n/services/https:s:443/proxy/a//b", "/v1 services/proxy ns named tail"),
    ("/api/v1/namespaces/n/pods/p/proxy/api/v1/pods", "/v1 pods/proxy ns named tail"),
    // Escapes: decoded before the path is split, as net/http does.
    ("/apis/apps%2Fv1/deployments", "apps/v1 deployments"),
    ("/apis/%61pps/v1/deployments", "apps/v1 deployments"),
    ("/api/v1/%6eamespaces/n/config%6Daps/c", "/v1 configmaps ns named"),
    ("/api/v1/namespaces/n/configmaps/a%2Fb", "/v1 configmaps/b ns named"),
    ("/api/v1/namespaces/n/configmaps/a%252Fb", "/v1 configmaps ns named"),
    ("/api/v1/pods%3Fwatch=1", "/v1 pods?watch=1"),
    ("/%2Fapi/v1/pods", "not an API"),
    // Nothing is normalized, for the server does not either.
    ("/api/v1/./pods", "/v1 . named"),
    ("/api/v1/../v1/pods", "/v1 ../pods named"),
    ("/api/v1;a=b/pods", "/v1;a=b pods"),
    ("/apis/Apps/V1/Deployments", "Apps/V1 Deployments"),
];

#[test]
fn paths_are_read_as_the_api_server_reads_them() {
    assert!(TABLE.len() >= 80, "only {} paths", TABLE.len());
    let wrong: Vec<_> = TABLE
        .iter()
        .map(|(path, expected)| (path, expected, words(RequestPath::new(path.as_bytes()).target())))
        .filter(|(_, expected, found)| found != *expected)
        .collect();
    assert!(wrong.is_empty(), "(path, expected, found):\n{wrong:#?}");
}

#[test]
fn names_need_not_be_utf_8() {
    let path = RequestPath::new(b"/api/v1/namespaces/\xff/p\xc3ds/%fe/st\x80tus");
    let Target::Resource(target) = path.target() else { panic!("no resource") };
    assert_eq!(target.resource, b"p\xc3ds");
    assert_eq!(target.subresource, Some(&b"st\x80tus"[..]));
}

#[test]
fn a_very_long_path_is_read_without_reading_all_of_it() {
    let tail = "x/".repeat(500_000);
    let path = format!("/api/v1/namespaces/n/services/s/proxy/{tail}");
    let path = RequestPath::new(path.as_bytes());
    let Target::Resource(target) = path.target() else { panic!("no resource") };
    assert_eq!((target.subresource, target.has_tail), (Some(&b"proxy"[..]), true));

    let name = "n".repeat(1_000_000);
    let path = format!("/api/v1/namespaces/{name}/pods");
    let path = RequestPath::new(path.as_bytes());
    assert_eq!(words(path.target()), "/v1 pods ns");
}
