//! The file with the last complete set, and how old it is.
//!
//! Its modification time is when a companion was last known to say the same. The set before it is in
//! a file of its own, and is read if the latest one is damaged.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::set::Set;
use crate::files::{self, Access, DiskError};

/// The names of the files in the state directory.
const LATEST: &str = "mirror.bin";
const BEFORE: &str = "mirror-before.bin";

/// A set from the disk.
#[derive(Debug)]
pub struct Saved {
    pub set: Set,
    /// When a companion last said it.
    pub confirmed: SystemTime,
    /// Whether it is the last one that was saved.
    pub is_latest: bool,
}

/// The last complete sets on disk.
#[derive(Debug)]
pub struct SetFile {
    latest: PathBuf,
    before: PathBuf,
}

impl SetFile {
    /// Returns the files in a state directory.
    pub fn new(directory: &Path) -> Self {
        Self { latest: directory.join(LATEST), before: directory.join(BEFORE) }
    }

    /// Reads the sets that are not damaged, the latest first. The log says what cannot be read.
    pub fn load(&self) -> impl Iterator<Item = Saved> {
        let of = |(path, is_latest): (&PathBuf, bool)| {
            let (set, confirmed) = read(path)?;
            Some(Saved { set, confirmed, is_latest })
        };
        [(&self.latest, true), (&self.before, false)].into_iter().filter_map(of)
    }

    /// Replaces the latest set. After an error, or if the process is killed, that one is still there.
    pub fn save(&self, set: &Set) -> Result<(), DiskError> {
        // If there is none, or only a damaged one, there is nothing to keep.
        if fs::read(&self.latest).is_ok_and(|file| Set::from_bytes(&file).is_ok())
            && let Err(error) = self.keep_latest()
        {
            tracing::warn!(%error, "cannot keep a copy of the previous resources");
        }
        files::write_atomically(&self.latest, &set.to_bytes(), Access::Owner)
    }

    /// Gives the latest file the name of the one before as well, until another one gets its name.
    fn keep_latest(&self) -> io::Result<()> {
        let link = self.before.with_extension("new");
        files::remove(&link).map_err(io::Error::other)?;
        fs::hard_link(&self.latest, &link)?;
        fs::rename(&link, &self.before)?;
        // If both names were of one file already, the rename did nothing.
        files::remove(&link).map_err(io::Error::other)
    }

    /// Notes that a companion still says the same.
    pub fn confirm(&self) {
        let touched = File::options().append(true).open(&self.latest);
        let touched = touched.and_then(|file| file.set_modified(SystemTime::now()));
        if let Err(error) = touched {
            tracing::debug!(file = %self.latest.display(), %error, "cannot note the time");
        }
    }
}

fn read(path: &Path) -> Option<(Set, SystemTime)> {
    let file = match fs::read(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(error) => {
            tracing::error!(file = %path.display(), %error, "cannot read saved resources");
            return None;
        }
    };
    match Set::from_bytes(&file) {
        Ok(set) => {
            let modified = fs::metadata(path).and_then(|metadata| metadata.modified());
            Some((set, modified.unwrap_or(SystemTime::UNIX_EPOCH)))
        }
        Err(damage) => {
            tracing::error!(file = %path.display(), %damage, "saved resources are damaged");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use envoy_types::pb::envoy::service::discovery::v3::Resource;

    use super::*;
    use crate::ads::Kind;

    fn set(name: &str) -> Set {
        let mut set = Set::default();
        set.apply(Kind::Clusters, [Resource { name: name.into(), ..Resource::default() }], &[]);
        set
    }

    #[test]
    fn a_set_is_read_again_and_the_one_before_if_it_is_damaged() {
        let directory = tempfile::tempdir().unwrap();
        let file = SetFile::new(directory.path());
        let load = || file.load().next().map(|saved| saved.set);
        assert_eq!(load(), None);
        file.save(&set("a")).unwrap();
        assert_eq!(load(), Some(set("a")));
        file.save(&set("b")).unwrap();
        assert_eq!(fs::metadata(&file.latest).unwrap().mode() & 0o777, 0o600);
        assert_eq!(load(), Some(set("b")));
        fs::write(&file.latest, b"damaged").unwrap();
        assert_eq!(load(), Some(set("a")));
        file.save(&set("c")).unwrap();
        fs::write(&file.latest, b"damaged").unwrap();
        assert_eq!(load(), Some(set("a")), "a damaged one does not replace a good one");
        fs::write(&file.before, b"damaged").unwrap();
        assert_eq!(load(), None);
    }

    #[test]
    fn the_latest_set_stays_if_the_next_one_cannot_be_written() {
        let directory = tempfile::tempdir().unwrap();
        let file = SetFile::new(directory.path());
        file.save(&set("a")).unwrap();
        file.save(&set("b")).unwrap();
        // As on a full disk, the next file cannot be made.
        let next = directory.path().join(".mirror.bin.new");
        fs::create_dir(&next).unwrap();
        for _ in 0..2 {
            file.save(&set("c")).unwrap_err();
            let saved = file.load().next().unwrap();
            assert_eq!((saved.set, saved.is_latest), (set("b"), true));
        }
        fs::remove_dir(next).unwrap();
        file.save(&set("c")).unwrap();
        let all: Vec<_> = file.load().map(|saved| saved.set).collect();
        assert_eq!(all, [set("c"), set("b")]);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2, "nothing is left");
    }
}
