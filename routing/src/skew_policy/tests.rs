//! Where components' requests go while servers have different versions.

use std::collections::BTreeSet;

use discovery_map::{Destination, DiscoveryMap, MapDocument, Mode};
use proptest::prelude::*;
use serde_json::Value;

use super::{Skew, SkewOutcome};
use crate::decision::Reason;
use crate::path::RequestPath;
use crate::plan::{Plan, RequestFacts, plan};
use crate::status::Encoding;

const GOLDEN: &str = include_str!("../../../discovery-map/golden/map.json");
const COMMON: &str = "/api/v1/pods";
const SKEWED: &str = "/api/v1/namespaces/n/pods/p/resize";
const UNKNOWN: &str = "/apis/nosuch.io/v1/foos";
const UNAVAILABLE: &str = "/apis/resource.k8s.io/v1alpha3/devicetaintrules";

const PART: &str = "kube-apiserver__from-1-37";
const ROTATION_PART: &str = "kube-apiserver__rotation__from-1-37";
const ONLY_NEWER: &str = "kube-apiserver_cp-2";

/// `cp-1` is 1.36, `cp-2` is 1.37; what is only `cp-2`'s can become only `cp-1`'s.
fn map_with(change: impl FnOnce(&mut Value)) -> DiscoveryMap {
    let mut map = serde_json::from_str(GOLDEN).unwrap();
    change(&mut map);
    DiscoveryMap::from_json(map.to_string().as_bytes()).unwrap()
}

fn map() -> DiscoveryMap {
    map_with(|_| {})
}

fn older_only() -> DiscoveryMap {
    map_with(|map| {
        map["sets"][1] = serde_json::json!({
            "peers": [0], "cluster": "kube-apiserver_cp-1", "atLeast": { "1.36": "kube-apiserver_cp-1" },
        });
    })
}

fn one_version() -> DiscoveryMap {
    map_with(|map| {
        for set in map["sets"].as_array_mut().unwrap() {
            set.as_object_mut().unwrap().remove("atLeast");
        }
    })
}

fn facts<'r>(path: &'r str, user_agent: &'r str) -> RequestFacts<'r> {
    RequestFacts {
        path: RequestPath::new(path.as_bytes()),
        method: b"GET",
        accept: b"application/json",
        encoding: Encoding::Json,
        user_agent: user_agent.as_bytes(),
        accept_encoding: b"",
        if_none_match: None,
        has_certificate: false,
    }
}

/// Returns the cluster that a request goes to, and what the policy made of it.
fn routed(map: &DiscoveryMap, path: &str, user_agent: &str) -> (String, Option<SkewOutcome>) {
    let facts = facts(path, user_agent);
    let plan = plan(&facts, map);
    let cluster = match plan.destination {
        Destination::Unavailable => "none".to_owned(),
        _ => plan.cluster().map_or("default".to_owned(), Into::into),
    };
    (cluster, plan.skew.map(|skew| skew.outcome))
}

#[test]
fn a_component_goes_to_servers_that_are_as_new_as_itself() {
    let map = map();
    let (kept, newer) =
        (Some(SkewOutcome::Kept), "kubelet/v1.37.0 (linux/amd64) kubernetes/1a2b3c4");
    assert_eq!(routed(&map, COMMON, newer), (PART.to_owned(), kept));
    assert_eq!(routed(&map, "/healthz", newer), (PART.to_owned(), kept));
    assert_eq!(routed(&map, UNKNOWN, newer), (ROTATION_PART.to_owned(), kept));
    // Its only servers are new enough in any case.
    assert_eq!(routed(&map, SKEWED, newer), (ONLY_NEWER.to_owned(), None));
    assert_eq!(routed(&map, UNAVAILABLE, newer), ("none".to_owned(), None));
}

#[test]
fn everybody_else_goes_where_the_answering_version_is() {
    let map = map();
    for client in ["kubectl/v1.37.0", "kubelet/v1.36.3", "kube-proxy/v1.35.0", "kubelet/v0.0.0", ""]
    {
        assert_eq!(routed(&map, COMMON, client), ("default".to_owned(), None), "{client}");
        assert_eq!(routed(&map, SKEWED, client), (ONLY_NEWER.to_owned(), None), "{client}");
    }
}

#[test]
fn a_component_that_is_newer_than_every_server_goes_where_it_would_go_without_the_policy() {
    let map = map();
    let none = Some(SkewOutcome::NoneInRotation);
    let newest = "kube-scheduler/v1.38.0";
    assert_eq!(routed(&map, COMMON, newest), ("default".to_owned(), none));
    assert_eq!(routed(&map, SKEWED, newest), (ONLY_NEWER.to_owned(), none));
    assert_eq!(routed(&map, UNKNOWN, newest), ("kube-apiserver__rotation".to_owned(), none));
}

#[test]
fn what_only_older_servers_serve_is_answered_by_them() {
    let map = older_only();
    let none = Some(SkewOutcome::NoneServes);
    assert_eq!(routed(&map, SKEWED, "kubelet/v1.37.0"), ("kube-apiserver_cp-1".to_owned(), none));
}

#[test]
fn documents_of_all_groups_are_read_from_servers_that_are_new_enough_also_merged_ones() {
    let map = older_only();
    let aggregated = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
    for (path, accept, is_merged) in
        [("/apis", aggregated, true), ("/api", "", false), ("/openapi/v2", "", false)]
    {
        let facts = RequestFacts { accept: accept.as_bytes(), ..facts(path, "kubelet/v1.37.0") };
        let plan = plan(&facts, &map);
        assert_eq!(plan.access_check.is_some(), is_merged, "{path}");
        assert_eq!(plan.destination, Destination::Cluster(PART), "{path}");
        assert_eq!(plan.reason, Reason::Discovery);
    }
}

#[test]
fn nobody_is_looked_at_while_all_servers_have_one_version() {
    let map = one_version();
    for path in [COMMON, SKEWED, UNKNOWN] {
        let facts = facts(path, "kubelet/v1.38.0");
        let plan = plan(&facts, &map);
        assert_eq!((plan.component, plan.skew), (None, None));
    }
}

#[test]
fn a_component_with_a_certificate_goes_to_the_twin() {
    let map = map();
    let facts = RequestFacts { has_certificate: true, ..facts(COMMON, "kube-scheduler/v1.37.0") };
    let plan = plan(&facts, &map);
    assert_eq!(plan.cluster().unwrap(), format!("{PART}__front-proxy"));
}

#[test]
fn a_plan_says_what_the_policy_made_of_it() {
    let map = map();
    let said = |path, user_agent| {
        let facts = facts(path, user_agent);
        let plan = plan(&facts, &map);
        (plan.trace(&map), plan.explanation(&map))
    };
    let (trace, text) = said(COMMON, "kubelet/v1.37.0");
    let kept = "skew-policy=kept;component=kubelet;version=\"1.37\"";
    assert_eq!(trace, format!("reason=common, servers=(\"cp-2\"), {kept}"));
    let rule = "The client says that it is kubelet 1.37: only servers that are at least as new";
    let goes = format!("The request goes to the cluster {PART}.");
    assert!(text.contains(&format!("{rule} answer it, here cp-2. {goes}")));
    let (trace, text) = said(UNKNOWN, "kubelet/v1.37.0");
    assert_eq!(trace, format!("reason=unknown, {kept}"));
    assert!(text.contains("kubelet 1.37: servers that are at least as new are asked first."));
    let (trace, text) = said(COMMON, "kube-proxy/v1.38.0");
    assert!(trace.ends_with("skew-policy=none_in_rotation;component=kube-proxy;version=\"1.38\""));
    assert!(text.contains("no API server in rotation is at least as new: older ones answer."));
    let map = older_only();
    let facts = facts(SKEWED, "kubelet/v1.37.0");
    let plan = plan(&facts, &map);
    assert!(plan.trace(&map).contains("servers=(\"cp-1\"), skew-policy=none_serves;"));
    assert!(plan.explanation(&map).contains("no API server that is at least as new serves this"));
}

#[test]
fn the_modes_withhold_what_the_policy_changes() {
    let map = map();
    let facts_of = |path| facts(path, "kubelet/v1.37.0");
    let common = facts_of(COMMON);
    let (shadow, withheld) = plan(&common, &map).in_mode(Mode::Shadow, &map);
    assert_eq!(shadow.destination, Destination::Default);
    assert_eq!(withheld, Some(crate::RequestChange::Rerouted));
    let (reroute, withheld) = plan(&common, &map).in_mode(Mode::Reroute, &map);
    assert_eq!((reroute.destination, withheld), (Destination::Cluster(PART), None));
    // What only servers out of rotation serve is asked of all others, the newer ones first.
    let unavailable = facts_of(UNAVAILABLE);
    let (reroute, _) = plan(&unavailable, &map).in_mode(Mode::Reroute, &map);
    assert_eq!(reroute.destination, Destination::Cluster(ROTATION_PART));
}

/// The peers to which a plan can lead: those of the set, whatever comes first among them.
fn reach(map: &DiscoveryMap, plan: &Plan<'_>) -> Option<BTreeSet<String>> {
    let set = map.set_of(plan.destination)?;
    Some(map.peers_of(set).map(|peer| peer.name.clone()).collect())
}

proptest! {
    /// A lie gains nothing: with any `User-Agent`, a request reaches servers that could answer it
    /// with any other, and what is made of its response is the same.
    #[test]
    fn a_claim_only_chooses_among_the_servers_of_the_target(
        claim in "(kubelet|kube-proxy|kube-controller-manager|kube-scheduler)/v1\\.[0-9]{1,3}.{0,20}",
        path in prop::sample::select(vec![COMMON, SKEWED, UNKNOWN, UNAVAILABLE, "/healthz", "/api/v1/nodes/n/proxy/x"]),
        older: bool,
        has_certificate: bool,
    ) {
        let map = if older { older_only() } else { map() };
        let honest = RequestFacts { has_certificate, ..facts(path, "kubectl/v1.36.3") };
        let lying = RequestFacts { has_certificate, ..facts(path, &claim) };
        let (honest, lying) = (plan(&honest, &map), plan(&lying, &map));
        prop_assert_eq!(reach(&map, &lying), reach(&map, &honest));
        prop_assert_eq!((lying.reason, lying.target), (honest.reason, honest.target));
        prop_assert_eq!(lying.interest, honest.interest);
        prop_assert_eq!(lying.twin_of.is_some(), honest.twin_of.is_some());
        prop_assert_eq!(lying.destination == Destination::Unavailable, honest.destination == Destination::Unavailable);
    }
}

#[test]
fn outcomes_are_in_the_order_of_their_values() {
    for (position, outcome) in SkewOutcome::ALL.into_iter().enumerate() {
        assert_eq!(outcome as usize, position);
    }
    let document: MapDocument = serde_json::from_str(GOLDEN).unwrap();
    let map = DiscoveryMap::try_from(document).unwrap();
    let facts = facts(COMMON, "kube-proxy/v1.37.0");
    let Some(Skew { component, .. }) = plan(&facts, &map).skew else { panic!("no outcome") };
    assert_eq!(component.to_string(), "kube-proxy 1.37");
}
