//! Runs an example of this crate as a process of its own.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// How long an example may be silent before it says what is waited for.
const DEADLINE: Duration = Duration::from_secs(60);

/// A running example that serves on a port of its own; ended when dropped.
pub(crate) struct Example {
    child: Child,
    lines: Receiver<String>,
}

impl Example {
    /// Starts the example `name` with `variables` in its environment.
    pub(crate) fn start(name: &str, variables: &[(&str, &str)]) -> Self {
        let mut command = Command::new(built(name));
        command.args(["--listen", "127.0.0.1:0"]).envs(variables.iter().copied());
        let mut child = command.stdout(Stdio::piped()).spawn().expect("the example starts");
        let output = BufReader::new(child.stdout.take().expect("a pipe"));
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            // Read to the end even if nobody listens, or it would block.
            for line in output.lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        Self { child, lines }
    }

    /// What the next line that begins with `start` says behind it.
    pub(crate) fn said(&mut self, start: &str) -> String {
        loop {
            let line = self.lines.recv_timeout(DEADLINE).expect("a line of the example");
            if let Some(rest) = line.strip_prefix(start) {
                return rest.to_owned();
            }
        }
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// The example's program, built anew if its sources have changed: `cargo test`
/// builds no examples when it is told which tests to run.
fn built(name: &str) -> PathBuf {
    // target/<profile>/deps/<test>
    let this_test = std::env::current_exe().expect("the path of this test");
    let profile = this_test.ancestors().nth(2).expect("the profile's directory");
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "--locked", "--all-features", "--example", name]);
    cargo.arg("--target-dir").arg(profile.parent().expect("the target directory"));
    if profile.ends_with("release") {
        cargo.arg("--release");
    }
    let built = cargo.current_dir(Path::new(env!("CARGO_MANIFEST_DIR"))).status();
    assert!(built.expect("cargo runs").success(), "the example {name} does not build");
    profile.join("examples").join(name)
}
