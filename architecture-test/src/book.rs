//! The sources of the book: the pages that `docs/SUMMARY.md` lists, from the whole repository, in the
//! same folders as there.
//!
//! ```text
//!   docs/SUMMARY.md ─▶ pages ─▶ their links ─▶ a page: stays · a file: is copied beside the pages
//!                                            · a folder: its README, or the bare text
//! ```

use std::collections::BTreeSet;
use std::fs;
use std::path::{Component, Path, PathBuf};

use super::markdown;

/// Where the list of pages is. Its links are relative to this folder.
pub const FOLDER: &str = "docs";

/// Returns a path without `.` and `..`, if it does not leave the repository.
pub fn normal(path: &Path) -> Option<PathBuf> {
    let mut normal = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                normal.pop().then_some(())?;
            }
            Component::Normal(part) => normal.push(part),
            _ => return None,
        }
    }
    Some(normal)
}

/// Returns the pages that a summary lists, as paths in the repository.
pub fn pages(summary: &str) -> BTreeSet<PathBuf> {
    let links = markdown::links(summary).into_iter();
    links.filter_map(|link| normal(&Path::new(FOLDER).join(link))).collect()
}

/// Returns the summary with the paths of the pages in the repository.
pub fn summary(text: &str) -> String {
    replace_links(text, |_, target| {
        let page = normal(&Path::new(FOLDER).join(target))?;
        Some(Target::Link(page.display().to_string()))
    })
}

/// What a link becomes.
enum Target {
    Link(String),
    /// Its text alone.
    Text,
}

/// Replaces the targets of the links outside of fenced blocks, unless `with` returns `None`.
fn replace_links(text: &str, with: impl Fn(&str, &str) -> Option<Target>) -> String {
    let mut fenced = false;
    let mut out = String::new();
    for line in text.lines() {
        let is_fence = line.trim_start().starts_with("```");
        fenced ^= is_fence;
        if fenced || is_fence {
            out.push_str(line);
        } else {
            replace_in_line(line, &with, &mut out);
        }
        out.push('\n');
    }
    out
}

fn replace_in_line(line: &str, with: &impl Fn(&str, &str) -> Option<Target>, out: &mut String) {
    let mut rest = line;
    while let Some((before, after)) = rest.split_once("](") {
        let Some((target, after)) = after.split_once(')') else { break };
        match with(before, target) {
            Some(Target::Text) => {
                let (outside, text) = before.rsplit_once('[').unwrap_or(("", before));
                out.push_str(outside);
                out.push_str(text);
            }
            Some(Target::Link(target)) => out.push_str(&format!("{before}]({target})")),
            None => out.push_str(&format!("{before}]({target})")),
        }
        rest = after;
    }
    out.push_str(rest);
}

/// Writes the sources of the book of the repository at `root` into the folder `out`. Fails if a page
/// names a Markdown file that is not a page, or a file cannot be copied.
pub fn stage(root: &Path, out: &Path) -> Result<(), String> {
    let list = read(&root.join(FOLDER).join("SUMMARY.md"))?;
    let pages = pages(&list);
    write(&out.join("SUMMARY.md"), &summary(&list))?;
    for page in &pages {
        let text = read(&root.join(page))?;
        let folder = page.parent().unwrap_or(Path::new(""));
        let mut files = Vec::new();
        for link in markdown::links(&text) {
            let path = link.split('#').next().unwrap_or_default();
            let Some(path) = local(folder, path).filter(|path| root.join(path).is_file()) else {
                continue;
            };
            if path.extension().is_some_and(|extension| extension == "md") && !pages.contains(&path)
            {
                let (page, path) = (page.display(), path.display());
                return Err(format!("{page}: {path} is not a page of {FOLDER}/SUMMARY.md"));
            }
            files.push(path);
        }
        for file in files.into_iter().filter(|file| !pages.contains(file)) {
            copy(&root.join(&file), &out.join(&file))?;
        }
        let text = replace_links(&text, |_, target| {
            let target = local(folder, target)?;
            if !root.join(&target).is_dir() {
                return None;
            }
            let readme = target.join("README.md");
            let up = "../".repeat(folder.components().count());
            let link = || Target::Link(format!("{up}{}", readme.display()));
            Some(if pages.contains(&readme) { link() } else { Target::Text })
        });
        write(&out.join(page), &text)?;
    }
    Ok(())
}

/// Returns the path in the repository that a link of a page in `folder` means, if it means one.
fn local(folder: &Path, target: &str) -> Option<PathBuf> {
    let is_local = !target.is_empty() && !target.contains(':') && !target.starts_with('#');
    is_local.then(|| normal(&folder.join(target))).flatten()
}

fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("cannot read {}: {error}", path.display()))
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    let folder = path.parent().unwrap_or(Path::new(""));
    let written = fs::create_dir_all(folder).and_then(|()| fs::write(path, text));
    written.map_err(|error| format!("cannot write {}: {error}", path.display()))
}

/// Copies a file, which may be an image.
fn copy(from: &Path, to: &Path) -> Result<(), String> {
    let folder = to.parent().unwrap_or(Path::new(""));
    let copied = fs::create_dir_all(folder).and_then(|()| fs::copy(from, to));
    copied.map(|_| ()).map_err(|error| format!("cannot copy {}: {error}", from.display()))
}

/// Returns each link and image of the HTML files below a folder that leads to no file or anchor there.
pub fn broken_links(html: &Path) -> Result<Vec<String>, String> {
    let mut broken = Vec::new();
    let mut folders = vec![html.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(&folder).map_err(|error| error.to_string())?;
        for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
            if path.is_dir() {
                folders.push(path);
            } else if is_page(&path) {
                broken.extend(broken_in(&path)?);
            }
        }
    }
    broken.sort();
    Ok(broken)
}

/// Returns whether a file is a page: not the list of pages, the page for printing, or that for errors.
fn is_page(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.ends_with(".html") && !["print.html", "404.html", "toc.html"].contains(&&*name)
}

fn broken_in(page: &Path) -> Result<Vec<String>, String> {
    let text = read(page)?;
    let mut broken = Vec::new();
    let targets = ["href=\"", "<img src=\""].map(|before| text.split(before).skip(1));
    for link in targets.into_iter().flatten().filter_map(|rest| rest.split('"').next()) {
        let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
        if link.contains(':') {
            continue;
        }
        let target = page.parent().unwrap_or(Path::new("")).join(file);
        let target = if file.is_empty() { page.to_owned() } else { target };
        let has_anchor =
            || read(&target).is_ok_and(|text| text.contains(&format!("id=\"{anchor}\"")));
        if !target.exists() || !(anchor.is_empty() || has_anchor()) {
            broken.push(format!("{}: {link}", page.display()));
        }
    }
    Ok(broken)
}

#[cfg(test)]
mod tests;
