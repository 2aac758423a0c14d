//! The rules. Each finds the problems of one kind.

use std::collections::BTreeSet;

use discovery_map::PeerState;

use super::bypass::Client;
use super::examined::{Examined, Problem};
use crate::check::{self, Verdict};
use crate::table::age;

/// A rule.
type Rule = fn(&Examined) -> Vec<Problem>;

/// Every rule.
pub const ALL: [Rule; 18] = [
    not_publishing,
    peer_out_of_rotation,
    discovery_not_read,
    map_incomplete,
    versions_too_far_apart,
    certificate_expires,
    secret_not_readable,
    source_fails,
    envoy_behind,
    envoy_versions_differ,
    header_names_differ,
    no_front_proxy_at_servers,
    mitigation_off,
    clocks_differ,
    envoy_bypassed,
    pods_bypass_envoy,
    requests_bypass_envoy,
    companion_version_differs,
];

/// A restart of a server takes no longer, in seconds.
const RESTART: u64 = 120;

/// A certificate that expires sooner is reported, in seconds.
const SOON: u64 = 14 * 86_400;

/// Clocks may differ by this much, in seconds.
const TOLERANCE: u64 = 10;

fn problem(rule: &'static str, problem: String, leads_to: &'static str, fix: &str) -> Problem {
    Problem { rule, problem, leads_to, fix: fix.to_owned() }
}

fn not_publishing(examined: &Examined) -> Vec<Problem> {
    let leads_to = "Envoy keeps an outdated map: requests for new types get 503";
    let fix = "see the companion's log: kubectl logs, or journalctl -u mixed-version-companion";
    let found = |text: &String| {
        problem("not-publishing", format!("the companion is not ready: {text}"), leads_to, fix)
    };
    examined.not_ready.iter().map(found).collect()
}

fn peer_out_of_rotation(examined: &Examined) -> Vec<Problem> {
    let peers = examined.facts.peers.iter().filter(|peer| {
        peer.state != PeerState::Serving && !peer.left && peer.absent_seconds > RESTART
    });
    let found = peers.map(|peer| {
        let why = peer.last_error.as_deref().unwrap_or("no reason is known");
        let text = format!(
            "{} has been out of rotation for {}: {why}",
            peer.name,
            age(peer.absent_seconds)
        );
        let leads_to = "types that only it serves get 503, and the others carry its load";
        let fix = format!("look at {}/readyz?verbose and the server's log", peer.address);
        problem("peer-out-of-rotation", text, leads_to, &fix)
    });
    found.collect()
}

fn discovery_not_read(examined: &Examined) -> Vec<Problem> {
    let peers = examined.facts.peers.iter();
    let unread = peers.filter(|peer| peer.state == PeerState::Serving && !peer.discovery_known);
    let found = unread.map(|peer| {
        let why = peer.last_error.as_deref().unwrap_or("no reason is known");
        let text = format!("the companion cannot read the discovery of {}: {why}", peer.name);
        let leads_to = "the map stays incomplete: requests for unknown types get 503";
        let fix = "kubectl create clusterrolebinding mixed-version-companion --clusterrole=system:discovery --serviceaccount=kube-system:mixed-version-companion";
        problem("discovery-not-read", text, leads_to, fix)
    });
    found.collect()
}

fn map_incomplete(examined: &Examined) -> Vec<Problem> {
    if examined.facts.document.complete || !discovery_not_read(examined).is_empty() {
        return Vec::new();
    }
    let text = "the map is not complete: a server was not read, or may have left unseen".to_owned();
    let leads_to = "requests for unknown types get 503 instead of 404";
    let fix = "wait for forgetAfter, or set trustFirstPeers if no other server ever ran";
    vec![problem("map-incomplete", text, leads_to, fix)]
}

fn versions_too_far_apart(examined: &Examined) -> Vec<Problem> {
    let minor = |text: String| text.split_once('.')?.1.parse::<u32>().ok();
    let peers = examined.facts.peers.iter().filter(|peer| !peer.left);
    let versions: BTreeSet<_> =
        peers.filter_map(|peer| minor(peer.minor_version?.to_string())).collect();
    let (Some(oldest), Some(newest)) = (versions.first(), versions.last()) else {
        return Vec::new();
    };
    if newest - oldest <= 1 {
        return Vec::new();
    }
    let text = format!("the servers' versions are {} minor versions apart", newest - oldest);
    let leads_to = "the oldest servers may be unable to read objects that the newest servers store; Kubernetes supports API servers of at most two neighboring minor versions";
    let fix = "upgrade the oldest servers to the next minor version first";
    vec![problem("versions-too-far-apart", text, leads_to, fix)]
}

fn certificate_expires(examined: &Examined) -> Vec<Problem> {
    let [metrics, _] = &examined.metrics;
    let now = examined.now;
    let found = metrics.samples("certificate_expiry_timestamp_seconds").filter_map(|sample| {
        let name = sample.label("certificate")?.to_owned();
        // No time has more than 50 bits for a while.
        let left = sample.value - f64::from(u32::try_from(now).ok()?);
        let text = match left {
            left if left < 0.0 => format!("the certificate {name} has expired"),
            left if left < f64::from(u32::try_from(SOON).ok()?) => {
                format!("the certificate {name} expires in {:.0} days", left / 86_400.0)
            }
            _ => return None,
        };
        let leads_to = "connections fail once it has expired";
        let fix = "replace its files; the companion publishes them within a second";
        Some(problem("certificate-expires", text, leads_to, fix))
    });
    found.collect()
}

fn secret_not_readable(examined: &Examined) -> Vec<Problem> {
    let [before, after] = &examined.metrics;
    let grown = after.grown(before, "secret_errors_total");
    let found = grown.iter().map(|sample| {
        let name = sample.label("secret").unwrap_or("unknown");
        let text = format!("the companion cannot use the files of the secret {name}");
        let leads_to = "the old certificate stays in use until it expires";
        let fix = "see the companion's log for the file, and write certificate and key as one pair";
        problem("secret-not-readable", text, leads_to, fix)
    });
    found.collect()
}

fn source_fails(examined: &Examined) -> Vec<Problem> {
    let [_, metrics] = &examined.metrics;
    let failing = metrics.samples("source_fresh").filter(|sample| sample.value == 0.0);
    let found = failing.map(|sample| {
        let kind = sample.label("kind").unwrap_or("unknown");
        let text = format!("the source of peers ({kind}) fails or has no servers");
        let leads_to = "new servers get no requests, and the map stays incomplete for a while after the source is back";
        let fix = "see /v1/sources of the companion; for EndpointSlices: kubectl auth can-i watch endpointslices.discovery.k8s.io --as system:serviceaccount:NAMESPACE:mixed-version-companion";
        problem("source-fails", text, leads_to, fix)
    });
    found.collect()
}

fn envoy_behind(examined: &Examined) -> Vec<Problem> {
    let behind = check::envoys::check(&examined.envoys);
    let behind = behind.into_iter().filter(|finding| finding.verdict == Verdict::No);
    let found = behind.map(|finding| {
        let text = format!("Envoy {}: {}", finding.subject, finding.reason);
        let leads_to = "it routes by an outdated map";
        let fix = "see /v1/envoys of the companion and Envoy's log for the reason";
        problem("envoy-behind", text, leads_to, fix)
    });
    found.collect()
}

fn envoy_versions_differ(examined: &Examined) -> Vec<Problem> {
    let envoys = examined.envoys.envoys.iter().filter(|envoy| !envoy.mirror);
    let versions: BTreeSet<_> = envoys.filter_map(|envoy| envoy.envoy_version.clone()).collect();
    if versions.len() < 2 {
        return Vec::new();
    }
    let names = versions.into_iter().collect::<Vec<_>>().join(", ");
    let text = format!("the Envoys have different versions: {names}");
    let leads_to = "clients get different error texts and limits, depending on the Envoy";
    vec![problem("envoy-versions-differ", text, leads_to, "upgrade the older Envoys")]
}

/// The lists of names in the ConfigMap (JSON), by the words that this project has for them.
const LISTS: [(&str, &str); 4] = [
    ("requestheader-username-headers", "username"),
    ("requestheader-group-headers", "group"),
    ("requestheader-uid-headers", "UID"),
    ("requestheader-extra-headers-prefix", "extra"),
];

fn header_names_differ(examined: &Examined) -> Vec<Problem> {
    let identity = &examined.facts.document.identity;
    let Some(data) = &examined.control_plane.authentication else { return Vec::new() };
    let own = [
        &identity.username_headers,
        &identity.group_headers,
        &identity.uid_headers,
        &identity.extra_header_prefixes,
    ];
    let mut problems = Vec::new();
    for ((key, word), own) in LISTS.into_iter().zip(own) {
        let names = data.get(key).and_then(|text| serde_json::from_str::<Vec<String>>(text).ok());
        let lacks = names.into_iter().flatten().find(|name| !own.contains(&name.to_lowercase()));
        let Some(name) = lacks.filter(|_| identity.front_proxy) else { continue };
        let text = format!(
            "the API servers read the {word} of a user from {name}, and the map does not have that name"
        );
        let leads_to =
            "a client with a certificate can claim to be somebody else, or is not recognized";
        let fix = "kubectl create rolebinding -n kube-system mixed-version-companion --role=extension-apiserver-authentication-reader --serviceaccount=kube-system:mixed-version-companion";
        problems.push(problem("header-names-differ", text, leads_to, fix));
    }
    problems
}

fn no_front_proxy_at_servers(examined: &Examined) -> Vec<Problem> {
    let Some(data) = &examined.control_plane.authentication else { return Vec::new() };
    let accepted = data.get("requestheader-client-ca-file").is_some_and(|ca| !ca.is_empty());
    if accepted || !examined.facts.document.identity.front_proxy {
        return Vec::new();
    }
    let text = "the API servers have no --requestheader-client-ca-file".to_owned();
    let leads_to = "they believe no front proxy: clients with certificates are anonymous";
    let fix = "start them with --requestheader-client-ca-file, --requestheader-username-headers, --requestheader-group-headers and --requestheader-extra-headers-prefix";
    vec![problem("no-front-proxy-at-servers", text, leads_to, fix)]
}

fn mitigation_off(examined: &Examined) -> Vec<Problem> {
    if examined.control_plane.mitigation != Some(false) {
        return Vec::new();
    }
    let text = "the feature gate UnauthenticatedHTTP2DOSMitigation is off".to_owned();
    let leads_to =
        "clients without credentials can exhaust an API server through Envoy's connections";
    let fix =
        "remove UnauthenticatedHTTP2DOSMitigation=false from --feature-gates of the API servers";
    vec![problem("mitigation-off", text, leads_to, fix)]
}

fn clocks_differ(examined: &Examined) -> Vec<Problem> {
    let of_server = examined.control_plane.clock_difference.map(|by| ("the API server", by));
    let ahead = examined.facts.pushed_at.and_then(|at| at.checked_sub(examined.now));
    let of_companion = ahead.map(|by| ("the companion", by));
    let found = [of_server, of_companion].into_iter().flatten();
    let found = found.filter(|(_, difference)| *difference > TOLERANCE).map(|(who, difference)| {
        problem(
            "clocks-differ",
            format!("the clocks of {who} and of this machine differ by {difference} s"),
            "certificates and tokens count as expired, or as not valid yet",
            "run chronyc tracking on each machine, and let NTP set the clocks",
        )
    });
    found.collect()
}

/// What bypassing Envoy leads to.
const BYPASSED: &str = "its clients see one server's types: a garbage collector deletes children of owners that it cannot find";

fn envoy_bypassed(examined: &Examined) -> Vec<Problem> {
    let user = ("the kubeconfig", &examined.control_plane.server);
    let others = examined.kubeconfigs.iter().map(|(file, server)| (file.as_str(), server));
    let found = std::iter::once(user).chain(others).filter_map(|(file, server)| {
        let peer = peer_at(examined, server)?;
        let text = format!("{file} names the API server {peer} itself ({server})");
        let fix = "kubectl config set-cluster NAME --server=https://ENVOY:PORT, also in the kubeconfigs of controller managers and schedulers";
        Some(problem("envoy-bypassed", text, BYPASSED, fix))
    });
    found.collect()
}

fn pods_bypass_envoy(examined: &Examined) -> Vec<Problem> {
    let endpoints = examined.control_plane.endpoints.iter();
    let peers: Vec<_> = endpoints.filter_map(|endpoint| peer_at(examined, endpoint)).collect();
    if peers.is_empty() {
        return Vec::new();
    }
    let peers = peers.join(", ");
    let text = format!("endpoints of the Service default/kubernetes are API servers: {peers}");
    let leads_to = "pods, controllers among them, see one server's types";
    let fix = "start the API servers with --endpoint-reconciler-type=none, and write an EndpointSlice with the Envoys: docs/topologies.md";
    vec![problem("pods-bypass-envoy", text, leads_to, fix)]
}

/// Returns the name of the peer with an address.
fn peer_at<'e>(examined: &'e Examined, address: &str) -> Option<&'e str> {
    let mut peers = examined.facts.peers.iter();
    let peer = peers.find(|peer| !peer.left && peer.address == address)?;
    Some(&peer.name)
}

fn requests_bypass_envoy(examined: &Examined) -> Vec<Problem> {
    let found = examined.bypass.requests.iter().map(|(client, count)| {
        let Client { address, user, user_agent } = client;
        // Clients choose both texts: quoted, they cannot control a terminal.
        let text = format!(
            "{count} requests of {user:?} with {user_agent:?} came to an API server from {address}, without Envoy"
        );
        let fix = "have that client use Envoy's address, and let a firewall admit only Envoys and companions to the API servers";
        problem("requests-bypass-envoy", text, BYPASSED, fix)
    });
    found.collect()
}

fn companion_version_differs(examined: &Examined) -> Vec<Problem> {
    let own = env!("CARGO_PKG_VERSION");
    let [_, metrics] = &examined.metrics;
    let mut versions = metrics.samples("build_info");
    let version = versions.find_map(|sample| Some(sample.label("version")?.to_owned()));
    let Some(version) = version.filter(|version| version != own) else { return Vec::new() };
    let text = format!("the companion has version {version}, and this program {own}");
    let leads_to = "explain and check may decide by other rules than the filter";
    let fix = format!("install kubectl-skew {version}, or upgrade companion and filter to {own}");
    vec![problem("companion-version-differs", text, leads_to, &fix)]
}
