//! What the files say, and what stays of what they said. Pure, but for the files that they name.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::read::Read;
use crate::config::{ClusterPrefix, Config, ControlPlaneDirectory};
use crate::fingerprint::fingerprint;

/// All files, by the names of their control planes.
#[derive(Debug, Default)]
pub struct Files(BTreeMap<String, File>);

#[derive(Debug, Default)]
struct File {
    /// A hash of the content that was looked at last.
    seen: Option<String>,
    good: Option<Arc<Config>>,
    faults: Vec<String>,
}

/// What is known of the control planes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// The last good configuration of each that has one.
    pub configs: BTreeMap<ClusterPrefix, Arc<Config>>,
    /// What is wrong with each file that is not in use as it is.
    pub faults: BTreeMap<String, Vec<String>>,
}

impl Known {
    /// Returns the names of all files, valid or not.
    pub fn names(&self) -> BTreeSet<&str> {
        let valid = self.configs.keys().map(ClusterPrefix::as_str);
        valid.chain(self.faults.keys().map(String::as_str)).collect()
    }
}

/// What a look at the directory changed.
#[derive(Debug, PartialEq, Eq)]
pub enum News {
    /// There is a control plane that was not there.
    Added { name: String, text: String },
    /// Its configuration is another one, or its file is in order again.
    Changed { name: String, text: String },
    /// Its file is not in order, for other reasons than before.
    Refused { name: String, faults: Vec<String> },
    /// Its file is gone.
    Removed { name: String },
}

impl Files {
    /// Takes in what was read. `again`: what all have in common may have changed, or this is a start.
    ///
    /// # Errors
    /// There is no file any more. Nothing is changed.
    pub(super) fn take(
        &mut self,
        read: Read,
        directory: &ControlPlaneDirectory,
        again: bool,
    ) -> Result<Vec<News>, String> {
        if read.is_empty() && !self.0.is_empty() {
            return Err(format!("{} has no files any more", directory.path.display()));
        }
        let gone: Vec<_> = self.0.extract_if(.., |name, _| !read.contains_key(name)).collect();
        let mut news: Vec<_> = gone.into_iter().map(|(name, _)| News::Removed { name }).collect();
        for (name, text) in read {
            let text = match text {
                Ok(text) => text,
                Err(problem) => {
                    news.extend(self.refuse(name, None, vec![problem]));
                    continue;
                }
            };
            let seen = Some(fingerprint(text.as_bytes()));
            let known = self.0.get(&name);
            // What a refused file names may have arrived after it.
            if again || known.is_none_or(|file| file.seen != seen || !file.faults.is_empty()) {
                news.extend(match self.load(&name, &text, directory) {
                    Ok(config) => self.accept(name, seen, text, config),
                    Err(faults) => self.refuse(name, seen, faults),
                });
            }
        }
        Ok(news)
    }

    /// Uses the text that an earlier run used, if it still can be used. Nobody else can take a server
    /// name from it.
    pub(super) fn restore(&mut self, name: &str, text: &str, directory: &ControlPlaneDirectory) {
        if let Ok(config) = self.load(name, text, directory) {
            self.0.entry(name.to_owned()).or_default().good = Some(config);
        }
    }

    /// Returns whether a control plane has a good configuration.
    pub(super) fn is_used(&self, name: &str) -> bool {
        self.0.get(name).is_some_and(|file| file.good.is_some())
    }

    /// Returns what is known now.
    pub fn known(&self) -> Known {
        let good = self.0.values().filter_map(|file| file.good.clone());
        let faulty = self.0.iter().filter(|(_, file)| !file.faults.is_empty());
        Known {
            configs: good.map(|config| (config.envoy.cluster_prefix.clone(), config)).collect(),
            faults: faulty.map(|(name, file)| (name.clone(), file.faults.clone())).collect(),
        }
    }

    /// Returns the configuration that a text gives.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    fn load(
        &self,
        name: &str,
        text: &str,
        directory: &ControlPlaneDirectory,
    ) -> Result<Arc<Config>, Vec<String>> {
        let prefix: ClusterPrefix =
            name.parse().map_err(|problem| vec![format!("the file's name {problem}")])?;
        let config = directory
            .load(&prefix, text)
            .map_err(|faults| faults.iter().map(ToString::to_string).collect::<Vec<_>>())?;
        let taken = self.taken(name, &config);
        if taken.is_empty() { Ok(Arc::new(config)) } else { Err(taken) }
    }

    /// Returns the faults of server names that another control plane has.
    fn taken(&self, name: &str, config: &Config) -> Vec<String> {
        let names = config.server_names.iter().flatten();
        let mut faults = Vec::new();
        for (at, server_name) in names.enumerate() {
            let owner = self.0.iter().find(|(other, file)| {
                let names = file.good.iter().flat_map(|config| &config.server_names).flatten();
                *other != name && names.into_iter().any(|taken| taken == server_name)
            });
            if let Some((other, _)) = owner {
                let taken =
                    format!("\"{server_name}\" already belongs to the control plane {other}");
                faults.push(format!("serverNames[{at}]: {taken}"));
            }
        }
        faults
    }

    fn accept(
        &mut self,
        name: String,
        seen: Option<String>,
        text: String,
        config: Arc<Config>,
    ) -> Option<News> {
        let file = self.0.entry(name.clone()).or_default();
        let mended = !std::mem::take(&mut file.faults).is_empty();
        file.seen = seen;
        if !mended && file.good.as_ref() == Some(&config) {
            return None;
        }
        Some(match file.good.replace(config) {
            None => News::Added { name, text },
            Some(_) => News::Changed { name, text },
        })
    }

    fn refuse(&mut self, name: String, seen: Option<String>, faults: Vec<String>) -> Option<News> {
        let file = self.0.entry(name.clone()).or_default();
        file.seen = seen;
        let is_new = file.faults != faults;
        file.faults.clone_from(&faults);
        is_new.then_some(News::Refused { name, faults })
    }
}

#[cfg(test)]
mod tests;
