//! Which metrics there are.

use std::collections::BTreeSet;

use filter_core::mock::MockProxy;

#[test]
fn every_metric_is_defined_once_when_the_first_map_comes() {
    let proxy = MockProxy::golden();
    let names = |proxy: &MockProxy| -> Vec<String> {
        proxy.host.state().metrics.iter().map(|(name, _)| name.clone()).collect()
    };
    let defined = names(&proxy);
    let distinct: BTreeSet<_> = defined.iter().collect();
    assert_eq!(defined.len(), distinct.len());
    proxy.configure(filter_core::mock::GOLDEN).unwrap();
    assert_eq!(names(&proxy), defined);
}

#[test]
fn labels_are_the_parts_that_envoys_configuration_reads() {
    let proxy = MockProxy::golden();
    let labels: BTreeSet<_> = proxy
        .host
        .state()
        .metrics
        .iter()
        .flat_map(|(name, _)| {
            name.split('.').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>()
        })
        .collect();
    let labels: Vec<_> = labels.into_iter().collect();
    assert_eq!(labels, ["component", "decision", "form", "outcome"]);
}
