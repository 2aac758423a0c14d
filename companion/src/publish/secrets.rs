//! The files of the secrets: what is there, and what is to go.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::PublishError;
use crate::files::{Access, DiskError, Written};
use crate::secrets::Secrets;
use crate::xds;

/// The secrets' directory.
#[derive(Debug)]
pub(super) struct SecretFiles {
    directory: PathBuf,
    /// The secrets that clusters name.
    used: BTreeSet<String>,
    /// Those that no cluster names any more, and how long they still stay: an
    /// Envoy may be about to read them.
    retired: BTreeMap<String, Duration>,
}

impl SecretFiles {
    /// Looks at what an earlier run left. Clusters may name it.
    pub(super) fn open(directory: PathBuf, delay: Duration) -> Result<Self, DiskError> {
        fs::create_dir_all(&directory)
            .map_err(|source| DiskError::new("cannot make", &directory, source))?;
        let mut retired = BTreeMap::new();
        for file in fs::read_dir(&directory).into_iter().flatten().flatten() {
            let name = file.file_name().to_string_lossy().into_owned();
            if name.starts_with('.') && name.ends_with(".new") {
                // A killed companion's, with a key in it perhaps.
                let removed = fs::remove_file(file.path());
                removed.map_err(|source| DiskError::new("cannot remove", &file.path(), source))?;
            } else if let Some(secret) = name.strip_suffix(".json")
                && ![xds::LISTENER, xds::CLIENT_CA].contains(&secret)
            {
                retired.insert(secret.to_owned(), delay);
            }
        }
        Ok(Self { directory, used: BTreeSet::new(), retired })
    }

    /// Where the files are.
    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Writes what the listener names. When no certificates are to be accepted
    /// any more, that is said: an Envoy keeps what it was told last. So it does
    /// with a listener's certificate that is configured no more: it must have
    /// one.
    pub(super) fn write_listener(
        &self,
        secrets: &Secrets,
        written: &mut Written,
    ) -> Result<(), PublishError> {
        let client_ca = secrets.client_ca.as_ref().map(|certificates| certificates.pem());
        if secrets.listener.is_some() || self.path(xds::CLIENT_CA).exists() {
            self.write(xds::CLIENT_CA, &xds::authorities(xds::CLIENT_CA, client_ca), written)?;
        }
        let Some(pair) = &secrets.listener else { return Ok(()) };
        let secret = xds::key_pair(xds::LISTENER, pair.certificates().pem(), pair.key());
        self.write(xds::LISTENER, &secret, written)
    }

    /// Writes what the clusters are going to name, and retires the rest.
    pub(super) fn write_upstream(
        &mut self,
        secrets: &Secrets,
        delay: Duration,
        written: &mut Written,
    ) -> Result<(), PublishError> {
        let mut used = BTreeSet::new();
        let name = xds::peer_ca_name(&secrets.peer_ca);
        self.write(&name, &xds::authorities(&name, Some(secrets.peer_ca.pem())), written)?;
        used.insert(name);
        if let Some(pair) = &secrets.front_proxy {
            let name = xds::front_proxy_name(pair);
            let secret = xds::key_pair(&name, pair.certificates().pem(), pair.key());
            self.write(&name, &secret, written)?;
            used.insert(name);
        }
        for name in self.used.difference(&used) {
            written.forget(&self.path(name));
            self.retired.insert(name.clone(), delay);
        }
        self.retired.retain(|name, _| !used.contains(name));
        self.used = used;
        Ok(())
    }

    /// Lets time pass for the files that are to go.
    pub(super) fn pass(&mut self, passed: Duration) {
        for remaining in self.retired.values_mut() {
            *remaining = remaining.saturating_sub(passed);
        }
    }

    /// Removes the files whose time has come.
    pub(super) fn remove_expired(&mut self, written: &mut Written) -> Result<(), DiskError> {
        let gone = self.retired.iter().filter(|(_, remaining)| remaining.is_zero());
        for name in gone.map(|(name, _)| name.clone()).collect::<Vec<_>>() {
            written.remove(&self.path(&name))?;
            self.retired.remove(&name);
        }
        Ok(())
    }

    fn write(
        &self,
        name: &str,
        secret: &serde_json::Value,
        written: &mut Written,
    ) -> Result<(), PublishError> {
        let private = secret.get("tls_certificate").is_some();
        let access = if private { Access::Owner } else { Access::Umask };
        // The version is that of the content, which has its own hash in Envoy.
        let response = xds::response(1, std::slice::from_ref(secret));
        written.write(&self.path(name), &serde_json::to_vec(&response)?, access)?;
        Ok(())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.join(xds::secret_file(name))
    }
}
