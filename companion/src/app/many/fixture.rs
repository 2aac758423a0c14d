//! The files that many control planes need: one authority and one token for all.

use std::sync::Arc;

use tempfile::TempDir;

use crate::config::{ClusterPrefix, Config, ControlPlaneDirectory, ControlPlanes, MainConfig};

pub struct Files {
    root: TempDir,
    pub directory: ControlPlaneDirectory,
}

impl Files {
    /// Returns files with this template of the listener.
    pub fn new(template: &str) -> Self {
        let root = tempfile::tempdir().unwrap();
        let path = |name: &str| root.path().join(name).display().to_string();
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(vec!["x".to_owned()]).unwrap();
        std::fs::write(path("ca"), params.self_signed(&key).unwrap().pem()).unwrap();
        std::fs::write(path("token"), "t").unwrap();
        std::fs::write(path("listener.yaml"), template).unwrap();
        let main = format!(
            "stateDirectory: {}\ncontrolPlanes: {{directory: {}}}\nlistener: {{template: {}}}\n\
             envoy: {{filterModule: /f}}\nads: {{listen: '127.0.0.1:1', certificateFile: /c, \
             keyFile: /k, clientCaFile: /a, allowedClientNames: [e]}}\n",
            path("state"),
            path("files"),
            path("listener.yaml")
        );
        let main = MainConfig::from_yaml(&main).unwrap();
        let ControlPlanes::Many(directory) = main.control_planes else { panic!("one") };
        Self { root, directory }
    }

    /// Returns the configuration of a control plane whose only peer does not answer.
    pub fn config(&self, name: &str) -> (ClusterPrefix, Arc<Config>) {
        let (name, root): (ClusterPrefix, _) = (name.parse().unwrap(), self.root.path().display());
        let text = format!(
            "serverNames: [{name}.x]\npeers: {{static: [{{name: a, address: '127.0.0.1:1'}}]}}\n\
             peerTls: {{caFile: {root}/ca}}\ncredentials: {{tokenFile: {root}/token}}\n"
        );
        let config = self.directory.control_plane(&name, &text).unwrap();
        (name, Arc::new(config))
    }
}
