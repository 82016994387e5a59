//! Builds an example of this crate.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The example's program, built anew if its sources have changed: `cargo test`
/// builds no examples when it is told which tests to run. With the features that
/// `tests/run.sh` tests the whole workspace with, so that nothing is compiled a
/// second time there.
pub(crate) fn example(name: &str) -> PathBuf {
    // target/<profile>/deps/<test>
    let this_test = std::env::current_exe().expect("the path of this test");
    let profile = this_test.ancestors().nth(2).expect("the profile's directory");
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "--locked", "--workspace", "--all-features"]);
    cargo.args(["--example", name]);
    cargo.arg("--target-dir").arg(profile.parent().expect("the target directory"));
    if profile.ends_with("release") {
        cargo.arg("--release");
    }
    let built = cargo.current_dir(Path::new(env!("CARGO_MANIFEST_DIR"))).status();
    assert!(built.expect("cargo runs").success(), "the example {name} does not build");
    profile.join("examples").join(name)
}
