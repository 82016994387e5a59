//! README, the guide and the policies: what they say of this tree is true of it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(file: &str) -> String {
    std::fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// The pages of the guide, and README.
fn pages() -> Vec<String> {
    let files = std::fs::read_dir(root().join("src/guide")).expect("the guide");
    let files = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    let files = files.map(|name| format!("src/guide/{name}"));
    let pages: Vec<_> = files.chain(["README.md".to_owned()]).collect();
    assert!(pages.len() > 10, "{pages:?}");
    pages
}

/// The lines of all blocks of that language.
fn lines_of(text: &str, language: &str) -> Vec<String> {
    let (mut found, mut lines) = (Vec::new(), text.lines());
    while let Some(line) = lines.next() {
        if let Some(kind) = line.strip_prefix("```") {
            let block = lines.by_ref().take_while(|line| *line != "```").map(str::to_owned);
            let block: Vec<_> = block.collect();
            found.extend(block.into_iter().filter(|_| kind == language));
        }
    }
    found
}

/// The features of the library, each with what it brings.
fn features() -> BTreeMap<String, Vec<String>> {
    let manifest = read("Cargo.toml");
    let section = manifest.split("\n[features]\n").nth(1).unwrap().split("\n[").next().unwrap();
    let lines = section.lines().filter_map(|line| line.split_once(" = "));
    let strings = |list: &str| list.split('"').skip(1).step_by(2).map(str::to_owned).collect();
    let features = lines.map(|(name, list)| (name.to_owned(), strings(list)));
    features.filter(|(name, _)| name != "default").collect()
}

/// These features, and all that they bring.
fn with_what_they_bring(names: &str) -> BTreeSet<String> {
    let features = features();
    let mut found = BTreeSet::new();
    let mut open: Vec<_> = names.split(',').map(str::to_owned).collect();
    while let Some(name) = open.pop() {
        let brings = features.get(&name).unwrap_or_else(|| panic!("there is no feature {name}"));
        open.extend(brings.iter().filter(|it| features.contains_key(*it)).cloned());
        found.insert(name);
    }
    found
}

/// What stands behind `--features` in a command.
fn features_in(command: &str) -> &str {
    let (_, rest) = command.split_once("--features ").unwrap_or(("", ""));
    rest.split(' ').next().unwrap_or_default()
}

#[test]
fn the_readme_is_at_most_150_lines_long_and_names_every_feature() {
    let readme = read("README.md");
    assert!(readme.lines().count() <= 150, "{} lines", readme.lines().count());
    let table = readme.split("| feature | adds |").nth(1).unwrap().split("\n\n").next().unwrap();
    let names = table.lines().filter_map(|row| row.strip_prefix("| ")?.split(" | ").next());
    let names = names.flat_map(|cell| cell.split(", ").map(|name| name.replace('`', "")));
    let names: BTreeSet<_> = names.collect();
    assert!(names.iter().eq(features().keys()), "{names:?}");
}

#[test]
fn the_readme_shows_the_program_that_is_tested() {
    let (readme, example) = (read("README.md"), read("examples/axum_service.rs"));
    let (_, program) = example.split_once("\n\n").expect("its documentation comes first");
    assert!(program.lines().count() <= 25, "{} lines", program.lines().count());
    assert!(readme.contains(&format!("```rust,no_run\n{program}```\n")), "another program");
}

/// On docs.rs and on a crate's page there is nothing beside the page.
#[test]
fn no_link_or_picture_of_a_crates_page_needs_a_repository() {
    for page in ["README.md", "cli/README.md"] {
        let text = read(page);
        let targets = text.split("](").skip(1).map(|rest| rest.split(')').next().unwrap());
        let dead: Vec<_> =
            targets.filter(|to| !to.starts_with("https://") && !to.starts_with('#')).collect();
        assert!(dead.is_empty(), "{page}: {dead:?}");
        assert!(!text.contains("<img"), "{page}");
    }
}

#[test]
fn each_page_that_the_readme_leads_to_is_there() {
    let readme = read("README.md");
    let links = readme.split("/guide/").skip(1).map(|rest| rest.split('/').next().unwrap());
    let mut linked = BTreeSet::new();
    for page in links {
        assert!(root().join(format!("src/guide/{page}.md")).exists(), "{page}");
        linked.insert(page.to_owned());
    }
    assert_eq!(linked.len() + 1, pages().len(), "README leads to every page: {linked:?}");
}

/// What else the pages tell to run is run by tests of README (`programs`, `gateways`)
/// and of `docs/operating.md` (`cli`).
#[test]
fn a_page_of_the_guide_tells_to_add_crates_and_to_run_examples_and_nothing_else() {
    let manifest = read("Cargo.toml");
    for page in pages() {
        for command in lines_of(&read(&page), "sh") {
            if let Some(rest) = command.strip_prefix("cargo run --example ") {
                let name = rest.split(' ').next().unwrap();
                let entry = format!("name = \"{name}\"\nrequired-features = [");
                let needs = manifest.split(&entry).nth(1).expect(name).split(']').next().unwrap();
                let given = with_what_they_bring(features_in(&command));
                for feature in needs.split('"').skip(1).step_by(2) {
                    assert!(given.contains(feature), "{page}: `{command}` lacks {feature}");
                }
            } else if command.starts_with("cargo add tower-api-token ") {
                with_what_they_bring(features_in(&command));
            } else if page != "README.md" {
                assert!(command.starts_with("cargo add "), "{page}: nothing runs `{command}`");
            }
        }
    }
}

/// A page needs no feature that the command at its start does not give.
#[test]
fn each_page_is_shown_with_the_features_that_it_tells_to_add() {
    let guide = read("src/guide.rs");
    for block in guide.split("page!(\n").skip(1) {
        let block = block.split("\n);").next().unwrap();
        let name = block.trim().split(',').next().unwrap();
        let page = read(&format!("src/guide/{name}.md"));
        let add = lines_of(&page, "sh");
        let add = add.iter().find(|line| line.starts_with("cargo add tower-api-token "));
        let given = with_what_they_bring(features_in(add.unwrap_or_else(|| panic!("{name}"))));
        let needs = block.split("feature = \"").skip(1).map(|rest| rest.split('"').next().unwrap());
        for feature in needs {
            assert!(given.contains(feature), "{name} needs {feature}");
        }
    }
}

/// The threat model and the page on contributing name files and tests.
#[test]
fn every_test_and_file_that_a_policy_names_is_there() {
    let mut sources = Vec::new();
    for folder in ["src", "tests", "cli", "examples"] {
        collect(&root().join(folder), &mut sources);
    }
    let tests: Vec<_> =
        sources.iter().filter(|file| file.extension().is_some_and(|it| it == "rs")).collect();
    let tests: String = tests.iter().map(|file| std::fs::read_to_string(file).unwrap()).collect();
    let security = read("SECURITY.md");
    let rows = security.lines().filter(|line| line.matches(" | ").count() == 3);
    let rows: Vec<_> = rows.filter(|row| !row.starts_with("| who ")).collect();
    assert!(rows.len() > 15, "{}", rows.len());
    for row in rows {
        let named: Vec<_> =
            row.rsplit(" | ").next().unwrap().split('`').skip(1).step_by(2).collect();
        assert!(!named.is_empty(), "no test shows it: {row}");
        for test in named {
            let is_there = [format!("fn {test}("), format!("{test}\n")];
            assert!(is_there.iter().any(|it| tests.contains(it)), "{test}");
        }
    }
    for name in read("CONTRIBUTING.md").split('`').skip(1).step_by(2) {
        let is_path = name.contains('/') && !name.contains([' ', '*', ':']);
        assert!(!is_path || root().join(name).exists(), "CONTRIBUTING.md: {name}");
    }
}

fn collect(directory: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { collect(&path, files) } else { files.push(path) }
    }
}
