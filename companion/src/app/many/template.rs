//! The file that the listener is made from. The last good content stays.

use std::path::{Path, PathBuf};

use crate::files;
use crate::fingerprint::fingerprint;
use crate::xds::ListenerTemplate;

pub(super) struct TemplateFile {
    path: PathBuf,
    /// A hash of the content that was looked at last.
    seen: String,
    good: ListenerTemplate,
    /// What is wrong with the file; logged once.
    problem: Option<String>,
}

impl TemplateFile {
    /// Reads the file.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub(super) fn open(path: &Path) -> Result<Self, String> {
        let text = text(path)?;
        let good = parse(path, &text)?;
        let seen = fingerprint(text.as_bytes());
        Ok(Self { path: path.to_owned(), seen, good, problem: None })
    }

    /// Reads the file again, which may be another one. Returns whether it says something else.
    pub(super) fn look(&mut self, path: &Path) -> bool {
        let read = text(path).and_then(|text| {
            let seen = fingerprint(text.as_bytes());
            if seen == self.seen && self.path == path {
                return Ok(None);
            }
            (self.seen, self.path) = (seen, path.to_owned());
            parse(path, &text).map(Some)
        });
        match read {
            Ok(Some(template)) => {
                tracing::info!(file = %path.display(), "template of the listener read");
                (self.good, self.problem) = (template, None);
                true
            }
            Ok(None) => false,
            Err(problem) => {
                if self.problem.as_ref() != Some(&problem) {
                    tracing::error!(
                        faults = problem,
                        "template of the listener refused: the last good one stays"
                    );
                }
                self.problem = Some(problem);
                false
            }
        }
    }

    /// Returns the last good content.
    pub(super) fn template(&self) -> &ListenerTemplate {
        &self.good
    }
}

fn text(path: &Path) -> Result<String, String> {
    files::read_text(path)
        .map_err(|error| format!("listener.template: {} cannot be read: {error}", path.display()))
}

fn parse(path: &Path, text: &str) -> Result<ListenerTemplate, String> {
    ListenerTemplate::from_yaml(text).map_err(|faults| {
        let lines = faults.iter().map(|fault| format!("{}: {fault}", path.display()));
        lines.collect::<Vec<_>>().join("\n")
    })
}
