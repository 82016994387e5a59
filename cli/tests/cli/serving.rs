//! A running `serve`, and requests to it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::program::Place;

/// How long a server may take to say what is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running server; killed when it is dropped.
pub(crate) struct Serving {
    child: Child,
    log: Arc<Mutex<String>>,
}

impl Serving {
    /// Serves gateways that set X-Original-Method, and operators.
    pub(crate) fn start(place: &Place, more: &[&str]) -> Self {
        let usual = ["serve", "--listen", "127.0.0.1:0", "--profile", "original-method"];
        let operations = ["--operations", "127.0.0.1:0"];
        Self::run(place.command(&[&usual[..], &operations, more].concat()))
    }

    pub(crate) fn run(mut command: Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().expect("the program starts");
        let errors = BufReader::new(child.stderr.take().expect("a pipe"));
        let log = Arc::new(Mutex::new(String::new()));
        let written = Arc::clone(&log);
        std::thread::spawn(move || {
            for line in errors.lines().map_while(Result::ok) {
                *written.lock().unwrap() += &(line + "\n");
            }
        });
        Self { child, log }
    }

    /// What it has logged so far.
    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// Waits until it has logged this.
    pub(crate) fn logged(&self, text: &str) -> String {
        let end = Instant::now() + PATIENCE;
        loop {
            let log = self.log();
            if let Some(line) = log.lines().find(|line| line.contains(text)) {
                return line.to_owned();
            }
            assert!(Instant::now() < end, "no {text:?} in {log}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits until it has logged this, or ended: whether it has logged it.
    pub(crate) fn logged_or_ended(&mut self, text: &str) -> bool {
        let end = Instant::now() + PATIENCE;
        while !self.log().contains(text) {
            if self.child.try_wait().expect("its state").is_some() {
                return self.log().contains(text);
            }
            assert!(Instant::now() < end, "no {text:?} in {}", self.log());
            std::thread::sleep(Duration::from_millis(5));
        }
        true
    }

    /// The number of its process.
    pub(crate) fn id(&self) -> i32 {
        self.child.id().cast_signed()
    }

    /// The address of the listener of that name.
    pub(crate) fn address(&self, listener: &str) -> String {
        let line = self.logged(&format!("{listener} listening"));
        let address = line.split("address=").nth(1).expect("an address");
        address.split_whitespace().next().expect("an address").to_owned()
    }

    /// Asks the endpoint as nginx would, for a request with that method.
    pub(crate) fn ask(&self, token: Option<&str>, method: &str) -> Answer {
        let mut headers = vec![("x-original-method", method.to_owned())];
        headers.extend(token.map(|token| ("authorization", format!("Bearer {token}"))));
        self.ask_with(&headers)
    }

    pub(crate) fn ask_with(&self, headers: &[(&str, String)]) -> Answer {
        request(&self.address("forward-auth"), "GET", "/auth/verify", headers, "")
    }

    /// Asks the operations listener.
    pub(crate) fn operations(&self, path: &str) -> Answer {
        request(&self.address("operations"), "GET", path, &[], "")
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.id()).expect("a process");
        kill_process(pid, signal).expect("it is there");
    }

    /// Waits for its end: the exit code.
    pub(crate) fn ended(&mut self) -> Option<i32> {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("its state") {
                return status.code();
            }
            assert!(Instant::now() < end, "it goes on: {}", self.log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Ends it as a service manager would.
    pub(crate) fn stop(mut self) -> String {
        self.signal(Signal::TERM);
        assert_eq!(self.ended(), Some(0), "{}", self.log());
        self.logged("stopped");
        self.log()
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// An answer over HTTP/1.1.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: String,
}

impl Answer {
    /// The header's value, its name in small letters.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(": ")?;
            found.eq_ignore_ascii_case(name).then_some(value)
        })
    }
}

/// One request on a connection of its own.
pub(crate) fn request(
    address: &str,
    method: &str,
    path: &str,
    headers: &[(&str, String)],
    body: &str,
) -> Answer {
    let stream = TcpStream::connect(address).expect("a connection");
    stream.set_read_timeout(Some(PATIENCE)).expect("a limit");
    exchange(stream, method, path, headers, body)
}

/// One request on that connection.
pub(crate) fn exchange(
    mut stream: impl Read + Write,
    method: &str,
    path: &str,
    headers: &[(&str, String)],
    body: &str,
) -> Answer {
    let mut text = format!("{method} {path} HTTP/1.1\r\nconnection: close\r\n");
    if !headers.iter().any(|(name, _)| *name == "host") {
        text += "host: localhost\r\n";
    }
    for (name, value) in headers {
        text += &format!("{name}: {value}\r\n");
    }
    if !body.is_empty() {
        text += &format!("content-length: {}\r\n", body.len());
    }
    stream.write_all(format!("{text}\r\n{body}").as_bytes()).expect("the request");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("the answer");
    let answer = String::from_utf8(answer).expect("UTF-8");
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{answer:?}"));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    Answer { status: status.expect("a status"), head: head.to_owned(), body: body.to_owned() }
}
