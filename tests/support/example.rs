//! Runs an example of this crate as a process of its own.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use super::build;

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
        let mut command = Command::new(build::example(name));
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
