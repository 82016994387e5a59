//! I1 and I6 (see `tests/adversarial`) by force: a process changes accounts in
//! a SQLite file and is killed with SIGKILL in the middle of it, again and
//! again, while a client that follows the procedure goes on making requests.
//!
//! The parent keeps the book: it gives one operation at a time to the child,
//! knows which one was open when it killed the child, and then looks at the
//! file. Either the operation has happened completely or not at all; if it was
//! acknowledged, it has happened.
//!
//! [`delivery`] does the same to processes that deliver.
//!
//! A program of its own, so that no other test takes the time in which the kills
//! must hit.

mod child;
mod client;
#[cfg(all(feature = "postgres", feature = "redis", feature = "serde", feature = "webhook"))]
mod delivery;
mod operation;
mod random;
mod watch;

#[cfg(all(feature = "postgres", feature = "redis", feature = "serde", feature = "webhook"))]
#[expect(dead_code, reason = "shared with tests of one store")]
#[path = "../support/postgres.rs"]
mod postgres;
#[cfg(all(feature = "postgres", feature = "redis", feature = "serde", feature = "webhook"))]
#[expect(dead_code, reason = "shared with tests of one store")]
#[path = "../support/redis.rs"]
mod redis_server;
#[cfg(all(feature = "postgres", feature = "redis", feature = "serde", feature = "webhook"))]
#[path = "../support/server.rs"]
mod server;

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tower_api_token::account::{Account, Revision};
use tower_api_token::store::{AccountStore, PageSize, SqliteStore};
use tower_api_token::user::UserId;

use self::child::{Answer, Child};
use self::client::Client;
use self::operation::{Kind, Operation};
use self::random::Random;
use self::watch::Watch;

/// Rounds for each kind of operation; 11 kinds make 308 kills.
const ROUNDS: usize = 28;

/// What had become of an operation when its process was killed.
enum Fate {
    Acknowledged,
    InFlightAndDone,
    InFlightAndLost,
}

/// The parent of a sequence of children.
struct Parent {
    store: Arc<SqliteStore>,
    runtime: tokio::runtime::Runtime,
    child: Child,
    file: std::path::PathBuf,
    /// How long an operation may go on before the kill.
    longest: Duration,
    random: Random,
}

/// No test takes another's time.
fn one_at_a_time() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

#[test]
fn rotation_024_store_012_killed_at_any_point_the_file_is_legal_and_nothing_acknowledged_is_lost() {
    let _alone = one_at_a_time();
    let directory = tempfile::tempdir().unwrap();
    let mut parent = Parent::start(&directory.path().join("tokens.sqlite"));
    parent.prepare("alice");
    let client = Client::start(Arc::clone(&parent.store), parent.first_token("alice"));
    let mut killed = [0_usize; Kind::ALL.len()];
    let (mut in_flight_done, mut in_flight_lost) = (0_usize, 0_usize);
    for round in 0..ROUNDS * Kind::ALL.len() {
        let kind = Kind::ALL[round % Kind::ALL.len()];
        let operation = parent.next_operation(kind, &client);
        match parent.kill_during(&operation) {
            Fate::Acknowledged => {}
            Fate::InFlightAndDone => in_flight_done += 1,
            Fate::InFlightAndLost => in_flight_lost += 1,
        }
        killed[round % Kind::ALL.len()] += 1;
        parent.follow_up(&client);
    }
    let total: usize = killed.iter().sum();
    let requests = client.stop();
    assert_eq!(Watch::start(&parent.file).integrity(), "ok");
    let in_flight = in_flight_done + in_flight_lost;
    println!(
        "{total} kills, {in_flight} of them with a change in flight ({in_flight_done} of these \
         changes had been made, {in_flight_lost} not); {requests:?}"
    );
    assert!(in_flight_done >= 10 && in_flight_lost >= 10, "the kills came at one moment only");
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
    let _alone = one_at_a_time();
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
        let longest = Duration::from_millis(2);
        Self { store, runtime, child, file, longest, random: Random::new(0x9e37_79b9_7f4a_7c15) }
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
        self.child.begin(operation);
        self.child.answer()
    }

    /// A user with access and a first token.
    fn prepare(&mut self, user: &'static str) {
        assert!(self.acknowledged(&Operation::grant(user, "GET")).is_done());
        assert!(self.acknowledged(&Operation::new(Kind::Issue, user)).is_done());
    }

    /// Kills the child while it does the operation.
    fn kill_during(&mut self, operation: &Operation) -> Fate {
        let before = self.revision(operation.user);
        let watch = Watch::start(&self.file);
        self.child.begin(operation);
        let at_commit = self.random.part() < 0.1;
        if at_commit {
            watch.until_committed()
        } else {
            std::thread::sleep(self.moment())
        }
        let answer = self.child.kill();
        if !at_commit {
            // Killed too late: earlier next time. The steps settle at one in 13.
            let step = if answer.is_some() { 0.7 } else { 1.03 };
            self.longest = self.longest.mul_f64(step).min(Duration::from_millis(20));
        }
        self.check(operation, before, answer.as_ref());
        self.child = Child::start(&self.file);
        match answer {
            Some(_) => Fate::Acknowledged,
            None if self.revision(operation.user) == before => Fate::InFlightAndLost,
            None => Fate::InFlightAndDone,
        }
    }

    /// A random moment within an operation, rather late than early: the commit
    /// comes at its end.
    fn moment(&mut self) -> Duration {
        let part = (0..4).map(|_| self.random.part()).fold(0.0, f64::max);
        self.longest.mul_f64(part)
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
        let last = &history.items[0];
        assert_eq!(last.revision, after, "the history ends with the last change");
        if steps == 1 {
            assert_eq!(last.event.name(), operation.kind.event(), "{operation:?}");
        }
    }
}
