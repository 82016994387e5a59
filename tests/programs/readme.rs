//! The program that README begins with, built and tried as it says.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::build;
use crate::server::free_address;

const README: &str = include_str!("../../README.md");

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// The commands of a block of README that begins so, at another address.
fn block(start: &str, address: &str) -> String {
    let blocks = README.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let block = blocks.into_iter().find(|block| block.starts_with(start)).expect(start);
    block.replace("127.0.0.1:3000", address)
}

#[test]
fn the_axum_service_of_the_readme_answers_as_it_says() {
    let address = free_address().to_string();
    let mut service = Command::new(build::example("axum_service"));
    let service = service.arg(&address).stdout(Stdio::piped()).spawn().expect("it starts");
    let mut service = Running(service);
    let output = service.0.stdout.take().unwrap();
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(output), &mut line).unwrap();
    assert!(line.starts_with("TOKEN=tat_"), "{line}");
    let deadline = Instant::now() + Duration::from_secs(60);
    while std::net::TcpStream::connect(&address).is_err() {
        assert!(Instant::now() < deadline, "it does not listen");
        std::thread::sleep(Duration::from_millis(10));
    }
    let commands = block("curl -i http://127.0.0.1:3000", &address);
    let script = format!("{line}\n{}", commands.replace("curl -i", "curl -si"));
    let ran = Command::new("bash").args(["-euo", "pipefail", "-c", &script]).output().unwrap();
    assert!(ran.status.success(), "{ran:?}");
    let answers = String::from_utf8(ran.stdout).unwrap();
    // A body without an end of line is followed by the next answer.
    let statuses: Vec<_> = answers.split("HTTP/1.1 ").skip(1).map(|answer| &answer[..3]).collect();
    assert_eq!(statuses, ["401", "200", "403"], "{answers}");
    assert!(answers.contains("items of alice\n"), "{answers}");
    assert!(README.contains("The answers are 401, 200 and 403."), "README says so");
}
