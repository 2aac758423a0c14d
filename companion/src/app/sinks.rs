//! The ways to Envoys that the configuration names: files, ADS, or both.
//!
//! Each goes on alone. One that fails carries none of the steps that rely on the failed one, and
//! the series of steps ends with its error, so that the publisher repeats all of it. What the other
//! has carried already, it does not carry again.

use std::collections::BTreeSet;

use crate::ads::AdsSink;
use crate::publish::{FileSink, Name, PublishError, Sink, Step};

/// Every step goes to each.
#[derive(Debug)]
pub(super) struct Sinks {
    files: Option<Way<FileSink>>,
    ads: Option<Way<AdsSink>>,
}

/// A sink, and why it carries no more steps of this series.
#[derive(Debug)]
struct Way<S> {
    sink: S,
    failed: Option<PublishError>,
}

impl<S> Way<S> {
    fn new(sink: S) -> Self {
        Self { sink, failed: None }
    }
}

impl Sinks {
    pub(super) fn new(files: Option<FileSink>, ads: Option<AdsSink>) -> Self {
        Self { files: files.map(Way::new), ads: ads.map(Way::new) }
    }

    fn all(&mut self) -> impl Iterator<Item = (&mut dyn Sink, &mut Option<PublishError>)> {
        let files =
            self.files.as_mut().map(|way| (&mut way.sink as &mut dyn Sink, &mut way.failed));
        let ads = self.ads.as_mut().map(|way| (&mut way.sink as &mut dyn Sink, &mut way.failed));
        files.into_iter().chain(ads)
    }
}

impl Sink for Sinks {
    /// Never fails: an error is that of the series ([`Sink::finish`]).
    fn apply(&mut self, step: &Step) -> Result<(), PublishError> {
        for (sink, failed) in self.all().filter(|(_, failed)| failed.is_none()) {
            *failed = sink.apply(step).err();
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<(), PublishError> {
        let mut first = Ok(());
        for (sink, failed) in self.all() {
            let ended = failed.take().map_or_else(|| sink.finish(), Err);
            match (&first, ended) {
                (Ok(()), ended) => first = ended,
                (Err(_), Err(error)) => {
                    tracing::error!(%error, "cannot publish to the other destination either")
                }
                (Err(_), Ok(())) => {}
            }
        }
        first
    }

    fn has(&self, step: &Step) -> bool {
        self.files.as_ref().is_none_or(|files| files.sink.has(step))
    }

    fn inventory(&self) -> BTreeSet<Name> {
        let files = self.files.as_ref().map(|way| way.sink.inventory());
        let ads = self.ads.as_ref().map(|way| way.sink.inventory());
        files.into_iter().chain(ads).flatten().collect()
    }

    fn take_damaged(&mut self) -> Vec<String> {
        self.all().flat_map(|(sink, _)| sink.take_damaged()).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs;
    use std::sync::Arc;

    use tokio::sync::watch;

    use super::*;
    use crate::ads::{Envoys, Snapshot, Snapshots};
    use crate::endpoints::Addresses;
    use crate::xds::{FilterConfig, Module};

    const MAP: &str = include_str!("../../../discovery-map/golden/map-0.1.0.json");

    type Latest = watch::Receiver<Arc<Snapshot>>;

    /// Files in a directory, and ADS that has a map.
    fn both(directory: &std::path::Path) -> (Sinks, Latest) {
        let snapshots = Snapshots::new(Envoys::default());
        let latest = snapshots.subscribe();
        let ads = AdsSink::new(snapshots, "kube-apiserver".to_owned(), None, BTreeMap::new());
        let sinks = Sinks::new(Some(FileSink::open(directory).unwrap()), Some(ads));
        (sinks, latest)
    }

    fn filter(map: &str) -> Step {
        let module = Module::of_only("/f");
        let filter = FilterConfig { map: map.to_owned(), module };
        Step::Filter { version: 1, filter }
    }

    /// Publishes a map and what it relies on. Returns why that failed.
    fn publish(sinks: &mut Sinks) -> Option<String> {
        let addresses = ["10.0.0.1:1".parse().unwrap()].into_iter().collect();
        let endpoints = Addresses::from([("kube-apiserver".to_owned(), addresses)]);
        sinks.apply(&Step::Endpoints(endpoints)).unwrap();
        sinks.apply(&filter(MAP)).unwrap();
        sinks.finish().err().map(|error| error.to_string())
    }

    #[test]
    fn files_that_cannot_be_written_do_not_hold_up_ads_and_are_repeated_whole() {
        let directory = tempfile::tempdir().unwrap();
        let (mut sinks, mut snapshots) = both(directory.path());
        // No directory, no file: like a full disk, whoever runs the test.
        let eds = directory.path().join("eds");
        fs::remove_dir(&eds).unwrap();
        fs::write(&eds, "").unwrap();
        let error = publish(&mut sinks).unwrap();
        assert!(error.contains("eds"), "{error}");
        assert!(snapshots.borrow_and_update().parts.len() == 1, "over ADS there is a map");
        assert!(!directory.path().join("ecds.json").exists(), "the map relies on the endpoints");
        assert!(publish(&mut sinks).is_some());
        assert!(!snapshots.has_changed().unwrap(), "which is not sent again");
        fs::remove_file(&eds).unwrap();
        fs::create_dir(&eds).unwrap();
        assert_eq!(publish(&mut sinks), None);
        assert!(directory.path().join("ecds.json").exists());
        assert!(!snapshots.has_changed().unwrap());
    }

    #[test]
    fn a_map_that_cannot_be_sent_over_ads_does_not_hold_up_the_files() {
        let directory = tempfile::tempdir().unwrap();
        let (mut sinks, snapshots) = both(directory.path());
        sinks.apply(&filter("no map")).unwrap();
        let error = sinks.finish().unwrap_err();
        assert!(matches!(error, PublishError::Json(_)), "{error}");
        assert!(snapshots.borrow().parts.is_empty());
        assert!(directory.path().join("ecds.json").exists());
    }
}
