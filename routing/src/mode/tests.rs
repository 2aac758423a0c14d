//! What each mode leaves of a plan, on the golden map: only `cp-2` serves `pods/resize`,
//! and only `cp-3`, which is out of rotation, serves `devicetaintrules`.

use NotFoundChange::{Prevented, Replaced};
use RequestChange::{Merged, Refused, Rerouted};
use discovery_map::MapDocument;
use proptest::prelude::*;

use super::*;
use crate::interest::{NotFound, ObservedNotFound};
use crate::path::RequestPath;
use crate::plan::{RequestFacts, plan};
use crate::status::Encoding;

const GOLDEN: &str = include_str!("../../../discovery-map/golden/map.json");
const AGGREGATED: &[u8] = b"application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
const SKEWED: &str = "/api/v1/namespaces/n/pods/p/resize";
const UNAVAILABLE: &str = "/apis/resource.k8s.io/v1alpha3/devicetaintrules";

fn map_with(change: impl FnOnce(&mut MapDocument)) -> DiscoveryMap {
    let mut document = serde_json::from_str(GOLDEN).unwrap();
    change(&mut document);
    DiscoveryMap::try_from(document).unwrap()
}

fn get<'r>(path: &'r str, accept: &'r [u8]) -> RequestFacts<'r> {
    RequestFacts {
        path: RequestPath::new(path.as_bytes()),
        method: b"GET",
        accept,
        encoding: Encoding::Json,
        user_agent: b"",
        accept_encoding: b"",
        if_none_match: None,
        has_certificate: false,
    }
}

/// What shadow mode withholds of a request, and would withhold of a type-level 404.
fn shadowed(
    map: &DiscoveryMap,
    path: &str,
    accept: &[u8],
) -> (Option<RequestChange>, Option<NotFoundChange>) {
    let facts = get(path, accept);
    let (plan, withheld) = plan(&facts, map).in_mode(Mode::Shadow, map);
    assert_eq!((plan.destination, plan.access_check), (Destination::Default, None), "{path}");
    assert_eq!(plan.cluster(), None, "{path}");
    let change = match plan.interest {
        ResponseInterest::Nothing => None,
        ResponseInterest::Observed(ObservedNotFound { change, .. }) => Some(change),
        other => panic!("{path}: {other:?}"),
    };
    (withheld, change)
}

#[test]
fn in_shadow_mode_every_request_goes_as_it_came_and_what_would_change_is_said() {
    let map = map_with(|_| ());
    for (path, request, not_found) in [
        ("/healthz", None, None),
        ("/api/v1/pods", None, Some(Prevented)),
        (SKEWED, Some(Rerouted), Some(Prevented)),
        (UNAVAILABLE, Some(Refused), Some(Replaced)),
        ("/apis/nosuch.io/v1/foos", None, None),
        ("/openapi/v2", Some(Rerouted), Some(Prevented)),
        // Below `proxy`, a backend answers.
        ("/api/v1/namespaces/n/pods/p/proxy/x", None, None),
        // Every server says 404 to a path of the other scope.
        ("/api/v1/namespaces/n/nodes/x", None, None),
    ] {
        assert_eq!(shadowed(&map, path, b""), (request, not_found), "{path}");
    }
    assert_eq!(shadowed(&map, "/apis", AGGREGATED), (Some(Merged), Some(Prevented)));
}

#[test]
fn in_shadow_mode_an_unproved_404_counts_as_replaced() {
    let unknown = "/apis/nosuch.io/v1/foos";
    let incomplete = map_with(|map| map.complete = false);
    assert_eq!(shadowed(&incomplete, unknown, b""), (None, Some(Replaced)));
    let left = map_with(|map| map.just_left = true);
    assert_eq!(shadowed(&left, unknown, b""), (None, Some(Replaced)));
}

#[test]
fn in_shadow_mode_no_404_of_the_only_server_would_be_prevented() {
    let map = map_with(|map| map.rotation.truncate(1));
    assert_eq!(shadowed(&map, "/api/v1/pods", b""), (None, None));
}

#[test]
fn a_certificate_goes_to_the_twin_of_the_default_cluster_in_shadow_mode() {
    let map = map_with(|_| ());
    for path in ["/api/v1/pods", SKEWED, UNAVAILABLE, "/healthz"] {
        let facts = RequestFacts { has_certificate: true, ..get(path, b"") };
        let (plan, _) = plan(&facts, &map).in_mode(Mode::Shadow, &map);
        assert_eq!(plan.cluster().as_deref(), Some("kube-apiserver__front-proxy"), "{path}");
    }
}

#[test]
fn rerouting_asks_every_server_where_enforcing_refuses_at_once() {
    let map = map_with(|_| ());
    let facts = RequestFacts { has_certificate: true, ..get(UNAVAILABLE, b"") };
    let (plan, withheld) = plan(&facts, &map).in_mode(Mode::Reroute, &map);
    assert_eq!(withheld, Some(Refused));
    assert_eq!(plan.cluster().as_deref(), Some("kube-apiserver__rotation__front-proxy"));
    let passes = NotFound { encoding: Encoding::Json, may_be_empty: false, passes: true };
    assert_eq!(plan.interest, ResponseInterest::NotFound(passes));
}

#[test]
fn rerouting_does_not_ask_for_access_to_a_document_that_no_server_can_check() {
    let map = map_with(|map| map.documents[0].set = 2);
    let facts = get("/apis", AGGREGATED);
    let decided = plan(&facts, &map);
    assert!(decided.access_check.is_some());
    let (plan, withheld) = decided.in_mode(Mode::Reroute, &map);
    assert_eq!((withheld, plan.access_check), (Some(Refused), None));
    assert!(matches!(plan.interest, ResponseInterest::NotFound(NotFound { passes: true, .. })));
}

#[test]
fn rerouting_changes_nothing_else_of_a_plan() {
    let map = map_with(|_| ());
    for (path, accept) in
        [("/healthz", &b""[..]), ("/api/v1/pods", b""), (SKEWED, b""), ("/apis", AGGREGATED)]
    {
        let facts = get(path, accept);
        let decided = plan(&facts, &map);
        let (plan, withheld) = decided.in_mode(Mode::Reroute, &map);
        assert_eq!(withheld, None, "{path}");
        assert_eq!(Plan { interest: decided.interest, ..plan }, decided, "{path}");
        assert!(plan.interest.not_found().is_none_or(|not_found| not_found.passes), "{path}");
    }
}

proptest! {
    #[test]
    fn whatever_the_request_the_modes_keep_their_promises(
        path: Vec<u8>,
        accept: Vec<u8>,
        has_certificate: bool,
        complete: bool,
    ) {
        let map = map_with(|map| map.complete = complete);
        let facts = RequestFacts {
            path: RequestPath::new(&path),
            has_certificate,
            ..get("", &accept)
        };
        let decided = plan(&facts, &map);
        prop_assert_eq!(decided.in_mode(Mode::Enforce, &map), (decided, None));
        let (rerouted, _) = decided.in_mode(Mode::Reroute, &map);
        prop_assert!(rerouted.destination != Destination::Unavailable);
        let (shadowed, _) = decided.in_mode(Mode::Shadow, &map);
        prop_assert_eq!(shadowed.cluster().is_some(), has_certificate);
        prop_assert!(shadowed.interest.not_found().is_none());
    }
}
