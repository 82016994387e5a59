//! Follows the quickstart as a new user would: starts the example, pastes the
//! lines that it prints into a shell, and looks at each answer.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use crate::build;

/// The example while it runs; stopped when it is dropped.
struct Quickstart {
    process: Child,
    /// What it printed.
    script: String,
    /// Held open, so that it can go on printing.
    output: BufReader<ChildStdout>,
}

impl Quickstart {
    fn start(directory: &Path) -> Self {
        let mut process = Command::new(build::example("quickstart"))
            .args(["--listen", "127.0.0.1:0", "--directory"])
            .arg(directory)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the example starts");
        let output = BufReader::new(process.stdout.take().unwrap());
        let mut quickstart = Self { process, script: String::new(), output };
        while !quickstart.script.contains("\n# Stop with") {
            let length = quickstart.output.read_line(&mut quickstart.script).unwrap();
            assert_ne!(length, 0, "the example ended early:\n{}", quickstart.script);
        }
        quickstart
    }

    /// The answers to every step, as `curl -i` shows them.
    fn run(&self, before: &str) -> String {
        let script = format!("{before}\n{}", self.script);
        let output = Command::new("bash").args(["-euo", "pipefail", "-c", &script]).output();
        let output = output.expect("bash runs");
        let answers = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{answers}");
        answers
    }
}

impl Drop for Quickstart {
    fn drop(&mut self) {
        self.process.kill().expect("the example was still running");
        self.process.wait().expect("the example ends");
    }
}

fn statuses(answers: &str) -> Vec<u16> {
    let lines = answers.lines().filter_map(|line| line.strip_prefix("HTTP/1.1 "));
    lines.map(|line| line[..3].parse().unwrap()).collect()
}

/// The status that each comment promises.
fn promised(script: &str) -> Vec<u16> {
    let comments = script.lines().filter(|line| line.starts_with('#'));
    let last_words = comments.filter_map(|line| line.rsplit(": ").next());
    last_words.filter_map(|word| word.parse().ok()).collect()
}

#[test]
fn every_printed_step_answers_as_its_comment_says() {
    let directory = tempfile::tempdir().unwrap();
    let quickstart = Quickstart::start(directory.path());
    let answers = quickstart.run("");
    let expected = [
        200, 403, 401, // the first token
        401, 204, 200, 200, 200, // a new primary: refused, confirmed, both, view
        204, 401, // the backup deleted
        204, 204, 401, 200, // rotated and rolled back
        204, 401, // revoked
    ];
    assert_eq!(statuses(&answers), expected, "{answers}");
    // The confirmation of the second rotation shares its comment's promise.
    assert_eq!(promised(&quickstart.script).len(), expected.len() - 1);
    assert_eq!(answers.matches("api-token-slot: backup").count(), 1);
    assert_eq!(answers.matches("\"last_used_at\":\"20").count(), 2, "{answers}");
    assert!(answers.contains("\"client\":\"curl/"), "{answers}");
}

#[test]
fn a_second_start_keeps_everything() {
    let directory = tempfile::tempdir().unwrap();
    let first = Quickstart::start(directory.path());
    let token = first.script.split("Bearer ").nth(1).unwrap().split('"').next().unwrap();
    let token = token.to_owned();
    drop(first);
    let second = Quickstart::start(directory.path());
    assert!(!second.script.contains(&token), "a token is shown once");
    let answers = second.run(&format!("TOKEN={token}"));
    assert_eq!(statuses(&answers)[..2], [200, 403], "{answers}");
    // Everything was revoked: the third start issues a token with a new id.
    drop(second);
    let third = Quickstart::start(directory.path());
    assert_eq!(statuses(&third.run(""))[..2], [200, 403]);
}
