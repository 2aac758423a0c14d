//! The figures of a conformance run: `target/conformance/report.json`, one
//! JSON object with an entry for each test.
//!
//! Test binaries that run at once each replace only their own entry: the file
//! is read and written under a lock, and written whole. A test that fails
//! leaves an entry too, with the figures that it had by then.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use serde_json::{Map, Value};

use crate::artifacts::integration_folder;

/// The entry of one test; without [`Entry::passed`] it reports a failure.
#[derive(Debug)]
pub struct Entry {
    folder: PathBuf,
    test: String,
    started: Instant,
    figures: Map<String, Value>,
    passed: bool,
}

impl Entry {
    /// Starts an entry for `test` in this workspace's report.
    pub fn begin(test: &str) -> Self {
        Self::begin_in(&integration_folder().join("../target/conformance"), test)
    }

    fn begin_in(folder: &Path, test: &str) -> Self {
        Self {
            folder: folder.to_owned(),
            test: test.to_owned(),
            started: Instant::now(),
            figures: Map::new(),
            passed: false,
        }
    }

    /// Notes a figure.
    pub fn set(&mut self, name: &str, figure: impl Into<Value>) {
        self.figures.insert(name.to_owned(), figure.into());
    }

    /// Notes a time, in whole milliseconds.
    pub fn set_ms(&mut self, name: &str, time: Duration) {
        self.set(name, u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
    }

    /// Ends the entry of a test that passed. Fails if the report cannot be
    /// written.
    pub fn passed(mut self) -> Result<()> {
        self.passed = true;
        self.write()
    }

    fn write(&self) -> Result<()> {
        fs::create_dir_all(&self.folder)?;
        // Held until it is dropped; a lock file, for the report is replaced.
        let lock = File::create(self.folder.join(".report.lock"))?;
        lock.lock().context("cannot lock the report")?;
        let path = self.folder.join("report.json");
        let mut report: Map<String, Value> = match fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text).unwrap_or_default(),
            Err(_) => Map::new(),
        };
        report.insert(self.test.clone(), Value::Object(self.finished()));
        let new = self.folder.join(".report.json.new");
        fs::write(&new, serde_json::to_string_pretty(&report)? + "\n")?;
        Ok(fs::rename(new, path)?)
    }

    fn finished(&self) -> Map<String, Value> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut entry = Map::new();
        entry.insert("passed".to_owned(), self.passed.into());
        entry.insert("finishedAtUnixSeconds".to_owned(), now.as_secs().into());
        entry.insert("seconds".to_owned(), self.started.elapsed().as_secs().into());
        entry.extend(self.figures.clone());
        entry
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        if !self.passed
            && let Err(error) = self.write()
        {
            tracing::error!(test = self.test, %error, "the report cannot be written");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(folder: &Path) -> Value {
        serde_json::from_slice(&fs::read(folder.join("report.json")).unwrap()).unwrap()
    }

    #[test]
    fn entries_written_concurrently_are_all_kept() {
        let folder = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            for number in 0..8_u64 {
                let folder = folder.path();
                scope.spawn(move || {
                    let mut entry = Entry::begin_in(folder, &format!("test-{number}"));
                    entry.set("number", number);
                    entry.passed().unwrap();
                });
            }
        });
        let report = read(folder.path());
        for number in 0..8_u64 {
            assert_eq!(report[format!("test-{number}")]["number"], number);
        }
    }

    #[test]
    fn a_failed_test_keeps_its_entries() {
        let folder = tempfile::tempdir().unwrap();
        let mut entry = Entry::begin_in(folder.path(), "failing");
        entry.set_ms("latencyMs", Duration::from_millis(12));
        drop(entry);
        let report = read(folder.path());
        assert_eq!(report["failing"]["passed"], false);
        assert_eq!(report["failing"]["latencyMs"], 12);
    }
}
