//! Which file has which resource.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::publish::plan::Inventory;
use crate::xds::{ConfigSource, Sources};

/// The places in Envoy's directory.
#[derive(Clone, Debug)]
pub struct Layout {
    directory: PathBuf,
    /// The directory of the endpoints, one file for each cluster.
    pub endpoints: PathBuf,
    /// The directory of the secrets, one file for each.
    pub secrets: PathBuf,
}

impl Layout {
    pub fn new(directory: &Path) -> Self {
        Self {
            directory: directory.to_owned(),
            endpoints: directory.join("eds"),
            secrets: directory.join("sds"),
        }
    }

    /// Returns the file with all clusters.
    pub fn clusters(&self) -> PathBuf {
        self.directory.join("cds.json")
    }

    /// Returns the file with the filter.
    pub fn filter(&self) -> PathBuf {
        self.directory.join("ecds.json")
    }

    /// Returns the file with the endpoints of a cluster.
    pub fn endpoints(&self, cluster: &str) -> PathBuf {
        self.endpoints.join(format!("{cluster}.json"))
    }

    /// Returns the file with a secret.
    pub fn secret(&self, name: &str) -> PathBuf {
        self.secrets.join(format!("{name}.json"))
    }

    /// Returns what there are files for. A directory that cannot be read has none.
    pub fn inventory(&self) -> Inventory {
        Inventory { clusters: resources(&self.endpoints), secrets: resources(&self.secrets) }
    }

    /// Returns the files of secrets that were not written to their end.
    pub fn temporary_secrets(&self) -> impl Iterator<Item = PathBuf> {
        let temporary = |name: &String| name.starts_with('.') && name.ends_with(".new");
        names(&self.secrets).filter(temporary).map(|name| self.secrets.join(name))
    }
}

impl Sources for Layout {
    fn endpoints(&self, cluster: &str) -> ConfigSource {
        ConfigSource::Path(self.endpoints(cluster))
    }

    fn secret(&self, name: &str) -> ConfigSource {
        ConfigSource::Path(self.secret(name))
    }
}

fn resources(directory: &Path) -> BTreeSet<String> {
    let resource = |name: String| Some(name.strip_suffix(".json")?.to_owned());
    names(directory).filter_map(resource).collect()
}

fn names(directory: &Path) -> impl Iterator<Item = String> {
    let files = fs::read_dir(directory).into_iter().flatten().flatten();
    files.map(|file| file.file_name().to_string_lossy().into_owned())
}
