//! Every block of commands says which test runs it, or why none does, in a comment above it:
//! `<!-- run by: FILE -->` or `<!-- not run: REASON -->`.

use architecture_test::markdown;

use super::{documents, read, workspace};

/// A comment with fewer words does not give a reason.
const MIN_REASON: usize = 20;

/// Returns what is wrong with a comment above a block of a document.
fn fault(document: &str, comment: Option<&str>) -> Option<String> {
    let Some(comment) = comment else {
        return Some("has no comment `<!-- run by: FILE -->` or `<!-- not run: REASON -->`".into());
    };
    if let Some(file) = comment.strip_prefix("run by: ") {
        if !workspace().join(file).is_file() {
            return Some(format!("is run by a file that does not exist: {file}"));
        }
        let name = document.rsplit('/').next().unwrap();
        let reads = read(file).contains(name);
        return (!reads).then(|| format!("is run by {file}, which does not name {name}"));
    }
    let reason = comment.strip_prefix("not run: ").unwrap_or_default();
    (reason.len() < MIN_REASON).then(|| format!("has a comment without a reason: {comment}"))
}

#[test]
fn every_block_of_commands_is_run_by_a_test_or_says_why_not() {
    let mut faults = Vec::new();
    for document in documents() {
        let document = document.to_str().unwrap();
        for block in markdown::commands(&read(document)) {
            let fault = fault(document, block.comment.as_deref());
            faults.extend(fault.map(|fault| format!("{document}:{}: {fault}", block.line)));
        }
    }
    assert!(faults.is_empty(), "blocks of commands:\n{}", faults.join("\n"));
}

#[test]
fn every_make_target_in_a_block_exists() {
    let makefile = read("Makefile");
    let mut missing = Vec::new();
    for document in documents() {
        let document = document.to_str().unwrap();
        for block in markdown::commands(&read(document)) {
            let lines = block.text.lines().map(|line| line.trim_start_matches("$ "));
            let targets = lines.filter_map(|line| line.split("make ").nth(1)?.split(' ').next());
            let unknown = targets.filter(|target| {
                target.starts_with(|c: char| c.is_ascii_lowercase())
                    && target.chars().all(|c| c.is_ascii_lowercase() || c == '-')
                    && !makefile.contains(&format!("\n{target}:"))
            });
            missing.extend(unknown.map(|target| format!("{document}: make {target}")));
        }
    }
    assert!(missing.is_empty(), "targets that do not exist: {missing:#?}");
}

#[test]
fn a_comment_without_a_file_or_reason_is_a_fault() {
    let fault = |comment| fault("docs/kubeadm.md", comment);
    assert!(fault(None).is_some());
    assert!(fault(Some("run by: no/such.rs")).unwrap().contains("does not exist"));
    assert!(fault(Some("run by: Makefile")).unwrap().contains("does not name"));
    assert!(fault(Some("not run: why")).is_some());
    assert_eq!(fault(Some("run by: integration/tests/cluster/node/nodes.rs")), None);
    assert_eq!(fault(Some("not run: it needs the hosts of an installation")), None);
}
