//! Many control planes behind Envoys with `envoy-config/shared-ingress`, and companions that serve
//! them.
//!
//! ```text
//!   client ── SNI ──▶ Envoy (shared-ingress/envoy.yaml) ──▶ peers of the control plane of that name
//!                        ▲ ADS, mutual TLS                     ▲ poll
//!                        └──────────── companion ──────────────┘ control-planes/*.yaml
//! ```

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use pki::ports;
use pki::{CertificateFiles, Pki};
use serde_json::{Value, json};

use crate::ads::{self, AdsCompanion};
use crate::artifacts::{Artifact, integration_folder};
use crate::companion::{Companion, CompanionOptions};
use crate::envoy::{EnvoyOptions, replaced};

/// The name of the listener in the template.
pub const LISTENER: &str = "kubernetes";

/// A place for files of companions, Envoys and control planes.
#[derive(Debug)]
pub struct SharedIngress {
    folder: PathBuf,
    /// The authority of companions and Envoys.
    pki: Pki,
}

/// A control plane as it is configured.
#[derive(Debug, Clone)]
pub struct ControlPlane {
    /// Its name.
    pub name: String,
    /// The names by which clients ask for it.
    pub server_names: Vec<String>,
    /// Its peers by name.
    pub peers: Vec<(String, SocketAddr)>,
    /// The authority (PEM file) of its peers.
    pub peer_ca_file: PathBuf,
    /// The token with which the companion reads discovery.
    pub token: String,
    /// The authority (PEM file) of its clients.
    pub client_ca_file: Option<PathBuf>,
    /// The certificate that Envoy shows its clients.
    pub server: CertificateFiles,
    /// The front-proxy client certificate.
    pub front_proxy: Option<CertificateFiles>,
    /// Further top-level fields of its file.
    pub more: Value,
}

impl SharedIngress {
    /// Returns a place in `folder` without control planes. Fails if a file cannot be written.
    pub fn new(folder: impl Into<PathBuf>) -> Result<Self> {
        let folder = folder.into();
        let pki = ads::authority(&folder)?;
        let ingress = Self { folder, pki };
        for folder in
            [ingress.control_planes(), ingress.envoy_files("tls"), ingress.envoy_files("sds")]
        {
            fs::create_dir_all(folder)?;
        }
        ingress.write_ads_secrets()?;
        Ok(ingress)
    }

    /// Returns the folder of everything.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Returns the authority of companions and Envoys, and their certificates.
    pub fn ads_certificates(&self) -> (&Pki, [CertificateFiles; 2]) {
        (&self.pki, ["companion", "envoy"].map(|name| self.pki.issued(name)))
    }

    fn control_planes(&self) -> PathBuf {
        self.folder.join("control-planes")
    }

    /// All Envoys share their files.
    fn envoy_files(&self, kind: &str) -> PathBuf {
        self.folder.join("envoy-files").join(kind)
    }

    fn write_ads_secrets(&self) -> Result<()> {
        let tls = self.envoy_files("tls");
        self.pki.issued("envoy").copy_to(&tls, "ads-client")?;
        fs::copy(self.pki.ca_file(), tls.join("ads-ca.crt"))?;
        for file in ["ads-client.yaml", "ads-ca.yaml"] {
            self.write_secret(file, file, &tls)?;
        }
        Ok(())
    }

    /// Writes a shipped file of a secret, about the files in `tls`.
    fn write_secret(&self, shipped: &str, file: &str, tls: &Path) -> Result<()> {
        let text = read_shipped(&format!("sds/{shipped}"))?;
        let tls = tls.to_str().context("the folder is not UTF-8")?;
        let text = text.replace("/etc/mixed-version-proxy/tls/example", tls);
        let text = text.replace("/etc/mixed-version-proxy/tls", tls);
        let path = self.envoy_files("sds").join(file);
        fs::create_dir_all(path.parent().context("no folder")?)?;
        Ok(fs::write(path, text)?)
    }

    /// Adds or changes a control plane: first its files at the Envoys, then its file at the
    /// companions. Fails if a file cannot be written.
    pub fn add(&self, control_plane: &ControlPlane) -> Result<()> {
        let name = &control_plane.name;
        let tls = self.envoy_files("tls").join(name);
        fs::create_dir_all(&tls)?;
        let pairs = [
            ("server", Some(&control_plane.server)),
            ("front-proxy-client", control_plane.front_proxy.as_ref()),
        ];
        for (file, pair) in pairs.iter().filter_map(|(file, pair)| Some((file, (*pair)?))) {
            pair.copy_to(&tls, file)?;
        }
        for file in ["listener.yaml", "front-proxy.yaml"] {
            self.write_secret(&format!("example/{file}"), &format!("{name}/{file}"), &tls)?;
        }
        self.configure(control_plane)
    }

    /// Writes a control plane's file at the companions. Fails if it cannot be written.
    pub fn configure(&self, control_plane: &ControlPlane) -> Result<()> {
        let ControlPlane { name, peers, .. } = control_plane;
        let token_file = self.folder.join("tokens").join(name);
        fs::create_dir_all(token_file.parent().context("no folder")?)?;
        fs::write(&token_file, &control_plane.token)?;
        let peers: Vec<_> = peers
            .iter()
            .map(|(name, address)| json!({ "name": name, "address": address.to_string() }))
            .collect();
        let mut file = json!({
            "serverNames": control_plane.server_names,
            "peers": { "static": peers },
            "peerTls": { "caFile": control_plane.peer_ca_file, "serverName": "kubernetes" },
            "credentials": { "tokenFile": token_file },
            "answeringVersion": "any",
        });
        let fields = file.as_object_mut().context("no fields")?;
        if let Some(client_ca) = &control_plane.client_ca_file {
            fields.insert("clientCaFile".to_owned(), json!(client_ca));
        }
        if control_plane.front_proxy.is_some() {
            let secret = self.envoy_files("sds").join(name).join("front-proxy.yaml");
            fields.insert("frontProxySecret".to_owned(), json!(secret));
        }
        fields.extend(control_plane.more.as_object().cloned().unwrap_or_default());
        self.write_file(name, &file.to_string())
    }

    /// Replaces a control plane's file at the companions. Fails if it cannot be written.
    pub fn write_file(&self, name: &str, text: &str) -> Result<()> {
        let new = self.control_planes().join(format!(".{name}.new"));
        fs::write(&new, text)?;
        Ok(fs::rename(new, self.control_planes().join(format!("{name}.yaml")))?)
    }

    /// Removes a control plane's file at the companions. Fails if there is none.
    pub fn remove(&self, name: &str) -> Result<()> {
        Ok(fs::remove_file(self.control_planes().join(format!("{name}.yaml")))?)
    }

    /// Starts a companion, and waits until every control plane has a map. Fails if it does not
    /// become ready.
    pub async fn companion(&self, name: &str) -> Result<AdsCompanion> {
        let mut started = self.start_companion(name).await?;
        started.companion.wait_ready().await?;
        Ok(started)
    }

    /// Starts a companion. Fails if it does not answer.
    pub async fn start_companion(&self, name: &str) -> Result<AdsCompanion> {
        let [http, ads_port] = [ports::free_port()?, ports::free_port()?];
        let config = json!({
            "listen": format!("127.0.0.1:{http}"),
            "stateDirectory": self.folder.join(name).join("state"),
            "controlPlanes": { "directory": self.control_planes() },
            "listener": { "template": self.write_template()? },
            "ads": ads::section(&self.pki, ads_port),
            "envoy": { "filterModule": Artifact::Filter.path()? },
        });
        let (config, folder) = (serde_json::to_string_pretty(&config)?, self.folder.join(name));
        let options = CompanionOptions { config, port: http, folder };
        let companion = Companion::start(options).await?;
        Ok(AdsCompanion { companion, port: ads_port })
    }

    /// Writes the shipped template for this place. Fails if it has changed, or cannot be written.
    pub fn write_template(&self) -> Result<PathBuf> {
        let sds = self.envoy_files("sds");
        let replacements = [
            // Not every machine that runs tests has IPv6.
            ("address: \"::\", ipv4_compat: true", "address: 127.0.0.1"),
            ("port_value: 6443", "port_value: 0"),
            ("/etc/mixed-version-proxy/sds", sds.to_str().context("not UTF-8")?),
        ];
        let template = read_shipped("listener.yaml")?;
        let text =
            replacements.iter().try_fold(template, |text, (from, to)| replaced(&text, from, to))?;
        let path = self.folder.join("listener.yaml");
        fs::write(&path, text)?;
        Ok(path)
    }

    /// Returns an Envoy that asks the companion at this port. Fails if the shipped configuration has
    /// changed.
    pub fn envoy(&self, name: &str, companion: u16) -> Result<EnvoyOptions> {
        let file = integration_folder().join("../envoy-config/shared-ingress/envoy.yaml");
        let options = EnvoyOptions::from_file(&file, self.folder.join(name))?;
        ads::named(options, name, [companion; 2], &self.envoy_files("sds"))
    }

    /// Starts a mirror of the companion at this port, beside the Envoy of this name, with further
    /// fields in its configuration. Fails if it does not answer.
    pub async fn mirror(&self, envoy: &str, companion: u16, more: &Value) -> Result<Companion> {
        let folder = self.folder.join(envoy);
        ads::start_mirror(&self.pki, envoy, &folder, [companion; 2], more).await
    }

    /// Returns the file of the mirror beside the Envoy of this name. Fails if it cannot be read.
    pub fn mirrored(&self, envoy: &str) -> Result<Vec<u8>> {
        let file = ads::mirror_folder(&self.folder.join(envoy)).join("mirror.bin");
        fs::read(&file).with_context(|| format!("cannot read {}", file.display()))
    }

    /// Returns the certificate of an Envoy with another name in it. Fails if it cannot be written.
    pub fn envoy_certificate(&self, name: &str) -> Result<CertificateFiles> {
        let files = self.pki.for_any_purpose(name, name)?;
        let tls = self.envoy_files("tls").join(name);
        fs::create_dir_all(&tls)?;
        files.copy_to(&tls, "ads-client")?;
        self.write_secret("ads-client.yaml", &format!("{name}.yaml"), &tls)?;
        Ok(files)
    }

    /// Returns an Envoy that asks the companion at this port for some control planes. It presents
    /// the certificate with this name. Fails if the shipped configuration has changed.
    pub fn envoy_for(
        &self,
        control_planes: &[&str],
        certificate: &str,
        companion: u16,
    ) -> Result<EnvoyOptions> {
        let metadata = json!({ "mixed-version-proxy": { "controlPlanes": control_planes } });
        let cluster = "cluster: shared-ingress\n";
        self.envoy(&format!("envoy-{certificate}"), companion)?
            .replacing(cluster, &format!("{cluster}  metadata: {metadata}\n"))?
            .replacing("/ads-client.yaml", &format!("/{certificate}.yaml"))
    }
}

fn read_shipped(file: &str) -> Result<String> {
    let path = integration_folder().join("../envoy-config/shared-ingress").join(file);
    fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
}
