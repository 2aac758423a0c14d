//! An administrator types the commands of documents, on a host in front of three real API servers of
//! two versions, and sees what the documents show.

use std::fs;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use harness::artifacts::integration_folder;
use harness::control_plane::{ControlPlane, ServerOptions, User};
use harness::namespace::{self, pod_address};
use harness::promise;
use harness::report::Entry;
use harness::skew::{NEWER, OLDER};
use harness::transcript::{self, Step};
use harness::wait;

mod host;

use host::{DEADLINE, Host};

const TEST: &str = "integration/tests/cluster/typed.rs";
const QUICKSTART: &str = "envoy-config/quickstart/README.md";
const LOAD_BALANCER: &str = "envoy-config/load-balancer/README.md";
const API_SERVERS: &str = "docs/operations/api-servers.md";

/// Fails if installing took too long, or more commands than a person can be asked for.
fn ensure_short(entry: &mut Entry, commands: usize, begun: Instant) -> Result<()> {
    let took = begun.elapsed();
    entry.set("commandsToInstall", commands);
    entry.set_ms("installedMs", took);
    promise::ensure_short_installation(commands, took)
}

/// Returns how many commands are below these headings.
fn below(steps: &[Step], headings: &[&str]) -> usize {
    steps.iter().filter(|step| headings.contains(&&*step.heading)).count()
}

async fn start() -> Result<(ControlPlane, Host)> {
    let servers = [("cp-1", OLDER), ("cp-2", NEWER), ("cp-3", NEWER)];
    // Without a default route, a server finds no address to advertise.
    let own = format!("--advertise-address={}", pod_address(1));
    let servers =
        servers.map(|(name, version)| ServerOptions::new(name, version).argument(own.clone()));
    let plane = ControlPlane::start_with(servers.into()).await?;
    let host = Host::new(&plane)?;
    Ok((plane, host))
}

/// Has kubectl use an administrator's kubeconfig, as those who operate a cluster do.
fn as_administrator(host: &mut Host, plane: &ControlPlane, user: User) -> Result<()> {
    let kubeconfig = plane.kubeconfig(&plane.server(0)?.url(), user)?;
    host.terminal.run(&format!("export KUBECONFIG='{}'", kubeconfig.display()))?;
    Ok(())
}

#[test]
fn the_quickstart_does_what_its_readme_shows() -> Result<()> {
    let test = "the_quickstart_does_what_its_readme_shows";
    namespace::run_test(module_path!(), test, &[], quickstart())
}

async fn quickstart() -> Result<()> {
    let mut entry = Entry::begin("cluster_typed_quickstart");
    let (mut plane, mut host) = start().await?;
    let begun = Instant::now();
    let steps = transcript::read(QUICKSTART, TEST)?;
    for step in &steps {
        let command = step.command.as_str();
        if command.starts_with("install -D") {
            host.install(step)?;
            host.add_files(&plane, User::Plain.token().context("no token")?)?;
        } else if command.starts_with("mixed-version-companion run") {
            host.start("companion", command)?;
            host.wait_for("var/lib/mixed-version-proxy/envoy/cds.json").await?;
        } else if command.contains("func-e run") {
            host.start("envoy", command)?;
            host.wait_until_it_serves(3).await?;
            ensure_short(&mut entry, below(&steps, &["Install", "Run"]), begun)?;
        } else if command.contains("get --raw /metrics") {
            as_administrator(&mut host, &plane, User::Admin)?;
            host.run(step)?;
            host.terminal.run("unset KUBECONFIG")?;
        } else if command.starts_with("curl -si") {
            plane.stop_together(&[1, 2]).await?;
            host.wait_until_it_serves(1).await?;
            host.run(step)?;
            host.run(find(&steps, "get namespaces")?)?;
        } else if command.contains("http://127.0.0.1:99") || command.contains("/apis/nosuch") {
            // While a server is too busy to be asked, a 404 is not proved: Envoy answers 503.
            host.run_until_it_fits(step).await?;
        } else {
            host.run(step)?;
        }
    }
    entry.set("commands", steps.len());
    entry.passed()
}

/// Returns the command that contains a text.
fn find<'s>(steps: &'s [Step], text: &str) -> Result<&'s Step> {
    let step = steps.iter().find(|step| step.command.contains(text));
    step.with_context(|| format!("no command has {text:?}"))
}

#[test]
fn the_load_balancer_does_what_its_readme_shows() -> Result<()> {
    let test = "the_load_balancer_does_what_its_readme_shows";
    namespace::run_test(module_path!(), test, &[], load_balancer())
}

async fn load_balancer() -> Result<()> {
    let mut entry = Entry::begin("cluster_typed_load_balancer");
    let (plane, mut host) = start().await?;
    as_administrator(&mut host, &plane, User::KubernetesAdmin)?;
    let begun = Instant::now();
    let permissions = give_permissions(&mut host).await?;
    let service_account = "-n kube-system mixed-version-companion";
    let token = host.terminal.run(&format!("kubectl create token {service_account}"))?;
    install_load_balancer(&mut host)?;
    host.add_files(&plane, &token)?;
    let other = pki::Pki::create(host.path("other-pki"))?;
    other.client("other", "other", &[])?.copy_to(&host.path("home"), "other")?;

    let steps = transcript::read(LOAD_BALANCER, TEST)?;
    for step in &steps {
        let command = step.command.as_str();
        if command.starts_with("openssl req") {
            host.run(step)?;
            host.terminal.run(&host.here(
                "install -m 0600 -t /etc/mixed-version-proxy/tls front-proxy-client.*
                 cp /etc/kubernetes/pki/front-proxy-ca.crt /etc/mixed-version-proxy/tls",
            ))?;
        } else if command.starts_with("mixed-version-companion check-config") {
            host.run(step)?;
            for unit in ["companion", "envoy"] {
                host.start(unit, &command_of_unit(unit)?)?;
                host.wait_for("var/lib/mixed-version-proxy/envoy/sds/client-ca.json").await?;
            }
            host.wait_until_it_serves(3).await?;
            // The token, and the files as in the quickstart.
            let commands = permissions + 2 + below(&steps, &["Install"]);
            ensure_short(&mut entry, commands, begun)?;
        } else if command.contains("http://127.0.0.1:99") {
            host.run_until_it_fits(step).await?;
        } else {
            host.run(step)?;
            if command.starts_with("openssl x509 -in") {
                host.terminal.run("cd ~")?;
            }
        }
    }
    entry.set("commands", steps.len());
    entry.passed()
}

/// Types the commands that give the companion's account its permissions, and sees that it has them. Returns
/// their number.
async fn give_permissions(host: &mut Host) -> Result<usize> {
    let can_i = "kubectl auth can-i --as system:serviceaccount:kube-system:mixed-version-companion";
    let questions = [
        "get /openapi/v3",
        "list apiservices.apiregistration.k8s.io",
        "get configmap/extension-apiserver-authentication -n kube-system",
    ];
    for question in questions.iter().skip(1) {
        let (_, answer) = host.terminal.try_run(&format!("{can_i} {question}"))?;
        ensure!(answer.ends_with("no"), "{question}: {answer}");
    }
    let steps = transcript::read(API_SERVERS, TEST)?;
    for step in &steps {
        host.run(step)?;
    }
    for question in questions {
        // The API server learns of a new binding by a watch.
        wait::until(question, DEADLINE, async || {
            let (_, answer) = host.terminal.try_run(&format!("{can_i} {question}"))?;
            ensure!(answer.ends_with("yes"), "{question}: {answer}");
            Ok(())
        })
        .await?;
    }
    Ok(steps.len())
}

/// Installs as in the quickstart, with the files of the load balancer, as its document says.
fn install_load_balancer(host: &mut Host) -> Result<()> {
    let steps = transcript::read(QUICKSTART, TEST)?;
    let mut install = find(&steps, "install -D")?.clone();
    install.command =
        install.command.replace("envoy-config/quickstart", "envoy-config/load-balancer");
    host.install(&install)?;
    let envoy = host.here("ln -s /path/to/envoy /usr/local/bin/envoy");
    host.terminal.run(&envoy)?;
    Ok(())
}

/// Returns what a unit of systemd runs.
fn command_of_unit(name: &str) -> Result<String> {
    let file = format!("../envoy-config/load-balancer/mixed-version-{name}.service");
    let unit = fs::read_to_string(integration_folder().join(file))?.replace("\\\n", " ");
    let command = unit.lines().find_map(|line| line.strip_prefix("ExecStart="));
    Ok(command.context("no ExecStart")?.to_owned())
}
