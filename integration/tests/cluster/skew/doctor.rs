//! `kubectl skew doctor` on real API servers: what is wrong with them, and who bypasses Envoy. The faults
//! of companion and Envoy are in `tests/envoy/skew/doctor.rs`.

use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use harness::audit_logs::AuditLogs;
use harness::control_plane::{ControlPlane, KUBERNETES_SLICE, ServerOptions, User, addresses_in};
use harness::namespace::{self, pod_address};
use harness::site::{Site, stack_options};
use harness::skew::NEWER;
use harness::stack::Stack;
use harness::wait;
use serde::Deserialize;
use serde_json::json;
use wire::client::Http;

use super::{DEADLINE, Scene};

impl Scene {
    /// Runs `doctor`. Returns the problems that it finds.
    async fn problems(&self, args: &[&str]) -> Result<Vec<Problem>> {
        let (code, found) = self.run(&self.kubeconfig, "doctor", args).await?;
        let diagnosis: Diagnosis = serde_json::from_value(found)?;
        ensure!(diagnosis.not_examined.is_empty(), "{diagnosis:#?}");
        let problems = diagnosis.problems;
        ensure!((code == ExitCode::SUCCESS) == problems.is_empty(), "{code:?}: {problems:#?}");
        Ok(problems)
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Diagnosis {
    problems: Vec<Problem>,
    not_examined: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Problem {
    rule: String,
    problem: String,
}

/// Returns the rules that found something, each once.
fn rules(problems: &[Problem]) -> Vec<&str> {
    let mut rules: Vec<_> = problems.iter().map(|problem| problem.rule.as_str()).collect();
    rules.dedup();
    rules
}

#[tokio::test]
async fn a_healthy_installation_has_no_problem_and_a_kubeconfig_that_bypasses_envoy_is_one()
-> Result<()> {
    let scene = Scene::start().await?;
    let (code, healthy) = scene.run(&scene.kubeconfig, "doctor", &[]).await?;
    ensure!(code == ExitCode::SUCCESS, "{healthy:#}");
    assert_eq!(healthy, json!({ "problems": [], "notExamined": [] }));

    let server = scene.site.plane.server(0)?.url();
    let direct = scene.site.plane.kubeconfig(&server, User::Admin)?;
    let direct = Scene { kubeconfig: direct.to_str().context("not UTF-8")?.to_owned(), ..scene };
    let problems = direct.problems(&[]).await?;
    ensure!(problems.len() == 1, "{problems:#?}");
    assert_eq!(rules(&problems), ["envoy-bypassed"]);
    Ok(())
}

#[tokio::test]
async fn api_servers_that_believe_no_front_proxy_are_found() -> Result<()> {
    let server = ServerOptions::new("alone", NEWER).argument("--requestheader-client-ca-file=");
    let problems = Scene::of(vec![server]).await?.problems(&[]).await?;
    assert_eq!(rules(&problems), ["no-front-proxy-at-servers"], "{problems:#?}");
    Ok(())
}

/// In a network of its own, because no endpoint of a Service may be on loopback.
#[test]
fn faults_of_api_servers_and_clients_that_bypass_envoy_are_found() -> Result<()> {
    let test = "faults_of_api_servers_and_clients_that_bypass_envoy_are_found";
    namespace::run_test(module_path!(), test, &[], faulty())
}

const PORT: u16 = 6443;

/// A server is ready after some seconds, but many tests may share two cores.
const START: Duration = Duration::from_secs(120);

/// Returns a server with faults, which writes its address into the endpoints of `default/kubernetes`.
fn faulty_server(audit: &AuditLogs) -> ServerOptions {
    let address = pod_address(21);
    audit
        .server("faulty", NEWER)
        .argument(format!("--bind-address={address}"))
        .argument(format!("--advertise-address={address}"))
        .argument(format!("--secure-port={PORT}"))
        .argument("--endpoint-reconciler-type=lease")
        .argument("--feature-gates=UnauthenticatedHTTP2DOSMitigation=false")
        .argument("--requestheader-extra-headers-prefix=X-Our-Extra-")
}

async fn faulty() -> Result<()> {
    let audit = AuditLogs::new(&["RequestReceived"], &json!([{ "level": "Metadata" }]))?;
    // The harness reaches this one only.
    let first = format!("--advertise-address={}", pod_address(1));
    let first = ServerOptions::new("first", NEWER).argument(first);
    let mut plane = ControlPlane::start_with(vec![first]).await?;
    plane.add(faulty_server(&audit))?;
    // A server may take longer to start than a stack waits for a map. It writes its address when it
    // is ready.
    let admin = plane.client(&plane.server(0)?.url(), User::Admin, Http::Two)?;
    wait::until("the faulty server to be ready", START, async || {
        let slice = admin.get(KUBERNETES_SLICE).await?.ok()?.json()?;
        ensure!(addresses_in(&slice)?.contains(&pod_address(21).to_string()), "{slice}");
        anyhow::Ok(())
    })
    .await?;
    let mut options = stack_options(&plane, "stack")?;
    options.peers = vec![("faulty".to_owned(), (pod_address(21), PORT).into())];
    // That user cannot read the names of the headers.
    options.token = User::Plain.token().context("no token")?.to_owned();
    let stack = Stack::start_with_map(options).await?;
    let scene = Scene::at(Site { stack, plane })?;

    let of_servers = ["header-names-differ", "mitigation-off", "pods-bypass-envoy"];
    wait::until("the faults of the server", DEADLINE, async || {
        let problems = scene.problems(&[]).await?;
        ensure!(rules(&problems) == of_servers, "{problems:#?}");
        Ok(())
    })
    .await?;

    let direct = format!("https://{}:{PORT}", pod_address(21));
    let kubeconfig = scene.site.plane.kubeconfig(&direct, User::Admin)?;
    let component = kubeconfig.to_str().context("not UTF-8")?;
    let problems = scene.problems(&["--component-kubeconfig", component]).await?;
    let [header_names, mitigation, pods] = of_servers;
    let expected = [header_names, mitigation, "envoy-bypassed", pods];
    assert_eq!(rules(&problems), expected, "{problems:#?}");
    ensure!(problems.iter().any(|one| one.problem.starts_with(component)), "{problems:#?}");

    let log = audit.file("faulty").display().to_string();
    let envoy = pod_address(1).to_string();
    let args = ["--audit-log", &log, "--envoy-address", &envoy];
    let problems = scene.problems(&args).await?;
    assert_eq!(rules(&problems), of_servers, "{problems:#?}");
    bypass_envoy(&scene.site.plane)?;
    wait::until("that client in the audit log", DEADLINE, async || {
        let problems = scene.problems(&args).await?;
        let client = format!("{:?} with \"curl", User::Admin.name());
        let (bypassing, others): (Vec<_>, Vec<_>) =
            problems.iter().partition(|one| one.rule == "requests-bypass-envoy");
        ensure!(!bypassing.is_empty(), "{others:#?}");
        ensure!(others.iter().all(|one| of_servers.contains(&one.rule.as_str())), "{others:#?}");
        ensure!(bypassing.iter().all(|one| one.problem.contains(&client)), "{bypassing:#?}");
        Ok(())
    })
    .await?;
    Ok(())
}

/// Asks the faulty server, from an address that no Envoy has.
fn bypass_envoy(plane: &ControlPlane) -> Result<()> {
    let server = format!("kubernetes:{PORT}:{}:{PORT}", pod_address(21));
    let status = Command::new("curl")
        .args(["--silent", "--fail", "--output", "/dev/null", "--connect-to", &server])
        .args(["--interface", &pod_address(22).to_string(), "--cacert"])
        .arg(plane.pki().ca_file())
        .args(["--oauth2-bearer", User::Admin.token().context("no token")?])
        .arg(format!("https://kubernetes:{PORT}/api/v1/configmaps"))
        .status()?;
    ensure!(status.success(), "curl: {status}");
    Ok(())
}
