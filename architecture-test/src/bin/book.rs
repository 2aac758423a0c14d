//! `book stage ROOT OUT` writes the sources of the book; `book check HTML` fails if a link of the book
//! leads nowhere (`make book`).

use std::env;
use std::path::Path;
use std::process::ExitCode;

use architecture_test::book;

fn run(arguments: &[String]) -> Result<(), String> {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["stage", root, out] => book::stage(Path::new(root), Path::new(out)),
        ["check", html] => {
            let broken = book::broken_links(Path::new(html))?;
            let message = || format!("links that lead nowhere:\n{}", broken.join("\n"));
            if broken.is_empty() { Ok(()) } else { Err(message()) }
        }
        _ => Err("usage: book stage ROOT OUT | book check HTML".to_owned()),
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("book: {error}");
            ExitCode::FAILURE
        }
    }
}
