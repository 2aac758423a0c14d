//! Keeps the last good content of files, whatever happens to the files.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use tokio::sync::watch;

use super::metrics::{SecretLabel, SecretMetrics};
use crate::certificates::{Certificates, FileError, KeyPair, KeyPairFiles};
use crate::clock::since_1970;

/// How often files are read.
const CHECK: Duration = Duration::from_secs(1);

/// What is known of files besides their content.
pub(super) struct Keeper {
    pub metrics: SecretMetrics,
    /// What is wrong at present; logged once.
    pub problems: HashMap<SecretLabel, FileError>,
    /// What was new in the last read, and is not used yet.
    news: HashMap<SecretLabel, Certificates>,
}

/// The outcome of reading a secret.
pub(super) enum Read<T> {
    /// The configuration does not name it.
    NotConfigured,
    Usable(T),
    /// The last good one stays.
    Unusable(FileError),
}

impl<T> Read<T> {
    /// Reads what is configured.
    pub(super) fn of<C>(
        configured: Option<C>,
        read: impl FnOnce(C) -> Result<T, FileError>,
    ) -> Self {
        match configured.map(read) {
            None => Self::NotConfigured,
            Some(Ok(secret)) => Self::Usable(secret),
            Some(Err(error)) => Self::Unusable(error),
        }
    }
}

impl Keeper {
    pub(super) fn new(metrics: SecretMetrics) -> Self {
        Self { metrics, problems: HashMap::new(), news: HashMap::new() }
    }

    /// Returns what was read if it can be used, else the last good one; none if
    /// nothing is configured.
    pub(super) fn good<T>(
        &mut self,
        label: SecretLabel,
        read: Read<T>,
        last: Option<&T>,
    ) -> Option<T>
    where
        T: Clone + PartialEq + std::fmt::Debug + AsRef<Certificates>,
    {
        let waiting = self.news.remove(&label);
        let next = match read {
            Read::Usable(next) => next,
            Read::Unusable(error) => {
                self.note(label, error);
                return last.cloned();
            }
            Read::NotConfigured => {
                self.problems.remove(&label);
                return None;
            }
        };
        let mended = self.problems.remove(&label).is_some();
        let is_new = last != Some(&next);
        // A file that is being written can look complete when it is not: a bundle without its last
        // authority. So what replaces another must be the same in two reads.
        if is_new && last.is_some() && waiting.as_ref() != Some(next.as_ref()) {
            self.news.insert(label, next.as_ref().clone());
            return last.cloned();
        }
        if mended || is_new {
            tracing::info!(secret = label.as_str(), content = ?next, "secret read");
        }
        Some(next)
    }

    fn note(&mut self, label: SecretLabel, error: FileError) {
        self.metrics.failed(label);
        if self.problems.get(&label) != Some(&error) {
            tracing::error!(secret = label.as_str(), %error, "secret cannot be used: the last good one stays");
            self.problems.insert(label, error);
        }
    }
}

/// Waits until the files are to be read again: because the configuration changed, or it is time.
/// Returns whether anybody still wants to know.
pub(super) async fn next_look<C, S>(
    configs: &mut watch::Receiver<C>,
    settings: &watch::Sender<S>,
) -> bool {
    tokio::select! {
        changed = configs.changed() => changed.is_ok(),
        () = tokio::time::sleep(CHECK) => true,
        () = settings.closed() => false,
    }
}

/// Reads a pair. A pair that replaces another must be valid now. The one in use
/// may expire: there is no better one.
pub(super) fn pair(files: &KeyPairFiles, last: Option<&KeyPair>) -> Result<KeyPair, FileError> {
    let pair = KeyPair::read(files)?;
    if last.is_some_and(|last| *last != pair) {
        pair.check_time(files, now())?;
    }
    Ok(pair)
}

/// Reads authorities. Of those that replace others, one must be valid now:
/// bundles keep expired ones.
pub(super) fn authorities(
    file: &Path,
    last: Option<&Certificates>,
) -> Result<Certificates, FileError> {
    let certificates = Certificates::read(file)?;
    if last.is_some_and(|last| *last != certificates) {
        certificates.check_authorities(file, now())?;
    }
    Ok(certificates)
}

fn now() -> i64 {
    i64::try_from(since_1970().as_secs()).unwrap_or(i64::MAX)
}
