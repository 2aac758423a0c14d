//! Files that are there as a whole or not at all, and are still what was
//! written.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// A file could not be handled. Mostly it can the next time.
#[derive(Debug, thiserror::Error)]
#[error("{action} {path}: {source}")]
pub struct DiskError {
    action: &'static str,
    path: PathBuf,
    source: io::Error,
}

impl DiskError {
    pub(crate) fn new(action: &'static str, path: &Path, source: io::Error) -> Self {
        Self { action, path: path.to_owned(), source }
    }
}

/// Writes a file by a temporary one in the same directory and a rename, which
/// is what Envoy watches for; both the content and the new name are on disk
/// when this returns.
///
/// # Errors
/// What the system says; then the old file is still there.
pub fn write_atomically(path: &Path, content: &[u8]) -> Result<(), DiskError> {
    replace(path, content, Access::Umask)
}

/// Who may read a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Whom the process's umask lets.
    Umask,
    /// The owner alone.
    Owner,
}

fn replace(path: &Path, content: &[u8], access: Access) -> Result<(), DiskError> {
    let directory = path.parent().unwrap_or(Path::new("/"));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    // A fixed name: what a killed companion left is overwritten, not collected.
    let temporary = directory.join(format!(".{name}.new"));
    let written = (|| {
        // Never opened but by who makes it: an older one may be open to others.
        match fs::remove_file(&temporary) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mode = if access == Access::Owner { 0o600 } else { 0o666 };
        let mut file =
            OpenOptions::new().write(true).create_new(true).mode(mode).open(&temporary)?;
        file.write_all(content)?;
        file.sync_all()?;
        drop(file);
        fs::rename(&temporary, path)?;
        File::open(directory)?.sync_all()
    })();
    written.map_err(|source| DiskError::new("cannot write", path, source))
}

/// The files of which the content is known, by path.
#[derive(Debug, Default)]
pub(crate) struct Written(BTreeMap<PathBuf, Fingerprint>);

#[derive(Debug)]
struct Fingerprint {
    content: u64,
    /// The file's status when its content was last compared. None after a
    /// write: what the status says then may already be of somebody else's.
    status: Option<Status>,
}

/// What changes whenever somebody writes to a file or replaces it. The change
/// time cannot be set back as the modification time can.
#[derive(Debug, PartialEq, Eq)]
struct Status {
    inode: u64,
    length: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Written {
    /// Writes the file unless it has this content already; whether it did.
    pub(crate) fn write(
        &mut self,
        path: &Path,
        content: &[u8],
        access: Access,
    ) -> Result<bool, DiskError> {
        let hash = hash(content);
        let same = |known: &mut Fingerprint| known.content == hash && known.is_intact(path);
        if self.0.get_mut(path).is_some_and(same) {
            return Ok(false);
        }
        self.0.remove(path);
        replace(path, content, access)?;
        self.0.insert(path.to_owned(), Fingerprint { content: hash, status: None });
        Ok(true)
    }

    /// Lets the file be what it comes to be.
    pub(crate) fn forget(&mut self, path: &Path) {
        self.0.remove(path);
    }

    pub(crate) fn remove(&mut self, path: &Path) -> Result<(), DiskError> {
        self.0.remove(path);
        match fs::remove_file(path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                Err(DiskError::new("cannot remove", path, source))
            }
            _ => Ok(()),
        }
    }

    /// The files that are no longer what was written. They are forgotten here,
    /// so that the next write of them is one.
    pub(crate) fn take_damaged(&mut self) -> Vec<PathBuf> {
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

impl Fingerprint {
    /// Reads the file only when somebody touched it.
    fn is_intact(&mut self, path: &Path) -> bool {
        // In this order: what is done to the file from here on is another
        // status the next time.
        let Ok(status) = Status::of(path) else { return false };
        if self.status.as_ref() == Some(&status) {
            return true;
        }
        let intact = fs::read(path).is_ok_and(|content| hash(&content) == self.content);
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

/// Within one run only: the standard hash is enough.
fn hash(content: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    content.hash(&mut hasher);
    hasher.finish()
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

    #[test]
    fn what_is_for_the_owner_alone_is_so_whatever_was_there() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.json");
        fs::write(&path, b"open").unwrap();
        fs::write(directory.path().join(".a.json.new"), b"open").unwrap();
        Written::default().write(&path, b"secret", Access::Owner).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
    }

    #[test]
    fn what_a_killed_writer_left_is_no_obstacle() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.json");
        fs::write(directory.path().join(".a.json.new"), b"half").unwrap();
        write_atomically(&path, b"whole").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"whole");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }
}
