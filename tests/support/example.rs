//! Runs an example of this crate as a process of its own.

#[path = "build.rs"]
mod build;

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// How long a started example may take until it listens.
const DEADLINE: Duration = Duration::from_secs(60);

/// A running example that serves on a port of its own; ended when dropped.
pub(crate) struct Example {
    child: Child,
    port: u16,
}

impl Example {
    /// Starts the example `name` with `variables` in its environment, and waits
    /// until it says `listening on ADDRESS`.
    pub(crate) fn start(name: &str, variables: &[(&str, &str)]) -> Self {
        let mut command = Command::new(build::example(name));
        command.args(["--listen", "127.0.0.1:0"]).envs(variables.iter().copied());
        let mut child = command.stdout(Stdio::piped()).spawn().expect("the example starts");
        let output = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut example = Self { child, port: 0 };
        let (sender, receiver) = mpsc::channel();
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if let Some((_, port)) = line.strip_prefix("listening on ").and_then(split_port) {
                    let _ = sender.send(port);
                }
            }
        });
        example.port = receiver.recv_timeout(DEADLINE).expect("the example listens");
        example
    }

    /// The port on 127.0.0.1 that it listens on.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }
}

fn split_port(address: &str) -> Option<(&str, u16)> {
    let (host, port) = address.trim().rsplit_once(':')?;
    Some((host, port.parse().ok()?))
}

impl Drop for Example {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
