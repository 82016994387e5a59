//! Replays the collected attacks on parsing, on methods and on the endpoint for
//! gateways against the example `probe_target`, byte by byte over HTTP/1.1 and
//! frame by frame over HTTP/2.
//!
//! `cases.jsonl` holds a case a line: its id, what is sent, what must come back
//! and why; the two programs that replay it need Python, and over HTTP/2 its
//! package `h2`. A case that is steps or a property is a test somewhere.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::example::Example;
use crate::secret;

#[test]
fn parsing_over_http_1() {
    replay("replay.py", &["--only", "parse"], |case| is(case, "raw", "parse"));
}

#[test]
fn methods_over_http_1() {
    replay("replay.py", &["--only", "method"], |case| is(case, "raw", "method"));
}

#[test]
fn forward_auth_over_http_1() {
    replay("replay.py", &["--only", "forward"], |case| is(case, "raw", "forward"));
}

#[test]
fn parsing_and_methods_over_http_2() {
    replay("replay_h2.py", &[], |case| is(case, "h2", ""));
}

/// A case that is steps cannot be replayed: a test somewhere carries its id.
#[test]
fn every_case_that_is_steps_has_a_test_of_its_id() {
    let folders = ["src", "tests", "cli/src", "cli/tests"];
    let names = folders.map(|folder| test_names(&root().join(folder))).concat();
    let missing: Vec<_> = cases()
        .iter()
        .filter(|case| case["kind"] == "steps" || case["kind"] == "unit")
        .map(|case| case["id"].as_str().expect("an id").replace('-', "_"))
        .filter(|id| !names.iter().any(|name| name.contains(id)))
        .collect();
    assert_eq!(missing, [""; 0]);
}

/// The names of the functions in all sources below a folder.
fn test_names(folder: &Path) -> Vec<String> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            names.extend(test_names(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let source = std::fs::read_to_string(&path).expect("a source");
            let functions = source.split("fn ").skip(1).filter_map(|rest| rest.split('(').next());
            names.extend(functions.map(str::to_owned));
        }
    }
    names
}

fn is(case: &Value, kind: &str, start_of_id: &str) -> bool {
    let id = case["id"].as_str().expect("an id");
    case["kind"] == kind && case.get("needs").is_none() && id.starts_with(start_of_id)
}

/// Replays the cases that `selected` tells, all of them, against a server of
/// its own with tokens of its own.
fn replay(program: &str, arguments: &[&str], selected: impl Fn(&Value) -> bool) {
    let tokens = ["P", "B", "BOB", "CAROL"].map(|name| (name, token()));
    let tokens = tokens.each_ref().map(|(name, token)| (*name, token.as_str()));
    let mut server = Example::start("probe_target", &tokens);
    let port = server.said("listening on 127.0.0.1:");
    let mut python = Command::new("python3");
    python.arg(directory().join(program)).args(["127.0.0.1", &port]);
    let output = python.args(arguments).envs(tokens).output().expect("python3 runs");
    let told = String::from_utf8_lossy(&output.stdout);
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program}: {told}{complaints}");
    let passed =
        format!("{} passed, 0 failed", cases().iter().filter(|case| selected(case)).count());
    assert!(told.contains(&passed), "{program}: expected {passed}: {told}");
    assert!(!passed.starts_with('0'), "no case was selected");
}

/// As long as the tokens that the cases were written for: in Basic credentials
/// some of them count on an encoding that is padded.
fn token() -> String {
    format!("rest_{}", secret::random_text(41))
}

fn cases() -> Vec<Value> {
    let lines = std::fs::read_to_string(directory().join("cases.jsonl")).expect("the cases");
    lines.lines().map(|line| serde_json::from_str(line).expect("a case")).collect()
}

fn directory() -> PathBuf {
    root().join("tests/adversarial")
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
