//! The matrix of the golden map, as people and programs get it.

use serde_json::json;

use super::Matrix;
use crate::facts::tests::facts;
use crate::screen::Screen;

const NOW: u64 = 1_003;

#[test]
fn skewed_types_stand_in_a_table_with_the_peers_that_serve_them() {
    let text = Matrix::of(&facts(), false).text(false, &Screen::default(), NOW);
    let expected = "\
Answering version: 1.35. Map: generation 42, pushed 3s ago.

PEER   VERSION   API    STATE         ANSWERING   AGE   TYPES
cp-1   v1.35.1   1.35   serving       yes         1s    14
cp-2   v1.36.1   1.36   serving       -           1s    14
cp-3   v1.34.1   1.34   unreachable   -           3m    14

TYPE                                                      CP-1   CP-2   CP-3
v1 pods/resize                                            -      yes    -
admissionregistration.k8s.io/v1 mutatingadmissionpolicies   -      yes    -
apps/v1 deployments/scale [patch]                         -      yes    -
resource.k8s.io/v1alpha3 devicetaintrules                 -      -      (yes)

3 of 15 types are skewed.
";
    let fields = |text: &str| -> Vec<Vec<String>> {
        text.lines()
            .map(|line| {
                line.split("  ").map(|s| s.trim().to_owned()).filter(|s| !s.is_empty()).collect()
            })
            .collect()
    };
    assert_eq!(fields(&text), fields(expected), "{text}");
}

#[test]
fn all_types_are_listed_on_demand_with_what_is_not_known_of_an_absent_peer() {
    let matrix = Matrix::of(&facts(), true);
    let text = matrix.text(true, &Screen::default(), NOW);
    let line = text.lines().find(|line| line.starts_with("v1 configmaps")).unwrap();
    let cells: Vec<_> = line.split_whitespace().collect();
    assert_eq!(cells, ["v1", "configmaps", "yes", "yes", "?", "namespace", "kube-apiserver"]);
    assert!(text.contains("none: 503"), "{text}");
    assert!(text.contains("connection refused"), "{text}");
}

#[test]
fn names_that_do_not_fit_give_way_to_numbers() {
    let screen = Screen { width: Some(72), color: false };
    let text = Matrix::of(&facts(), false).text(false, &screen, NOW);
    let heading = text.lines().find(|line| line.starts_with("TYPE")).unwrap();
    assert!(heading.split_whitespace().eq(["TYPE", "1", "2", "3"]), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 72), "{text}");
}

#[test]
fn programs_get_every_field() {
    let matrix = Matrix::of(&facts(), false);
    let value = serde_json::to_value(&matrix).unwrap();
    assert_eq!(value["answeringVersions"], json!(["1.35"]));
    assert_eq!((&value["typesSkewed"], &value["complete"]), (&json!(3), &json!(true)));
    assert_eq!(
        value["types"][1],
        json!({
            "group": "admissionregistration.k8s.io", "version": "v1",
            "resource": "mutatingadmissionpolicies", "namespaced": false, "skewed": true,
            "servedBy": ["cp-2"], "cluster": "kube-apiserver_cp-2",
        })
    );
    assert_eq!(value["types"][3]["cluster"], json!(null));
    assert_eq!(value["peers"][2]["lastError"], "connection refused");
}

#[test]
fn without_skew_a_sentence_says_so() {
    let mut facts = facts();
    facts.document.groups.retain(|group, _| group == "stale.example.com" || group == "apps");
    facts.document.verbs.clear();
    let text = Matrix::of(&facts, false).text(false, &Screen::default(), NOW);
    assert!(text.ends_with("Every peer in rotation serves all 3 types.\n"), "{text}");
}
