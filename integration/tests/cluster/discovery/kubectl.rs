//! kubectl of the newer version and of 1.20 with a type of one server: what works directly
//! on the server that has the type works through Envoy, and says the same.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use harness::artifacts::Artifact;
use harness::control_plane::User;
use harness::manifests::{policy, trust_bundle};
use harness::site::Site;
use harness::skew::{NEW, NEWER, OLD};
use serde_json::{Value, json};

use super::program::{Program, Said};

/// How often everything is done through Envoy, each time with an empty cache.
const ROUNDS: usize = 5;

/// The commands that list everything.
const LISTS: [&str; 2] = ["api-resources", "api-versions"];

/// The placeholder for a file's name.
const FILE: &str = "OBJECT";
const BAD_FILE: &str = "BAD";

/// The type under test and its object.
struct Case {
    server: usize,
    resource: &'static str,
    group: &'static str,
    object: Value,
    /// Whether kubectl can know its fields, for `explain` and validation.
    has_schema: bool,
}

/// Runs every command with both versions of kubectl. Returns the commands, and those
/// that fail both through Envoy and on the server itself.
pub async fn works(site: &Site) -> Result<Value> {
    let newest = Program::new(Artifact::ControlPlane(NEWER).path()?).argument("kubectl");
    let oldest = Program::named_by("MVP_KUBECTL_1_20")?;
    let kubectls = [(NEWER.as_str(), newest, true), ("1.20", oldest, false)];
    let (mut figures, mut failures) = (Vec::new(), Vec::new());
    for (name, program, v3) in kubectls {
        for mut case in cases(site) {
            // OpenAPI v2 is the newest server's, and not merged.
            case.has_schema = v3 || case.server == NEW;
            match compared(site, &program, &case).await {
                Ok((commands, impossible)) => figures.push(json!({
                    "kubectl": name,
                    "resource": case.resource,
                    "schema": case.has_schema,
                    "commands": commands,
                    "impossibleDirectly": impossible,
                })),
                Err(error) => failures.push(format!("{name}, {}: {error:#}", case.resource)),
            }
        }
    }
    ensure!(failures.is_empty(), "{}", failures.join("\n"));
    Ok(json!(figures))
}

fn cases(site: &Site) -> [Case; 2] {
    [
        Case {
            server: NEW,
            resource: "mutatingadmissionpolicies",
            group: "admissionregistration.k8s.io",
            object: policy("by-kubectl"),
            has_schema: true,
        },
        Case {
            server: OLD,
            resource: "clustertrustbundles",
            group: "certificates.k8s.io",
            object: trust_bundle("by-kubectl", &site.plane.pki().ca_pem()),
            has_schema: true,
        },
    ]
}

/// Runs a case on the server that has the type, and then through Envoy, where
/// lists of everything are the same in every round.
async fn compared(site: &Site, program: &Program, case: &Case) -> Result<(usize, Vec<String>)> {
    let url = site.plane.server(case.server)?.url();
    let direct = all_commands(site, program, case, &url).await.context("directly")?;
    let impossible = direct.iter().filter(|(command, said)| !said.success && expected(command));
    let impossible = impossible.map(|(command, _)| command.join(" ")).collect();
    let (mut count, mut failures) = (0, Vec::new());
    let mut listed = HashMap::new();
    for round in 0..ROUNDS {
        let ours = all_commands(site, program, case, &site.stack.url()).await?;
        for ((command, theirs), (_, ours)) in direct.iter().zip(&ours) {
            if let Err(error) = same(command, theirs, ours, case) {
                failures.push(format!("round {round}: {}: {error:#}", command.join(" ")));
            }
            if LISTS.iter().any(|list| command.first() == Some(list)) {
                let first = listed.entry(command.clone()).or_insert_with(|| ours.stdout.clone());
                if *first != ours.stdout {
                    let first = &*first;
                    failures.push(format!("round {round}: {command:?}: {ours:?}, first {first}"));
                }
            }
            count += 1;
        }
    }
    ensure!(failures.is_empty(), "{}", failures.join("\n"));
    Ok((count, impossible))
}

/// Returns whether a command ought to succeed.
fn expected(command: &[&str]) -> bool {
    !command.contains(&BAD_FILE)
}

/// Checks that the result through Envoy is that of the server itself, with two
/// exceptions: lists of everything have more entries, and some commands fail on the
/// server only. kubectl 1.20 follows `/apis`, in which a server may list a
/// group-version of another server, or lack one of its own, as APIServices change.
fn same(command: &[&str], theirs: &Said, ours: &Said, case: &Case) -> Result<()> {
    ensure!(ours.success == expected(command), "{ours:?}");
    if command.first() == Some(&"api-resources") {
        let name = format!("{}.{}", case.resource, case.group);
        ensure!(ours.stdout.lines().any(|line| line == name), "{name} is not in {ours:?}");
    }
    if ours.success && !theirs.success {
        return Ok(());
    }
    match command.first() {
        Some(list) if LISTS.contains(list) => lists(ours, theirs)?,
        // Ages differ.
        Some(&"get") => ensure!(ours.stdout.contains("by-kubectl"), "{ours:?}"),
        _ => ensure!(theirs.stdout == ours.stdout, "directly {theirs:?}, here {ours:?}"),
    }
    Ok(())
}

fn lists(ours: &Said, theirs: &Said) -> Result<()> {
    for line in theirs.stdout.lines() {
        ensure!(ours.stdout.lines().any(|other| other == line), "{line} is missing: {ours:?}");
    }
    Ok(())
}

type Run = (Vec<&'static str>, Said);

/// Returns the commands in their order, at this address and with an empty cache.
async fn all_commands(site: &Site, program: &Program, case: &Case, url: &str) -> Result<Vec<Run>> {
    let folder = tempfile::tempdir()?;
    let mut bad = case.object.clone();
    if let Some(spec) = bad.get_mut("spec").and_then(Value::as_object_mut) {
        spec.insert("notInTheSchema".to_owned(), json!("value"));
    }
    for (name, object) in [(FILE, &case.object), (BAD_FILE, &bad)] {
        fs::write(folder.path().join(name), object.to_string())?;
    }
    let kubeconfig = site.plane.kubeconfig(url, User::Admin)?;
    let program = program
        .clone()
        .argument(format!("--kubeconfig={}", kubeconfig.display()))
        .argument(format!("--cache-dir={}", folder.path().join("cache").display()));
    let mut all = Vec::new();
    for command in commands(case) {
        let said = program.run(&with_files(&command, folder.path())).await?;
        all.push((command, said));
    }
    Ok(all)
}

fn with_files(command: &[&str], folder: &Path) -> Vec<String> {
    let argument = |argument: &&str| match *argument {
        FILE | BAD_FILE => folder.join(argument).display().to_string(),
        other => other.to_owned(),
    };
    command.iter().map(argument).collect()
}

fn commands(case: &Case) -> Vec<Vec<&'static str>> {
    let resource = case.resource;
    let of_schemas = [
        vec!["explain", resource],
        vec!["explain", resource, "--recursive"],
        vec!["apply", "--validate=true", "-f", BAD_FILE],
    ];
    let mut all = vec![vec!["api-resources", "-o", "name"], vec!["api-versions"]];
    all.extend(of_schemas.into_iter().filter(|_| case.has_schema));
    all.extend([
        vec!["apply", "--server-side", "-f", FILE],
        vec!["get", resource],
        vec!["get", resource, "by-kubectl", "-o", "name"],
        vec!["delete", resource, "by-kubectl"],
        vec!["apply", "--validate=true", "-f", FILE],
        vec!["apply", "--validate=true", "-f", FILE],
        vec!["delete", "-f", FILE],
    ]);
    all
}
