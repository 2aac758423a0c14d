//! Circles among the files.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Path, PathBuf};

use super::target::Edges;

/// Returns a shortest cycle through each file that is in one, each cycle once,
/// with the names that are imported.
pub fn find(edges: &Edges, base: &Path) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let cycles = edges.keys().filter_map(|file| shortest(edges, file));
    let new = cycles.filter(|cycle| seen.insert(cycle.iter().cloned().collect::<BTreeSet<_>>()));
    new.map(|cycle| show(edges, &cycle, base)).collect()
}

/// Returns the files of a shortest cycle, beginning with this one.
fn shortest(edges: &Edges, start: &Path) -> Option<Vec<PathBuf>> {
    let mut before = BTreeMap::<&Path, &Path>::new();
    let mut queue = VecDeque::from([start]);
    while let Some(file) = queue.pop_front() {
        for next in edges.get(file).into_iter().flat_map(BTreeMap::keys) {
            if next == start {
                let chain = std::iter::successors(Some(file), |file| before.get(file).copied());
                let mut cycle: Vec<_> = chain.map(Path::to_owned).collect();
                cycle.reverse();
                return Some(cycle);
            }
            if !before.contains_key(next.as_path()) {
                before.insert(next, file);
                queue.push_back(next);
            }
        }
    }
    None
}

fn show(edges: &Edges, cycle: &[PathBuf], base: &Path) -> String {
    let name = |file: &Path| file.strip_prefix(base).unwrap_or(file).display().to_string();
    let mut text = name(&cycle[0]);
    for (at, file) in cycle.iter().enumerate() {
        let next = &cycle[(at + 1) % cycle.len()];
        text += &format!(" --{}--> {}", edges[file][next], name(next));
    }
    text
}
