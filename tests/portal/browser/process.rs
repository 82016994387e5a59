//! Another program that runs as long as a test needs it.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// How long a program may be silent before it says what is waited for.
const DEADLINE: Duration = Duration::from_secs(60);

/// A running program, ended when dropped.
pub(crate) struct Process {
    child: Child,
    lines: Mutex<Receiver<String>>,
}

impl Process {
    pub(crate) fn start(command: &mut Command) -> Self {
        let started = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
        let mut child = started.unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let output = BufReader::new(child.stdout.take().expect("a pipe"));
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            // Read to the end even if nobody listens, or it would block.
            for line in output.lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        Self { child, lines: Mutex::new(lines) }
    }

    /// What the next line that holds `start` says behind it.
    pub(crate) fn said(&self, start: &str) -> String {
        let lines = self.lines.lock().expect("no panic");
        loop {
            let line = lines.recv_timeout(DEADLINE).unwrap_or_else(|_| panic!("no line {start}"));
            if let Some((_, rest)) = line.split_once(start) {
                return rest.to_owned();
            }
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
