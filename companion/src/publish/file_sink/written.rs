//! Which files are still what was written.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::files::{self, Access, DiskError};
use crate::fingerprint::fingerprint;

/// The files that were written, by path.
#[derive(Debug, Default)]
pub struct Written(BTreeMap<PathBuf, Known>);

#[derive(Debug)]
struct Known {
    content: String,
    /// The file's status when its content was last compared. `None` after a write: by then,
    /// somebody else may have changed the file again.
    status: Option<Status>,
}

/// What changes whenever somebody writes to a file or replaces it. Unlike the modification time,
/// the change time cannot be set back.
#[derive(Debug, PartialEq, Eq)]
struct Status {
    inode: u64,
    length: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Written {
    /// Writes the file unless it has this content already. Returns whether it was written.
    pub fn write(
        &mut self,
        path: &Path,
        content: &[u8],
        access: Access,
    ) -> Result<bool, DiskError> {
        let fingerprint = fingerprint(content);
        let same = |known: &mut Known| known.content == fingerprint && known.is_intact(path);
        if self.0.get_mut(path).is_some_and(same) {
            return Ok(false);
        }
        self.0.remove(path);
        files::write_atomically(path, content, access)?;
        self.0.insert(path.to_owned(), Known { content: fingerprint, status: None });
        Ok(true)
    }

    pub fn remove(&mut self, path: &Path) -> Result<(), DiskError> {
        self.0.remove(path);
        files::remove(path)
    }

    /// Returns the files that are no longer what was written, and forgets them: the next write of
    /// them takes place.
    pub fn take_damaged(&mut self) -> Vec<PathBuf> {
        let damaged: Vec<_> = self
            .0
            .iter_mut()
            .filter_map(|(path, known)| (!known.is_intact(path)).then(|| path.clone()))
            .collect();
        for path in &damaged {
            self.0.remove(path);
        }
        damaged
    }
}

impl Known {
    /// Returns whether the file is what was written. Reads it only if somebody touched it.
    fn is_intact(&mut self, path: &Path) -> bool {
        // In this order: what happens to the file from here on changes the status that is seen next
        // time.
        let Ok(status) = Status::of(path) else { return false };
        if self.status.as_ref() == Some(&status) {
            return true;
        }
        let intact = fs::read(path).is_ok_and(|content| fingerprint(&content) == self.content);
        self.status = Some(status);
        intact
    }
}

impl Status {
    fn of(path: &Path) -> io::Result<Self> {
        let metadata = fs::symlink_metadata(path)?;
        Ok(Self {
            inode: metadata.ino(),
            length: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_written_only_if_it_says_something_else() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.json");
        let mut written = Written::default();
        assert!(written.write(&path, b"one", Access::Umask).unwrap());
        assert!(!written.write(&path, b"one", Access::Umask).unwrap());
        assert!(written.write(&path, b"two", Access::Umask).unwrap());
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn every_way_to_damage_a_file_is_seen() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.json");
        let damages: [fn(&Path); 4] = [
            |path| fs::write(path, b"").unwrap(),
            |path| fs::write(path, b"xne").unwrap(),
            |path| fs::remove_file(path).unwrap(),
            |path| {
                let other = path.with_extension("other");
                fs::write(&other, b"else").unwrap();
                fs::rename(other, path).unwrap();
            },
        ];
        for damage in damages {
            let mut written = Written::default();
            written.write(&path, b"one", Access::Umask).unwrap();
            assert!(written.take_damaged().is_empty());
            damage(&path);
            assert_eq!(written.take_damaged(), std::slice::from_ref(&path));
            assert!(written.write(&path, b"one", Access::Umask).unwrap());
        }
    }

    #[test]
    fn a_touched_file_with_the_same_content_is_not_damaged() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.json");
        let mut written = Written::default();
        written.write(&path, b"one", Access::Umask).unwrap();
        fs::write(&path, b"one").unwrap();
        assert!(written.take_damaged().is_empty());
    }
}
