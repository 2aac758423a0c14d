//! Writes the table of supported versions into a document: `support-matrix REPORTS DOCUMENT`.
//! `make support-matrix` runs it. Fails if something does not work, after it has written that.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use harness::support;

fn main() -> Result<()> {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let (Some(reports), Some(document), None) =
        (arguments.next(), arguments.next(), arguments.next())
    else {
        anyhow::bail!("usage: support-matrix REPORTS DOCUMENT");
    };
    let table = support::table(&support::read(&reports)?);
    let text = fs::read_to_string(&document).with_context(|| document.display().to_string())?;
    fs::write(&document, support::replace(&text, &table.text)?)?;
    print!("{}", table.text);
    ensure!(table.failures.is_empty(), "{}", table.failures.join("\n"));
    Ok(())
}
