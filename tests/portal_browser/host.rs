//! The example as a process of its own, with a mail server of its own.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::process::Command;

use tempfile::TempDir;

use crate::build;
use crate::mail::MailServer;
use crate::process::Process;

pub(crate) struct Host {
    pub(crate) address: SocketAddr,
    pub(crate) mail: MailServer,
    passwords: HashMap<&'static str, String>,
    _process: Process,
    _directory: TempDir,
}

impl Host {
    pub(crate) fn start() -> Self {
        let mail = MailServer::start();
        let directory = tempfile::tempdir().expect("a directory");
        let mut command = Command::new(build::example("portal"));
        command.args(["--listen", "127.0.0.1:0", "--smtp", &mail.address.to_string()]);
        let process = Process::start(command.arg("--directory").arg(directory.path()));
        let pages = process.said("Pages: http://");
        let address = pages.strip_suffix("/tokens").expect("its path").parse().expect("an address");
        let passwords = ["alice", "bob", "root"]
            .map(|user| (user, process.said(&format!("Sign in as {user}: "))))
            .into_iter()
            .collect();
        Self { address, mail, passwords, _process: process, _directory: directory }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn password(&self, user: &str) -> &str {
        &self.passwords[user]
    }
}
