//! Reads the directory.
//!
//! Content is compared instead of times, and nothing is watched by the system, for the reason that
//! `reload.rs` gives: in a mounted ConfigMap, each file is a link through a directory that gets
//! replaced.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::files;

/// How the name of each file ends.
pub(super) const EXTENSION: &str = "yaml";

/// The content of each file by its name without the extension, or why it cannot be read.
pub(super) type Read = BTreeMap<String, Result<String, String>>;

/// Reads all files.
///
/// # Errors
/// Why the directory cannot be read.
pub(super) fn read(directory: &Path) -> Result<Read, String> {
    let unreadable = |error| format!("{} cannot be read: {error}", directory.display());
    let mut all = Read::new();
    for entry in fs::read_dir(directory).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let file = path.file_name().unwrap_or_default();
        // What is not UTF-8 is refused for its name, and no two such names become the same.
        let escaped = || file.as_encoded_bytes().escape_ascii().to_string();
        let file = file.to_str().map_or_else(escaped, str::to_owned);
        let Some((name, EXTENSION)) = file.rsplit_once('.') else { continue };
        // Such as the links of a mounted ConfigMap, and a file that is being written.
        if file.starts_with('.') {
            continue;
        }
        let content = files::read_text(&path);
        all.insert(name.to_owned(), content.map_err(|error| format!("cannot be read: {error}")));
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn the_files_of_a_mounted_config_map_are_read_through_its_links() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        fs::create_dir(path("..1")).unwrap();
        fs::write(path("..1/a.yaml"), "a").unwrap();
        symlink("..1", path("..data")).unwrap();
        symlink("..data/a.yaml", path("a.yaml")).unwrap();
        symlink("..data/b.yaml", path("b.yaml")).unwrap();
        for other in [".c.yaml", "d.yaml.new", "e.json", "yaml"] {
            fs::write(path(other), "").unwrap();
        }
        let found = read(directory.path()).unwrap();
        assert!(found.keys().eq(["a", "b"]), "{found:?}");
        assert_eq!(found["a"], Ok("a".to_owned()));
        // A key that was removed, whose link is about to go.
        assert!(found["b"].as_ref().unwrap_err().starts_with("cannot be read: "));
        assert!(read(&path("missing")).unwrap_err().contains("missing cannot be read: "));
    }

    #[test]
    fn whatever_is_in_the_directory_hides_no_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &[u8]| directory.path().join(OsStr::from_bytes(name));
        fs::write(path(b"a.yaml"), "a").unwrap();
        for name in [b"\xfe.yaml", b"\xff.yaml"] {
            fs::write(path(name), "").unwrap();
        }
        fs::create_dir(path(b"directory.yaml")).unwrap();
        let pipe = std::process::Command::new("mkfifo").arg(path(b"pipe.yaml")).status();
        assert!(pipe.unwrap().success());
        let found = read(directory.path()).unwrap();
        let expected = ["\\xfe", "\\xff", "a", "directory", "pipe"];
        assert!(found.keys().eq(expected), "{found:?}");
        assert_eq!(found["a"], Ok("a".to_owned()));
        for name in ["directory", "pipe"] {
            assert_eq!(found[name], Err("cannot be read: it is not a file".to_owned()));
        }
    }
}
