//! README's five minutes: its commands in front of a real nginx, at other ports.

use std::path::Path;
use std::process::Command;

use crate::gateway::{NGINX, free_address};

const README: &str = include_str!("../../../README.md");

/// The commands, without the installation, which has a test of its own.
fn commands() -> String {
    let blocks = README.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let install = "cargo install --path cli\n";
    let found = blocks.into_iter().find_map(|block| block.strip_prefix(install));
    found.expect("a block that begins with the installation").to_owned()
}

#[test]
fn nginx_answers_in_five_minutes_as_the_readme_says() {
    let [gateway, endpoint, api, operations] = std::array::from_fn(|_| free_address());
    let place = tempfile::tempdir().unwrap();
    let examples = place.path().join("examples/gateways");
    std::fs::create_dir_all(&examples).unwrap();
    let configuration = NGINX.configuration([gateway, endpoint, api]);
    std::fs::rename(configuration.path(), examples.join("nginx")).unwrap();

    let ports = [("8080", gateway), ("9180", endpoint), ("3080", api), ("9181", operations)];
    let mut script = commands().replace("curl -i", "curl -si --retry 30 --retry-connrefused");
    for (port, address) in ports {
        script = script.replace(port, &address.port().to_string());
    }
    // What was started is ended, also where a command fails.
    let script = format!("trap 'kill $(jobs -p) 2>/dev/null; wait' EXIT\n{script}");
    let program = Path::new(env!("CARGO_BIN_EXE_tower-api-token")).parent().unwrap();
    let path = format!("{}:/usr/sbin:{}", program.display(), std::env::var("PATH").unwrap());
    let mut shell = Command::new("bash");
    shell.args(["-euo", "pipefail", "-mc", &script]).current_dir(place.path()).env("PATH", path);
    let ran = shell.output().unwrap();
    let answers = String::from_utf8_lossy(&ran.stdout);
    let statuses = answers.lines().filter_map(|line| line.strip_prefix("HTTP/1.1 "));
    // What `curl` has asked for again, since something did not listen yet.
    let statuses = statuses.map(|line| &line[..3]).filter(|it| !["502", "503"].contains(it));
    let statuses: Vec<_> = statuses.collect();
    let errors = String::from_utf8_lossy(&ran.stderr);
    assert_eq!(statuses, ["401", "200", "403", "401"], "{answers}\n{errors}");
    assert!(ran.status.success(), "{errors}");
    let promised = "The answers are 401, 200, 403 and, revoked, 401 again.";
    assert!(README.contains(promised), "README says so");
}
