//! The public types, as the sources declare them.

use std::collections::BTreeSet;
use std::path::Path;

/// The name of every `pub struct` and `pub enum` under `src`.
pub(crate) fn public_types() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    collect(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut names);
    names
}

fn collect(directory: &Path, names: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            collect(&path, names);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let source = std::fs::read_to_string(&path).expect("a source file");
            names.extend(source.lines().filter_map(declared));
        }
    }
}

fn declared(line: &str) -> Option<String> {
    let line = line.trim_start();
    let kinds = ["pub struct ", "pub enum ", "pub union "];
    let rest = kinds.iter().find_map(|kind| line.strip_prefix(kind))?;
    let name = rest.split(|c: char| !c.is_alphanumeric() && c != '_').next()?;
    (!name.is_empty()).then(|| name.to_owned())
}
