//! A library, program or test: the tree of its modules, and who imports whom.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::module::Module;

/// The modules of a target by their paths within it.
pub struct Target(BTreeMap<Vec<String>, (PathBuf, Module)>);

/// For each file or module those that it imports from, and one name for each.
pub type Edges = BTreeMap<PathBuf, BTreeMap<PathBuf, String>>;

/// More re-exports in a row than anybody writes.
const MAX_DEPTH: usize = 16;

impl Target {
    /// Reads the files of the target with this root.
    pub fn read(root: &Path, read: &dyn Fn(&Path) -> Option<String>) -> Self {
        let mut target = Self(BTreeMap::new());
        let directory = root.parent().unwrap();
        target.add(Vec::new(), root.to_owned(), directory, read);
        target
    }

    fn add(
        &mut self,
        path: Vec<String>,
        file: PathBuf,
        directory: &Path,
        read: &dyn Fn(&Path) -> Option<String>,
    ) {
        let module = Module::parse(&read(&file).unwrap_or_default());
        for child in &module.children {
            let file = directory.join(format!("{child}.rs"));
            let path = [path.as_slice(), std::slice::from_ref(child)].concat();
            self.add(path, file, &directory.join(child), read);
        }
        self.0.insert(path, (file, module));
    }

    /// Returns which file imports from which.
    pub fn files(&self) -> Edges {
        let imports = self.imports().into_iter();
        collect(imports.map(|(from, to, name)| (self.file(from), self.file(&to), name)))
    }

    /// Returns which module imports from which of its siblings, with all that is in
    /// the two of them.
    pub fn modules(&self) -> Edges {
        let siblings = self.imports().into_iter().filter_map(|(from, to, name)| {
            let shared = from.iter().zip(&to).take_while(|(from, to)| from == to).count();
            let module = |path: &[String]| {
                let within = path.get(..=shared)?;
                Some(self.file(&[]).parent()?.join(within.iter().collect::<PathBuf>()))
            };
            Some((module(from)?, module(&to)?, name))
        });
        collect(siblings)
    }

    fn file(&self, module: &[String]) -> PathBuf {
        self.0[module].0.clone()
    }

    /// Returns each module that imports, the one that has the item, and its name.
    fn imports(&self) -> Vec<(&[String], Vec<String>, String)> {
        let mut found = Vec::new();
        for (path, (_, module)) in &self.0 {
            let used = module
                .imports
                .iter()
                .filter(|import| !import.reexport || module.names.contains(&import.name));
            let imported = used.map(|import| &import.path);
            for name in imported.chain(&module.paths) {
                let Some(other) = self.resolve(path, name, 0) else { continue };
                found.push((path.as_slice(), other, name.last().unwrap().clone()));
            }
        }
        found
    }

    /// Returns the module that has what a path means in another; none if it means a
    /// module, or something of another crate.
    fn resolve(&self, from: &[String], path: &[String], depth: usize) -> Option<Vec<String>> {
        let (module, rest) = self.start(from, path, depth)?;
        self.walk(module, rest, depth)
    }

    /// Returns the module at which a path starts, and the rest of the path.
    fn start<'p>(
        &self,
        from: &[String],
        path: &'p [String],
        depth: usize,
    ) -> Option<(Vec<String>, &'p [String])> {
        let mut module = from.to_vec();
        let mut rest = path;
        match path.first()?.as_str() {
            "crate" => (module, rest) = (Vec::new(), &path[1..]),
            "self" => rest = &path[1..],
            "super" => {
                while rest.first().is_some_and(|part| part == "super") {
                    module.pop()?;
                    rest = &rest[1..];
                }
            }
            first => {
                let (_, this) = self.0.get(from)?;
                if !this.children.contains(first) {
                    let import = this.imports.iter().find(|import| import.name == first)?;
                    // Of an item the import is seen by itself.
                    let of = self.module(from, &import.path, depth + 1)?;
                    (module, rest) = (of, &path[1..]);
                }
            }
        }
        Some((module, rest))
    }

    /// Returns the module that a path means, if it means one.
    fn module(&self, from: &[String], path: &[String], depth: usize) -> Option<Vec<String>> {
        if depth > MAX_DEPTH {
            return None;
        }
        let (mut module, rest) = self.start(from, path, depth)?;
        module.extend_from_slice(rest);
        self.0.contains_key(&module).then_some(module)
    }

    fn walk(&self, mut module: Vec<String>, path: &[String], depth: usize) -> Option<Vec<String>> {
        let mut rest = path;
        let mut this = &self.0.get(&module)?.1;
        while let Some(part) = rest.first().filter(|part| this.children.contains(*part)) {
            module.push(part.clone());
            this = &self.0.get(&module)?.1;
            rest = &rest[1..];
        }
        let name = rest.first()?;
        if name == "*" || this.items.contains(name) || depth > MAX_DEPTH {
            return Some(module);
        }
        let import = this.imports.iter().find(|import| import.name == *name);
        let import = import.or_else(|| this.imports.iter().find(|i| i.name == "*" && i.reexport));
        let found = import.and_then(|import| {
            let mut path = import.path.clone();
            if import.name == "*" {
                path.pop();
                path.push(name.clone());
            }
            self.resolve(&module, &path, depth + 1)
        });
        Some(found.unwrap_or(module))
    }
}

fn collect(imports: impl Iterator<Item = (PathBuf, PathBuf, String)>) -> Edges {
    let mut edges = Edges::new();
    for (from, to, name) in imports.filter(|(from, to, _)| from != to) {
        edges.entry(from).or_default().entry(to).or_insert(name);
    }
    edges
}
