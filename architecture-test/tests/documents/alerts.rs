//! `monitoring/alerts.yaml` against its cases, the page that says what to do, the documented metrics,
//! and the chart.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{metrics, read};

/// An alert, as Prometheus reads it.
struct Alert {
    name: String,
    expr: String,
    /// How long the condition holds before it fires; empty if at once.
    pending: String,
    severity: String,
    /// Where it says what to do.
    runbook: String,
}

fn yaml(path: &str) -> Value {
    serde_saphyr::from_str(&read(path)).unwrap()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn alerts() -> Vec<Alert> {
    let document = yaml("monitoring/alerts.yaml");
    let rules = list(&document["groups"]).iter().flat_map(|group| list(&group["rules"]));
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let alerts = rules.map(|rule| Alert {
        name: text(&rule["alert"]),
        expr: text(&rule["expr"]),
        pending: text(&rule["for"]),
        severity: text(&rule["labels"]["severity"]),
        runbook: text(&rule["annotations"]["runbook"]),
    });
    alerts.collect()
}

#[test]
fn every_alert_has_a_section_with_its_condition_and_no_other_has() {
    let page = read("docs/operations/alerts.md");
    let sections = page.split("\n## ").skip(1).filter_map(|section| section.split_once("\n\n"));
    let sections: Vec<(&str, &str)> = sections.collect();
    let alerts = alerts();
    let names: Vec<&str> = alerts.iter().map(|alert| &*alert.name).collect();
    assert_eq!(sections.iter().map(|(name, _)| *name).collect::<Vec<_>>(), names);
    for (alert, (_, text)) in alerts.iter().zip(sections) {
        let Alert { name, expr, pending, severity, runbook } = alert;
        let pending = if pending.is_empty() { "" } else { &format!(", for {pending}") };
        let condition = format!("Condition: `{expr}`{pending}\n\n");
        let (_, advice) = text.split_once(&*condition).unwrap_or_else(|| panic!("{condition}"));
        assert!(advice.trim().len() > 40, "{name}: what is to be done?");
        let row = format!("| [{name}](#{}) | {severity} |", name.to_lowercase());
        assert!(page.contains(&row), "{row}");
        // The anchor of the section, as the links of the table.
        assert_eq!(*runbook, format!("docs/operations/alerts.md#{}", name.to_lowercase()));
    }
}

#[test]
fn every_alert_has_a_case_that_fires_and_one_that_does_not() {
    let cases = yaml("monitoring/alerts.test.yaml");
    let mut fires = BTreeMap::<&str, [usize; 2]>::new();
    for case in list(&cases["tests"]).iter().flat_map(|test| list(&test["alert_rule_test"])) {
        let does = usize::from(!list(&case["exp_alerts"]).is_empty());
        fires.entry(case["alertname"].as_str().unwrap()).or_default()[does] += 1;
    }
    for Alert { name, .. } in alerts() {
        let [quiet, firing] = fires.remove(&*name).unwrap_or_default();
        assert!(quiet > 0 && firing > 0, "{name}: {quiet} quiet and {firing} firing cases");
    }
    assert!(fires.is_empty(), "cases of alerts that do not exist: {fires:?}");
}

#[test]
fn alerts_ask_for_documented_metrics() {
    let documented = metrics::documented();
    for Alert { name, expr, .. } in alerts() {
        for metric in metrics::asked_for(&expr) {
            assert!(documented.contains(metric), "{name}: {metric} is not documented");
        }
    }
}

#[test]
fn the_chart_has_these_alerts() {
    let copy = "charts/mixed-version-proxy/files/alerts.yaml";
    assert!(read(copy) == read("monitoring/alerts.yaml"), "copy monitoring/alerts.yaml to {copy}");
}
