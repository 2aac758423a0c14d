//! Rules for the sources of every crate: no cycle of imports between files or
//! between modules, at most 400 lines in a file, and a header in each. And for
//! the documents: every file that they name exists.
//!
//! ```text
//!  file ─▶ tokens ─▶ module (mod, use, paths, items) ─▶ target (tree of modules)
//!                                                           │ names resolved
//!                                                           ▼
//!                         cycle ◀── edges: file ─▶ file, module ─▶ sibling
//! ```
//!
//! This is a reader of the Rust that we write, and not of all Rust: it knows no
//! macros and no `#[path]`. `#[cfg(test)]` items do not count. A re-export alone
//! is not an import: `foo.rs` shows its children that way. An import through a
//! re-export counts as one from the file that has the item. A module is a file
//! with all files below it; modules are compared with their siblings.

#![cfg(test)]

mod cycle;
mod document;
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

/// Returns all files of the workspace whose names end with an extension.
fn files_with(extension: &str) -> Vec<PathBuf> {
    let all = files(&workspace()).into_iter();
    all.filter(|path| path.extension().is_some_and(|found| found == extension)).collect()
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
fn no_files_or_modules_import_each_other_in_a_cycle() {
    let workspace = workspace();
    let mut cycles = Vec::new();
    let sources = files_with("rs").into_iter();
    for root in sources.filter(|path| is_root(path.strip_prefix(&workspace).unwrap())) {
        let target = Target::read(&root, &|path| fs::read_to_string(path).ok());
        cycles.extend(cycle::find(&target.files(), &workspace));
        cycles.extend(cycle::find(&target.modules(), &workspace));
    }
    assert!(cycles.is_empty(), "these import each other:\n{}", cycles.join("\n"));
}

#[test]
fn no_file_has_more_than_400_lines() {
    let long = files_with("rs").into_iter().filter_map(|path| {
        let lines = fs::read_to_string(&path).unwrap().lines().count();
        (lines > MAX_LINES).then(|| format!("{}: {lines}", path.display()))
    });
    let long: Vec<_> = long.collect();
    assert!(long.is_empty(), "files with more than {MAX_LINES} lines:\n{}", long.join("\n"));
}

#[test]
fn every_file_begins_with_a_header() {
    let mut bare = files_with("rs");
    bare.retain(|path| !fs::read_to_string(path).unwrap().starts_with("//!"));
    assert!(bare.is_empty(), "files that do not begin with `//!`: {bare:#?}");
}

#[test]
fn every_file_that_a_document_names_exists() {
    let workspace = workspace();
    let mut missing = Vec::new();
    for path in files_with("md") {
        let (text, folder) = (fs::read_to_string(&path).unwrap(), path.parent().unwrap());
        let mut links = document::links(&text);
        links.retain(|link| !folder.join(link).exists());
        let mut paths = document::paths(&text);
        paths.retain(|named| !folder.join(named).exists() && !workspace.join(named).exists());
        let names = links.iter().chain(&paths);
        missing.extend(names.map(|name| format!("{}: {name}", path.display())));
    }
    assert!(missing.is_empty(), "files that do not exist:\n{}", missing.join("\n"));
}

#[test]
fn links_and_paths_in_backticks_are_names_of_files() {
    let text = "See [a](a.md#b), [c](#c) and [d](https://d.io/d.md): `e/f.rs`, but `g.rs`, \
                `/h/i.json`, `j/*.md`, `eds/k.json`, `https://l.io/m.md` and `n/o.exe` are not.";
    assert_eq!(document::links(text), ["a.md"]);
    assert_eq!(document::paths(text), ["e/f.rs"]);
}

/// Returns a made-up crate with these files.
fn target(files: &[(&str, &str)]) -> Target {
    let read = |path: &Path| {
        let file = files.iter().find(|(name, _)| Path::new(name) == path);
        file.map(|(_, text)| (*text).to_owned())
    };
    Target::read(Path::new("lib.rs"), &read)
}

/// Returns the cycles of files of a made-up crate.
fn cycles(files: &[(&str, &str)]) -> Vec<String> {
    cycle::find(&target(files).files(), Path::new(""))
}

#[test]
fn modules_can_make_a_cycle_where_files_do_not() {
    let target = target(&[
        ("lib.rs", "mod a; mod b;"),
        ("a.rs", "mod x; mod y;"),
        ("a/x.rs", "use crate::b::B; pub struct X(B);"),
        ("a/y.rs", "pub struct Y;"),
        ("b.rs", "mod z; pub struct B;"),
        ("b/z.rs", "pub type Z = crate::a::y::Y;"),
    ]);
    assert_eq!(cycle::find(&target.files(), Path::new("")), Vec::<String>::new());
    let found = cycle::find(&target.modules(), Path::new(""));
    assert_eq!(found, ["a --B--> b --Y--> a"]);
}

#[test]
fn a_cycle_is_named_with_its_files_and_names() {
    let found = cycles(&[
        ("lib.rs", "mod a; mod b; pub use a::A;"),
        ("a.rs", "use crate::b::{self, B}; pub struct A(B); fn f() { b::g() }"),
        ("b.rs", "use super::A; pub struct B; pub fn g() { let _: A; }"),
    ]);
    assert_eq!(found, ["a.rs --B--> b.rs --A--> a.rs"]);
}

#[test]
fn a_child_that_uses_what_its_parent_has_is_a_cycle_only_if_the_parent_uses_the_child() {
    let child = ("p/c.rs", "use super::P; pub fn c(_: P) {}");
    let found =
        cycles(&[("lib.rs", "mod p;"), ("p.rs", "mod c; pub use c::c; pub struct P;"), child]);
    assert_eq!(found, Vec::<String>::new());
    let parent = "mod c; pub struct P; fn f() { c::c(P) }";
    let found = cycles(&[("lib.rs", "mod p;"), ("p.rs", parent), child]);
    assert_eq!(found, ["p/c.rs --P--> p.rs --c--> p/c.rs"]);
}

#[test]
fn tests_comments_and_texts_make_no_cycle() {
    let found = cycles(&[
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
