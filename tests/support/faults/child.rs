//! A node that is a process of its own, which a test can stop and weigh.

use std::io::{BufRead, BufReader, Write, stdin};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use futures_util::future::join_all;
use rustix::process::Signal;
use tokio::runtime::Handle;
use tower_api_token::authenticate::Authenticator;
use tower_api_token::denial::DenialKind;
use tower_api_token::token::Token;

use super::node::{cache, decide, eventually};
use super::{Engine, generated};
use crate::server::{is_stopped, send, wait_until};

/// Describes the data to a process that shall be a node.
const NODE: &str = "TOWER_API_TOKEN_NODE";

pub(crate) struct ChildNode {
    process: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

/// What became of many requests that were made at once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flood {
    pub(crate) refused: usize,
    pub(crate) unavailable: usize,
    /// The tasks of the node at the worst moment that it saw.
    pub(crate) tasks: usize,
}

impl ChildNode {
    /// A node that is trusted.
    pub(crate) fn start<E: Engine>(engine: &E) -> Self {
        let mut command = Command::new(std::env::current_exe().expect("the path of this test"));
        command.args(["--exact", E::NODE_PROCESS, "--nocapture"]);
        command.env(NODE, engine.describe(engine.address()));
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().expect("the node starts");
        let input = process.stdin.take().expect("a pipe");
        let output = BufReader::new(process.stdout.take().expect("a pipe"));
        let mut node = Self { process, input, output };
        assert_eq!(node.answer(), "ready");
        node
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Has it do something, and does not wait for the answer.
    pub(crate) fn tell(&mut self, words: &str) {
        writeln!(self.input, "{words}").expect("the node listens");
    }

    /// Its next answer.
    pub(crate) fn answer(&mut self) -> String {
        loop {
            let mut line = String::new();
            let read = self.output.read_line(&mut line).expect("the node's output");
            assert!(read > 0, "the node is gone");
            // The test harness writes before it on the same line.
            if let Some((_, answer)) = line.trim_end().split_once('@') {
                return answer.to_owned();
            }
        }
    }

    pub(crate) fn decide(&mut self, token: &Token) -> String {
        self.tell(&format!("decide {}", token.expose_secret()));
        self.answer()
    }

    /// Makes that many requests at once, each with another unknown token.
    pub(crate) fn flood(&mut self, requests: usize) -> Flood {
        self.tell(&format!("flood {requests}"));
        let answer = self.answer();
        let mut counts = answer.split(' ').map(|count| count.parse().expect("a count"));
        let mut next = || counts.next().expect("three counts");
        Flood { refused: next(), unavailable: next(), tasks: next() }
    }

    /// Its memory in bytes, as the system counts it.
    pub(crate) fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid()));
        let status = status.expect("the node lives");
        let size = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a size");
        let kilobytes = size.trim().strip_suffix(" kB").expect("kilobytes");
        kilobytes.parse::<u64>().expect("a number") * 1_024
    }

    /// Stops the process, or lets it go on.
    pub(crate) fn suspend(&self, suspend: bool) {
        send(&[self.pid()], if suspend { Signal::STOP } else { Signal::CONT });
        wait_until("it has done so", || is_stopped(self.pid()) == suspend);
    }
}

impl Drop for ChildNode {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Serves as a node if this process was started as one.
pub(crate) fn serve_if_told<E: Engine>() {
    let Ok(description) = std::env::var(NODE) else { return };
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(2).enable_all().build().expect("a runtime");
    runtime.block_on(serve::<E>(&description));
}

async fn serve<E: Engine>(description: &str) {
    let cache = cache::<E>(description).await;
    let authenticator = Authenticator::new(std::sync::Arc::clone(&cache));
    eventually("the node trusts its cache", || cache.is_trusted()).await;
    say("ready");
    for line in stdin().lock().lines() {
        let line = line.expect("words of the test");
        let (word, argument) = line.split_once(' ').expect("a word and an argument");
        match word {
            "decide" => say(&format!("{:?}", decide(&authenticator, argument).await)),
            _ => flood(&authenticator, argument.parse().expect("a number")).await,
        }
    }
}

async fn flood(authenticator: &Authenticator, requests: usize) {
    let mut tasks = 0;
    let decisions = join_all(
        (0..requests).map(async |_| decide(authenticator, &generated::token("tat")).await),
    );
    let mut decisions = std::pin::pin!(decisions);
    let decisions = std::future::poll_fn(|cx| {
        tasks = tasks.max(Handle::current().metrics().num_alive_tasks());
        decisions.as_mut().poll(cx)
    })
    .await;
    let count = |kind| decisions.iter().filter(|decision| **decision == Err(kind)).count();
    let (refused, unavailable) =
        (count(DenialKind::InvalidToken), count(DenialKind::StoreUnavailable));
    say(&format!("{refused} {unavailable} {tasks}"));
}

fn say(words: &str) {
    println!("@{words}");
}
