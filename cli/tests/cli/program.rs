//! Runs the built program.

use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::postgres::{Database, Server};

/// A directory of its own, and the program run in it on one store.
pub(crate) struct Place {
    directory: tempfile::TempDir,
    pub(crate) store: String,
    /// Further variables of its environment.
    pub(crate) variables: Vec<(&'static str, &'static str)>,
}

impl Place {
    /// On a SQLite file that is ready.
    pub(crate) fn new() -> Self {
        let place = Self::without_store();
        place.run(&["migrate"]).succeeded();
        place
    }

    /// On a SQLite file that does not exist yet.
    pub(crate) fn without_store() -> Self {
        Self::on("sqlite:tokens.db")
    }

    pub(crate) fn on(store: &str) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        Self { directory, store: store.to_owned(), variables: Vec::new() }
    }

    /// The same, where tokens of other systems are accepted.
    pub(crate) fn accepting_foreign(mut self) -> Self {
        self.variables.push(("TOWER_API_TOKEN_TOKENS_ACCEPT_FOREIGN", "true"));
        self
    }

    /// On a database that may have no tables yet.
    pub(crate) fn in_database(server: &Server, database: &Database) -> Self {
        Self::on(&format!("postgres://postgres@{}/{}", server.address(), database.name))
    }

    /// On a Redis server.
    pub(crate) fn on_redis(server: &crate::redis::Server) -> Self {
        Self::on(&format!("redis://{}/", server.address()))
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Writes a file for its owner alone.
    pub(crate) fn write(&self, name: &str, content: &str) -> PathBuf {
        use std::os::unix::fs::OpenOptionsExt;
        let path = self.path(name);
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        let mut file = options.open(&path).expect("a file");
        file.write_all(content.as_bytes()).expect("its content");
        path
    }

    /// The program with nothing in its environment but what it needs.
    pub(crate) fn command<A: AsRef<OsStr>>(&self, arguments: &[A]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tower-api-token"));
        command.args(arguments).current_dir(self.directory.path()).env_clear();
        command.env("TOWER_API_TOKEN_STORE", &self.store);
        command.envs(self.variables.iter().copied());
        command
    }

    pub(crate) fn run<A: AsRef<OsStr>>(&self, arguments: &[A]) -> Ran {
        self.run_with(arguments, "")
    }

    /// Runs it with `input` on its standard input.
    pub(crate) fn run_with<A: AsRef<OsStr>>(&self, arguments: &[A], input: &str) -> Ran {
        finish(&mut self.command(arguments), input)
    }

    /// Grants and issues: the token.
    pub(crate) fn user_with_token(&self, user: &str, methods: &[&str]) -> String {
        self.run(&[&["user", "grant", user], methods].concat()).succeeded();
        self.run(&["token", "issue", user]).succeeded().out.trim().to_owned()
    }

    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }
}

/// Runs the command to its end.
pub(crate) fn finish(command: &mut Command, input: &str) -> Ran {
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program starts");
    // It may end without reading.
    drop(child.stdin.take().expect("a pipe").write_all(input.as_bytes()));
    Ran::of(child.wait_with_output().expect("the program ends"))
}

/// What a run of the program left.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    pub(crate) fn of(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        Self { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }

    #[track_caller]
    pub(crate) fn exited(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:#?}");
        self
    }

    #[track_caller]
    pub(crate) fn succeeded(self) -> Self {
        self.exited(0)
    }

    /// The lines of the standard output, as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> Vec<Value> {
        let line = |line: &str| serde_json::from_str(line).unwrap_or_else(|_| panic!("{self:#?}"));
        self.out.lines().map(line).collect()
    }

    #[track_caller]
    pub(crate) fn says(self, text: &str) -> Self {
        assert!(self.err.contains(text), "{text:?} in {self:#?}");
        self
    }
}
