//! Who may import whom, as ARCHITECTURE.md says: the modules of `src` in an order in
//! which each knows only those before it, so that there is no circle.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Each top module of `src` with the modules that it may import: rows above it.
const ARROWS: [(&str, &str); 31] = [
    // The vocabulary.
    ("error", ""),
    ("time", ""),
    ("visible", ""),
    ("limit", ""),
    ("user", "error visible"),
    ("method", "error"),
    ("token", "error time user"),
    ("account", "error method time token user"),
    ("audit", "account method time token user"),
    ("encoding", "account audit method time token user"),
    ("rotation", "account audit error method time token"),
    // What a request presents, and what is said of it.
    ("credentials", "error method token user"),
    ("denial", "credentials error method"),
    ("telemetry", "account audit denial token"),
    // Keeping, sealing, sending.
    ("store", "account audit encoding error method rotation telemetry time token user"),
    ("sealing", "error token user"),
    ("notify", "audit error time token user visible"),
    ("delivery", "audit error notify store telemetry time user"),
    ("usage", "account audit store telemetry time token user"),
    // Asking.
    ("authenticate", "account credentials denial method store telemetry time token usage user"),
    (
        "middleware",
        "account authenticate credentials denial error store telemetry time token usage user",
    ),
    ("forward_auth", "account authenticate credentials denial error method store telemetry user"),
    ("ext_authz", "authenticate denial error forward_auth store telemetry"),
    // Changing.
    (
        "manage",
        "account audit error method notify rotation sealing store telemetry time token usage user",
    ),
    ("holder", "credentials denial error limit manage token user"),
    ("portal", "account audit error limit manage method rotation store time token user"),
    // Both.
    ("test_util", "store time"),
    ("axum", "authenticate manage middleware"),
    (
        "tokens",
        "audit authenticate delivery error manage middleware notify rotation sealing store telemetry time \
         token usage",
    ),
    // Pages of documentation.
    ("guide", ""),
    ("lib", "authenticate error manage middleware telemetry tokens"),
];

const VOCABULARY: [&str; 9] =
    ["error", "time", "user", "method", "token", "account", "audit", "rotation", "visible"];

/// The crates that not every module may know, with those that may.
const CRATES: [(&str, &[&str]); 10] = [
    // The address that its router keeps is all that a decision looks at.
    ("axum", &["portal", "axum", "authenticate/as_sent"]),
    ("axum_core", &["axum"]),
    ("rusqlite", &["store/sqlite"]),
    ("deadpool_postgres", &["store/postgres"]),
    ("tokio_postgres", &["store/postgres"]),
    ("redis", &["store/redis"]),
    ("lettre", &["notify"]),
    // A signature of another, and the cipher suites of TLS.
    ("ring", &["delivery", "holder"]),
    ("tonic", &["ext_authz"]),
    ("metrics", &["telemetry"]),
];

const STORES: [&str; 5] = ["memory", "sqlite", "postgres", "redis", "cached"];

#[test]
fn the_arrows_make_no_circle() {
    for (place, (module, allowed)) in ARROWS.iter().enumerate() {
        let above: Vec<_> = ARROWS[..place].iter().map(|(above, _)| above).collect();
        for import in allowed.split_whitespace() {
            assert!(
                above.contains(&&import),
                "{module} may import {import}, which stands below it"
            );
        }
    }
}

#[test]
fn every_module_imports_only_what_it_may() {
    let sources = sources();
    let modules: BTreeSet<_> = sources.iter().map(Source::module).collect();
    let listed: BTreeSet<_> = ARROWS.iter().map(|(module, _)| *module).collect();
    assert_eq!(modules, listed, "the table lists the modules of src");
    for source in &sources {
        let (_, allowed) = ARROWS.iter().find(|(module, _)| *module == source.module()).unwrap();
        for import in source.imports() {
            let own = import == source.module();
            let allowed = own || allowed.split_whitespace().any(|it| it == import);
            assert!(allowed, "{} imports {import}", source.path);
        }
    }
}

#[test]
fn the_vocabulary_knows_neither_async_nor_io_nor_features() {
    for source in sources().iter().filter(|source| VOCABULARY.contains(&source.module())) {
        for foreign in ["async ", ".await", "tokio::", "std::fs", "std::net", "cfg(feature"] {
            assert!(!source.code.contains(foreign), "{} has {foreign}", source.path);
        }
    }
}

#[test]
fn no_store_imports_another() {
    for source in &sources() {
        let own = STORES.iter().find(|store| source.is_in(&format!("store/{store}")));
        for other in STORES.iter().filter(|_| own.is_some()).filter(|store| Some(*store) != own) {
            let named = [format!("store::{other}::"), format!("super::{other}::")];
            let found = named.iter().find(|path| source.code.contains(*path));
            assert_eq!(found, None, "{}", source.path);
        }
    }
}

#[test]
fn drivers_and_frameworks_are_known_where_they_are_used() {
    for source in &sources() {
        for (name, places) in CRATES {
            let known = places.iter().any(|place| source.is_in(place));
            assert!(known || !source.names(name), "{} knows {name}", source.path);
        }
    }
}

/// A file of `src` without its comments and tests.
struct Source {
    /// From `src` on, without `.rs`.
    path: String,
    code: String,
}

impl Source {
    fn read(root: &Path, file: &Path) -> Self {
        let path = file.strip_prefix(root).unwrap().with_extension("");
        let text = std::fs::read_to_string(file).unwrap();
        let code = text.split("\n#[cfg(test)]\nmod ").next().unwrap().lines();
        let code = code.filter(|line| !line.trim_start().starts_with("//"));
        let code = code.collect::<Vec<_>>().join("\n");
        Self { path: path.to_str().unwrap().to_owned(), code }
    }

    fn module(&self) -> &str {
        self.path.split('/').next().unwrap()
    }

    fn is_in(&self, place: &str) -> bool {
        self.path == place || self.path.starts_with(&format!("{place}/"))
    }

    /// The modules of this crate that the file names by `crate::`, or in `lib.rs` by
    /// `self::`.
    fn imports(&self) -> BTreeSet<String> {
        let root = if self.path == "lib" { "self::" } else { "crate::" };
        let paths = self.code.match_indices(root).filter(|(place, _)| {
            // `$crate::` of a macro is written for other crates.
            !self.code[..*place].ends_with(['$', '_'])
        });
        let mut imports = BTreeSet::new();
        for (place, _) in paths {
            let rest = &self.code[place + root.len()..];
            match rest.strip_prefix('{') {
                Some(list) => {
                    let list = list.split('}').next().unwrap();
                    imports.extend(list.split(',').map(|name| module_of(name.trim())));
                }
                None => drop(imports.insert(module_of(rest))),
            }
        }
        imports
    }

    /// Whether the code names a crate in a path or a `use`.
    fn names(&self, name: &str) -> bool {
        let path = format!("{name}::");
        self.code.match_indices(&path).any(|(place, _)| {
            let before = self.code[..place].chars().next_back();
            !before.is_some_and(|c| c.is_alphanumeric() || matches!(c, '_' | ':'))
        })
    }
}

/// The module that a path begins with; what `lib.rs` names anew is where it comes from.
/// Every file that the page names is there: `name.rs`, or the end of a path.
#[test]
fn the_page_names_files_that_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    for folder in ["benches", "cli", "examples", "src", "tests"] {
        collect(&root.join(folder), &mut files);
    }
    let page = std::fs::read_to_string(root.join("ARCHITECTURE.md")).unwrap();
    let named = page.split('`').skip(1).step_by(2).filter(|name| name.ends_with(".rs"));
    let lost: Vec<_> =
        named.filter(|name| !files.iter().any(|file| file.ends_with(name))).collect();
    assert!(lost.is_empty(), "ARCHITECTURE.md names files that are not there: {lost:?}");
}

fn module_of(path: &str) -> String {
    let end = path.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(path.len());
    match &path[..end] {
        "ConfigError" | "ValueError" => "error".to_owned(),
        "metrics" => "telemetry".to_owned(),
        module => module.to_owned(),
    }
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    collect(&root, &mut files);
    assert!(files.len() > 100, "the sources were not read");
    files.iter().map(|file| Source::read(&root, file)).collect()
}

fn collect(directory: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|it| it == "rs") && !path.ends_with("tests.rs") {
            files.push(path);
        }
    }
}
