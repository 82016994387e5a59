//! A cache and its store in the hands of the exploring scheduler.

use std::sync::Arc;

use shuttle::sync::{Mutex, MutexGuard};

use crate::account::{Account, Revision, TokenRecord};
use crate::cached::clock::Ticker;
use crate::cached::entries::Entries;
use crate::cached::load::{Asked, Load, Outcome, Work};
use crate::schedules::maps::{DigestMap, NegativeMap};
use crate::store::Change;
use crate::token::{PepperVersion, StoredDigest, TokenDigest, TokenHint, TokenId};
use crate::user::UserId;

/// For how long an answer and a lease hold.
pub(crate) const TERM: u64 = 100;

/// How many schedules with each number of preemptions. The broken twin falls
/// within the first forty.
const SCHEDULES: usize = 200;

pub(crate) fn explore(test: impl Fn() + Send + Sync + 'static) {
    crate::schedules::explore(SCHEDULES, test);
}

/// The digest that all tests are about.
pub(crate) const DIGEST: TokenDigest = TokenDigest::from_bytes([7; 32]);

/// A node with its cache, and the store behind it.
#[derive(Clone)]
pub(crate) struct Node {
    pub(crate) cache: Arc<Entries>,
    pub(crate) clock: Ticker,
    /// The row of the token's account, and when it was last changed.
    row: Arc<Mutex<Row>>,
    broken: bool,
}

#[derive(Clone, Copy)]
struct Row {
    live: bool,
    changed: Option<u64>,
    reads: usize,
}

impl Node {
    /// A node that is trusted, with an empty cache, in front of a live token;
    /// the `broken` twin if so wanted here or from outside.
    pub(crate) fn new(broken: bool) -> Self {
        let clock = Ticker::new(1);
        let (known, negative) = (DigestMap::new(), NegativeMap::new());
        let cache = Entries::new(known, negative, 10, TERM, clock.clone());
        let row = Arc::new(Mutex::new(Row { live: true, changed: None, reads: 0 }));
        let broken = broken || std::env::var_os("CACHE_TWIN").is_some();
        let node = Self { cache: Arc::new(cache), clock, row, broken };
        node.cache.lose();
        node.renew();
        node
    }

    /// Sends a heartbeat, which comes back.
    pub(crate) fn renew(&self) {
        let id = self.cache.heartbeat();
        self.cache.echo(id);
    }

    fn row(&self) -> MutexGuard<'_, Row> {
        self.row.lock().unwrap()
    }

    /// Commits that the token is live, or is not any more.
    pub(crate) fn commit(&self, live: bool) -> Change {
        let mut row = self.row();
        row.live = live;
        row.changed = Some(self.clock.nanos());
        drop(row);
        Change::new(user(), Revision::from_u64(2), [DIGEST])
    }

    /// When the row was last changed.
    pub(crate) fn changed(&self) -> Option<u64> {
        self.row().changed
    }

    /// How often the row was read.
    pub(crate) fn reads(&self) -> usize {
        self.row().reads
    }

    /// The store's work: it reads the row, and is not done yet.
    fn work(&self) -> Work {
        let node = self.clone();
        Box::pin(async move {
            let live = node.read();
            shuttle::future::yield_now().await;
            Ok(live.then(|| Arc::new(holder())))
        })
    }

    fn read(&self) -> bool {
        let mut row = self.row();
        row.reads += 1;
        row.live
    }

    /// Whether memory accepts the token.
    pub(crate) fn remembers(&self) -> bool {
        self.cache.peek(&DIGEST, |_| ()).is_some()
    }

    /// Decides on a request, as the cache's `peek` and `find` do.
    pub(crate) async fn auth(&self) -> bool {
        self.remembers() || self.find().await
    }

    async fn find(&self) -> bool {
        for _ in 0..2 {
            let waiting = match self.cache.ask(&DIGEST, || self.work()) {
                Asked::Remembered(answer) => return answer.is_some(),
                Asked::Waiting(waiting) => waiting,
            };
            let outcome = match self.broken {
                true => waiting.outcome_by(conclude_in_any_case).await,
                false => waiting.outcome().await,
            };
            if let Some(outcome) = outcome {
                return outcome.unwrap().is_some();
            }
        }
        false
    }
}

/// The broken twin of the cache's own way to end a look-up: it does not ask
/// whether it is current.
fn conclude_in_any_case(cache: &Entries, digest: &TokenDigest, load: &Load, outcome: &Outcome) {
    let mut state = cache.state();
    let _current = state.close(digest, load);
    cache.keep(&mut state, *digest, load, outcome);
}

fn user() -> UserId {
    UserId::new("alice").unwrap()
}

fn holder() -> Account {
    let stored = StoredDigest::new(DIGEST, PepperVersion::NONE);
    let hint = TokenHint::from_stored("tat_...x7Qz");
    let token = TokenRecord::new(TokenId::from_u64(1), stored, hint, Default::default());
    Account::builder(user()).primary(token).build().unwrap()
}
