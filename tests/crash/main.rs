//! I1 and I6 by force: a process changes accounts in a SQLite file and is
//! killed with SIGKILL in the middle of it, again and again, while a client
//! that follows the procedure goes on making requests.
//!
//! The parent keeps the book: it gives one operation at a time to the child,
//! knows which one was open when it killed the child, and then looks at the
//! file. Either the operation has happened completely or not at all; if it was
//! acknowledged, it has happened.

mod child;
mod client;
mod operation;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tower_api_token::account::{Account, Revision};
use tower_api_token::identity::UserId;
use tower_api_token::store::{AccountStore, PageSize, SqliteStore};

use self::child::{Answer, Child};
use self::client::Client;
use self::operation::{Kind, Operation};

/// Rounds for each kind of operation; 11 kinds make 308 kills.
const ROUNDS: usize = 28;

/// The parent of a sequence of children.
struct Parent {
    store: Arc<SqliteStore>,
    runtime: tokio::runtime::Runtime,
    child: Child,
    file: std::path::PathBuf,
    /// How long an acknowledged operation took, averaged.
    usual: Duration,
    random: u64,
}

#[test]
fn killed_at_any_point_the_file_is_legal_and_no_acknowledged_change_is_lost() {
    let directory = tempfile::tempdir().unwrap();
    let mut parent = Parent::start(&directory.path().join("tokens.sqlite"));
    parent.prepare("alice");
    let client = Client::start(Arc::clone(&parent.store), parent.first_token("alice"));
    let mut killed = [0_usize; Kind::ALL.len()];
    let mut in_flight = 0_usize;
    for round in 0..ROUNDS * Kind::ALL.len() {
        let kind = Kind::ALL[round % Kind::ALL.len()];
        let operation = parent.next_operation(kind, &client);
        in_flight += usize::from(parent.kill_during(&operation));
        killed[round % Kind::ALL.len()] += 1;
        parent.follow_up(&client);
    }
    let total: usize = killed.iter().sum();
    let requests = client.stop();
    println!("{total} kills, {in_flight} of them with a change in flight; {requests:?}");
    assert!(total >= 300 && killed.iter().all(|&count| count >= 20), "{killed:?}");
    assert!(in_flight * 100 >= total * 80, "{in_flight} of {total} in flight");
    assert_eq!(requests.refused, Vec::<String>::new(), "a procedure-following client was refused");
    assert!(requests.served > 1_000, "{requests:?}");
}

#[test]
fn child_process() {
    if child::serve_if_told() {
        return;
    }
    // As a test of its own: the protocol works without a kill.
    let directory = tempfile::tempdir().unwrap();
    let mut parent = Parent::start(&directory.path().join("tokens.sqlite"));
    parent.prepare("bob");
    let account = parent.account("bob").unwrap();
    assert!(account.primary().is_some());
}

impl Parent {
    fn start(file: &Path) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        let store = Arc::new(SqliteStore::open(file).unwrap());
        runtime.block_on(store.migrate()).unwrap();
        let (child, file) = (Child::start(file), file.to_owned());
        let usual = Duration::from_millis(2);
        Self { store, runtime, child, file, usual, random: 0x9e37_79b9_7f4a_7c15 }
    }

    fn account(&self, user: &str) -> Option<Arc<Account>> {
        let user = UserId::new(user).unwrap();
        self.runtime.block_on(self.store.load(&user)).unwrap().account
    }

    fn revision(&self, user: &str) -> Revision {
        self.account(user).map_or(Revision::ABSENT, |account| account.revision())
    }

    /// Does an operation completely.
    fn acknowledged(&mut self, operation: &Operation) -> Answer {
        let began = self.child.begin(operation);
        let answer = self.child.answer();
        self.usual = (self.usual * 7 + began.elapsed()) / 8;
        answer
    }

    /// A user with access and a first token.
    fn prepare(&mut self, user: &'static str) {
        assert!(self.acknowledged(&Operation::grant(user, "GET")).is_done());
        assert!(self.acknowledged(&Operation::new(Kind::Issue, user)).is_done());
    }

    /// Kills the child while it does the operation; whether it was in flight.
    fn kill_during(&mut self, operation: &Operation) -> bool {
        let before = self.revision(operation.user);
        self.child.begin(operation);
        std::thread::sleep(self.moment());
        let answer = self.child.kill();
        self.check(operation, before, answer.as_ref());
        self.child = Child::start(&self.file);
        answer.is_none()
    }

    /// A random part of what an operation usually takes (xorshift64*).
    fn moment(&mut self) -> Duration {
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        let part = (self.random.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 40) as f64 / 16_777_216.0;
        self.usual.mul_f64(part * 0.8)
    }

    /// All or nothing, and all of what was acknowledged.
    fn check(&self, operation: &Operation, before: Revision, answer: Option<&Answer>) {
        let after = self.revision(operation.user);
        let steps = after.as_u64() - before.as_u64();
        assert!(steps <= 1, "{operation:?} made {steps} changes");
        if let Some(answer) = answer {
            assert_eq!(steps == 1, answer.is_done(), "{operation:?}: {answer:?}");
        }
        let user = UserId::new(operation.user).unwrap();
        let history = self.store.history(&user, None, PageSize::clamped(1));
        let history = self.runtime.block_on(history).unwrap();
        let last = &history.entries[0];
        assert_eq!(last.revision, after, "the history ends with the last change");
        if steps == 1 {
            assert_eq!(last.event.name(), operation.kind.event(), "{operation:?}");
        }
    }
}
