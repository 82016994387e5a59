//! A process that is stopped for longer than its cache may be trusted.

use std::io::{BufRead, BufReader, Lines, Write};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use rustix::process::Signal;
use tower_api_token::store::{
    AccountStore, CacheOptions, Replacement, SqliteStore, StoreErrorKind, TokenStore,
};

use super::{accepts, cached, remembers};
use crate::server::{is_stopped, send, wait_until};
use crate::sqlite::support::{Place, account, block_on, digest, step, until};

const BOUND: Duration = Duration::from_millis(100);
const ROUNDS: u64 = 5;
const TRIES: usize = 10;

/// The name of the file, in the environment of the process that is stopped.
const FILE: &str = "STOPPED_TEST_FILE";

/// Tells that process to warm its cache once more.
const AGAIN: &str = "again";

/// What that process says before each line that is meant for the test.
const MARK: &str = "stopped-node: ";

/// Past the harness, which keeps what a test prints.
fn say(line: &str) {
    let mut output = std::io::stdout().lock();
    writeln!(output, "\n{MARK}{line}").unwrap();
    output.flush().unwrap();
}

/// The process that is stopped: it warms its cache with one token after the
/// other, and after each line that it is sent says what memory has of it.
fn node(file: &Path) {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(1).enable_all().build().unwrap();
    let store = SqliteStore::open(file).unwrap();
    let options = CacheOptions::new().staleness_bound(BOUND);
    let cache = runtime.block_on(cached(store, options));
    let mut orders = std::io::stdin().lines();
    for number in 1..=ROUNDS {
        let mut order = AGAIN.to_owned();
        while order == AGAIN {
            let warm = async || accepts(&cache, number).await && remembers(&cache, number);
            runtime.block_on(until(warm));
            say("warm");
            // While this thread waits, the runtime's keeps the cache trusted.
            order = orders.next().unwrap().unwrap();
        }
        let (first, then) = (remembers(&cache, number), runtime.block_on(accepts(&cache, number)));
        assert_eq!(order, "answer");
        say(&format!("from memory {first}, then {then}"));
    }
}

struct Stoppable {
    process: Child,
    said: Lines<BufReader<ChildStdout>>,
}

impl Stoppable {
    fn start(test: &str, file: &Path) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", test]).env(FILE, file);
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let said = BufReader::new(process.stdout.take().unwrap()).lines();
        Self { process, said }
    }

    fn next(&mut self) -> String {
        let ours = |line: std::io::Result<String>| Some(line.ok()?.strip_prefix(MARK)?.to_owned());
        self.said.by_ref().find_map(ours).expect("a line of the node")
    }

    /// Stops it with a warm cache, and makes the change that it cannot hear of.
    /// Where it is stopped while it writes a heartbeat, nobody else can write:
    /// then it is let go and stopped once more.
    fn stop_and_change(&mut self, store: &SqliteStore, change: &Replacement) {
        for _ in 0..TRIES {
            assert_eq!(self.next(), "warm");
            self.send(Signal::STOP);
            wait_until("it is stopped", || is_stopped(self.process.id()));
            match block_on(store.replace(change.clone())) {
                Ok(()) => return,
                Err(error) => assert_eq!(error.kind(), StoreErrorKind::Unavailable),
            }
            self.order(AGAIN);
        }
        panic!("it was stopped while it wrote, {TRIES} times");
    }

    /// Sends a line, and lets it go on.
    fn order(&mut self, order: &str) {
        writeln!(self.process.stdin.as_mut().unwrap(), "{order}").unwrap();
        self.send(Signal::CONT);
    }

    fn send(&self, signal: Signal) {
        send(&[self.process.id()], signal);
    }
}

impl Drop for Stoppable {
    fn drop(&mut self) {
        self.send(Signal::KILL);
        self.process.wait().unwrap();
    }
}

#[test]
fn cache_027_the_first_answer_of_a_process_that_was_stopped_is_right() {
    if let Some(file) = std::env::var_os(FILE) {
        return node(Path::new(&file));
    }
    let place = Place::new();
    let store = block_on(place.store());
    block_on(store.replace(step(account("alice", 1, 1)))).unwrap();
    let name =
        "cached_sqlite::stopped::cache_027_the_first_answer_of_a_process_that_was_stopped_is_right";
    let mut node = Stoppable::start(name, &place.path());
    for number in 1..=ROUNDS {
        node.stop_and_change(&store, &step(account("alice", number + 1, number + 1)));
        assert!(block_on(store.find(&digest(number))).unwrap().is_none());
        std::thread::sleep(BOUND * 10);
        node.order("answer");
        assert_eq!(node.next(), "from memory false, then false");
    }
}
