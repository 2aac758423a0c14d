//! Envoys that get some of the control planes: by their metadata, and by their certificates.

use std::fs;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use fake_apiserver::replay::Crd;
use harness::ads::AdsCompanion;
use harness::envoy::Envoy;
use harness::shared_ingress::{LISTENER, SharedIngress};
use harness::tap::{Tap, has};
use harness::wait;
use pki::tls;
use serde_json::{Value, json};
use wire::client::Http;

use super::names::host;
use super::scene::{DEADLINE, Plane, serves, stays_as_it_is};
use super::types::{group, widgets};

/// Names that are nowhere else.
const NAMES: [&str; 2] = ["zebra", "quokka"];

/// What a stream names in each push.
const PUSH: &str = "type.googleapis.com/envoy.";

/// An Envoy that gets some control planes, and every byte that it is sent.
struct Selected {
    envoy: Envoy,
    tap: Tap,
    name: String,
}

impl Selected {
    async fn start(
        ingress: &SharedIngress,
        companion: &AdsCompanion,
        certificate: &str,
        asked: &[&str],
    ) -> Result<Self> {
        let files = ingress.envoy_certificate(certificate)?;
        let (pki, [of_companion, _]) = ingress.ads_certificates();
        let tap = Tap::start(companion.port, pki, [&of_companion, &files]).await?;
        let envoy = Envoy::start(ingress.envoy_for(asked, certificate, tap.port())?).await?;
        Ok(Self { envoy, tap, name: format!("envoy-{certificate}") })
    }

    /// Waits until a control plane is served.
    async fn is_served(&self, plane: &Plane) -> Result<()> {
        let path = widgets(plane.name());
        wait::until(&format!("{} to be served", plane.name()), DEADLINE, async || {
            let port = self.envoy.listener_port(LISTENER).await?;
            serves(&plane.client(port, false, Http::Two)?, &path).await
        })
        .await
    }

    /// Fails if a client gets into a control plane.
    async fn has_no_chain(&self, plane: &Plane) -> Result<()> {
        let port = self.envoy.listener_port(LISTENER).await?;
        let config = Arc::new(tls::client(&plane.fleet.pki().ca_pem(), None, &["http/1.1"])?);
        let connected = tls::connect_as(port, &config, &host(plane.name())).await;
        ensure!(connected.is_err(), "{} serves {}", self.name, plane.name());
        Ok(())
    }

    /// Fails if it was sent, or has, anything of a control plane.
    async fn knows_nothing_of(&self, plane: &Plane) -> Result<()> {
        knows_nothing(&self.tap.seen(), plane).context("sent")?;
        knows_nothing(&self.dump().await?, plane).context("in config_dump")
    }

    /// Returns everything that it has, but for its own bootstrap.
    async fn dump(&self) -> Result<Vec<u8>> {
        let mut dump = self.envoy.config_dump().await?;
        let sections = dump.get_mut("configs").and_then(Value::as_array_mut);
        let sections = sections.context("no sections")?;
        sections.retain(|section| section.get("bootstrap").is_none());
        Ok(dump.to_string().into_bytes())
    }

    /// Returns its entry in `/v1/envoys`.
    async fn entry(&self, companion: &AdsCompanion) -> Result<Value> {
        let view = companion.envoys().await?;
        let envoys = view.get("envoys").and_then(Value::as_array).context("no Envoys")?;
        let own = envoys.iter().find(|envoy| envoy.get("node") == Some(&json!(self.name)));
        own.cloned().context("it is not served")
    }

    /// Waits until it has everything that it gets, and that is this.
    async fn gets(&self, companion: &AdsCompanion, served: Value, not: Value) -> Result<()> {
        wait::until("the Envoy to have everything", DEADLINE, async || {
            let entry = self.entry(companion).await?;
            let field = |name: &str| entry.get(name).cloned().unwrap_or(Value::Null);
            ensure!(field("controlPlanes") == served, "{entry:#}");
            ensure!(field("controlPlanesNotServed") == not, "{entry:#}");
            // An authority of a chain that it lost goes when the chain is drained.
            let types = ["clusters", "endpoints", "filter", "listeners"];
            let version = |field: &str, name: &str| entry.get(field)?.get(name).cloned();
            for name in types {
                let has = version("versions", name);
                ensure!(has.is_some() && has == version("expectedVersions", name), "{entry:#}");
            }
            anyhow::Ok(())
        })
        .await
    }

    fn pushes(&self) -> usize {
        let seen = self.tap.seen();
        seen.windows(PUSH.len()).filter(|window| *window == PUSH.as_bytes()).count()
    }
}

/// Fails if these bytes have anything of a control plane.
fn knows_nothing(bytes: &[u8], plane: &Plane) -> Result<()> {
    ensure!(!bytes.is_empty(), "there is nothing at all");
    let servers = plane.config.peers.iter().map(|(_, address)| format!(":{}", address.port()));
    let authority = plane.fleet.pki().ca_pem();
    // The end: what is before the signature, others have as well.
    let authority = authority.lines().rev().nth(2).context("no authority")?.to_owned();
    for secret in servers.chain([plane.name().to_owned(), authority]) {
        ensure!(!has(bytes, &secret), "there is {secret}");
    }
    Ok(())
}

/// Allows these clients, beside those that may have everything.
fn allow(companion: &AdsCompanion, clients: &Value) -> Result<()> {
    let file = companion.companion.config_file();
    let mut config: Value = serde_json::from_str(&fs::read_to_string(&file)?)?;
    let names = config.pointer_mut("/ads/allowedClientNames").context("no names")?;
    *names = clients.clone();
    companion.companion.write_config(&config.to_string())
}

#[tokio::test]
async fn an_envoy_gets_the_control_planes_that_it_asks_for_and_may_have() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let ingress = SharedIngress::new(folder.path().join("ingress"))?;
    let [zebra, quokka] = NAMES;
    let (zebra_plane, quokka_plane) =
        &tokio::try_join!(Plane::start(zebra, false), Plane::start(quokka, false))?;
    ingress.add(&zebra_plane.config)?;
    ingress.add(&quokka_plane.config)?;
    let companion = ingress.companion("companion-1").await?;
    // What is pushed later is about the changes of this test.
    for plane in [zebra_plane, quokka_plane] {
        stays_as_it_is(&companion, plane).await?;
    }
    let restricted = |names: &[&str]| json!({ "name": "restricted", "controlPlanes": names });
    allow(&companion, &json!(["free", restricted(&[zebra])]))?;

    // One asks for less than it may have, the other for more.
    let (less, more) = ([quokka, "missing"], [quokka, zebra]);
    let (free, some) = tokio::try_join!(
        Selected::start(&ingress, &companion, "free", &less),
        Selected::start(&ingress, &companion, "restricted", &more),
    )?;
    free.is_served(quokka_plane).await?;
    some.is_served(zebra_plane).await?;
    let missing = json!({ "missing": "it does not exist" });
    free.gets(&companion, json!([quokka]), missing.clone()).await?;
    let refused = json!({ quokka: "its certificate may not have it" });
    some.gets(&companion, json!([zebra]), refused).await?;
    free.has_no_chain(zebra_plane).await?;
    some.has_no_chain(quokka_plane).await?;
    free.knows_nothing_of(zebra_plane).await?;
    some.knows_nothing_of(quokka_plane).await?;
    // What each has is found.
    ensure!(knows_nothing(&free.tap.seen(), quokka_plane).is_err(), "nothing is found");
    ensure!(knows_nothing(&some.dump().await?, zebra_plane).is_err(), "nothing is found");

    // What happens to one is not sent to the other.
    let before = some.pushes();
    ensure!(before >= 5, "{before} pushes");
    let later = "later.example.org";
    quokka_plane.fleet.peers.first().context("no peer")?.add_crd(Crd::new(later, "Widget"))?;
    let client =
        quokka_plane.client(free.envoy.listener_port(LISTENER).await?, false, Http::Two)?;
    let path = format!("/apis/{later}/v1/widgets");
    wait::until("the type to be served", DEADLINE, async || serves(&client, &path).await).await?;
    free.gets(&companion, json!([quokka]), missing).await?;
    ensure!(some.pushes() == before, "{before} pushes, then {}", some.pushes());
    some.knows_nothing_of(quokka_plane).await?;

    // Its rights change, and its stream stays.
    allow(&companion, &json!(["free", restricted(&[quokka])]))?;
    some.is_served(quokka_plane).await?;
    let refused = json!({ zebra: "its certificate may not have it" });
    some.gets(&companion, json!([quokka]), refused).await?;
    some.has_no_chain(zebra_plane).await?;
    let answer = quokka_plane
        .client(some.envoy.listener_port(LISTENER).await?, false, Http::Two)?
        .get(&format!("/apis/{}", group(quokka)))
        .await?;
    ensure!(answer.status == 200, "{answer:?}");
    ensure!(some.envoy.stat("control_plane.connected_state").await? == Some(1), "not connected");
    ensure!(free.pushes() > 0 && some.pushes() > before, "nothing was sent");
    free.knows_nothing_of(zebra_plane).await
}
