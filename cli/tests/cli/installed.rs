//! `cargo install`, as the README says it.

use std::path::Path;
use std::process::Command;

use crate::program::{Place, finish};

/// Built as this test is, into its own target directory, so that nothing is
/// compiled twice; what a user gets is built with `--release` instead.
#[test]
fn the_program_can_be_installed_from_its_sources() {
    let root = tempfile::tempdir().expect("a temporary directory");
    let this_test = std::env::current_exe().expect("the path of this test");
    let target = this_test.ancestors().nth(3).expect("the target directory");
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["install", "--quiet", "--locked", "--debug", "--path"]);
    cargo.arg(env!("CARGO_MANIFEST_DIR")).arg("--root").arg(root.path());
    finish(cargo.arg("--target-dir").arg(target), "").succeeded();
    let programs: Vec<_> = std::fs::read_dir(root.path().join("bin")).unwrap().collect();
    assert_eq!(programs.len(), 1, "nothing else is installed");
    let place = Place::new();
    let program = root.path().join("bin/tower-api-token");
    let version = finish(Command::new(&program).arg("--version"), "").succeeded();
    assert_eq!(version.out.trim(), concat!("tower-api-token ", env!("CARGO_PKG_VERSION")));
    let mut check = Command::new(Path::new(&program));
    check.args(["check", "--store", "sqlite:tokens.db"]).current_dir(place.directory());
    finish(&mut check, "").succeeded();
}
