//! Which file has which resource.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::publish::plan::Name;

/// The files in Envoy's directory.
#[derive(Clone, Debug)]
pub struct Layout {
    /// All clusters.
    pub clusters: PathBuf,
    /// The filter.
    pub filter: PathBuf,
    /// The directory of the endpoints, one file for each cluster.
    pub endpoints: PathBuf,
    /// The directory of the secrets, one file for each.
    pub secrets: PathBuf,
}

impl Layout {
    pub fn new(directory: &Path) -> Self {
        Self {
            clusters: directory.join("cds.json"),
            filter: directory.join("ecds.json"),
            endpoints: directory.join("eds"),
            secrets: directory.join("sds"),
        }
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
    pub fn inventory(&self) -> BTreeSet<Name> {
        let resource = |file: String| Some(file.strip_suffix(".json")?.to_owned());
        let endpoints = files(&self.endpoints).filter_map(resource).map(Name::Endpoints);
        let secrets = files(&self.secrets).filter_map(resource).map(Name::Secret);
        endpoints.chain(secrets).collect()
    }

    /// Returns the files of secrets that were not written to their end.
    pub fn unfinished_secrets(&self) -> impl Iterator<Item = PathBuf> {
        let unfinished = |file: &String| file.starts_with('.') && file.ends_with(".new");
        files(&self.secrets).filter(unfinished).map(|file| self.secrets.join(file))
    }
}

fn files(directory: &Path) -> impl Iterator<Item = String> {
    let files = fs::read_dir(directory).into_iter().flatten().flatten();
    files.map(|file| file.file_name().to_string_lossy().into_owned())
}
