//! Files that are there as a whole or not at all.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The system refused something with a file. A retry may succeed.
#[derive(Debug, thiserror::Error)]
#[error("{action} {path}: {source}")]
pub struct DiskError {
    action: &'static str,
    path: PathBuf,
    source: io::Error,
}

/// Who may read a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Whoever the process's umask permits.
    Umask,
    Owner,
}

/// Makes a directory, with those above it.
pub fn create_directory(path: &Path) -> Result<(), DiskError> {
    fs::create_dir_all(path).map_err(error("cannot make", path))
}

/// Removes a file. It may be gone already.
pub fn remove(path: &Path) -> Result<(), DiskError> {
    remove_if_there(path).map_err(error("cannot remove", path))
}

/// Writes a file by a temporary one in the same directory and a rename, which is what Envoy watches
/// for. Both the content and the new name are on disk when this returns. After an error, the old
/// file is still there.
pub fn write_atomically(path: &Path, content: &[u8], access: Access) -> Result<(), DiskError> {
    let directory = path.parent().unwrap_or(Path::new("/"));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    // A fixed name: what a killed companion left is overwritten, not collected.
    let temporary = directory.join(format!(".{name}.new"));
    let write = || {
        // Created anew, for others may have an older one open.
        remove_if_there(&temporary)?;
        let mode = if access == Access::Owner { 0o600 } else { 0o666 };
        let mut file =
            OpenOptions::new().write(true).create_new(true).mode(mode).open(&temporary)?;
        file.write_all(content)?;
        file.sync_all()?;
        drop(file);
        fs::rename(&temporary, path)?;
        File::open(directory)?.sync_all()
    };
    write().map_err(error("cannot write", path))
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    fs::remove_file(path).or_else(|error| match error.kind() {
        io::ErrorKind::NotFound => Ok(()),
        _ => Err(error),
    })
}

fn error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> DiskError {
    move |source| DiskError { action, path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn a_private_file_is_readable_by_its_owner_only() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.json");
        fs::write(&path, b"open").unwrap();
        fs::write(directory.path().join(".a.json.new"), b"open").unwrap();
        write_atomically(&path, b"secret", Access::Owner).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
    }

    #[test]
    fn files_that_a_killed_writer_left_are_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.json");
        fs::write(directory.path().join(".a.json.new"), b"half").unwrap();
        write_atomically(&path, b"whole", Access::Umask).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"whole");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }
}
