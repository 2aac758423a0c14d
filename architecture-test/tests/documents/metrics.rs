//! The names of metrics: those that are documented, and those that a query asks for.

use std::collections::BTreeSet;

use super::read;

const COMPANION: &str = "mixed_version_companion_";

/// Returns the names in the tables of `docs/operations/metrics.md`, in full.
pub fn documented() -> BTreeSet<String> {
    let document = read("docs/operations/metrics.md");
    let ours = document.split("\n## What Kubernetes calls it").next().unwrap();
    let mut names = BTreeSet::new();
    for section in ours.split("\n## ") {
        let is_companion = section.starts_with("Companion") || section.starts_with("Mirror");
        let prefix = if is_companion { COMPANION } else { "" };
        for row in section.lines().filter_map(|line| line.strip_prefix("| `")) {
            let name = row.split(['`', '{']).next().unwrap();
            names.insert(format!("{prefix}{name}"));
            if row.contains("| histogram |") {
                let series = ["bucket", "sum", "count"];
                names.extend(series.map(|series| format!("{prefix}{name}_{series}")));
            }
        }
    }
    names
}

/// Returns the names in a query that look like metrics of this project or of Envoy.
pub fn asked_for(query: &str) -> BTreeSet<&str> {
    let names = query.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    names.filter(|name| name.starts_with("mixed_version_") || name.starts_with("envoy_")).collect()
}

/// Metrics and labels of Envoy that the dashboard shows, and that need no row.
const OF_ENVOY: [&str; 6] = [
    "envoy_cluster_name",
    "envoy_cluster_upstream_rq_total",
    "envoy_http_conn_manager_prefix",
    "envoy_http_downstream_rq_time_bucket",
    "envoy_http_downstream_rq_xx",
    "envoy_response_code_class",
];

#[test]
fn the_dashboard_asks_for_documented_metrics() {
    let documented = documented();
    let dashboard = read("dashboards/mixed-version-proxy.json");
    let queries = dashboard.lines().filter(|line| line.trim().starts_with("\"expr\":"));
    let names: BTreeSet<&str> = queries.flat_map(asked_for).collect();
    assert!(names.len() > 20, "{names:?}");
    for name in names {
        let known = documented.contains(name) || OF_ENVOY.contains(&name);
        assert!(known, "{name} is not documented");
    }
}

#[test]
fn names_in_queries_are_found() {
    let query = "increase(mixed_version_a_total{b=\"c\"}[5m]) - on (host) envoy_d > 0";
    assert!(asked_for(query).into_iter().eq(["envoy_d", "mixed_version_a_total"]));
}
