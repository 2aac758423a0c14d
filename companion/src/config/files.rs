//! Checks the files that a configuration names.

use std::path::Path;

use super::reader::{FaultLog, Faults};
use super::{Config, Credentials, KeyPairFiles};
use crate::certificates::{Certificates, FileError, KeyPair, PrivateKey, check_front_proxy};

pub(super) fn check(config: &Config) -> Result<(), Faults> {
    let log = FaultLog::default();
    certificates("peerTls.caFile", &config.peer_tls.ca_file, &log);
    match &config.credentials {
        Credentials::Token { file } => token("credentials.tokenFile", file, &log),
        Credentials::ClientCertificate(files) => {
            pair("credentials.clientCertificate", files, &log);
        }
    }
    let mut clients = None;
    if let Some(listener) = &config.listener_tls {
        pair("listenerTls", &listener.pair, &log);
        if let Some(file) = &listener.client_ca_file {
            clients = certificates("listenerTls.clientCaFile", file, &log);
        }
    }
    if let Some(files) = &config.front_proxy
        && let Some(front_proxy) = pair("frontProxy", files, &log)
        && let Some(clients) = clients
    {
        let checked = check_front_proxy(&clients, &front_proxy, files);
        noted("frontProxy.certificateFile", checked, &log);
    }
    log.into_result()
}

fn token(place: &str, file: &Path, log: &FaultLog) {
    match std::fs::read(file) {
        Ok(content) if content.trim_ascii().is_empty() => {
            log.add(place, format!("{} is empty", file.display()));
        }
        Ok(_) => {}
        Err(error) => log.add(place, format!("{} cannot be read: {error}", file.display())),
    }
}

/// Both files by themselves, and whether they belong together.
fn pair(place: &str, files: &KeyPairFiles, log: &FaultLog) -> Option<KeyPair> {
    let key_place = format!("{place}.keyFile");
    let certificates =
        certificates(&format!("{place}.certificateFile"), &files.certificate_file, log);
    let key = noted(&key_place, PrivateKey::read(&files.key_file), log);
    noted(&key_place, KeyPair::of(certificates?, key?, files), log)
}

fn certificates(place: &str, file: &Path, log: &FaultLog) -> Option<Certificates> {
    noted(place, Certificates::read(file), log)
}

fn noted<T>(place: &str, result: Result<T, FileError>, log: &FaultLog) -> Option<T> {
    result.map_err(|error| log.add(place, error.to_string())).ok()
}
