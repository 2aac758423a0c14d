//! Circles among the files.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Path, PathBuf};

use super::target::Edges;

/// Returns a shortest circle through each file that is in one, each circle once,
/// with the names that are imported.
pub fn find(edges: &Edges, base: &Path) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let circles = edges.keys().filter_map(|file| shortest(edges, file));
    let new = circles.filter(|circle| seen.insert(circle.iter().cloned().collect::<BTreeSet<_>>()));
    new.map(|circle| show(edges, &circle, base)).collect()
}

/// Returns the files of a shortest circle, beginning with this one.
fn shortest(edges: &Edges, start: &Path) -> Option<Vec<PathBuf>> {
    let mut before = BTreeMap::<&Path, &Path>::new();
    let mut queue = VecDeque::from([start]);
    while let Some(file) = queue.pop_front() {
        for next in edges.get(file).into_iter().flat_map(BTreeMap::keys) {
            if next == start {
                let chain = std::iter::successors(Some(file), |file| before.get(file).copied());
                let mut circle: Vec<_> = chain.map(Path::to_owned).collect();
                circle.reverse();
                return Some(circle);
            }
            if !before.contains_key(next.as_path()) {
                before.insert(next, file);
                queue.push_back(next);
            }
        }
    }
    None
}

fn show(edges: &Edges, circle: &[PathBuf], base: &Path) -> String {
    let name = |file: &Path| file.strip_prefix(base).unwrap_or(file).display().to_string();
    let mut text = name(&circle[0]);
    for (at, file) in circle.iter().enumerate() {
        let next = &circle[(at + 1) % circle.len()];
        text += &format!(" --{}--> {}", edges[file][next], name(next));
    }
    text
}
