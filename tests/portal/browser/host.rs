//! The example as a process of its own, with a mail server of its own.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::process::Command;

use tempfile::TempDir;

use crate::browser::mail::MailServer;
use crate::browser::process::Process;
use crate::build;
use crate::secret;

pub(crate) struct Host {
    pub(crate) address: SocketAddr,
    pub(crate) mail: MailServer,
    passwords: HashMap<&'static str, String>,
    _process: Process,
    directory: TempDir,
}

impl Host {
    pub(crate) fn start() -> Self {
        let mail = MailServer::start();
        let address = mail.address.to_string();
        Self::run(mail, &["--smtp", &address])
    }

    /// The example with a key to keep tokens under.
    pub(crate) fn that_keeps_tokens() -> Self {
        let mail = MailServer::start();
        let address = mail.address.to_string();
        let key = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(key.path(), secret::random_text(32)).expect("it is written");
        let path = key.path().to_str().expect("text");
        Self::run(mail, &["--smtp", &address, "--sealing-key", path])
    }

    /// The example with a logo and a stylesheet of its own.
    pub(crate) fn that_looks_so(logo: &str, stylesheet: &str) -> Self {
        let files = tempfile::tempdir().expect("a directory");
        let [logo, stylesheet] =
            [("logo.svg", logo), ("own.css", stylesheet)].map(|(name, text)| {
                let path = files.path().join(name);
                std::fs::write(&path, text).expect("it is written");
                path.to_str().expect("text").to_owned()
            });
        Self::run(MailServer::start(), &["--logo", &logo, "--stylesheet", &stylesheet])
    }

    /// The example without a mail server; the one that is there is not used.
    pub(crate) fn with_files() -> Self {
        Self::run(MailServer::start(), &[])
    }

    fn run(mail: MailServer, arguments: &[&str]) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let mut command = Command::new(build::example("portal"));
        command.args(["--listen", "127.0.0.1:0"]).args(arguments);
        let process = Process::start(command.arg("--directory").arg(directory.path()));
        let pages = process.said("Pages: http://");
        let address = pages.strip_suffix("/tokens").expect("its path").parse().expect("an address");
        let passwords = ["alice", "bob", "root"]
            .map(|user| (user, process.said(&format!("Sign in as {user}: "))))
            .into_iter()
            .collect();
        Self { address, mail, passwords, _process: process, directory }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The newest confirmation that was written to a file.
    pub(crate) fn newest_file(&self) -> String {
        let files = std::fs::read_dir(self.directory.path().join("mail")).expect("a directory");
        let paths = files.map(|file| file.expect("a file").path());
        let newest = paths.filter(|path| path.to_string_lossy().contains("confirmation-")).max();
        std::fs::read_to_string(newest.expect("a file")).expect("its text")
    }

    pub(crate) fn password(&self, user: &str) -> &str {
        &self.passwords[user]
    }
}
