//! What the chart makes of values.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use harness::artifacts::Artifact;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{all, chart, containers, example, helm, refusal, render};

#[test]
fn helm_finds_no_fault() -> Result<()> {
    for values in all() {
        let folder = TempDir::new()?;
        let chart = chart().display().to_string();
        let mut arguments = ["lint", "--strict", &chart].map(str::to_owned).to_vec();
        arguments.extend(values);
        let output = helm(&folder, &arguments)?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }
    Ok(())
}

/// The schema of certificates is not among those of kubeconform: the test that installs the chart
/// has an API server that knows it.
#[test]
fn all_objects_have_the_fields_of_their_types() -> Result<()> {
    for values in all() {
        let rendered = render(&values)?;
        ensure!(rendered.0.len() >= 10, "{} objects", rendered.0.len());
        let folder = TempDir::new()?;
        for (number, object) in rendered.0.iter().enumerate() {
            std::fs::write(folder.path().join(format!("{number}.json")), object.to_string())?;
        }
        kubeconform(folder.path())?;
    }
    Ok(())
}

#[test]
fn kubeconform_finds_unknown_fields() -> Result<()> {
    let folder = TempDir::new()?;
    let rendered = render(&[])?;
    let mut object = rendered.one("StatefulSet", "")?.clone();
    kubeconform_of(&folder, &object)?;
    object["spec"]["template"]["spec"]["hostnetwork"] = json!(true);
    let error = kubeconform_of(&folder, &object).err().context("no fault")?;
    ensure!(error.to_string().contains("hostnetwork"), "{error}");
    Ok(())
}

fn kubeconform_of(folder: &TempDir, object: &Value) -> Result<()> {
    std::fs::write(folder.path().join("object.json"), object.to_string())?;
    kubeconform(folder.path())
}

pub(super) fn kubeconform(folder: &Path) -> Result<()> {
    let program = Artifact::Kubeconform.path()?;
    let schemas = program.with_file_name("schemas");
    let schemas =
        format!("{}/{{{{ .ResourceKind }}}}{{{{ .KindSuffix }}}}.json", schemas.display());
    let output = Command::new(program)
        .args(["-strict", "-summary", "-skip", "Certificate", "-schema-location", &schemas])
        .arg(folder)
        .output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    Ok(())
}

#[test]
fn every_container_is_restricted() -> Result<()> {
    for values in all() {
        for (name, pod) in render(&values)?.pods() {
            let spec = &pod["spec"];
            ensure!(spec["automountServiceAccountToken"] == false, "{name}");
            let security = &spec["securityContext"];
            ensure!(
                security["runAsNonRoot"] == true && security["runAsUser"] == 65532,
                "{name}: {security}"
            );
            ensure!(security["seccompProfile"] == json!({ "type": "RuntimeDefault" }), "{name}");
            for container in containers(pod) {
                let expected = json!({
                    "allowPrivilegeEscalation": false,
                    "readOnlyRootFilesystem": true,
                    "capabilities": { "drop": ["ALL"] },
                });
                ensure!(container["securityContext"] == expected, "{name}: {container}");
                ensure!(container["livenessProbe"].is_object(), "{name}: {container}");
                ensure!(
                    container["resources"]["limits"]["memory"].is_string(),
                    "{name}: {container}"
                );
            }
        }
    }
    Ok(())
}

/// The one with a token is the companion, where it reads EndpointSlices.
#[test]
fn only_the_companion_has_a_token() -> Result<()> {
    let none = render(&["--set-json=controlPlane.peers={\"endpointSlices\":null,\
        \"static\":[{\"name\":\"a\",\"address\":\"192.0.2.1:6443\"}]}"
        .to_owned()])?;
    ensure!(none.all("Role").count() == 0, "a role that nobody needs");
    for (rendered, expected) in [(none, 0), (render(&[])?, 1), (render(&[example("fleet")])?, 1)] {
        let mut with_token = Vec::new();
        for (name, pod) in rendered.pods() {
            for container in containers(pod) {
                let text = container["volumeMounts"].to_string();
                if text.contains("kubernetes.io/serviceaccount") {
                    with_token.push((name, container["name"].as_str()));
                }
            }
        }
        ensure!(with_token.len() == expected, "{with_token:?}");
        ensure!(
            with_token.iter().all(|(_, container)| *container == Some("companion")),
            "{with_token:?}"
        );
    }
    Ok(())
}

#[test]
fn each_namespace_with_slices_has_a_role_and_no_other() -> Result<()> {
    let rendered = render(&[example("fleet")])?;
    let roles: Vec<_> = rendered.all("Role").collect();
    ensure!(roles.len() == 1 && roles[0]["metadata"]["namespace"] == "blue", "{roles:?}");
    let rules = json!([{
        "apiGroups": ["discovery.k8s.io"],
        "resources": ["endpointslices"],
        "verbs": ["list", "watch"],
    }]);
    ensure!(roles[0]["rules"] == rules, "{roles:?}");
    let binding = rendered.one("RoleBinding", "")?;
    ensure!(binding["subjects"][0]["namespace"] == "planes", "{binding}");
    ensure!(rendered.all("ClusterRole").count() == 0, "a cluster role");
    Ok(())
}

#[test]
fn each_alert_names_its_runbook_as_a_url_if_the_values_have_the_base() -> Result<()> {
    let annotations = |set: &[&str]| -> Result<Value> {
        let all = ["metrics.prometheusRule.enabled=true"].iter().chain(set);
        let arguments: Vec<_> = all.map(|set| format!("--set={set}")).collect();
        let rendered = render(&arguments)?;
        let rule = rendered.one("PrometheusRule", "")?;
        let mut rules = rule["spec"]["groups"].as_array().into_iter().flatten();
        let rules = rules.next().context("no group")?["rules"].clone();
        Ok(rules[0]["annotations"].clone())
    };
    let path = "docs/operations/alerts.md#mixedversionpeeroutofrotation";
    let plain = annotations(&[])?;
    ensure!(plain["runbook"] == path && plain["runbook_url"].is_null(), "{plain}");
    let base = "https://git.example.com/mvp/blob/main";
    for value in [base.to_owned(), format!("{base}/")] {
        let found = annotations(&[&format!("metrics.prometheusRule.runbookBase={value}")])?;
        let url = format!("{base}/{path}");
        ensure!(found["runbook_url"] == url && found["runbook"].is_null(), "{found}");
    }
    Ok(())
}

#[test]
fn the_companions_user_may_write_events_only_if_the_values_ask_for_them() -> Result<()> {
    let role = |set: &[&str]| -> Result<Option<Value>> {
        let arguments: Vec<_> = set.iter().map(|set| format!("--set-json={set}")).collect();
        let rendered = render(&arguments)?;
        let name = |role: &&Value| role["metadata"]["name"] == "test-mixed-version-proxy-events";
        let found = rendered.all("Role").find(name).cloned();
        ensure!(rendered.all("RoleBinding").any(|one| name(&one)) == found.is_some(), "a binding");
        Ok(found)
    };
    let (user, events) = ("rbac.eventsUser=\"u\"", "controlPlane.config.events={}");
    assert_eq!((role(&[])?, role(&[user])?, role(&[events])?), (None, None, None));
    let found = role(&[user, events])?.context("no role")?;
    ensure!(found["metadata"]["namespace"] == "default", "{found}");
    let rules = json!([
        { "apiGroups": ["events.k8s.io"], "resources": ["events"], "verbs": ["create", "patch"] },
        { "apiGroups": [""], "resources": ["services"], "resourceNames": ["kubernetes"], "verbs": ["get"] },
    ]);
    ensure!(found["rules"] == rules, "{found}");
    let elsewhere = "controlPlane.config.events={\"namespace\":\"kube-system\",\"service\":\"s\"}";
    let found = role(&[user, elsewhere])?.context("no role")?;
    ensure!(found["metadata"]["namespace"] == "kube-system", "{found}");
    ensure!(found["rules"][1]["resourceNames"] == json!(["s"]), "{found}");
    Ok(())
}

#[test]
fn a_group_of_envoys_has_the_keys_of_its_own_control_planes_only() -> Result<()> {
    let rendered = render(&[example("fleet")])?;
    let large = rendered.one("Deployment", "envoy-large")?.to_string();
    ensure!(large.contains("blue-listener") && !large.contains("green"), "{large}");
    let default = rendered.one("Deployment", "envoy-default")?.to_string();
    ensure!(default.contains("blue-listener") && default.contains("green-listener"), "{default}");
    let companions = rendered.one("StatefulSet", "companion")?.to_string();
    for secret in ["blue-listener", "blue-front-proxy", "green-listener"] {
        ensure!(!companions.contains(secret), "a key of Envoy at the companions: {secret}");
    }
    Ok(())
}

#[test]
fn services_select_pods_by_all_their_labels() -> Result<()> {
    for values in all() {
        let rendered = render(&values)?;
        let selectors: Vec<_> = rendered
            .all("Service")
            .map(|service| service["spec"]["selector"].clone())
            .chain(
                rendered
                    .all("PodDisruptionBudget")
                    .map(|o| o["spec"]["selector"]["matchLabels"].clone()),
            )
            .chain(
                rendered
                    .all("NetworkPolicy")
                    .map(|o| o["spec"]["podSelector"]["matchLabels"].clone()),
            )
            .collect();
        ensure!(selectors.len() >= 4, "{selectors:?}");
        for selector in selectors {
            let selector = selector.as_object().context("labels")?;
            let pods = rendered.pods();
            let matching = pods.values().filter(|pod| {
                selector.iter().all(|(key, value)| pod["metadata"]["labels"][key] == *value)
            });
            ensure!(selector.len() == 3 && matching.count() == 1, "{selector:?}");
        }
    }
    Ok(())
}

/// The hooks of Envoy and of what drains it, and the time that a pod has.
#[test]
fn a_pod_has_the_time_to_drain() -> Result<()> {
    for values in all() {
        for (name, pod) in render(&values)?.pods() {
            let Some(envoy) = containers(pod).find(|c| c["name"] == "envoy") else { continue };
            let sleeps =
                envoy["lifecycle"]["preStop"]["sleep"]["seconds"].as_u64().context("sleep")?;
            let grace = pod["spec"]["terminationGracePeriodSeconds"].as_u64().context("grace")?;
            let beside = containers(pod).next().context("a container")?;
            let command =
                beside["lifecycle"]["preStop"]["exec"]["command"].as_array().context("hook")?;
            let seconds = command.iter().filter_map(|part| {
                part.as_str()?.split_once('=')?.1.strip_suffix('s')?.parse::<u64>().ok()
            });
            ensure!(seconds.sum::<u64>() == sleeps && sleeps < grace, "{name}");
            let arguments = envoy["args"].to_string();
            ensure!(arguments.contains("\"--drain-time-s\",\"30\""), "{arguments}");
        }
    }
    Ok(())
}

#[test]
fn a_change_of_envoys_configuration_makes_new_pods_and_one_of_the_companions_does_not() -> Result<()>
{
    let template = |set: &str| {
        let rendered = render(&[format!("--set={set}")])?;
        anyhow::Ok(rendered.one("StatefulSet", "")?["spec"]["template"].clone())
    };
    let first = template("replicas=2")?;
    ensure!(template("controlPlane.config.forgetAfter=10m")? == first);
    ensure!(template("envoy.maxConnections=100")? != first);
    Ok(())
}

#[test]
fn values_that_cannot_work_are_refused_and_the_error_says_which() -> Result<()> {
    let cases: [(&[&str], &str); 12] = [
        (&["form=trio"], "'/form': value must be one of 'pair', 'fleet'"),
        (&["replicas=0"], "'/replicas': minimum: got 0, want 1"),
        (&["replica=3"], "additional properties 'replica' not allowed"),
        (&["user=0"], "'/user': minimum"),
        (&["controlPlane.config.peers.static=x"], "additional properties 'peers' not allowed"),
        (&["controlPlane.secrets.listener.name="], "'/controlPlane/secrets/listener/name'"),
        (&["controlPlane.secrets.frontProxy.name="], "secrets.clientCa: requires frontProxy"),
        (&["controlPlane.secrets.clientCertificate.name="], "needs clientCertificate or token"),
        (&["controlPlane.peers.dns.name=a"], "must have one of static, dns and endpointSlices"),
        (&["envoy.maxHeapMiB=2048"], "must be less than envoy.resources.limits.memory, 2Gi"),
        (&["form=fleet", "envoys.default.controlPlanes={blue}"], "controlPlanes has no blue"),
        (
            &["form=fleet", "envoys.other.clientName=envoy"],
            "envoys.other.clientName: envoy is that of envoys.default",
        ),
    ];
    for (set, expected) in cases {
        let said = refusal(set)?;
        ensure!(said.contains(expected), "{set:?}: {said}");
    }
    Ok(())
}
