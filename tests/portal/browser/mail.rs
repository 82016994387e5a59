//! A real mail server on this machine, and what it was sent.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::browser::process::Process;

pub(crate) struct MailServer {
    pub(crate) address: SocketAddr,
    process: Process,
}

/// One message, as its reader sees it.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) to: Vec<String>,
    headers: String,
    pub(crate) text: String,
    pub(crate) html: String,
}

impl MailServer {
    pub(crate) fn start() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut command = Command::new(python());
        let process = Process::start(command.arg(root.join("tests/portal/browser/mail_server.py")));
        let port = process.said("port ").parse().expect("a port");
        Self { address: SocketAddr::from(([127, 0, 0, 1], port)), process }
    }

    /// The next message; it is waited for.
    pub(crate) fn next(&self) -> Message {
        let message: Value = serde_json::from_str(&self.process.said("message ")).expect("JSON");
        let text = |name: &str| message[name].as_str().unwrap_or_default().to_owned();
        let to = message["to"].as_array().expect("recipients").iter();
        Message {
            to: to.map(|to| to.as_str().expect("an address").to_owned()).collect(),
            headers: text("headers"),
            text: text("text"),
            html: text("html"),
        }
    }
}

impl Message {
    /// The one link of a confirmation, the same in both parts.
    pub(crate) fn link(&self) -> String {
        let in_text = self.text.split_whitespace().find(|word| word.contains("?code="));
        let link = in_text.unwrap_or_else(|| panic!("no link: {self:?}")).to_owned();
        assert!(self.html.contains(&link), "the HTML part has it, too: {self:?}");
        link
    }

    /// Everything in it.
    pub(crate) fn all(&self) -> String {
        format!("{}{}{}", self.headers, self.text, self.html)
    }
}

/// The interpreter with the mail server's package, which `tests/run.sh` installs.
fn python() -> std::path::PathBuf {
    // target/<profile>/deps/<test>
    let this_test = std::env::current_exe().expect("the path of this test");
    let target = this_test.ancestors().nth(3).expect("the target directory");
    let python = target.join("venv/bin/python");
    assert!(python.exists(), "run tests/run.sh once: it installs aiosmtpd");
    python
}
