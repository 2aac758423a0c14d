//! What the files say, and what stays of what they said. Pure, but for the files that they name.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use discovery_map::Faults;

use super::owners::Owners;
use super::read::Read;
use crate::config::{ClusterPrefix, Config, ControlPlaneDirectory};
use crate::fingerprint::fingerprint;

/// All files.
#[derive(Debug, Default)]
pub struct Files {
    /// By the names of their control planes.
    all: BTreeMap<String, File>,
    /// Of the configurations in use.
    owners: Owners,
}

#[derive(Debug, Default)]
struct File {
    /// A hash of the content that was looked at last.
    seen: Option<String>,
    good: Option<Arc<Config>>,
    /// What the content says, if only something else is in the way of it: a file that it names, or
    /// the owner of a server name. That can change while the content does not.
    waiting: Option<Arc<Config>>,
    faults: Vec<String>,
}

/// What a file says that may have changed.
enum Look {
    /// Nothing that can be used. What is in use of the file stays.
    Faulty(File),
    Valid(Valid),
}

struct Valid {
    seen: Option<String>,
    text: String,
    config: Arc<Config>,
    /// What is wrong with the files that it names.
    faults: Vec<String>,
}

impl Look {
    /// Returns the configuration, if nothing but an owner of a server name can be in its way.
    fn usable(&self) -> Option<&Config> {
        match self {
            Self::Valid(valid) if valid.faults.is_empty() => Some(&valid.config),
            Self::Valid(_) | Self::Faulty(_) => None,
        }
    }
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
        if read.is_empty() && !self.all.is_empty() {
            return Err(format!("{} has no files any more", directory.path.display()));
        }
        let mut news = self.remove_all_but(&read);
        let looks = read.into_iter().filter_map(|(name, text)| {
            let look = match text {
                Ok(text) => self.look(&name, text, directory, again)?,
                Err(problem) => Look::Faulty(File { faults: vec![problem], ..File::default() }),
            };
            Some((name, look))
        });
        let looks: Vec<_> = looks.collect();
        // All at once, so that control planes can exchange server names.
        let usable = looks.iter().filter_map(|(name, look)| Some((name.as_str(), look.usable()?)));
        let used = self.owners.replace(usable.collect());
        news.extend(looks.into_iter().filter_map(|(name, look)| match look {
            Look::Valid(valid) if used.contains(&name) => self.accept(name, valid),
            Look::Valid(valid) => {
                let Valid { seen, config, mut faults, .. } = valid;
                faults.extend(self.owners.faults(&name, &config));
                self.refuse(name, File { seen, waiting: Some(config), faults, good: None })
            }
            Look::Faulty(file) => self.refuse(name, file),
        }));
        Ok(news)
    }

    fn remove_all_but(&mut self, read: &Read) -> Vec<News> {
        let gone: Vec<_> = self.all.extract_if(.., |name, _| !read.contains_key(name)).collect();
        let remove = |(name, _): (String, File)| {
            self.owners.remove(&name);
            News::Removed { name }
        };
        gone.into_iter().map(remove).collect()
    }

    /// Looks at a file. A content that was seen is not parsed again. Returns `None` if nothing can have
    /// changed.
    fn look(
        &self,
        name: &str,
        text: String,
        directory: &ControlPlaneDirectory,
        again: bool,
    ) -> Option<Look> {
        let seen = Some(fingerprint(text.as_bytes()));
        let known = self.all.get(name).filter(|file| !again && file.seen == seen);
        let parsed = match known {
            Some(file) => Ok(file.waiting.clone()?),
            None => parse(name, &text, directory),
        };
        Some(match parsed {
            Err(faults) => Look::Faulty(File { seen, faults, ..File::default() }),
            Ok(config) => {
                let faults = files_faults(&config);
                Look::Valid(Valid { seen, text, config, faults })
            }
        })
    }

    /// Uses the text that an earlier run used, if it still can be used. Nobody else can take a server
    /// name from it.
    pub(super) fn restore(&mut self, name: &str, text: &str, directory: &ControlPlaneDirectory) {
        if let Ok(config) = parse(name, text, directory)
            && files_faults(&config).is_empty()
            && self.owners.faults(name, &config).is_empty()
        {
            self.owners.add(name, &config);
            self.all.entry(name.to_owned()).or_default().good = Some(config);
        }
    }

    /// Returns whether a control plane has a good configuration.
    pub(super) fn is_used(&self, name: &str) -> bool {
        self.all.get(name).is_some_and(|file| file.good.is_some())
    }

    /// Returns what is known now.
    pub fn known(&self) -> Known {
        let good = self.all.values().filter_map(|file| file.good.clone());
        let faulty = self.all.iter().filter(|(_, file)| !file.faults.is_empty());
        Known {
            configs: good.map(|config| (config.envoy.cluster_prefix.clone(), config)).collect(),
            faults: faulty.map(|(name, file)| (name.clone(), file.faults.clone())).collect(),
        }
    }

    /// Uses a configuration whose server names it owns.
    fn accept(&mut self, name: String, valid: Valid) -> Option<News> {
        let Valid { seen, text, config, .. } = valid;
        let file = self.all.entry(name.clone()).or_default();
        let is_mended = !file.faults.is_empty();
        let last = file.good.take();
        let is_same = last.as_ref() == Some(&config);
        // Whoever uses it already compares it by pointer.
        let good = if is_same { last.clone() } else { Some(config) };
        *file = File { seen, good, ..File::default() };
        match last {
            None => Some(News::Added { name, text }),
            Some(_) if is_mended || !is_same => Some(News::Changed { name, text }),
            Some(_) => None,
        }
    }

    /// Keeps what is in use of a file, beside what is known of its content now.
    fn refuse(&mut self, name: String, refused: File) -> Option<News> {
        let file = self.all.entry(name.clone()).or_default();
        let faults = refused.faults.clone();
        let is_new = file.faults != faults;
        *file = File { good: file.good.take(), ..refused };
        is_new.then_some(News::Refused { name, faults })
    }
}

/// Returns the configuration that a text gives.
///
/// # Errors
/// Everything that is wrong with the text.
fn parse(
    name: &str,
    text: &str,
    directory: &ControlPlaneDirectory,
) -> Result<Arc<Config>, Vec<String>> {
    let prefix: ClusterPrefix =
        name.parse().map_err(|problem| vec![format!("the file's name {problem}")])?;
    let config = directory.control_plane(&prefix, text).map_err(|faults| texts(&faults))?;
    Ok(Arc::new(config))
}

/// Returns what is wrong with the files that a configuration names.
fn files_faults(config: &Config) -> Vec<String> {
    config.check_files().err().map(|faults| texts(&faults)).unwrap_or_default()
}

fn texts(faults: &Faults) -> Vec<String> {
    faults.iter().map(ToString::to_string).collect()
}

#[cfg(test)]
mod tests;
