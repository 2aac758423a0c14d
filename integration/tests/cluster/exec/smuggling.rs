//! Upgrades that are refused, and a request in the bytes that follow.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Result, ensure};
use harness::audit_logs::AuditLogs;
use harness::control_plane::{ControlPlane, User};
use harness::site::Site;
use harness::wait;
use serde_json::{Value, json};
use wire::client::Http;
use wire::raw::{One, Raw};

use super::streams::POD;

/// Every answer comes within this, and every end of a connection.
const LIMIT: Duration = Duration::from_secs(20);

/// Whom the smuggled request names.
const SMUGGLER: &str = "smuggler";

const SECRETS: &str = "/api/v1/namespaces/kube-system/secrets";

/// One way to try it.
#[derive(Debug, Clone, Copy)]
pub struct Attempt {
    upgrade: Upgrade,
    refusal: Refusal,
    /// The second request is sent with the first, not after its answer.
    together: bool,
}

#[derive(Debug, Clone, Copy)]
enum Upgrade {
    Spdy,
    WebSocket,
}

/// Why the API server does not upgrade.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Refusal {
    /// The client may not.
    Forbidden,
    /// The pod does not exist.
    NotFound,
}

/// The result of an attempt.
#[derive(Debug)]
pub struct Outcome {
    /// Whether the second request was served.
    pub served: bool,
    /// Whether the connection was closed.
    pub closed: bool,
}

impl Attempt {
    /// Returns all ways.
    pub fn all() -> Vec<Self> {
        let mut attempts = Vec::new();
        for upgrade in [Upgrade::Spdy, Upgrade::WebSocket] {
            for refusal in [Refusal::Forbidden, Refusal::NotFound] {
                for together in [false, true] {
                    attempts.push(Self { upgrade, refusal, together });
                }
            }
        }
        attempts
    }

    /// As a proxy would that passes on everything, with this `Connection`
    /// header, on a connection with the front proxy's certificate.
    pub async fn directly(
        self,
        plane: &ControlPlane,
        port: u16,
        connection: &str,
    ) -> Result<Outcome> {
        let files = plane.front_proxy().certificate();
        let user = format!("X-Remote-User: {}\r\n", User::PlainCertificate.name());
        let raw = Raw::new(port, &plane.pki().ca_pem(), Some(files))?;
        self.run(raw.one().await?, connection, &user).await
    }

    /// Through Envoy, by the client's own certificate.
    pub async fn through(self, site: &Site, connection: &str) -> Result<Outcome> {
        let files = site.plane.certificate(User::PlainCertificate);
        let ca = site.plane.pki().ca_pem();
        let raw = Raw::new(site.stack.port(), &ca, files.as_ref())?;
        self.run(raw.one().await?, connection, "").await
    }

    async fn run(self, mut one: One, connection: &str, user: &str) -> Result<Outcome> {
        let (first, second) = (self.first(connection, user), self.second());
        if self.together {
            one.send(&[first, second].concat()).await?;
        } else {
            one.send(&first).await?;
            one.statuses(1, LIMIT).await;
            // The connection may be closed by now.
            one.send(&second).await.ok();
        }
        let statuses = one.statuses(2, LIMIT).await;
        let refused = if self.refusal == Refusal::Forbidden { 403 } else { 404 };
        ensure!(statuses.first() == Some(&refused), "{self:?} is answered by {statuses:?}");
        let body = String::from_utf8_lossy(one.received()).into_owned();
        Ok(Outcome { served: body.contains("SecretList"), closed: one.ended() })
    }

    fn first(self, connection: &str, user: &str) -> Vec<u8> {
        let (namespace, pod) = match self.refusal {
            Refusal::Forbidden => ("kube-system", POD),
            Refusal::NotFound => ("default", "missing"),
        };
        let (method, upgrade) = match self.upgrade {
            Upgrade::Spdy => {
                ("POST", "Upgrade: SPDY/3.1\r\nX-Stream-Protocol-Version: v4.channel.k8s.io")
            }
            Upgrade::WebSocket => (
                "GET",
                "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                 Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
                 Sec-WebSocket-Protocol: v5.channel.k8s.io",
            ),
        };
        let path = format!(
            "/api/v1/namespaces/{namespace}/pods/{pod}/exec?command=cat&stdin=true&stdout=true"
        );
        let head =
            format!("{method} {path} HTTP/1.1\r\nHost: kubernetes\r\nConnection: {connection}\r\n");
        format!("{head}{upgrade}\r\n{user}\r\n").into_bytes()
    }

    fn second(self) -> Vec<u8> {
        let claims = format!("X-Remote-User: {SMUGGLER}\r\nX-Remote-Group: system:masters\r\n");
        format!("GET {SECRETS} HTTP/1.1\r\nHost: kubernetes\r\n{claims}\r\n").into_bytes()
    }
}

/// Lets the client look for pods in `default` and execute in them, so that it
/// learns that a pod does not exist.
///
/// Returns when each API server knows that.
pub async fn allow_exec(site: &Site) -> Result<()> {
    let admin = site.client(Http::Two)?;
    let base = "/apis/rbac.authorization.k8s.io/v1/namespaces/default";
    let role = json!({
        "metadata": { "name": "exec" },
        "rules": [{
            "apiGroups": [""],
            "resources": ["pods", "pods/exec"],
            "verbs": ["get", "create"],
        }],
    });
    admin.post(&format!("{base}/roles"), &role).await?.ok()?;
    let group = "rbac.authorization.k8s.io";
    let binding = json!({
        "metadata": { "name": "exec" },
        "roleRef": { "apiGroup": group, "kind": "Role", "name": "exec" },
        "subjects": [{ "apiGroup": group, "kind": "User", "name": User::PlainCertificate.name() }],
    });
    admin.post(&format!("{base}/rolebindings"), &binding).await?.ok()?;
    let missing = "/api/v1/namespaces/default/pods/missing";
    for server in site.plane.servers() {
        let client = site.plane.client(&server.url(), User::PlainCertificate, Http::Two)?;
        wait::until("the permission", LIMIT, async || {
            let answer = client.get(missing).await?;
            ensure!(answer.status == 404, "{}", answer.text());
            anyhow::Ok(())
        })
        .await?;
    }
    Ok(())
}

/// The servers' audit logs of requests for secrets.
pub struct Audit {
    /// The logs.
    pub logs: AuditLogs,
    marks: AtomicUsize,
}

impl Audit {
    /// Logs in a folder of their own.
    pub fn new() -> Result<Self> {
        let secrets = json!({ "group": "", "resources": ["secrets"] });
        let rules = json!([{ "level": "Metadata", "resources": [secrets] }, { "level": "None" }]);
        let logs = AuditLogs::new(&["RequestReceived"], &rules)?;
        Ok(Self { logs, marks: AtomicUsize::new(0) })
    }

    /// Returns how many requests all servers have attributed to the smuggler so far.
    pub async fn smuggled(&self, site: &Site) -> Result<usize> {
        let mut smuggled = 0;
        for (index, server) in site.plane.servers().iter().enumerate() {
            // When this request is in the log, all earlier ones are too.
            let mark = format!("{SECRETS}?mark={}", self.marks.fetch_add(1, Ordering::Relaxed));
            site.direct(index, Http::Two)?.get(&mark).await?.ok()?;
            let events = wait::until("the mark in the audit log", LIMIT, async || {
                let events = self.logs.events(server.name())?;
                let field = |event: &Value| event.get("requestURI") == Some(&json!(mark));
                ensure!(events.iter().any(field), "it is not there");
                Ok(events)
            })
            .await?;
            let user = |event: &&Value| event.pointer("/user/username") == Some(&json!(SMUGGLER));
            smuggled += events.iter().filter(user).count();
        }
        Ok(smuggled)
    }
}
