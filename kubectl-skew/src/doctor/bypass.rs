//! Who asks API servers without Envoy, by their audit logs.
//!
//! The last source address of an event is that of the connection. Those before it come from
//! `X-Forwarded-For`, which does not tell who forwarded the request: Envoy appends its own address for
//! a client on its host, and an API server does not list the same address twice.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::Path;

use anyhow::Result;

use crate::audit::{Event, Logs};

/// The server's own requests, to itself.
const SERVER_ITSELF: &str = "system:apiserver";

/// The companion asks each server on purpose.
const COMPANION: &str = "mixed-version-companion/";

/// A client that does not use Envoy.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Client {
    pub address: IpAddr,
    pub user: String,
    pub user_agent: String,
}

/// Requests without Envoy, by client.
#[derive(Clone, Debug, Default)]
pub struct Bypass {
    pub requests: BTreeMap<Client, u64>,
    logs: Logs,
}

impl Bypass {
    /// Reads a log. Requests that did not come from an Envoy's address count.
    ///
    /// # Errors
    /// It cannot be read, or no line of it is an event.
    pub fn read(&mut self, file: &Path, envoys: &BTreeSet<IpAddr>) -> Result<()> {
        let requests = &mut self.requests;
        let counts = |event: &Event| {
            event.source_ips.last().is_some_and(|address| !envoys.contains(address))
                && event.object_ref.is_some()
                && event.user() != SERVER_ITSELF
                && !event.user_agent.starts_with(COMPANION)
        };
        self.logs.read(file, counts, |event| {
            let Some(&address) = event.source_ips.last() else { return };
            let user = event.user().to_owned();
            let client = Client { address, user, user_agent: event.user_agent };
            *requests.entry(client).or_default() += 1;
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Bypass, COMPANION, SERVER_ITSELF};
    use crate::audit::tests::log;

    fn event(id: &str, sources: &[&str], user: &str, user_agent: &str) -> Value {
        json!({
            "auditID": id, "user": { "username": user }, "userAgent": user_agent,
            "sourceIPs": sources, "objectRef": { "resource": "pods", "apiVersion": "v1" },
        })
    }

    #[test]
    fn requests_from_other_addresses_than_envoys_are_counted_by_client() {
        let log = log(&[
            event("1", &["10.0.0.9", "10.0.0.100"], "jane", "kubectl/v1.37.2"),
            event("2", &["10.0.0.8"], "jane", "kubectl/v1.37.2"),
            event("3", &["10.0.0.8"], "jane", "kubectl/v1.37.2"),
            event("4", &["10.0.0.100"], "jane", "kubectl/v1.37.2"),
            event("5", &["10.0.0.9", "fd00::1"], "kubelet", "kubelet/v1.37.2"),
            event("6", &["::1"], SERVER_ITSELF, "kube-apiserver/v1.37.2"),
            event("7", &["10.0.0.8"], "companion", &format!("{COMPANION}0.1.0")),
            event("8", &[], "jane", "kubectl/v1.37.2"),
            json!({ "auditID": "9", "sourceIPs": ["10.0.0.7"], "requestURI": "/readyz" }),
        ]);
        let envoys = ["10.0.0.100".parse().unwrap()].into();
        let mut bypass = Bypass::default();
        bypass.read(log.path(), &envoys).unwrap();
        let clients = bypass.requests.into_iter();
        let found: Vec<_> =
            clients.map(|(who, count)| (who.address.to_string(), who.user, count)).collect();
        let one = |address: &str, user: &str, count| (address.to_owned(), user.to_owned(), count);
        assert_eq!(found, [one("10.0.0.8", "jane", 2), one("fd00::1", "kubelet", 1)]);
    }
}
