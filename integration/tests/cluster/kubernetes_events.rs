//! Kubernetes Events of the companion, in a real control plane, read back through its API and by
//! kubectl: the permission and the commands are those of `docs/operations/api-servers.md` and
//! `docs/operations/kubernetes-events.md`.

use std::fs;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use harness::companion::{Companion, CompanionOptions};
use harness::control_plane::{ControlPlane, ServerOptions, User};
use harness::document::Document;
use harness::shell::Shell;
use harness::site::{Site, stack_options};
use harness::skew::{NEWER, OLDER, only_in};
use harness::stack::{Stack, StackOptions};
use harness::wait;
use pki::ports;
use serde_json::{Value, json};
use wire::client::Http;

const EVENTS: &str = "/apis/events.k8s.io/v1/namespaces/default/events";
const CONTROLLER: &str = "mixed-version-companion";

/// The window in which occurrences are one Event, in seconds.
const WINDOW: u64 = 600;

/// How an Event about orphaned types ends.
const LAST_SERVED: &str = "no peer in rotation serves them; last served by new";

const DEADLINE: Duration = Duration::from_secs(60);

/// Starts an older and a newer server.
async fn servers() -> Result<ControlPlane> {
    let server = |name, version| {
        ServerOptions::new(name, version).argument("--shutdown-watch-termination-grace-period=1s")
    };
    ControlPlane::start_with(vec![server("old", OLDER), server("new", NEWER)]).await
}

/// Where the older version answers, and the companion writes Events.
fn options(plane: &ControlPlane, folder: &str) -> Result<StackOptions> {
    let mut options = stack_options(plane, folder)?;
    options.companion = json!({ "events": {}, "answeringVersion": "oldest" });
    Ok(options)
}

/// Starts one more companion, without an Envoy.
async fn second(mut options: StackOptions) -> Result<Companion> {
    options.folder = options.folder.with_extension("second");
    let port = ports::free_port()?;
    let config = options.companion_config(port)?;
    let mut companion =
        Companion::start(CompanionOptions { config, port, folder: options.folder }).await?;
    companion.wait_ready().await?;
    Ok(companion)
}

/// The Events of companions, whichever wrote them.
async fn events(site: &Site) -> Result<Vec<Value>> {
    let list = site.direct(0, Http::Two)?.get(EVENTS).await?.ok()?.json()?;
    let items = list.get("items").and_then(Value::as_array).context("no items")?;
    let ours = items.iter().filter(|event| text(event, "reportingController") == CONTROLLER);
    Ok(ours.cloned().collect())
}

fn text<'e>(event: &'e Value, field: &str) -> &'e str {
    event.get(field).and_then(Value::as_str).unwrap_or_default()
}

/// Waits for an Event with this reason whose note has this text, and returns it.
async fn told(site: &Site, reason: &str, note: &str) -> Result<Value> {
    wait::until(&format!("{reason} {note}"), DEADLINE, async || {
        let events = events(site).await?;
        let mut matching = events.iter().filter(|event| text(event, "reason") == reason);
        let found = matching.find(|event| text(event, "note").contains(note)).cloned();
        found.with_context(|| format!("not among {events:#?}"))
    })
    .await
}

/// Waits until Events with each of these reasons say that it happened so often.
async fn happened(site: &Site, times: u64, reasons: &[&str]) -> Result<()> {
    wait::until(&format!("{reasons:?} {times} times"), DEADLINE, async || {
        let events = events(site).await?;
        for reason in reasons {
            ensure!(occurrences(&events, reason) >= times, "{reason}: {events:#?}");
        }
        anyhow::Ok(())
    })
    .await
}

/// Returns how many Events a companion counts with this outcome.
async fn written(companion: &Companion, outcome: &str) -> Result<u64> {
    companion.metric(&format!("kubernetes_events_total{{outcome=\"{outcome}\"}}")).await
}

/// How often all Events with this reason say that it happened.
fn occurrences(events: &[Value], reason: &str) -> u64 {
    let matching = events.iter().filter(|event| text(event, "reason") == reason);
    let count = |event: &Value| event.pointer("/series/count").and_then(Value::as_u64);
    matching.map(|event| count(event).unwrap_or(1)).sum()
}

fn window() -> Result<u64> {
    Ok(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs() / WINDOW)
}

#[tokio::test]
async fn what_happens_to_the_servers_is_told_by_events_that_kubectl_shows() -> Result<()> {
    let plane = servers().await?;
    let shell = Shell::new(
        &plane.folder().join("shell"),
        plane.kubeconfig(&plane.server(0)?.url(), User::Admin)?,
    )?;
    for command in Document::read("docs/operations/api-servers.md")?.all("Permission for Events")? {
        shell.run(&command)?;
    }
    let mut options = options(&plane, "stack")?;
    let user = plane.pki().client("companion", CONTROLLER, &[])?;
    options.companion["credentials"] = json!({ "clientCertificate": {
        "certificateFile": user.certificate, "keyFile": user.key,
    } });
    let begun = window()?;
    let other = second(options.clone()).await?;
    let stack = Stack::start_with_map(options).await?;
    let mut site = Site { stack, plane };

    site.stack.configure(json!({ "answeringVersion": "newest" }))?;
    let note = format!("answering version is {NEWER}, was {OLDER}");
    let event = told(&site, "AnsweringVersionSwitched", &note).await?;
    let regarding = &event["regarding"];
    ensure!(text(&event, "type") == "Normal" && text(regarding, "name") == "kubernetes", "{event}");

    for times in 1..=2 {
        site.plane.server_mut(1)?.stop().await?;
        happened(&site, times, &["PeerNotServing", "TypesOrphaned"]).await?;
        site.plane.server_mut(1)?.start_again().await?;
        happened(&site, times, &["PeerServing", "TypesServedAgain"]).await?;
    }
    let orphaned = told(&site, "TypesOrphaned", LAST_SERVED).await?;
    ensure!(text(&orphaned, "type") == "Warning", "{orphaned}");

    // What happened twice is one series, and only one of the two companions wrote it.
    let mut found = events(&site).await?;
    // There may be Events about the other server as well, if it was late to answer.
    found.retain(|event| text(event, "note").starts_with("peer new "));
    let windows = usize::try_from(window()? - begun)? + 1;
    for reason in ["PeerNotServing", "PeerServing"] {
        let matching = found.iter().filter(|event| text(event, "reason") == reason).count();
        let is_right = (1..=windows).contains(&matching);
        ensure!(is_right, "{matching} Events {reason} in {windows} windows: {found:#?}");
    }
    wait::until("an Event that both companions write", DEADLINE, async || {
        let of_one = written(&site.stack.companion, "duplicate").await?;
        let of_other = written(&other, "duplicate").await?;
        ensure!(of_one + of_other > 0, "no Event was written twice");
        anyhow::Ok(())
    })
    .await?;

    let document = Document::read("docs/operations/kubernetes-events.md")?;
    for command in document.all("Kubernetes Events")? {
        let shown = shell.run(&command)?;
        ensure!(
            shown.contains("TypesOrphaned") && shown.contains(LAST_SERVED),
            "{command}: {shown}"
        );
    }
    document.ensure_all_used()
}

#[tokio::test]
async fn without_permission_the_companion_says_so_once_and_nothing_else_suffers() -> Result<()> {
    let plane = servers().await?;
    let mut options = options(&plane, "stack")?;
    options.token = User::Plain.token().context("no token")?.to_owned();
    let stack = Stack::start_with_map(options).await?;
    let mut site = Site { stack, plane };

    let generation = site.stack.generation().await?;
    for (switch, policy) in (1..).zip(["newest", "oldest", "newest"]) {
        site.stack.configure(json!({ "answeringVersion": policy }))?;
        wait::until("the switch, and a refusal", DEADLINE, async || {
            let switches = site.stack.companion.metric("version_switches_total").await?;
            ensure!(switches == switch, "{switches} switches");
            ensure!(written(&site.stack.companion, "refused").await? >= 1, "nothing was refused");
            anyhow::Ok(())
        })
        .await?;
    }
    site.stack.companion.get("/readyz").await?.ok()?;
    let skewed = only_in(NEWER, OLDER)?;
    site.client(Http::Two)?.get(&skewed).await?.ok()?;
    wait::until("a map of a later generation", DEADLINE, async || {
        let used = site.stack.generation().await?;
        ensure!(used > generation, "Envoy uses {used}, as before the switches: {generation}");
        anyhow::Ok(())
    })
    .await?;
    ensure!(events(&site).await?.is_empty(), "an Event without permission");
    ensure!(written(&site.stack.companion, "written").await? == 0);

    let log = site.stack.companion.config_file().with_file_name("companion.log");
    let log = fs::read_to_string(log)?;
    let lines: Vec<_> =
        log.lines().filter(|line| line.contains("cannot write Kubernetes Events")).collect();
    ensure!(lines.len() == 1 && lines[0].contains("\\\"plain\\\" cannot create"), "{lines:#?}");
    Ok(())
}
