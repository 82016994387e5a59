//! The example's processes, and the lines of its README.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use super::server::wait_until;
use crate::build;

/// One node while it runs; stopped when it is dropped.
pub(crate) struct Node {
    process: Child,
    pub(crate) address: String,
    /// Held open, so that it can go on printing.
    _output: BufReader<ChildStdout>,
}

impl Node {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let mut command = Command::new(build::example("two_nodes"));
        command.args(["--listen", "127.0.0.1:0"]).args(arguments);
        let mut process = command.stdout(Stdio::piped()).spawn().expect("the example starts");
        let mut output = BufReader::new(process.stdout.take().expect("a pipe"));
        let mut line = String::new();
        output.read_line(&mut line).expect("a line");
        let address = line.trim().strip_prefix("listening on ").expect("its address").to_owned();
        Self { process, address, _output: output }
    }

    /// Waits until it answers from memory.
    pub(crate) fn is_trusted(&self) {
        let health = format!("curl -s http://{}/health", self.address);
        wait_until("the node is trusted", || run(&health).contains("\"trusted\":true"));
    }

    /// What it answers to a request with the token.
    pub(crate) fn status(&self, token: &str) -> u16 {
        let header = format!("-H 'Authorization: Bearer {token}'");
        let line = format!("curl -si --max-time 10 {header} http://{}/items", self.address);
        curl_statuses(&run(&line))[0]
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.process.kill().expect("the example was still running");
        self.process.wait().expect("the example ends");
    }
}

/// The first block of lines below a heading of the example's README.
pub(crate) fn block(heading: &str) -> String {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/two_nodes/README.md");
    let readme = std::fs::read_to_string(readme).expect("the README");
    let (_, below) = readme.split_once(heading).expect("the heading");
    let (_, block) = below.split_once("```sh\n").expect("a block");
    block.split("```").next().expect("its end").to_owned()
}

/// What a script prints.
pub(crate) fn run(script: &str) -> String {
    let output = Command::new("bash").args(["-euo", "pipefail", "-c", script]).output();
    let output = output.expect("bash runs");
    let printed = String::from_utf8(output.stdout).expect("text");
    assert!(output.status.success(), "{script}\n{printed}");
    printed
}

pub(crate) fn curl_statuses(answers: &str) -> Vec<u16> {
    let lines = answers.lines().filter_map(|line| line.strip_prefix("HTTP/1.1 "));
    lines.map(|line| line[..3].parse().expect("a status")).collect()
}

/// The status that each comment promises.
pub(crate) fn promised(script: &str) -> Vec<u16> {
    let comments = script.lines().filter(|line| line.starts_with('#'));
    let last_words = comments.filter_map(|line| line.rsplit(": ").next());
    last_words.filter_map(|word| word.parse().ok()).collect()
}
