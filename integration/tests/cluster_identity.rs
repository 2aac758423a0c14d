//! Who the API server believes the client is: the same through Envoy as
//! directly, for client certificates of every kind of subject, for service
//! account tokens, for an impersonating administrator, and for nobody.

use anyhow::{Context, Result, ensure};
use integration::client::{Client, Http};
use integration::control_plane::{Kubectl, ServerOptions, User, Version};
use integration::pki::{Attribute, ClientCertificate, Subject, oid};
use integration::report::Entry;
use integration::site::Site;
use reqwest::Method;
use serde_json::{Value, json};

const KUBECTL: Version = Version::V1_36;

#[tokio::test]
async fn everybody_is_who_they_are_directly() -> Result<()> {
    let mut entry = Entry::begin("cluster_identity");
    let servers = [("old", Version::V1_35), ("new", Version::V1_36)];
    let servers = servers.map(|(name, version)| ServerOptions::new(name, version));
    let site = Site::start(servers.into()).await?;

    let mut compared = 0;
    for (file, subject) in subjects() {
        let certificate = ClientCertificate::new(subject);
        let identity = site.plane.pki().client_with(file, &certificate)?;
        let pair =
            Pair::new(&site, |url| site.plane.certificate_kubectl(KUBECTL, url, file, &identity))?;
        let user = pair.user(&[]).await.with_context(|| file.to_owned())?;
        let digest = identity.certificate_sha256()?;
        ensure!(user.to_string().contains(&digest), "{file}: no credential id: {user}");
        compared += 1;
    }
    let admin = Pair::new(&site, |url| site.plane.kubectl(KUBECTL, url, User::KubernetesAdmin))?;
    for arguments in IMPERSONATIONS {
        admin.user(arguments).await.with_context(|| arguments.join(" "))?;
        compared += 1;
    }
    let nobody = Pair::new(&site, |url| site.plane.kubectl(KUBECTL, url, User::Anonymous))?;
    let token = format!("--token={}", service_account_token(&site).await?);
    let account = nobody.user(&[&token]).await?;
    ensure!(account.to_string().contains("system:serviceaccount:default:visitor"), "{account}");
    let denial = nobody_is_nobody(&site).await?;
    ensure!(denial.contains("system:anonymous"), "{denial}");
    let denial = nobody_impersonates(&site).await?;
    ensure!(denial.contains("cannot impersonate"), "{denial}");
    compared += 3;

    entry.set("identitiesCompared", compared);
    entry.set("different", 0);
    entry.passed()
}

/// Subjects as client certificates have them, and as they could have them.
fn subjects() -> Vec<(&'static str, Subject)> {
    let named = |name: &str| Subject::empty().with(Attribute::common_name(name));
    vec![
        ("plain", Subject::user("jane", &[])),
        ("groups", Subject::user("jane", &["dev", "ops", "team-7", "auditors"])),
        ("node", Subject::user("system:node:worker-1", &["system:nodes"])),
        ("commas", Subject::user("Doe, Jane", &["a,b", "c, d,"])),
        ("plus-signs", Subject::user("jane+test", &["c++", "+"])),
        ("quotes", Subject::user("jane \"JD\" doe", &["the \"A\" team", "'b'", "back\\slash"])),
        ("escapes", Subject::user("#jane;<x>=y", &["#1", "a=b", ";", "<", "\\,"])),
        ("non-ascii", Subject::user("José Ünï", &["développeurs", "開発者", "🚀"])),
        ("long", Subject::user(&"n".repeat(200), &[&"g".repeat(200)])),
        ("inner-blanks", Subject::user("jane  q  doe", &["a  b"])),
        ("two-names", named("first").with(Attribute::common_name("second"))),
        (
            "multi-valued",
            Subject::empty()
                .with_multi_valued(vec![
                    Attribute::organization("b"),
                    Attribute::common_name("jane"),
                    Attribute::organization("a"),
                ])
                .with(Attribute::organization("c")),
        ),
        (
            "other-attributes",
            named("jane")
                .with(Attribute::new(&[2, 5, 4, 6], "DE"))
                .with(Attribute::new(oid::ORGANIZATIONAL_UNIT, "unit"))
                .with(Attribute::new(&[1, 2, 3, 4, 5], "CN=admin,O=system:masters")),
        ),
        ("claims-in-a-value", Subject::user("x,O=system:masters", &["a+CN=admin"])),
        (
            "user-id",
            Subject::user("jane", &["dev"]).with(Attribute::new(oid::KUBERNETES_UID, "4711")),
        ),
    ]
}

const IMPERSONATIONS: [&[&str]; 3] = [
    &["--as=jane"],
    &["--as=jane", "--as-group=dev", "--as-group=ops", "--as-uid=4711"],
    &["--as=system:serviceaccount:default:visitor"],
];

/// The same kubectl, straight to a server and through Envoy.
struct Pair {
    direct: Kubectl,
    through: Kubectl,
}

impl Pair {
    fn new(site: &Site, kubectl: impl Fn(&str) -> Result<Kubectl>) -> Result<Self> {
        let direct = kubectl(&site.plane.server(1)?.url())?;
        Ok(Self { direct, through: kubectl(&site.stack.url())? })
    }

    /// `status.userInfo`, which must be the same by both ways, and by Envoy
    /// again and again, for it goes to other servers.
    async fn user(&self, arguments: &[&str]) -> Result<Value> {
        let direct = whoami(&self.direct, arguments).await?;
        for _ in 0..2 {
            let through = whoami(&self.through, arguments).await?;
            ensure!(direct == through, "directly\n{direct:#}\nthrough Envoy\n{through:#}");
        }
        Ok(direct)
    }
}

/// The denial of a review by a client that presents nothing. (kubectl asks for
/// a name where it has no credentials.)
async fn nobody_is_nobody(site: &Site) -> Result<String> {
    let review = json!({ "apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview" });
    denial(site, User::Anonymous, |client| {
        let request =
            client.request(Method::POST, "/apis/authentication.k8s.io/v1/selfsubjectreviews");
        request.header("content-type", "application/json").body(review.to_string())
    })
    .await
}

/// The denial to impersonate: that takes a right, whoever carries the request.
async fn nobody_impersonates(site: &Site) -> Result<String> {
    denial(site, User::PlainCertificate, |client| {
        client.request(Method::GET, "/api/v1/namespaces").header("impersonate-user", "admin")
    })
    .await
}

/// The body of a 403 through Envoy, which must be that of one of the servers.
async fn denial(
    site: &Site,
    user: User,
    request: impl Fn(&Client) -> reqwest::RequestBuilder,
) -> Result<String> {
    let denied = async |url: String| {
        let client = site.plane.client(&url, user, Http::Two)?;
        let answer = client.send(request(&client)).await?;
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

async fn whoami(kubectl: &Kubectl, arguments: &[&str]) -> Result<Value> {
    let arguments = [&["auth", "whoami", "-o", "json"], arguments].concat();
    let review = kubectl.run(&arguments).await?.json()?;
    review.pointer("/status/userInfo").cloned().context("no userInfo")
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
