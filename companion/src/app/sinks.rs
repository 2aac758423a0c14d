//! The ways to Envoys that the configuration names: files, ADS, or both.

use std::collections::BTreeSet;

use crate::ads::AdsSink;
use crate::publish::{FileSink, Name, PublishError, Sink, Step};

/// Every step goes to each.
#[derive(Debug)]
pub(super) struct Sinks {
    pub files: Option<FileSink>,
    pub ads: Option<AdsSink>,
}

impl Sinks {
    fn all(&mut self) -> impl Iterator<Item = &mut dyn Sink> {
        let files = self.files.as_mut().map(|sink| sink as &mut dyn Sink);
        let ads = self.ads.as_mut().map(|sink| sink as &mut dyn Sink);
        files.into_iter().chain(ads)
    }
}

impl Sink for Sinks {
    fn apply(&mut self, step: &Step) -> Result<(), PublishError> {
        self.all().try_for_each(|sink| sink.apply(step))
    }

    fn finish(&mut self) -> Result<(), PublishError> {
        self.all().try_for_each(Sink::finish)
    }

    fn has(&self, step: &Step) -> bool {
        self.files.as_ref().is_none_or(|files| files.has(step))
    }

    fn inventory(&self) -> BTreeSet<Name> {
        let files = self.files.as_ref().map(Sink::inventory);
        let ads = self.ads.as_ref().map(Sink::inventory);
        files.into_iter().chain(ads).flatten().collect()
    }

    fn take_damaged(&mut self) -> Vec<String> {
        self.all().flat_map(Sink::take_damaged).collect()
    }
}
