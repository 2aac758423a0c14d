//! Checks the files that a configuration names.

use std::path::Path;

use discovery_map::Faults;
use kube::config::Kubeconfig;

use super::main::{ControlPlanes, MainConfig};
use super::model::{Config, CredentialFiles, module_at_servers};
use super::peers::{Access, PeerSource, SlicesSource};
use super::reader::FaultLog;
use crate::certificates::{Certificates, FileError, KeyPair, KeyPairFiles, PrivateKey};
use crate::files;

impl MainConfig {
    /// Checks that the named files exist and are of the right kind. Reports every file that is not.
    /// The files of many control planes are not looked at.
    pub(super) fn check_files(&self) -> Result<(), Faults> {
        let log = FaultLog::default();
        match &self.control_planes {
            ControlPlanes::One(config) => {
                modules(&config.envoy.filter_module, &log);
                config.log_files(&log);
            }
            ControlPlanes::Many(many) => modules(&many.filter_module, &log),
        }
        if let Some(ads) = &self.ads {
            pair("ads", &ads.pair, &log);
            certificates("ads.clientCaFile", &ads.client_ca_file, &log);
        }
        log.into_result(Ok(()))
    }
}

impl Config {
    /// Checks the files that one of many control planes names.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub(crate) fn check_files(&self) -> Result<(), Faults> {
        let log = FaultLog::default();
        self.log_files(&log);
        log.into_result(Ok(()))
    }

    fn log_files(&self, log: &FaultLog) {
        if let PeerSource::EndpointSlices(SlicesSource {
            access: Access::Kubeconfig(file), ..
        }) = &self.peers
        {
            kubeconfig("peers.endpointSlices.kubeconfigFile", file, log);
        }
        certificates("peerTls.caFile", &self.peer_tls.ca_file, log);
        match &self.credentials {
            CredentialFiles::Token { file } => token("credentials.tokenFile", file, log),
            CredentialFiles::ClientCertificate(files) => {
                pair("credentials.clientCertificate", files, log);
            }
        }
        if let Some(listener) = &self.listener_tls {
            pair("listenerTls", listener, log);
        }
        let of_listener = if self.name().is_some() { "" } else { "listenerTls." };
        let clients = self.client_ca_file.as_ref();
        let clients =
            clients.and_then(|file| certificates(&format!("{of_listener}clientCaFile"), file, log));
        if let Some(files) = &self.front_proxy
            && let Some(front_proxy) = pair("frontProxy", files, log)
            && let Some(clients) = clients
        {
            let checked = check_front_proxy(&clients, &front_proxy, files);
            noted("frontProxy.certificateFile", checked, log);
        }
    }
}

/// Refuses a front-proxy certificate that the clients' own authority signed. An
/// API server would take it for a client's, and every client for that one user,
/// wherever it does not take it for the front proxy's.
pub(crate) fn check_front_proxy(
    clients: &Certificates,
    front_proxy: &KeyPair,
    files: &KeyPairFiles,
) -> Result<(), FileError> {
    if !clients.signed(front_proxy.certificates()) {
        return Ok(());
    }
    Err(FileError {
        file: files.certificate_file.clone(),
        problem: "is signed by an authority in listenerTls.clientCaFile; the front proxy needs an \
                  authority of its own, that of --requestheader-client-ca-file"
            .to_owned(),
    })
}

/// Envoy would refuse clusters whose module is missing, but not a map that names them. If the
/// filter is not there either, only Envoy sees both.
fn modules(filter: &Path, log: &FaultLog) {
    let at_servers = module_at_servers(filter);
    if filter.exists() && !at_servers.exists() {
        let problem = format!(
            "{} is missing beside {}; install both files of one build",
            at_servers.display(),
            filter.display()
        );
        log.add("envoy.filterModule", problem);
    }
}

/// Only whether it is one: what it names is read when it is used.
fn kubeconfig(place: &str, file: &Path, log: &FaultLog) {
    let read = files::read_text(file).map_err(|error| format!("cannot be read: {error}"));
    let parsed = read.and_then(|text| match Kubeconfig::from_yaml(&text) {
        Ok(kubeconfig) if kubeconfig.clusters.is_empty() => Err("has no clusters".to_owned()),
        Ok(_) => Ok(()),
        // Without the parser's words, which may have the file's content.
        Err(_) => Err("is not a kubeconfig".to_owned()),
    });
    if let Err(problem) = parsed {
        log.add(place, format!("{} {problem}", file.display()));
    }
}

fn token(place: &str, file: &Path, log: &FaultLog) {
    let problem = match files::read(file) {
        Ok(content) if content.trim_ascii().is_empty() => "is empty".to_owned(),
        Ok(_) => return,
        Err(error) => format!("cannot be read: {error}"),
    };
    log.add(place, format!("{} {problem}", file.display()));
}

/// Both files by themselves, and whether they belong together.
pub(super) fn pair(place: &str, files: &KeyPairFiles, log: &FaultLog) -> Option<KeyPair> {
    let key_place = format!("{place}.keyFile");
    let certificates =
        certificates(&format!("{place}.certificateFile"), &files.certificate_file, log);
    let key = noted(&key_place, PrivateKey::read(&files.key_file), log);
    noted(&key_place, KeyPair::of(certificates?, key?, files), log)
}

pub(super) fn certificates(place: &str, file: &Path, log: &FaultLog) -> Option<Certificates> {
    noted(place, Certificates::read(file), log)
}

fn noted<T>(place: &str, result: Result<T, FileError>, log: &FaultLog) -> Option<T> {
    result.map_err(|error| log.add(place, error.to_string())).ok()
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair as Key};

    use super::*;

    #[test]
    fn a_filter_without_the_module_for_the_servers_is_a_fault() {
        let directory = tempfile::tempdir().unwrap();
        let filter = directory.path().join("filter-0.2.0.wasm");
        let faults = || {
            let log = FaultLog::default();
            modules(&filter, &log);
            log.into_result(Ok(())).err().map(|faults| faults.to_string())
        };
        assert_eq!(faults(), None, "it may be elsewhere for Envoy");
        std::fs::write(&filter, "").unwrap();
        let missing = faults().unwrap();
        assert!(missing.contains("envoy.filterModule: ") && missing.contains("is missing beside"));
        std::fs::write(directory.path().join("filter-0.2.0-at-server.wasm"), "").unwrap();
        assert_eq!(faults(), None);
    }

    #[test]
    fn the_clients_authority_must_not_sign_the_front_proxy_certificate() {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, Key::generate().unwrap()).unwrap();
        let key = Key::generate().unwrap();
        let leaf = CertificateParams::new(vec!["x".to_owned()]).unwrap();
        let leaf = leaf.signed_by(&key, &authority).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let file = |name: &str, content: String| {
            let path = directory.path().join(name);
            std::fs::write(&path, content).unwrap();
            path
        };
        let files = KeyPairFiles {
            certificate_file: file("crt", leaf.pem()),
            key_file: file("key", key.serialize_pem()),
        };
        let clients = Certificates::read(&file("ca", authority.pem())).unwrap();
        let pair = KeyPair::read(&files).unwrap();
        let error = check_front_proxy(&clients, &pair, &files).unwrap_err().to_string();
        let start = format!("{} is signed by an authority in", files.certificate_file.display());
        assert!(error.starts_with(&start), "{error}");
    }
}
