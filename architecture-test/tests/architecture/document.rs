//! A Markdown document and the files of the repository that it names: by
//! relative links, and by paths in backticks.

const EXTENSIONS: [&str; 6] = ["rs", "toml", "yaml", "json", "md", "sh"];

/// Folders of paths that exist only at run time: what the companion publishes,
/// and what a build leaves.
const RUN_TIME: [&str; 3] = ["eds", "sds", "target"];

/// Returns the targets of the relative links, without their anchors.
pub fn links(text: &str) -> Vec<&str> {
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next());
    targets.filter(|target| !target.is_empty() && !target.contains(':')).collect()
}

/// Returns the paths in backticks, except patterns, absolute paths and paths
/// that exist only at run time.
pub fn paths(text: &str) -> Vec<&str> {
    let in_backticks = text.lines().flat_map(|line| line.split('`').skip(1).step_by(2));
    in_backticks.filter(|path| is_path(path)).collect()
}

fn is_path(text: &str) -> bool {
    let folder = text.split_once('/').map(|(folder, _)| folder);
    let extension = text.rsplit_once('.').map(|(_, extension)| extension);
    folder.is_some_and(|folder| !folder.is_empty() && !RUN_TIME.contains(&folder))
        && extension.is_some_and(|extension| EXTENSIONS.contains(&extension))
        && !text.contains([' ', '*', '<', '…', '{', '$', '~', ':'])
}
