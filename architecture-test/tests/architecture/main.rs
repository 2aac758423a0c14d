//! Rules for the sources of every crate: no circle of imports between files or
//! between modules, and at most 400 lines in a file.
//!
//! ```text
//!  file ─▶ tokens ─▶ module (mod, use, paths, items) ─▶ target (tree of modules)
//!                                                           │ names resolved
//!                                                           ▼
//!                         circle ◀── edges: file ─▶ file, module ─▶ sibling
//! ```
//!
//! This is a reader of the Rust that we write, and not of all Rust: it knows no
//! macros and no `#[path]`. `#[cfg(test)]` items do not count. A re-export alone
//! is not an import: `foo.rs` shows its children that way. An import through a
//! re-export counts as one from the file that has the item. A module is a file
//! with all files below it; modules are compared with their siblings.

#![cfg(test)]

mod circle;
mod module;
mod target;
mod tokens;

use std::fs;
use std::path::{Path, PathBuf};

use target::Target;

const MAX_LINES: usize = 400;

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Returns all files below a directory, without what is built or hidden.
fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name.starts_with('.') || name == "target" {
            continue;
        }
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Returns whether a file is the root of a target: a library, a program, a test.
fn is_root(path: &Path) -> bool {
    let parts: Vec<_> = path.iter().map(|part| part.to_str().unwrap()).collect();
    match parts.as_slice() {
        [.., "src", "lib.rs" | "main.rs"] | [.., "src", "bin", _] => true,
        [.., "tests" | "benches" | "examples", _, "main.rs"] => true,
        [.., parent, "tests" | "benches" | "examples" | "fuzz_targets", _] => *parent != "src",
        _ => false,
    }
}

#[test]
fn no_files_or_modules_import_each_other_in_a_circle() {
    let workspace = workspace();
    let mut circles = Vec::new();
    let sources = files(&workspace);
    let sources = sources.iter().filter(|path| path.extension().is_some_and(|e| e == "rs"));
    for root in sources.filter(|path| is_root(path.strip_prefix(&workspace).unwrap())) {
        let target = Target::read(root, &|path| fs::read_to_string(path).ok());
        circles.extend(circle::find(&target.files(), &workspace));
        circles.extend(circle::find(&target.modules(), &workspace));
    }
    assert!(circles.is_empty(), "these import each other:\n{}", circles.join("\n"));
}

#[test]
fn no_file_has_more_than_400_lines() {
    let workspace = workspace();
    let long = files(&workspace).into_iter().filter_map(|path| {
        let source = path.extension().is_some_and(|extension| extension == "rs");
        let lines = source.then(|| fs::read_to_string(&path).unwrap().lines().count())?;
        (lines > MAX_LINES).then(|| format!("{}: {lines}", path.display()))
    });
    let long: Vec<_> = long.collect();
    assert!(long.is_empty(), "files with more than {MAX_LINES} lines:\n{}", long.join("\n"));
}

/// Returns a made-up crate with these files.
fn target(files: &[(&str, &str)]) -> Target {
    let read = |path: &Path| {
        let file = files.iter().find(|(name, _)| Path::new(name) == path);
        file.map(|(_, text)| (*text).to_owned())
    };
    Target::read(Path::new("lib.rs"), &read)
}

/// Returns the circles of files of a made-up crate.
fn circles(files: &[(&str, &str)]) -> Vec<String> {
    circle::find(&target(files).files(), Path::new(""))
}

#[test]
fn modules_can_make_a_circle_where_files_do_not() {
    let target = target(&[
        ("lib.rs", "mod a; mod b;"),
        ("a.rs", "mod x; mod y;"),
        ("a/x.rs", "use crate::b::B; pub struct X(B);"),
        ("a/y.rs", "pub struct Y;"),
        ("b.rs", "mod z; pub struct B;"),
        ("b/z.rs", "pub type Z = crate::a::y::Y;"),
    ]);
    assert_eq!(circle::find(&target.files(), Path::new("")), Vec::<String>::new());
    let found = circle::find(&target.modules(), Path::new(""));
    assert_eq!(found, ["a --B--> b --Y--> a"]);
}

#[test]
fn a_circle_is_named_with_its_files_and_names() {
    let found = circles(&[
        ("lib.rs", "mod a; mod b; pub use a::A;"),
        ("a.rs", "use crate::b::{self, B}; pub struct A(B); fn f() { b::g() }"),
        ("b.rs", "use super::A; pub struct B; pub fn g() { let _: A; }"),
    ]);
    assert_eq!(found, ["a.rs --B--> b.rs --A--> a.rs"]);
}

#[test]
fn a_child_that_uses_what_its_parent_has_is_a_circle_only_if_the_parent_uses_the_child() {
    let child = ("p/c.rs", "use super::P; pub fn c(_: P) {}");
    let found =
        circles(&[("lib.rs", "mod p;"), ("p.rs", "mod c; pub use c::c; pub struct P;"), child]);
    assert_eq!(found, Vec::<String>::new());
    let parent = "mod c; pub struct P; fn f() { c::c(P) }";
    let found = circles(&[("lib.rs", "mod p;"), ("p.rs", parent), child]);
    assert_eq!(found, ["p/c.rs --P--> p.rs --c--> p/c.rs"]);
}

#[test]
fn tests_comments_and_texts_make_no_circle() {
    let found = circles(&[
        ("lib.rs", "mod a; mod b;"),
        ("a.rs", "use super::b::B; pub struct A(B);"),
        (
            "b.rs",
            "// use super::a::A;\n/* crate::a::A */ pub struct B; const T: &str = \"crate::a::A\"; \
             const C: char = '\"'; #[cfg(test)] mod tests { use crate::a::A; } \
             #[cfg(test)] use crate::a::A;",
        ),
    ]);
    assert_eq!(found, Vec::<String>::new());
}
