//! The configuration of a mirror.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use discovery_map::Faults;

use super::build_main::loopback;
use super::reader::{FaultLog, Faulty, Section};
use super::tls::pair;
use super::value::{ClusterPrefix, ServerName, absolute, address};
use super::{ConfigError, files, read};
use crate::certificates::KeyPairFiles;

/// The socket that Envoy asks, in the state directory.
const SOCKET: &str = "ads.sock";

/// The longest path of a socket (`sun_path` of `unix(7)`), in bytes.
const LONGEST_SOCKET: usize = 107;

/// The validated configuration of a mirror.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MirrorConfig {
    /// The address of the HTTP endpoint.
    pub listen: SocketAddr,
    /// Where its health and its metrics can be read from other hosts, if they can.
    pub metrics_listen: Option<SocketAddr>,
    /// Where the mirror keeps its file, and has the socket for Envoy.
    pub state_directory: PathBuf,
    /// Who it says it is.
    pub node: String,
    /// The control planes that it asks for. `None` for all that it may have.
    pub control_planes: Option<BTreeSet<ClusterPrefix>>,
    /// Whom it mirrors.
    pub companions: Companions,
}

/// The companions, and what a mirror needs to be served by one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Companions {
    /// Each a host and a port.
    pub addresses: Vec<String>,
    /// A DNS name in the certificate of each.
    pub server_name: ServerName,
    /// The authorities of their certificates (PEM).
    pub ca_file: PathBuf,
    /// The certificate that is presented to them.
    pub pair: KeyPairFiles,
}

impl MirrorConfig {
    /// Reads and validates a file. The files that it names can be missing: a mirror serves without
    /// them what it has, and reads them for each connection.
    pub(crate) fn load(path: &Path) -> Result<Self, ConfigError> {
        Ok(Self::from_yaml(&read(path)?)?)
    }

    /// Does the same, and checks the files that it names.
    pub(crate) fn check(path: &Path) -> Result<(), ConfigError> {
        let config = Self::load(path)?;
        let log = FaultLog::default();
        files::pair("companions", &config.companions.pair, &log);
        files::certificates("companions.caFile", &config.companions.ca_file, &log);
        Ok(log.into_result(Ok(()))?)
    }

    /// Validates a text.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn from_yaml(text: &str) -> Result<Self, Faults> {
        let log = FaultLog::default();
        let config = Section::document(text, &log).and_then(mirror);
        log.into_result(config)
    }

    /// Returns the path of the socket that Envoy asks.
    pub fn socket(&self) -> PathBuf {
        self.state_directory.join(SOCKET)
    }
}

fn mirror(mut top: Section<'_>) -> Result<MirrorConfig, Faulty> {
    let listen = top.or_default("listen", "127.0.0.1:9905", loopback);
    let metrics_listen = top.optional("metricsListen", address);
    let state_directory = top.required("stateDirectory", state_directory);
    let node = top.required("node", node);
    let control_planes = control_planes(&mut top);
    let companions = top.section("companions").and_then(companions);
    top.finish();
    Ok(MirrorConfig {
        listen: listen?,
        metrics_listen: metrics_listen?,
        state_directory: state_directory?,
        node: node?,
        control_planes: control_planes?,
        companions: companions?,
    })
}

/// Reads which control planes the mirror asks for.
fn control_planes(top: &mut Section<'_>) -> Result<Option<BTreeSet<ClusterPrefix>>, Faulty> {
    const FIELD: &str = "controlPlanes";
    let names = top.optional_strings(FIELD, str::parse::<ClusterPrefix>)?;
    if names.as_ref().is_some_and(Vec::is_empty) {
        return Err(top.fault(FIELD, "must have at least one entry; leave it out for all"));
    }
    Ok(names.map(|names| names.into_iter().collect()))
}

fn companions(mut section: Section<'_>) -> Result<Companions, Faulty> {
    let addresses = section.required_strings("addresses", host_and_port);
    let server_name = section.or_default("serverName", "companion", str::parse);
    let ca_file = section.required("caFile", absolute);
    let pair = pair(&mut section);
    section.finish();
    Ok(Companions {
        addresses: addresses?,
        server_name: server_name?,
        ca_file: ca_file?,
        pair: pair?,
    })
}

fn state_directory(text: &str) -> Result<PathBuf, String> {
    let path = absolute(text)?;
    if path.join(SOCKET).as_os_str().len() > LONGEST_SOCKET {
        let most = LONGEST_SOCKET - SOCKET.len() - 1;
        return Err(format!("must be at most {most} bytes long, because it has a socket"));
    }
    Ok(path)
}

fn node(text: &str) -> Result<String, String> {
    if text.is_empty() { Err("must not be empty".to_owned()) } else { Ok(text.to_owned()) }
}

fn host_and_port(text: &str) -> Result<String, String> {
    let port = text.rsplit_once(':').filter(|(host, _)| !host.is_empty());
    match port.and_then(|(_, port)| port.parse::<u16>().ok()) {
        Some(1..) => Ok(text.to_owned()),
        _ => Err("must be a host and a port, such as companion-1.example.com:9904".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_names_its_field() {
        let long = "/".repeat(200);
        let faults = MirrorConfig::from_yaml(&format!(
            "{{listen: '0.0.0.0:1', stateDirectory: {long}, node: '', more: 1, controlPlanes: [A, b], \
             companions: {{addresses: [a, 'a:b', ':1', 'a:0'], serverName: 10.0.0.1, caFile: a, keyFile: /k}}}}"
        ));
        let faults = faults.unwrap_err();
        let places: Vec<_> = faults.iter().map(|fault| fault.place.as_str()).collect();
        let expected = [
            "listen",
            "stateDirectory",
            "node",
            "controlPlanes[0]",
            "companions.addresses[0]",
            "companions.addresses[1]",
            "companions.addresses[2]",
            "companions.addresses[3]",
            "companions.serverName",
            "companions.caFile",
            "companions.certificateFile",
            "more",
        ];
        assert_eq!(places, expected);
    }

    #[test]
    fn a_mirror_asks_for_all_control_planes_or_for_those_that_it_names() {
        let read = |field: &str| {
            MirrorConfig::from_yaml(&format!(
                "{{stateDirectory: /s, node: a, {field} companions: {{addresses: ['a:1'], \
                 caFile: /ca, certificateFile: /c, keyFile: /k}}}}"
            ))
        };
        assert_eq!(read("").unwrap().control_planes, None);
        let names = read("controlPlanes: [b, a, b],").unwrap().control_planes.unwrap();
        assert_eq!(names.iter().map(ClusterPrefix::as_str).collect::<Vec<_>>(), ["a", "b"]);
        let none = read("controlPlanes: [],").unwrap_err().to_string();
        assert_eq!(none, "controlPlanes: must have at least one entry; leave it out for all");
    }

    #[test]
    fn a_mirror_may_start_without_the_files_of_its_certificate() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("mirror.yaml");
        let files = "caFile: /x/ca, certificateFile: /x/c, keyFile: /x/k";
        let text =
            format!("{{stateDirectory: /s, node: a, companions: {{addresses: ['a:1'], {files}}}}}");
        std::fs::write(&path, text).unwrap();
        MirrorConfig::load(&path).unwrap();
        let faults = MirrorConfig::check(&path).unwrap_err().to_string();
        for place in ["companions.caFile", "companions.certificateFile"] {
            assert!(faults.contains(place), "{faults}");
        }
    }
}
