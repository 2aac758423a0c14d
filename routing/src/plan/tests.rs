//! What a plan says beyond the decision table: twins, merged documents, what of
//! the response matters, and the explanation.

use discovery_map::{Destination, DiscoveryMap, MapDocument};
use proptest::prelude::*;

use super::{Plan, RequestFacts, plan};
use crate::decision::Reason;
use crate::interest::ResponseInterest;
use crate::path::RequestPath;
use crate::status::Encoding;

const GOLDEN: &str = include_str!("../../../discovery-map/golden/map.json");
const AGGREGATED: &[u8] = b"application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
const SKEWED: &str = "/api/v1/namespaces/n/pods/p/resize";

fn golden() -> MapDocument {
    serde_json::from_str(GOLDEN).unwrap()
}

fn map() -> DiscoveryMap {
    DiscoveryMap::try_from(golden()).unwrap()
}

fn get(path: &str) -> RequestFacts<'_> {
    RequestFacts {
        path: RequestPath::new(path.as_bytes()),
        method: b"GET",
        accept: b"",
        encoding: Encoding::Json,
        user_agent: b"kubectl/v1.36.3",
        accept_encoding: b"",
        if_none_match: None,
        has_certificate: false,
    }
}

fn discovery() -> RequestFacts<'static> {
    RequestFacts { accept: AGGREGATED, ..get("/apis") }
}

#[test]
fn a_client_without_a_certificate_needs_no_header_for_the_default_cluster() {
    let map = map();
    assert_eq!(plan(&get("/api/v1/pods"), &map).cluster(), None);
    assert_eq!(plan(&get(SKEWED), &map).cluster().as_deref(), Some("kube-apiserver_cp-2"));
}

#[test]
fn a_client_with_a_certificate_goes_to_the_twin_of_the_cluster() {
    let map = map();
    for (path, twin) in [
        ("/api/v1/pods", Some("kube-apiserver__front-proxy")),
        (SKEWED, Some("kube-apiserver_cp-2__front-proxy")),
        ("/healthz", Some("kube-apiserver__front-proxy")),
        ("/apis/resource.k8s.io/v1alpha3/devicetaintrules", None),
    ] {
        let facts = RequestFacts { has_certificate: true, ..get(path) };
        assert_eq!(plan(&facts, &map).cluster().as_deref(), twin, "{path}");
    }
}

#[test]
fn a_merged_document_is_for_reads_only() {
    let map = map();
    for (method, is_merged) in
        [(&b"GET"[..], true), (b"HEAD", true), (b"POST", false), (b"", false)]
    {
        let facts = RequestFacts { method, ..discovery() };
        let plan = plan(&facts, &map);
        assert_eq!(plan.access_check.is_some(), is_merged);
        assert_eq!(matches!(plan.interest, ResponseInterest::Document(_)), is_merged);
        assert_eq!(plan.reason, Reason::Discovery);
    }
}

#[test]
fn a_merged_document_goes_where_its_own_set_is() {
    let mut document = golden();
    document.widest_view = 2;
    let map = DiscoveryMap::try_from(document).unwrap();
    let facts = discovery();
    let merged = plan(&facts, &map);
    assert_eq!(merged.reason, Reason::Discovery);
    assert_eq!(merged.destination, Destination::Cluster("kube-apiserver_cp-2"));
    let facts = get("/api");
    assert_eq!(plan(&facts, &map).reason, Reason::Unavailable);
}

#[test]
fn a_merged_document_whose_set_is_out_of_rotation_is_unavailable() {
    let mut document = golden();
    document.documents[0].set = 2;
    let map = DiscoveryMap::try_from(document).unwrap();
    let facts = discovery();
    let plan = plan(&facts, &map);
    assert_eq!((plan.reason, plan.destination), (Reason::Unavailable, Destination::Unavailable));
    assert!(plan.explanation(&map).ends_with("is in rotation. The answer is 503."));
}

#[test]
fn the_interest_in_a_document_has_all_that_the_answer_needs() {
    let map = map();
    let facts = RequestFacts {
        accept_encoding: b"gzip",
        if_none_match: Some(b"\"x\""),
        encoding: Encoding::Protobuf,
        ..discovery()
    };
    let ResponseInterest::Document(awaited) = plan(&facts, &map).interest else { panic!() };
    assert_eq!(awaited.path, b"/apis");
    assert_eq!(awaited.options.if_none_match, Some(&b"\"x\""[..]));
    assert!(awaited.options.takes_gzip && awaited.encoding == Encoding::Protobuf);
}

#[test]
fn a_404_for_an_openapi_document_may_be_empty() {
    let map = map();
    for (path, may_be_empty) in [
        ("/openapi/v3/apis/nosuch.io/v1", true),
        ("/openapi/v2", false),
        ("/apis/nosuch.io", false),
    ] {
        let facts = get(path);
        let not_found = plan(&facts, &map).interest.not_found().unwrap();
        assert_eq!(not_found.may_be_empty, may_be_empty, "{path}");
    }
}

#[test]
fn a_plan_is_explained_in_sentences() {
    let map = map();
    let explained = |facts: &RequestFacts<'_>| plan(facts, &map).explanation(&map);
    for (path, text) in [
        ("/healthz", "This is not an API path: any API server in rotation answers. A 404 passes."),
        (
            "/apis/apps/v1/deployments",
            "Every API server in rotation serves apps/v1 deployments: any API server in rotation \
             answers. A type-level 404 passes only if every API server in rotation says the \
             same.",
        ),
        (
            SKEWED,
            "Only cp-2 serves v1 pods/resize. The request goes to the cluster kube-apiserver_cp-2. \
             A type-level 404 passes only if every API server in rotation says the same.",
        ),
        (
            "/apis/resource.k8s.io/v1alpha3/devicetaintrules",
            "Only API servers out of rotation serve resource.k8s.io/v1alpha3 devicetaintrules: cp-3 \
             (unreachable). The answer is 503.",
        ),
        (
            "/apis/nosuch.io/v1/foos",
            "No API server serves nosuch.io/v1 foos: any API server in rotation answers. The \
             request goes to the cluster kube-apiserver__rotation. A type-level 404 passes only if \
             every API server in rotation says the same.",
        ),
        (
            "/openapi/v2",
            "cp-2 has the most complete view, and answers requests for the OpenAPI v2 document. \
             The request goes to the cluster kube-apiserver_cp-2. A type-level 404 passes only if \
             every API server in rotation says the same.",
        ),
        (
            "/apis/apps/v1",
            "All API servers give the same answer for the group version apps/v1: any API server in \
             rotation answers. A type-level 404 passes only if every API server in rotation says \
             the same.",
        ),
        (
            "/apis/resource.k8s.io",
            "Only API servers out of rotation serve the group resource.k8s.io. The answer is 503.",
        ),
    ] {
        assert_eq!(explained(&get(path)), text, "{path}");
    }
    assert_eq!(
        explained(&discovery()),
        "The answer is the merged document /apis (aggregated v2), if cp-2 lets the client read it. \
         The request goes to the cluster kube-apiserver_cp-2. A type-level 404 passes only if every \
         API server in rotation says the same.",
    );
    let with_certificate = RequestFacts { has_certificate: true, ..get("/api/v1/pods") };
    assert!(explained(&with_certificate).contains("the cluster kube-apiserver__front-proxy."));
}

#[test]
fn a_plan_is_traced_in_one_line() {
    let mut map = map();
    for (path, text) in [
        ("/healthz", "reason=not_an_api"),
        ("/api/v1/pods", "reason=common"),
        (SKEWED, "reason=skewed, servers=(\"cp-2\")"),
        (
            "/apis/resource.k8s.io/v1alpha3/devicetaintrules",
            "reason=unavailable, servers=(\"cp-3\")",
        ),
        ("/apis/resource.k8s.io", "reason=unavailable"),
        ("/apis/nosuch.io/v1/foos", "reason=unknown"),
        ("/openapi/v2", "reason=discovery, servers=(\"cp-2\")"),
    ] {
        assert_eq!(plan(&get(path), &map).trace(&map), text, "{path}");
    }
    assert_eq!(
        plan(&discovery(), &map).trace(&map),
        "reason=discovery, servers=(\"cp-2\"), merged"
    );
    map.mode = discovery_map::Mode::Shadow;
    assert_eq!(plan(&get("/api/v1/pods"), &map).trace(&map), "reason=common, mode=shadow");
}

#[test]
fn a_verb_that_some_servers_have_is_explained() {
    let map = map();
    let path = RequestPath::new(b"/apis/apps/v1/namespaces/n/deployments/d/scale");
    let facts = RequestFacts { path, method: b"PATCH", ..get("") };
    assert_eq!(
        plan(&facts, &map).explanation(&map),
        "Only cp-2 serves apps/v1 deployments/scale with the verb of this request. The request goes \
         to the cluster kube-apiserver_cp-2. A type-level 404 passes only if every API server in \
         rotation says the same.",
    );
}

#[test]
fn all_peers_that_serve_a_type_are_named() {
    let mut document = golden();
    document.sets[1].peers = vec![0, 1];
    let map = DiscoveryMap::try_from(document).unwrap();
    let explained = plan(&get(SKEWED), &map).explanation(&map);
    assert!(explained.starts_with("Only cp-1 and cp-2 serve v1 pods/resize."), "{explained}");
    let explained = plan(&discovery(), &map).explanation(&map);
    assert!(explained.contains(", if cp-1 or cp-2 lets the client read it."), "{explained}");
}

#[test]
fn an_incomplete_map_is_explained_as_one() {
    let mut document = golden();
    document.complete = false;
    let map = DiscoveryMap::try_from(document).unwrap();
    let facts = get("/apis/nosuch.io");
    assert_eq!(
        plan(&facts, &map).explanation(&map),
        "No API server is known to serve the group nosuch.io, but the discovery of some has not \
         been read: any API server in rotation answers. The request goes to the cluster \
         kube-apiserver__rotation. A type-level 404 passes only if every API server in rotation \
         says the same.",
    );
}

proptest! {
    #[test]
    fn any_bytes_are_planned_and_explained_without_a_panic(
        path: Vec<u8>,
        accept: Vec<u8>,
        has_certificate: bool,
    ) {
        let map = map();
        let path = RequestPath::new(&path);
        let facts = RequestFacts { path, accept: &accept, has_certificate, ..get("") };
        let plan: Plan<'_> = plan(&facts, &map);
        prop_assert!(plan.explanation(&map).ends_with('.'));
        prop_assert_eq!(plan.twin_of.is_some(), has_certificate && plan.destination != Destination::Unavailable);
    }
}
