//! The process that is killed, and the parent's end of it.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{ChildStdout, Command, Stdio};
use std::time::Duration;

use tower_api_token::TokenManager;
use tower_api_token::manage::Confirmation;
use tower_api_token::store::SqliteStore;
use tower_api_token::token::TokenScheme;

use super::operation::Operation;

/// Names the file to a process that shall be a child.
const FILE: &str = "TOWER_API_TOKEN_CRASH_FILE";

/// What the child said of an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Done, with the secret that came of it, if any.
    Done(String),
    Refused(String),
}

impl Answer {
    pub(crate) const fn is_done(&self) -> bool {
        matches!(self, Self::Done(_))
    }
}

pub(crate) struct Child {
    process: std::process::Child,
    output: BufReader<ChildStdout>,
}

impl Child {
    pub(crate) fn start(file: &Path) -> Self {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child_process", "--nocapture"])
            .env(FILE, file)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(process.stdout.take().unwrap());
        let mut child = Self { process, output };
        assert_eq!(child.line().as_deref(), Some("ready"));
        child
    }

    /// The child's next line of ours; `None` if it is dead.
    fn line(&mut self) -> Option<String> {
        loop {
            let mut line = String::new();
            // A line cut short by the kill was not said.
            if self.output.read_line(&mut line).unwrap() == 0 || !line.ends_with('\n') {
                return None;
            }
            if let Some((_, ours)) = line.split_once('@') {
                return Some(ours.trim_end_matches('\n').to_owned());
            }
        }
    }

    /// Has the operation begun; returns as soon as the child says so.
    pub(crate) fn begin(&mut self, operation: &Operation) {
        let input = self.process.stdin.as_mut().unwrap();
        writeln!(input, "{}", operation.line()).unwrap();
        assert_eq!(self.line().as_deref(), Some("begin"));
    }

    pub(crate) fn answer(&mut self) -> Answer {
        self.last_answer().expect("the child lives")
    }

    fn last_answer(&mut self) -> Option<Answer> {
        let line = self.line()?;
        let (word, rest) = line.split_once(' ').unwrap();
        match word {
            "done" => Some(Answer::Done(rest.to_owned())),
            "refused" => Some(Answer::Refused(rest.to_owned())),
            _ => panic!("unexpected {line:?}"),
        }
    }

    /// SIGKILL; what the child still said before it died.
    pub(crate) fn kill(&mut self) -> Option<Answer> {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        self.last_answer()
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Serves as the child if this process was started as one.
pub(crate) fn serve_if_told() -> bool {
    let Some(file) = std::env::var_os(FILE) else { return false };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(serve(Path::new(&file)));
    true
}

async fn serve(file: &Path) {
    let store = SqliteStore::open(file).unwrap();
    let manager = TokenManager::builder(store)
        .scheme(TokenScheme::default().accept_foreign_tokens(true))
        .confirmation(Confirmation::ByCaller)
        .build()
        .await
        .unwrap();
    say("ready");
    for line in std::io::stdin().lock().lines() {
        let operation = Operation::parse(&line.unwrap());
        say("begin");
        let outcome = operation.run(&manager).await;
        // The way of an acknowledgement to its caller.
        std::thread::sleep(Duration::from_micros(300));
        match outcome {
            Ok(secret) => say(&format!("done {secret}")),
            Err(error) => say(&format!("refused {error}")),
        }
    }
}

fn say(words: &str) {
    let mut output = std::io::stdout().lock();
    writeln!(output, "@{words}").unwrap();
    output.flush().unwrap();
}
