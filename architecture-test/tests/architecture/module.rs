//! What one file says: its modules, its imports, its items and the paths in it.

use std::collections::BTreeSet;

use super::tokens;

/// One file, which is one module. Modules within it count as part of it.
#[derive(Debug, Default)]
pub struct Module {
    /// The modules in files of their own.
    pub children: BTreeSet<String>,
    pub imports: Vec<Import>,
    /// The names that it defines.
    pub items: BTreeSet<String>,
    /// The paths outside imports, with at least two parts.
    pub paths: BTreeSet<Vec<String>>,
    /// All names outside imports.
    pub names: BTreeSet<String>,
}

/// One name that is imported.
#[derive(Debug)]
pub struct Import {
    pub path: Vec<String>,
    /// The name by which the file knows it; `*` if it imports everything.
    pub name: String,
    pub reexport: bool,
}

const ITEMS: [&str; 10] =
    ["struct", "enum", "fn", "trait", "type", "const", "static", "union", "mod", "macro_rules"];

impl Module {
    pub fn parse(source: &str) -> Self {
        let tokens = tokens::read(source);
        let tokens: Vec<&str> = tokens.iter().map(String::as_str).collect();
        let mut module = Self::default();
        let mut visible = false;
        let mut at = 0;
        while at < tokens.len() {
            let rest = &tokens[at..];
            at += match rest {
                ["pub", "(", ..] => {
                    visible = true;
                    rest.iter().position(|token| *token == ")").map_or(1, |end| end + 1)
                }
                ["pub", ..] => {
                    visible = true;
                    1
                }
                ["use", ..] => {
                    let end = rest.iter().position(|token| *token == ";").unwrap_or(rest.len());
                    module.import(&rest[1..end], &[], visible);
                    visible = false;
                    end
                }
                ["mod", name, ";", ..] => {
                    module.children.insert((*name).to_owned());
                    visible = false;
                    3
                }
                _ => {
                    visible = false;
                    module.other(rest)
                }
            };
        }
        module
    }

    /// Reads a tree such as `a::{self, b::C as D}`.
    fn import(&mut self, tree: &[&str], before: &[String], reexport: bool) {
        let mut path = before.to_vec();
        let mut rest = tree;
        loop {
            match rest {
                ["{", inner @ .., "}"] => {
                    for part in split(inner) {
                        self.import(part, &path, reexport);
                    }
                    return;
                }
                ["::", more @ ..] => rest = more,
                [name] | [name, "as", ..] if *name == "self" && !path.is_empty() => {
                    let name = rest
                        .get(2)
                        .map_or_else(|| path[path.len() - 1].clone(), |n| (*n).to_owned());
                    self.imports.push(Import { path, name, reexport });
                    return;
                }
                [last, "as", name] => {
                    path.push((*last).to_owned());
                    self.imports.push(Import { path, name: (*name).to_owned(), reexport });
                    return;
                }
                [last] => {
                    path.push((*last).to_owned());
                    self.imports.push(Import { path, name: (*last).to_owned(), reexport });
                    return;
                }
                [name, more @ ..] => {
                    path.push((*name).to_owned());
                    rest = more;
                }
                [] => return,
            }
        }
    }

    /// Reads a definition, a path or a name; returns how many tokens it has.
    fn other(&mut self, tokens: &[&str]) -> usize {
        if let [keyword, name, ..] = tokens
            && ITEMS.contains(keyword)
        {
            let name = if *name == "!" { tokens.get(2) } else { Some(name) };
            self.items.extend(name.map(|name| (*name).to_owned()));
            return 1;
        }
        let is_name = |token: &str| token.starts_with(|c: char| c.is_alphabetic() || c == '_');
        let Some(first) = tokens.first().filter(|token| is_name(token)) else { return 1 };
        let mut path = vec![(*first).to_owned()];
        let mut rest = &tokens[1..];
        while let ["::", name, more @ ..] = rest
            && is_name(name)
        {
            path.push((*name).to_owned());
            rest = more;
        }
        self.names.insert(path[0].clone());
        let length = path.len() * 2 - 1;
        if path.len() > 1 {
            self.paths.insert(path);
        }
        length
    }
}

/// Splits at the commas outside braces.
fn split<'t>(tokens: &'t [&'t str]) -> Vec<&'t [&'t str]> {
    let mut depth = 0_i32;
    let parts = tokens.split(|token| {
        depth += i32::from(*token == "{") - i32::from(*token == "}");
        *token == "," && depth == 0
    });
    parts.filter(|part| !part.is_empty()).collect()
}
