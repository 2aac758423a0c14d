//! Files that are there as a whole or not at all, and files of others, which can be anything.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
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

/// The largest file of others that is read: four times a bundle of all public authorities.
const LARGEST: u64 = 1 << 20;

/// Reads a file that a person or another program wrote.
///
/// # Errors
/// The system refuses it, it is not a file, so that reading it could take forever, or it is too
/// large.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    let unusable = |problem: String| Err(io::Error::other(problem));
    // Before it is opened: that waits for a writer, if it is a pipe.
    if !fs::metadata(path)?.is_file() {
        return unusable("it is not a file".to_owned());
    }
    let mut content = Vec::new();
    File::open(path)?.take(LARGEST + 1).read_to_end(&mut content)?;
    if content.len() as u64 > LARGEST {
        return unusable(format!("it is larger than {LARGEST} bytes"));
    }
    Ok(content)
}

/// Reads a text that a person or another program wrote.
///
/// # Errors
/// Those of [`read`], and it is not UTF-8.
pub fn read_text(path: &Path) -> io::Result<String> {
    String::from_utf8(read(path)?).map_err(|_| io::Error::other("it is not UTF-8"))
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
    fn a_file_that_is_not_regular_or_too_large_is_not_read() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        fs::write(path("large"), vec![b'a'; 1 << 20]).unwrap();
        assert_eq!(read(&path("large")).unwrap().len(), 1 << 20);
        // As large as a disk can be, without taking room on it.
        File::create(path("huge")).unwrap().set_len(100 << 30).unwrap();
        fs::write(path("bytes"), [0xff]).unwrap();
        let pipe = std::process::Command::new("mkfifo").arg(path("pipe")).status();
        assert!(pipe.unwrap().success());
        std::os::unix::fs::symlink("loop", path("loop")).unwrap();
        for (name, expected) in [
            ("huge", "it is larger than 1048576 bytes"),
            ("bytes", "it is not UTF-8"),
            ("pipe", "it is not a file"),
            (".", "it is not a file"),
            ("/dev/zero", "it is not a file"),
            ("loop", "Too many levels of symbolic links"),
            ("missing", "No such file or directory"),
        ] {
            let error = read_text(&path(name)).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{name}: {error}");
        }
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
