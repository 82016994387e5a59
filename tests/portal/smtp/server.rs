//! The server, as a process of its own.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::Value;

/// How long a server may take to start, or a message to arrive.
const PATIENCE: Duration = Duration::from_secs(60);

/// A mail server that ends when this is dropped, or with this program: it reads
/// its standard input to the end.
pub(crate) struct MailServer {
    process: Child,
    port: u16,
    messages: Receiver<Value>,
}

impl MailServer {
    /// One in good health, without encryption.
    pub(crate) fn start() -> Self {
        Self::with(&[])
    }

    pub(crate) fn in_trouble(trouble: &str) -> Self {
        Self::with(&["--trouble", trouble])
    }

    pub(crate) fn with(arguments: &[&str]) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut python = Command::new(root.join("target/venv/bin/python"));
        python.arg(root.join("tests/portal/smtp/server.py")).args(arguments);
        python.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process =
            python.spawn().expect("tests/run.sh has made target/venv with aiosmtpd in it");
        let lines = BufReader::new(process.stdout.take().expect("a pipe")).lines();
        let (heard, lines_heard) = channel();
        std::thread::spawn(move || {
            // Ends with the server, or when nobody listens any more.
            lines.map_while(Result::ok).try_for_each(|line| heard.send(line))
        });
        let port = lines_heard.recv_timeout(PATIENCE).expect("the mail server starts");
        let port = port.parse().expect("a port");
        let (told, messages) = channel();
        std::thread::spawn(move || {
            let told = |line: String| {
                told.send(serde_json::from_str(&line).expect("the server tells JSON"))
            };
            lines_heard.into_iter().try_for_each(told)
        });
        Self { process, port, messages }
    }

    pub(crate) const fn port(&self) -> u16 {
        self.port
    }

    /// The next message that the server has got.
    pub(crate) fn message(&self) -> Mail {
        Mail(self.messages.recv_timeout(PATIENCE).expect("a message arrives"))
    }

    /// Whether there is another message, of those whose sending has ended.
    pub(crate) fn is_empty(&self) -> bool {
        self.messages.try_recv().is_err()
    }
}

impl Drop for MailServer {
    fn drop(&mut self) {
        self.process.kill().expect("the mail server is a child");
        self.process.wait().expect("the mail server ends");
    }
}

/// A message as the server got it.
pub(crate) struct Mail(Value);

impl Mail {
    pub(crate) fn encrypted(&self) -> bool {
        self.0["encrypted"].as_bool().expect("told")
    }

    pub(crate) fn hello(&self) -> &str {
        self.0["hello"].as_str().expect("told")
    }

    pub(crate) fn sender(&self) -> &str {
        self.0["envelope"]["from"].as_str().expect("told")
    }

    pub(crate) fn recipients(&self) -> Vec<&str> {
        let to = self.0["envelope"]["to"].as_array().expect("told");
        to.iter().map(|to| to.as_str().expect("text")).collect()
    }

    /// The names of all headers, in small letters.
    pub(crate) fn header_names(&self) -> Vec<String> {
        let headers = self.0["headers"].as_array().expect("told");
        headers.iter().map(|header| header[0].as_str().expect("text").to_lowercase()).collect()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        let headers = self.0["headers"].as_array().expect("told");
        let named = |header: &&Value| header[0].as_str().expect("text").eq_ignore_ascii_case(name);
        headers.iter().find(named).expect(name)[1].as_str().expect("text")
    }

    pub(crate) fn text(&self) -> &str {
        self.0["parts"]["text/plain"].as_str().expect("a plain part")
    }

    pub(crate) fn html(&self) -> &str {
        self.0["parts"]["text/html"].as_str().expect("an HTML part")
    }

    pub(crate) fn parts(&self) -> usize {
        self.0["parts"].as_object().expect("told").len()
    }

    /// Everything, as it came over the wire.
    pub(crate) fn raw(&self) -> &str {
        self.0["raw"].as_str().expect("told")
    }
}
