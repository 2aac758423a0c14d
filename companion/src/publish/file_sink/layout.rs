//! Which file has which resource.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::publish::plan::Name;

#[derive(Debug)]
pub struct Layout(PathBuf);

impl Layout {
    pub fn new(directory: &Path) -> Self {
        Self(directory.to_owned())
    }

    /// Returns the directories of endpoints and of secrets, with one file for each.
    pub fn directories(&self) -> [PathBuf; 2] {
        ["eds", "sds"].map(|name| self.0.join(name))
    }

    pub fn clusters(&self) -> PathBuf {
        self.0.join("cds.json")
    }

    pub fn filter(&self) -> PathBuf {
        self.0.join("ecds.json")
    }

    pub fn named(&self, name: &Name) -> PathBuf {
        let [endpoints, secrets] = self.directories();
        match name {
            Name::Endpoints(cluster) => endpoints.join(format!("{cluster}.json")),
            Name::Secret(name) => secrets.join(format!("{name}.json")),
        }
    }

    /// Returns what there are files for. A directory that cannot be read has none.
    pub fn inventory(&self) -> BTreeSet<Name> {
        let resource = |file: String| Some(file.strip_suffix(".json")?.to_owned());
        let [endpoints, secrets] = self.directories().map(|directory| files(&directory));
        let endpoints = endpoints.filter_map(resource).map(Name::Endpoints);
        endpoints.chain(secrets.filter_map(resource).map(Name::Secret)).collect()
    }

    /// Returns the files of secrets that were not written to their end.
    pub fn unfinished_secrets(&self) -> impl Iterator<Item = PathBuf> {
        let [_, secrets] = self.directories();
        let unfinished = |file: &String| file.starts_with('.') && file.ends_with(".new");
        files(&secrets).filter(unfinished).map(move |file| secrets.join(file))
    }
}

fn files(directory: &Path) -> impl Iterator<Item = String> + use<> {
    let files = fs::read_dir(directory).into_iter().flatten().flatten();
    files.map(|file| file.file_name().to_string_lossy().into_owned())
}
