//! Anchors that documents name exist, and the book has every page.

use std::path::{Path, PathBuf};

use architecture_test::{book, markdown};

use super::{documents, read, workspace};

#[test]
fn every_anchor_that_a_document_names_exists() {
    let mut missing = Vec::new();
    for document in documents() {
        let text = read(document.to_str().unwrap());
        let folder = document.parent().unwrap();
        for link in markdown::links(&text) {
            let Some((file, anchor)) = link.split_once('#') else { continue };
            if file.contains(':') {
                continue;
            }
            let target = match file {
                "" => document.clone(),
                _ => book::normal(&folder.join(file)).unwrap(),
            };
            let is_markdown = target.extension().is_some_and(|extension| extension == "md");
            // `every_file_that_a_document_names_exists` finds files that do not exist.
            if !is_markdown || !workspace().join(&target).exists() {
                continue;
            }
            let anchors = markdown::anchors(&read(target.to_str().unwrap()));
            if !anchors.iter().any(|known| known == anchor) {
                missing.push(format!("{}: {link}", document.display()));
            }
        }
    }
    assert!(missing.is_empty(), "anchors that do not exist:\n{}", missing.join("\n"));
}

#[test]
fn the_book_has_every_page_of_docs_and_every_readme_of_a_deployment() {
    let listed = book::pages(&read("docs/SUMMARY.md"));
    let is_page = |path: &PathBuf| {
        let is_summary = path.ends_with("SUMMARY.md");
        (path.starts_with("docs") || path.starts_with("envoy-config")) && !is_summary
    };
    let pages: Vec<PathBuf> = documents().into_iter().filter(is_page).collect();
    let missing: Vec<&PathBuf> = pages.iter().filter(|page| !listed.contains(*page)).collect();
    assert!(missing.is_empty(), "add these to docs/SUMMARY.md: {missing:#?}");
    let gone: Vec<_> = listed.iter().filter(|page| !workspace().join(page).exists()).collect();
    assert!(gone.is_empty(), "docs/SUMMARY.md lists files that do not exist: {gone:#?}");
}

#[test]
fn a_page_of_the_book_names_no_document_outside_of_it() {
    let out = std::env::temp_dir().join(format!("book-sources-{}", std::process::id()));
    let staged = book::stage(&workspace(), Path::new(&out));
    std::fs::remove_dir_all(&out).ok();
    assert_eq!(staged, Ok(()));
}
