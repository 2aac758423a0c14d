//! Companions that serve Envoys over ADS, and Envoys with `envoy-config/fleet/envoy.yaml`.
//!
//! ```text
//!   client ──▶ Envoy (fleet/envoy.yaml + filter) ──▶ peers
//!                 ▲ ADS, mutual TLS                    ▲ poll
//!                 └──────── companion(s) ──────────────┘
//! ```

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use fake_apiserver::Version;
use fake_apiserver::replay::PEER_HEADER;
use pki::ports;
use pki::{CertificateFiles, Pki};
use serde_json::{Value, json};
use wire::client::{Client, Http};

use crate::artifacts::integration_folder;
use crate::companion::{Companion, CompanionOptions};
use crate::envoy::{Envoy, EnvoyOptions};
use crate::fleet::Fleet;
use crate::manifests::POLICIES;
use crate::stack::StackOptions;
use crate::wait;

/// A push takes milliseconds; a loaded machine gets time.
const DEADLINE: Duration = Duration::from_secs(30);

/// The name in the companions' certificate.
const COMPANION: &str = "companion";

/// The certificates of companions and Envoys, and where everything is.
#[derive(Debug)]
pub struct AdsSite {
    options: StackOptions,
    pki: Pki,
}

/// A companion that serves Envoys over ADS.
#[derive(Debug)]
pub struct AdsCompanion {
    /// The companion.
    pub companion: Companion,
    /// The port of ADS.
    pub port: u16,
}

impl AdsSite {
    /// Returns a site in front of the peers of these options. Fails if a certificate cannot be
    /// written.
    pub fn new(options: StackOptions) -> Result<Self> {
        let pki = authority(&options.folder)?;
        Ok(Self { options, pki })
    }

    /// Returns the authority of companions and Envoys.
    pub fn pki(&self) -> &Pki {
        &self.pki
    }

    /// Returns the options that it was made with.
    pub fn options(&self) -> &StackOptions {
        &self.options
    }

    /// Returns the certificate of the companions.
    pub fn companion_certificate(&self) -> CertificateFiles {
        self.pki.issued(COMPANION)
    }

    /// Returns the certificate that every Envoy presents to companions.
    pub fn envoy_certificate(&self) -> CertificateFiles {
        self.pki.issued("envoy")
    }

    /// Returns the folder of an Envoy's files of secrets.
    fn secrets(&self, envoy: &str) -> PathBuf {
        self.options.folder.join(envoy).join("sds")
    }

    /// Returns the configuration of a companion that serves Envoys over ADS alone. `changes` replace
    /// fields of the section `ads`. Fails if the filter was not built.
    pub fn companion_config(&self, name: &str, ports: [u16; 2], changes: &Value) -> Result<String> {
        let [port, ads_port] = ports;
        let mut config: Value = serde_json::from_str(&self.options.companion_config(port)?)?;
        let fields = config.as_object_mut().context("no configuration")?;
        fields.remove("listenerTls");
        fields.remove("frontProxy");
        if let Some(envoy) = fields.get_mut("envoy").and_then(Value::as_object_mut) {
            envoy.remove("directory");
        }
        let state = self.options.folder.join(name).join("state");
        fields.insert("stateDirectory".to_owned(), json!(state));
        let mut ads = section(&self.pki, ads_port);
        if let Some(ads) = ads.as_object_mut() {
            let secret = self.secrets("envoy-1").join("front-proxy.yaml");
            ads.insert("frontProxySecret".to_owned(), json!(secret));
            ads.extend(changes.as_object().cloned().unwrap_or_default());
        }
        fields.insert("ads".to_owned(), ads);
        Ok(serde_json::to_string_pretty(&config)?)
    }

    /// Starts a companion, and waits until it has a map. Fails if it does not become ready.
    pub async fn companion(&self, name: &str) -> Result<AdsCompanion> {
        self.companion_with(name, &json!({})).await
    }

    /// Starts a companion with other values in the section `ads`. Fails if it does not become ready.
    pub async fn companion_with(&self, name: &str, changes: &Value) -> Result<AdsCompanion> {
        let ports = [ports::free_port()?, ports::free_port()?];
        self.start(name, ports, self.companion_config(name, ports, changes)?).await
    }

    /// Starts a companion that also writes files, with these sections `listenerTls` and
    /// `frontProxy`. Fails if it does not become ready.
    pub async fn companion_of_both(
        &self,
        name: &str,
        listener: &Value,
        front_proxy: &Value,
    ) -> Result<AdsCompanion> {
        let ports = [ports::free_port()?, ports::free_port()?];
        let config = self.companion_config(name, ports, &json!({}))?;
        let mut config: Value = serde_json::from_str(&config)?;
        let fields = config.as_object_mut().context("no configuration")?;
        fields.insert("listenerTls".to_owned(), listener.clone());
        fields.insert("frontProxy".to_owned(), front_proxy.clone());
        let directory = json!(self.options.folder.join(name).join("published"));
        if let Some(envoy) = fields.get_mut("envoy").and_then(Value::as_object_mut) {
            envoy.insert("directory".to_owned(), directory);
        }
        self.start(name, ports, config.to_string()).await
    }

    async fn start(&self, name: &str, ports: [u16; 2], config: String) -> Result<AdsCompanion> {
        let [port, ads_port] = ports;
        let folder = self.options.folder.join(name);
        let mut companion = Companion::start(CompanionOptions { config, port, folder }).await?;
        companion.wait_ready().await?;
        Ok(AdsCompanion { companion, port: ads_port })
    }

    /// Returns an Envoy of the fleet, which asks the companions at these ports. Its listener is
    /// called `kubernetes`. Fails if the shipped configuration has changed, or its files cannot be
    /// written.
    pub fn envoy(&self, name: &str, companions: [u16; 2]) -> Result<EnvoyOptions> {
        let secrets = self.secrets(name);
        self.write_secrets(&secrets)?;
        let file = integration_folder().join("../envoy-config/fleet/envoy.yaml");
        let options = EnvoyOptions::from_file(&file, self.options.folder.join(name))?
            // Not every machine that runs tests has IPv6.
            .replacing("address: \"::\", ipv4_compat: true", "address: 127.0.0.1")?
            .replacing("port_value: 6443", "port_value: 0")?;
        named(options, name, companions, &secrets)
    }

    /// Starts a mirror of the companions at these ports, beside the Envoy of this name. Fails if it
    /// does not answer.
    pub async fn mirror(&self, envoy: &str, companions: [u16; 2]) -> Result<Companion> {
        let folder = self.options.folder.join(envoy);
        start_mirror(&self.pki, envoy, &folder, companions, &json!({})).await
    }

    /// Returns the folder of the files and the socket of the mirror beside an Envoy.
    pub fn mirror_folder(&self, envoy: &str) -> PathBuf {
        mirror_folder(&self.options.folder.join(envoy))
    }

    /// Returns the log of the mirror beside an Envoy.
    pub fn mirror_log(&self, envoy: &str) -> PathBuf {
        self.options.folder.join(envoy).join("m").join("companion.log")
    }

    /// Writes the shipped files of secrets, with the certificates of this site.
    fn write_secrets(&self, folder: &Path) -> Result<()> {
        let tls = folder.with_file_name("tls");
        fs::create_dir_all(folder)?;
        fs::create_dir_all(&tls)?;
        let front_proxy = match &self.options.front_proxy {
            Some(files) => files.clone(),
            None => self.pki.client("front-proxy-client", "front-proxy-client", &[])?,
        };
        for (name, files) in [
            ("server", &self.options.server),
            ("ads-client", &self.envoy_certificate()),
            ("front-proxy-client", &front_proxy),
        ] {
            files.copy_to(&tls, name)?;
        }
        fs::copy(&self.options.client_ca_file, tls.join("client-ca.crt"))?;
        fs::copy(self.pki.ca_file(), tls.join("ads-ca.crt"))?;
        let tls = tls.to_str().context("the folder is not UTF-8")?;
        for file in fs::read_dir(integration_folder().join("../envoy-config/fleet/sds"))? {
            let file = file?;
            let text = fs::read_to_string(file.path())?;
            let text = text.replace("/etc/mixed-version-proxy/tls", tls);
            fs::write(folder.join(file.file_name()), text)?;
        }
        Ok(())
    }
}

impl AdsCompanion {
    /// Returns what the companion says of its Envoys. Fails if it does not answer.
    pub async fn envoys(&self) -> Result<Value> {
        self.companion.json("/v1/envoys").await
    }

    /// Waits until this many Envoys have acknowledged everything. Fails if that does not happen in
    /// time.
    pub async fn wait_for_envoys(&self, count: usize) -> Result<()> {
        wait::until("Envoys to have everything", DEADLINE, async || {
            let view = self.envoys().await?;
            let versions = view.get("versions");
            let envoys = view.get("envoys").and_then(Value::as_array).context("no Envoys")?;
            let current = envoys.iter().filter(|envoy| envoy.get("versions") == versions);
            ensure!(versions.is_some_and(|all| all != &json!({})), "no snapshot yet");
            ensure!(current.count() == count, "{view:#}");
            anyhow::Ok(())
        })
        .await
    }
}

/// Makes the authority of companions and Envoys in a folder, with a certificate of each. Fails if one
/// cannot be written.
pub(crate) fn authority(folder: &Path) -> Result<Pki> {
    let pki = Pki::create_as(folder.join("ads-pki"), "ads-ca")?;
    pki.for_any_purpose(COMPANION, COMPANION)?;
    pki.for_any_purpose("envoy", "envoy")?;
    Ok(pki)
}

/// Returns the section `ads` of a companion's configuration, with certificates of [`authority`].
pub(crate) fn section(pki: &Pki, port: u16) -> Value {
    let files = pki.issued(COMPANION);
    json!({
        "listen": format!("127.0.0.1:{port}"),
        "certificateFile": files.certificate,
        "keyFile": files.key,
        "clientCaFile": pki.ca_file(),
        "allowedClientNames": ["envoy"],
    })
}

/// Gives an Envoy with a shipped configuration its name, the companions at these ports, a mirror in
/// its folder, and its folder of secrets. Fails if the shipped configuration has changed.
pub(crate) fn named(
    options: EnvoyOptions,
    name: &str,
    companions: [u16; 2],
    secrets: &Path,
) -> Result<EnvoyOptions> {
    const NOT_UTF_8: &str = "the folder is not UTF-8";
    let mirror = mirror_folder(&options.folder);
    let endpoint = |host: &str, port: u16| format!("{{ address: {host}, port_value: {port} }}");
    let [one, other] = companions.map(|port| endpoint("127.0.0.1", port));
    options
        .replacing("port_value: 9901", "port_value: 0")?
        .replacing("port_value: 9903", "port_value: 0")?
        .replacing("id: envoy-1", &format!("id: {name}"))?
        .replacing(&endpoint("companion-1.example.com", 9904), &one)?
        .replacing(&endpoint("companion-2.example.com", 9904), &other)?
        .replacing("/var/lib/mixed-version-proxy/mirror", mirror.to_str().context(NOT_UTF_8)?)?
        .replacing("/etc/mixed-version-proxy/sds", secrets.to_str().context(NOT_UTF_8)?)
}

/// Starts a mirror of the companions at these ports, beside the Envoy of this name and folder, with
/// certificates of [`authority`] and further fields. Fails if it does not answer.
pub(crate) async fn start_mirror(
    pki: &Pki,
    node: &str,
    envoy: &Path,
    companions: [u16; 2],
    more: &Value,
) -> Result<Companion> {
    let (port, files) = (ports::free_port()?, pki.issued("envoy"));
    let mut config = json!({
        "listen": format!("127.0.0.1:{port}"),
        "stateDirectory": mirror_folder(envoy),
        "node": node,
        "companions": {
            "addresses": companions.map(|port| format!("127.0.0.1:{port}")),
            "caFile": pki.ca_file(),
            "certificateFile": files.certificate,
            "keyFile": files.key,
        },
    });
    if let Some(fields) = config.as_object_mut() {
        fields.extend(more.as_object().cloned().unwrap_or_default());
    }
    let folder = envoy.join("m");
    fs::create_dir_all(&folder)?;
    let config = config.to_string();
    Companion::start_mirror(CompanionOptions { config, port, folder }).await
}

/// Returns the folder of the files and the socket of the mirror beside the Envoy of a folder.
pub(crate) fn mirror_folder(envoy: &Path) -> PathBuf {
    envoy.join("mirror")
}

/// Returns two peers, of which only `cp-2` serves [`POLICIES`], and a site in front of them. Fails if
/// a peer cannot be started.
pub async fn skewed() -> Result<(Fleet, AdsSite)> {
    let fleet = Fleet::start(&[Version::V1_35, Version::V1_36]).await?;
    let site = AdsSite::new(fleet.stack_options()?)?;
    Ok((fleet, site))
}

/// Returns a client of an Envoy in front of these peers. Fails if Envoy does not say where it
/// listens.
pub async fn client(fleet: &Fleet, envoy: &Envoy) -> Result<Client> {
    fleet.client(&envoy.url("kubernetes").await?, Http::Two)
}

/// Sends requests for [`POLICIES`]. Fails if one is not answered.
///
/// # Panics
/// Another peer than `cp-2` answers.
pub async fn is_served(client: &Client) -> Result<()> {
    for _ in 0..8 {
        let answer = client.get(POLICIES).await?.ok()?;
        assert_eq!(answer.header(PEER_HEADER), Some("cp-2"));
    }
    Ok(())
}

/// Starts an Envoy of the fleet at one companion. Fails if it does not become ready.
pub async fn start(site: &AdsSite, name: &str, companion: &AdsCompanion) -> Result<Envoy> {
    Envoy::start(site.envoy(name, [companion.port; 2])?).await
}

/// Returns an address on loopback.
pub fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}
