//! A lock on each directory that the companion writes to.
//!
//! Two companions that write the same files would overwrite each other, because each takes the
//! other's writes for damage. So the second one refuses to start. The kernel releases a lock when its process ends,
//! however it ends, so nothing has to be cleaned up.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// The file that is locked; it says which process has it.
const NAME: &str = ".companion.lock";

/// Why a directory cannot be locked.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another companion writes to the directory. It must end first.
    #[error(
        "{field}: {directory} is in use by another companion ({owner}): \
         give each companion a directory of its own, or stop the other one"
    )]
    InUse { field: &'static str, directory: PathBuf, owner: String },
    /// The system reports an error.
    #[error("{field}: cannot lock {path}: {source}")]
    Disk { field: &'static str, path: PathBuf, source: io::Error },
}

/// Locks on directories, which are held until it is dropped.
#[derive(Debug)]
pub struct Locks(#[expect(dead_code, reason = "open files have the locks")] Vec<File>);

impl Locks {
    /// Locks directories, which must exist, each with the field that names it in the configuration.
    /// One that comes twice is locked once.
    pub fn take(directories: &[(&'static str, &Path)]) -> Result<Self, LockError> {
        let mut files = Vec::new();
        let mut seen = Vec::new();
        for &(field, directory) in directories {
            let failed = |source| LockError::Disk { field, path: directory.to_owned(), source };
            let real = fs::canonicalize(directory).map_err(failed)?;
            if !seen.contains(&real) {
                files.push(lock(field, directory)?);
                seen.push(real);
            }
        }
        Ok(Self(files))
    }
}

fn lock(field: &'static str, directory: &Path) -> Result<File, LockError> {
    let path = directory.join(NAME);
    let failed = |source| LockError::Disk { field, path: path.clone(), source };
    let mut options = OpenOptions::new();
    // Not truncated: the content belongs to whoever holds the lock.
    options.read(true).write(true).create(true).truncate(false);
    let mut file = options.open(&path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut owner = String::new();
            let read = file.read_to_string(&mut owner);
            let owner = read.ok().map(|_| owner.trim().to_owned());
            let owner = owner.filter(|owner| !owner.is_empty());
            let owner = owner.unwrap_or_else(|| "unknown process".to_owned());
            return Err(LockError::InUse { field, directory: directory.to_owned(), owner });
        }
        Err(TryLockError::Error(source)) => return Err(failed(source)),
    }
    file.set_len(0).map_err(failed)?;
    writeln!(file, "{}", owner()).map_err(failed)?;
    Ok(file)
}

/// Describes this process. The directory may be shared with another host or container, where its
/// number means nothing.
fn owner() -> String {
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    match host.trim() {
        "" => format!("process {}", std::process::id()),
        host => format!("process {} on {host}", std::process::id()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    fn take(directories: &[&Path]) -> Result<Locks, LockError> {
        let directories: Vec<_> = directories.iter().map(|path| ("field", *path)).collect();
        Locks::take(&directories)
    }

    #[test]
    fn a_directory_is_locked_once_and_again_after_it_was_released() {
        let [one, two] = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let locks = take(&[one.path(), two.path(), one.path()]).unwrap();
        for directory in [&one, &two] {
            let error = take(&[directory.path()]).unwrap_err().to_string();
            let expected =
                format!("field: {} is in use by another companion (", directory.path().display());
            assert!(error.starts_with(&expected), "{error}");
            assert!(error.contains(&format!("(process {}", std::process::id())), "{error}");
        }
        drop(locks);
        // A child that another test forks holds the locked files until it executes its program.
        let until = Instant::now() + Duration::from_secs(60);
        while let Err(error) = take(&[one.path(), two.path()]) {
            assert!(Instant::now() < until, "{error}");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    #[test]
    fn a_directory_under_two_names_is_one_directory() {
        let directory = tempfile::tempdir().unwrap();
        let link = directory.path().join("link");
        std::os::unix::fs::symlink(directory.path(), &link).unwrap();
        let locks = take(&[directory.path(), &link]);
        assert!(locks.is_ok());
        assert!(matches!(take(&[&link]), Err(LockError::InUse { .. })));
    }

    #[test]
    fn a_directory_that_does_not_exist_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let error = take(&[&directory.path().join("missing")]).unwrap_err().to_string();
        assert!(error.starts_with("field: cannot lock "), "{error}");
        assert!(error.contains("missing: No such file"), "{error}");
    }
}
