//! The API server sees the same identity through Envoy as directly, for client
//! certificates with every kind of subject, service account tokens, an
//! impersonating administrator, a certificate with a token, and anonymous requests. Every
//! server is asked both ways.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use fake_apiserver::Version;
use harness::clusters::{DEFAULT, DEFAULT_TWIN};
use harness::control_plane::{ServerOptions, User};
use harness::report::Entry;
use harness::site::Site;
use harness::skew::{NEWER, OLDER};
use harness::wait;
use pki::{CertificateFiles, ClientCertificate, Subject};
use reqwest::Method;
use serde_json::{Value, json};
use wire::client::{Client, ClientOptions, Http};

mod asking;
mod subjects;

use asking::{review, same_everywhere, whoami};

const KUBECTL: Version = NEWER;

/// Until the servers' authorizers have seen a new binding.
const DEADLINE: Duration = Duration::from_secs(30);

#[tokio::test]
async fn every_client_has_the_same_identity_as_without_envoy() -> Result<()> {
    let mut entry = Entry::begin("cluster_identity");
    let servers = [("old", OLDER), ("new", NEWER)];
    let servers = servers.map(|(name, version)| ServerOptions::new(name, version));
    let site = Site::start(servers.into()).await?;

    let mut compared = certificates(&site).await?;
    compared += impersonations(&site).await?;
    compared += service_account(&site).await?;
    compared += certificates_with_tokens(&site).await?;
    compared += anonymous(&site).await?;
    let denial = impersonation_is_denied(&site).await?;
    ensure!(denial.contains("cannot impersonate"), "{denial}");
    compared += 1;

    entry.set("identitiesCompared", compared);
    entry.set("different", 0);
    entry.passed()
}

async fn certificates(site: &Site) -> Result<usize> {
    let mut certificates: Vec<_> = subjects::all()
        .into_iter()
        .map(|(file, subject)| (file, ClientCertificate::new(subject)))
        .collect();
    let certificate = ClientCertificate::new(Subject::user("jane", &["dev"]));
    let without = ClientCertificate { purposes: Vec::new(), ..certificate };
    certificates.push(("without-a-purpose", without));
    for (file, certificate) in &certificates {
        let files = site.plane.pki().client_with(file, certificate)?;
        let ask = async |url: &str| {
            let kubectl = site.plane.certificate_kubectl(KUBECTL, url, file, &files)?;
            whoami(&kubectl, &[]).await
        };
        let user = same_everywhere(site, DEFAULT_TWIN, ask).await.with_context(|| *file)?;
        let digest = files.certificate_sha256()?;
        ensure!(user.to_string().contains(&digest), "{file}: no credential id: {user}");
    }
    Ok(certificates.len())
}

const IMPERSONATIONS: [&[&str]; 3] = [
    &["--as=jane"],
    &["--as=jane", "--as-group=dev", "--as-group=ops", "--as-uid=4711"],
    &["--as=system:serviceaccount:default:visitor"],
];

/// Also what kubectl has no flags for: extra of several values, and of names
/// with underscores, which some proxies drop, and with what is escaped.
const IMPERSONATION_HEADERS: [(&str, &str); 8] = [
    ("Impersonate-User", "jane"),
    ("Impersonate-Group", "dev"),
    ("Impersonate-Group", "team a, night shift"),
    ("Impersonate-Uid", "4711"),
    ("Impersonate-Extra-Scopes", "view"),
    ("Impersonate-Extra-Scopes", "edit"),
    ("Impersonate-Extra-Cost_Center", "12_a"),
    ("Impersonate-Extra-Example.com%2FTeam", "a"),
];

async fn impersonations(site: &Site) -> Result<usize> {
    for arguments in IMPERSONATIONS {
        let ask = async |url: &str| {
            whoami(&site.plane.kubectl(KUBECTL, url, User::KubernetesAdmin)?, arguments).await
        };
        let user = same_everywhere(site, DEFAULT_TWIN, ask).await;
        user.with_context(|| arguments.join(" "))?;
    }
    let wanted = json!({
        "username": "jane",
        "uid": "4711",
        "groups": ["dev", "team a, night shift", "system:authenticated"],
        "extra": { "scopes": ["view", "edit"], "cost_center": ["12_a"], "example.com/team": ["a"] },
    });
    let administrators = [(User::KubernetesAdmin, DEFAULT_TWIN), (User::Admin, DEFAULT)];
    for (administrator, cluster) in administrators {
        for http in [Http::One, Http::Two] {
            let ask = async |url: &str| {
                let client = site.plane.client(url, administrator, http)?;
                review(&client, &IMPERSONATION_HEADERS).await
            };
            let user = same_everywhere(site, cluster, ask).await;
            let user = user.with_context(|| format!("{administrator:?}, {http:?}"))?;
            ensure!(user == wanted, "{administrator:?}, {http:?}: {user:#}");
        }
    }
    Ok(IMPERSONATIONS.len() + 2 * administrators.len())
}

async fn service_account(site: &Site) -> Result<usize> {
    let token = service_account_token(site).await?;
    let argument = format!("--token={token}");
    let ask = async |url: &str| {
        whoami(&site.plane.kubectl(KUBECTL, url, User::Anonymous)?, &[&argument]).await
    };
    let user = same_everywhere(site, DEFAULT, ask).await?;
    ensure!(user.to_string().contains("system:serviceaccount:default:visitor"), "{user}");
    Ok(1)
}

/// The certificate decides, not the token.
async fn certificates_with_tokens(site: &Site) -> Result<usize> {
    let files = site.plane.certificate(User::PlainCertificate).context("no certificate")?;
    let tokens = [User::Admin.token().context("no token")?, "of nobody"];
    for token in tokens {
        for http in [Http::One, Http::Two] {
            let ask = async |url: &str| review(&both(site, url, &files, token, http)?, &[]).await;
            let user = same_everywhere(site, DEFAULT_TWIN, ask).await;
            let user = user.with_context(|| format!("the token {token:?}, {http:?}"))?;
            let name = user.get("username").and_then(Value::as_str);
            ensure!(name == Some(User::PlainCertificate.name()), "the token {token:?}: {user:#}");
        }
    }
    Ok(2 * tokens.len())
}

fn both(
    site: &Site,
    url: &str,
    files: &CertificateFiles,
    token: &str,
    http: Http,
) -> Result<Client> {
    Client::new(&ClientOptions {
        url: url.to_owned(),
        ca_pem: site.plane.pki().ca_pem(),
        token: Some(token.to_owned()),
        certificate: Some(files.clone()),
        http,
    })
}

/// Tests a client without credentials. It may ask for its identity only with a
/// permission. (kubectl prompts for a name if it has no credentials.)
async fn anonymous(site: &Site) -> Result<usize> {
    let ask =
        async |url: &str| review(&site.plane.client(url, User::Anonymous, Http::Two)?, &[]).await;
    let denied = ask(&site.stack.url()).await;
    ensure!(denied.is_err_and(|denial| denial.to_string().contains("system:anonymous")));

    let admin = site.client(Http::Two)?;
    let binding = json!({
        "metadata": { "name": "everybody-may-ask" },
        "roleRef": {
            "apiGroup": "rbac.authorization.k8s.io",
            "kind": "ClusterRole",
            "name": "system:basic-user",
        },
        "subjects": [{
            "apiGroup": "rbac.authorization.k8s.io",
            "kind": "Group",
            "name": "system:unauthenticated",
        }],
    });
    let bindings = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings";
    admin.post(bindings, &binding).await?.ok()?;
    for server in site.plane.servers() {
        let what = format!("{} to allow it", server.name());
        wait::until(&what, DEADLINE, async || ask(&server.url()).await).await?;
    }
    let user = same_everywhere(site, DEFAULT, ask).await?;
    let wanted = json!({ "username": "system:anonymous", "groups": ["system:unauthenticated"] });
    ensure!(user == wanted, "{user:#}");
    Ok(1)
}

/// Impersonation needs a permission for every kind of client.
async fn impersonation_is_denied(site: &Site) -> Result<String> {
    let denied = async |url: String| {
        let client = site.plane.client(&url, User::PlainCertificate, Http::Two)?;
        let request = client.request(Method::GET, "/api/v1/namespaces");
        let answer = client.send(request.header("impersonate-user", "admin")).await?;
        ensure!(answer.status == 403, "{}: {}", answer.status, answer.text());
        anyhow::Ok(answer.text())
    };
    let mut direct = Vec::new();
    for server in site.plane.servers() {
        direct.push(denied(server.url()).await?);
    }
    let through = denied(site.stack.url()).await?;
    ensure!(direct.contains(&through), "{through}, but directly {direct:#?}");
    Ok(through)
}

async fn service_account_token(site: &Site) -> Result<String> {
    let admin = site.client(Http::Two)?;
    let accounts = "/api/v1/namespaces/default/serviceaccounts";
    let visitor = json!({ "metadata": { "name": "visitor" } });
    admin.post(accounts, &visitor).await?.ok()?;
    let request =
        json!({ "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {} });
    let answer = admin.post(&format!("{accounts}/visitor/token"), &request).await?.ok()?.json()?;
    let token = answer.pointer("/status/token").and_then(Value::as_str);
    Ok(token.context("no token")?.to_owned())
}
