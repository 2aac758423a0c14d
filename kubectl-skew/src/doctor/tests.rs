//! Planted faults: each is found by its rule, and by no other. A healthy installation has none.

use discovery_map::PeerState;
use serde_json::json;

use super::{Bypass, ControlPlane, Diagnosis, Examined, Metrics};
use crate::audit::tests::log;
use crate::facts::tests::facts;

const NOW: u64 = 1_001;

fn healthy() -> Examined {
    let mut facts = facts();
    facts.peers.pop();
    let metrics = "mixed_version_companion_certificate_expiry_timestamp_seconds{certificate=\"listener\"} 9000000.0\n\
                   mixed_version_companion_secret_errors_total{secret=\"listener\"} 3\n\
                   mixed_version_companion_source_fresh{kind=\"static\"} 1\n\
                   mixed_version_companion_build_info{version=\"VERSION\"} 1\n";
    let metrics = metrics.replace("VERSION", env!("CARGO_PKG_VERSION"));
    let metrics = Metrics(metrics);
    let authentication = [
        ("requestheader-client-ca-file", "PEM"),
        ("requestheader-username-headers", r#"["X-Remote-User"]"#),
        ("requestheader-group-headers", r#"["X-Remote-Group"]"#),
        ("requestheader-extra-headers-prefix", r#"["X-Remote-Extra-"]"#),
    ];
    let text = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    let envoys = json!({
        "versions": { "filter": "a" },
        "envoys": [
            { "node": "one", "envoyVersion": "1.40.0", "versions": { "filter": "a" }, "lastRefusal": null },
            { "node": "two", "envoyVersion": "1.40.0", "versions": { "filter": "a" }, "lastRefusal": null },
        ],
    });
    Examined {
        facts,
        envoys: serde_json::from_value(envoys).unwrap(),
        not_ready: None,
        metrics: [metrics.clone(), metrics],
        control_plane: ControlPlane {
            server: "10.0.0.100:6443".to_owned(),
            authentication: Some(authentication.into_iter().map(text).collect()),
            mitigation: Some(true),
            clock_difference: Some(0),
            endpoints: ["10.0.0.100:6443".to_owned()].into(),
            unknown: Vec::new(),
        },
        kubeconfigs: [("scheduler.conf".to_owned(), "10.0.0.100:6443".to_owned())].into(),
        bypass: Bypass::default(),
        now: NOW,
    }
}

fn replace(metrics: &mut Metrics, from: &str, to: &str) {
    assert!(metrics.0.contains(from));
    metrics.0 = metrics.0.replace(from, to);
}

type Plant = fn(&mut Examined);

const FAULTS: [(&str, Plant); 20] = [
    ("not-publishing", |it| it.not_ready = Some("cannot publish: no space".to_owned())),
    ("peer-out-of-rotation", |it| {
        it.facts.peers[1].state = PeerState::Unreachable;
        it.facts.peers[1].absent_seconds = 300;
    }),
    ("discovery-not-read", |it| {
        it.facts.peers[1].discovery_known = false;
        it.facts.document.complete = false;
    }),
    ("map-incomplete", |it| it.facts.document.complete = false),
    ("versions-too-far-apart", |it| {
        it.facts.peers[1].minor_version = Some("1.37".parse().unwrap());
    }),
    ("certificate-expires", |it| replace(&mut it.metrics[0], "9000000.0", "90000.0")),
    ("certificate-expires", |it| replace(&mut it.metrics[0], "9000000.0", "900.0")),
    ("secret-not-readable", |it| replace(&mut it.metrics[1], "} 3", "} 4")),
    ("source-fails", |it| replace(&mut it.metrics[1], "\"static\"} 1", "\"static\"} 0")),
    ("envoy-behind", |it| {
        it.envoys.envoys[1].versions.insert("filter".to_owned(), "old".to_owned());
    }),
    ("envoy-versions-differ", |it| {
        it.envoys.envoys[1].envoy_version = Some("1.39.2".to_owned());
    }),
    ("header-names-differ", |it| {
        let data = it.control_plane.authentication.as_mut().unwrap();
        data.insert("requestheader-uid-headers".to_owned(), r#"["X-Our-Uid"]"#.to_owned());
    }),
    ("no-front-proxy-at-servers", |it| {
        it.control_plane.authentication.as_mut().unwrap().remove("requestheader-client-ca-file");
    }),
    ("mitigation-off", |it| it.control_plane.mitigation = Some(false)),
    ("clocks-differ", |it| it.control_plane.clock_difference = Some(60)),
    ("envoy-bypassed", |it| it.control_plane.server = "10.0.0.1:6443".to_owned()),
    ("envoy-bypassed", |it| {
        it.kubeconfigs.insert("scheduler.conf".to_owned(), "10.0.0.1:6443".to_owned());
    }),
    ("pods-bypass-envoy", |it| {
        it.control_plane.endpoints.insert("10.0.0.1:6443".to_owned());
    }),
    ("requests-bypass-envoy", |it| {
        let event = json!({
            "auditID": "1", "user": { "username": "system:kube-scheduler" },
            "userAgent": "kube-scheduler/v1.36.3", "sourceIPs": ["10.0.0.7"], "objectRef": {},
        });
        it.bypass.read(log(&[event]).path(), &[].into()).unwrap();
    }),
    ("companion-version-differs", |it| {
        replace(&mut it.metrics[1], env!("CARGO_PKG_VERSION"), "9.0.0");
    }),
];

#[test]
fn a_healthy_installation_has_no_problem() {
    let diagnosis = Diagnosis::of(&healthy());
    assert_eq!(diagnosis.text(), "No problem found.\n");
}

#[test]
fn each_planted_fault_is_found_by_its_rule_alone() {
    for (rule, plant) in FAULTS {
        let mut examined = healthy();
        plant(&mut examined);
        let found = Diagnosis::of(&examined).problems;
        let mut rules: Vec<_> = found.iter().map(|problem| problem.rule).collect();
        rules.dedup();
        assert_eq!(rules, [rule], "{found:#?}");
        assert!(found.iter().all(|one| !one.fix.is_empty() && !one.leads_to.is_empty()));
    }
}

#[test]
fn what_could_not_be_examined_is_said() {
    let mut examined = healthy();
    examined.control_plane =
        ControlPlane { unknown: vec!["the clock".into()], ..Default::default() };
    let text = Diagnosis::of(&examined).text();
    assert_eq!(text, "Not examined: the clock\nNo problem found.\n");
}
