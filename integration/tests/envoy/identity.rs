//! No client can take on the identity of another. The tests send hostile requests over
//! HTTP/1.1 and HTTP/2, as clients with no certificate, with a token and with a
//! certificate of few rights, and certificates that are made to be misread.
//! Behind the shipped configuration, servers capture what arrives: either the
//! identity of the client's certificate, on a connection that presents the front
//! proxy's certificate exactly if Envoy verified the client's, or nothing.
//!
//! The same requests, sent directly to such a server and through an Envoy without
//! any of this, show that the corpus finds faults: there claims arrive.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Result, ensure};
use harness::envoy::{Envoy, EnvoyOptions};
use harness::stack::Stack;
use harness::wait;
use pki::{CertificateFiles, Pki};
use serde_json::json;
use wire::capture::Capture;
use wire::raw::{Raw, Request};

mod certificates;
pub mod corpus;
mod http1;
mod http2;
pub mod judge;
pub mod run;
pub mod site;
mod targets;
mod verdict;

use corpus::{CASE, Sent, Who};
use run::Outcome;
use site::Site;

/// Until enough requests have brought a claim through where nothing removes it.
const DEADLINE: Duration = Duration::from_secs(120);

/// That no request has ended the filter's VM, and none made it panic.
async fn assert_the_vm_is_well(stack: &mut Stack) -> Result<()> {
    for name in ["vm_reload", "vm_reload_backoff", "vm_reload_failure", "vm_reload_success"] {
        let stat = format!("wasm.mixed-version-proxy.{name}");
        assert_eq!(stack.envoy.stat(&stat).await?.unwrap_or_default(), 0, "{name}");
    }
    let log = std::fs::read_to_string(stack.envoy.process().log())?;
    ensure!(!log.contains("panicked at"), "the filter panicked:\n{log}");
    Ok(())
}

fn assert_none(faults: &[String]) {
    let shown = faults.iter().take(40).map(String::as_str).collect::<Vec<_>>().join("\n");
    assert!(faults.is_empty(), "{} faults:\n{shown}", faults.len());
}

#[tokio::test]
async fn no_hostile_request_gains_an_identity() -> Result<()> {
    let site = Site::start().await?;
    let stack = Stack::start_with_map(site.stack_options()?).await?;
    assert_nobody_gains(&site, stack).await
}

#[tokio::test]
async fn the_filter_is_safe_without_the_header_mutations() -> Result<()> {
    let site = Site::start().await?;
    let mut stack = Stack::start_with_map(site.stack_options()?).await?;
    let mut options = stack.envoy.options().clone();
    options.bootstrap = without_early_mutations(&options.bootstrap)?;
    stack.envoy.stop().await?;
    stack.envoy = Envoy::start(options).await?;
    assert_nobody_gains(&site, stack).await
}

/// Returns the bootstrap without what Envoy itself removes from a client's headers.
fn without_early_mutations(bootstrap: &str) -> Result<String> {
    let indent = |line: &str| line.len() - line.trim_start().len();
    let mut kept = Vec::new();
    let mut lines = bootstrap.lines().peekable();
    let mut found = false;
    while let Some(line) = lines.next() {
        if line.trim() != "early_header_mutation_extensions:" {
            kept.push(line);
            continue;
        }
        found = true;
        while lines.next_if(|next| indent(next) > indent(line)).is_some() {}
    }
    ensure!(found, "no early_header_mutation_extensions in the bootstrap");
    Ok(kept.join("\n"))
}

/// Sends the whole corpus, and checks every request that arrived.
async fn assert_nobody_gains(site: &Site, mut stack: Stack) -> Result<()> {
    let cases = corpus::all();
    assert!(cases.len() >= 150, "{}", cases.len());

    let outcomes = run::send_all(&cases, &site.clients(stack.port())?, run::DEADLINE).await?;
    assert_the_vm_is_well(&mut stack).await?;
    let Stack { envoy, companion, .. } = stack;
    envoy.stop().await?;
    let records = run::by_case(site.requests().await?);
    drop(companion);

    let faults = verdict::faults(&cases, &outcomes, &records, &site.expected()?);
    let refused = outcomes.iter().filter(|&outcome| *outcome == Outcome::Refused).count();
    let arrived: usize = records.values().map(Vec::len).sum();
    println!(
        "{} requests: {arrived} arrived, {refused} connections or streams refused",
        cases.len()
    );
    assert_none(&faults);
    // Many arrive: a request is not refused for headers that can be removed.
    assert!(records.len() * 3 > cases.len(), "{} of {} arrived", records.len(), cases.len());
    for who in Who::ALL {
        let mut of_them = cases.iter().zip(0..).filter(|(case, _)| case.who == who);
        let arrived = of_them.any(|(_, number)| records.contains_key(&Some(number)));
        assert!(arrived, "nothing of {who:?} arrived");
    }
    Ok(())
}

#[tokio::test]
async fn no_certificate_is_mistaken_for_another() -> Result<()> {
    let site = Site::start().await?;
    let mut stack = Stack::start_with_map(site.stack_options()?).await?;
    let other = Pki::create_as(site.fleet.folder().join("other"), "another-ca")?;
    let certificates = certificates::all(site.fleet.pki(), &other)?;

    let mut outcomes = Vec::new();
    for (number, (_, files, _)) in certificates.iter().enumerate() {
        let client = Raw::new(stack.port(), &site.fleet.pki().ca_pem(), Some(files))?;
        for sent in [claims_over_one(number), claims_over_two(number)] {
            outcomes.push((number, run::send(&sent, &client, run::DEADLINE).await));
        }
    }
    assert_the_vm_is_well(&mut stack).await?;
    let Stack { envoy, companion, .. } = stack;
    envoy.stop().await?;
    let records = run::by_case(site.requests().await?);
    drop(companion);

    let mut faults = Vec::new();
    for (number, (name, files, expected)) in certificates.iter().enumerate() {
        let arrived = records.get(&Some(number)).map(Vec::as_slice).unwrap_or_default();
        let outcomes = outcomes.iter().filter(|(of, _)| *of == number).map(|(_, outcome)| outcome);
        let outcomes: Vec<_> = outcomes.collect();
        let (wanted, count) = match expected {
            certificates::Expected::NoConnection => (Outcome::Refused, 0),
            certificates::Expected::Unauthorized => (Outcome::Answered(vec![401]), 0),
            certificates::Expected::User(..) => (Outcome::Answered(vec![200]), 2),
        };
        if arrived.len() != count || outcomes.iter().any(|&outcome| *outcome != wanted) {
            faults.push(format!("{name}: {outcomes:?}, {} arrived", arrived.len()));
        }
        if let certificates::Expected::User(user, groups) = expected {
            let expected = site.verified(files, user, groups)?;
            for record in arrived {
                let found = judge::faults(record, &expected, &[b"/api".to_vec()]);
                faults.extend(found.iter().map(|fault| format!("{name}: {fault} arrived")));
            }
        }
    }
    assert_none(&faults);
    assert_eq!(records.get(&None), None);
    Ok(())
}

fn claims_over_one(number: usize) -> Sent {
    let bytes = format!(
        "GET /api HTTP/1.1\r\nHost: h\r\nX-Case: {number}\r\nX-Remote-User: admin\r\n\
         X-Remote-Group: system:masters\r\nConnection: close\r\n\r\n"
    );
    Sent::One { bytes: bytes.into_bytes(), then: Vec::new(), answers: 1 }
}

fn claims_over_two(number: usize) -> Sent {
    let fields = [
        (":method", "GET"),
        (":scheme", "https"),
        (":path", "/api"),
        (":authority", "h"),
        (CASE, &number.to_string()),
        ("x-remote-user", "admin"),
        ("x-remote-group", "system:masters"),
    ];
    let headers = fields.map(|(name, value)| (name.into(), value.into())).to_vec();
    Sent::Two(Request { headers, ..Request::default() })
}

/// Returns how many requests of the corpus brought a claim through, and by how many
/// different headers of their clients.
async fn gained(site: &Site, capture: &Capture, port: u16) -> Result<Vec<String>> {
    let cases = corpus::all();
    // Incomplete requests get no answer; enough others do.
    run::send_all(&cases, &site.clients(port)?, Duration::from_secs(1)).await?;
    let expected = site.expected()?;
    let mut names = BTreeSet::new();
    for (number, records) in run::by_case(capture.requests()) {
        let Some(case) = number.and_then(|number| cases.get(number)) else { continue };
        let Some(expected) = expected.get(&case.who) else { continue };
        // A request without a certificate has no identity: any that arrives is a claim.
        let anyone = case.who != Who::Certificate;
        if anyone && records.iter().any(|record| !judge::gained(record, expected).is_empty()) {
            names.insert(case.name.clone());
        }
    }
    Ok(names.into_iter().collect())
}

/// Sends the corpus until enough of its requests have brought a claim through, some of them in each
/// of these forms. A client that gives up on a busy machine cancels its request.
async fn claims_come_through(
    site: &Site,
    capture: &Capture,
    port: u16,
    forms: &[&str],
) -> Result<()> {
    wait::until("claims to come through", DEADLINE, async || {
        let gained = gained(site, capture, port).await?;
        println!("{} requests brought a claim through", gained.len());
        ensure!(gained.len() >= 150, "only {}", gained.len());
        let missing = missing(&gained, forms);
        ensure!(missing.is_empty(), "none of {missing:?}");
        anyhow::Ok(())
    })
    .await
}

/// Returns the forms that never came through.
fn missing<'f>(gained: &[String], forms: &[&'f str]) -> Vec<&'f str> {
    let is_missing = |form: &&&str| !gained.iter().any(|name| name.contains(**form));
    forms.iter().filter(is_missing).copied().collect()
}

#[tokio::test]
async fn requests_of_the_corpus_gain_identities_without_envoy() -> Result<()> {
    let site = Site::start().await?;
    let capture = site.fleet.capture(0).await?;
    let forms = ["underscores", "bare LF before", "in trailers", "CL.TE", "TE twice", "403"];
    claims_come_through(&site, &capture, capture.port(), &forms).await
}

#[tokio::test]
async fn requests_of_the_corpus_gain_identities_behind_a_plain_envoy() -> Result<()> {
    let site = Site::start().await?;
    let capture = site.fleet.capture(0).await?;
    let bootstrap = plain(&site, capture.port())?;
    let envoy =
        Envoy::start(EnvoyOptions::new(bootstrap, site.fleet.folder().join("plain"))).await?;
    let port = envoy.listener_port("plain").await?;
    let forms = ["HTTP/1.1, Token, X-Remote-User, underscores", "in trailers", "plain", "SPDY"];
    claims_come_through(&site, &capture, port, &forms).await
}

/// Returns the bootstrap of an Envoy that forwards everything unchanged, as the front proxy.
fn plain(site: &Site, port: u16) -> Result<String> {
    let types = "type.googleapis.com/envoy.extensions";
    let pki = site.fleet.pki();
    let server = pki.server("plain-envoy")?;
    let file = |files: &CertificateFiles| {
        json!([{
            "certificate_chain": { "filename": files.certificate },
            "private_key": { "filename": files.key },
        }])
    };
    let authority = json!({ "trusted_ca": { "filename": pki.ca_file() } });
    let loopback =
        |port: u16| json!({ "socket_address": { "address": "127.0.0.1", "port_value": port } });
    let manager = json!({
        "@type": format!("{types}.filters.network.http_connection_manager.v3.HttpConnectionManager"),
        "stat_prefix": "plain",
        "http_protocol_options": { "enable_trailers": true },
        "upgrade_configs": [{ "upgrade_type": "websocket" }, { "upgrade_type": "spdy/3.1" }],
        "route_config": { "virtual_hosts": [{
            "name": "all",
            "domains": ["*"],
            "routes": [{ "match": { "prefix": "/" }, "route": { "cluster": "capture", "timeout": "0s" } }],
        }]},
        "http_filters": [{
            "name": "envoy.filters.http.router",
            "typed_config": { "@type": format!("{types}.filters.http.router.v3.Router") },
        }],
    });
    let downstream = json!({
        "@type": format!("{types}.transport_sockets.tls.v3.DownstreamTlsContext"),
        "common_tls_context": {
            "alpn_protocols": ["h2", "http/1.1"],
            "tls_certificates": file(&server),
            "validation_context": authority,
        },
    });
    let upstream = json!({
        "@type": format!("{types}.transport_sockets.tls.v3.UpstreamTlsContext"),
        "common_tls_context": {
            "tls_certificates": file(&site.front_proxy),
            "validation_context": authority,
        },
    });
    let protocols = json!({
        "@type": format!("{types}.upstreams.http.v3.HttpProtocolOptions"),
        "use_downstream_protocol_config": {
            "http_protocol_options": { "enable_trailers": true },
            "http2_protocol_options": {},
        },
    });
    let tls = |context| json!({ "name": "envoy.transport_sockets.tls", "typed_config": context });
    let bootstrap = json!({
        "admin": { "address": loopback(0) },
        "static_resources": {
            "listeners": [{
                "name": "plain",
                "address": loopback(0),
                "filter_chains": [{
                    "transport_socket": tls(downstream),
                    "filters": [{
                        "name": "envoy.filters.network.http_connection_manager",
                        "typed_config": manager,
                    }],
                }],
            }],
            "clusters": [{
                "name": "capture",
                "type": "STATIC",
                "load_assignment": { "cluster_name": "capture", "endpoints": [{
                    "lb_endpoints": [{ "endpoint": { "address": loopback(port) } }],
                }]},
                "typed_extension_protocol_options": {
                    "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": protocols,
                },
                "transport_socket": tls(upstream),
            }],
        },
    });
    Ok(bootstrap.to_string())
}
