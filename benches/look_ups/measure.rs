//! One way to look accounts up, and what it takes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;
use tower_api_token::store::TokenStore;
use tower_api_token::token::TokenDigest;

use super::population::digest;

/// Look-ups under way at any time.
const IN_FLIGHT: usize = 64;
const TURN: Duration = Duration::from_millis(400);
const ROUNDS: usize = 6;

/// After so many look-ups one that never waits lets the others go on, and one
/// is timed.
const STRIDE: usize = 64;

/// Looks up the account that names a digest.
pub(crate) trait LookUp: Send + Sync + 'static {
    /// Whether a look-up takes so little that reading the clock would show.
    const QUICK: bool = false;

    /// Whether there is one; it panics where that cannot be told.
    fn look_up(&self, digest: &TokenDigest) -> impl Future<Output = bool> + Send;
}

/// A store, asked as a request asks it.
pub(crate) struct Store<S>(pub(crate) S);

impl<S: TokenStore> LookUp for Store<S> {
    const QUICK: bool = true;

    async fn look_up(&self, digest: &TokenDigest) -> bool {
        let mut found = false;
        let known = self.0.peek(digest, &mut |account| found = account.is_some());
        found || !known && self.0.find(digest).await.expect("an answer").is_some()
    }
}

/// What one turn took: look-ups in a second, and the times of some, in
/// nanoseconds.
struct Turn {
    rate: f64,
    times: Vec<u64>,
}

/// A way to look up, and what all its turns took.
pub(crate) struct Candidate {
    pub(crate) name: &'static str,
    turn: Box<dyn Fn(&Runtime) -> Turn>,
    /// Look-ups in a second, by round.
    pub(crate) rates: Vec<f64>,
    pub(crate) times: Vec<u64>,
}

impl Candidate {
    /// Looks up the first `tokens` tokens at random.
    pub(crate) fn new(name: &'static str, target: impl LookUp, tokens: u64) -> Self {
        let target = Arc::new(target);
        let digests: Arc<[TokenDigest]> = (0..tokens).map(digest).collect();
        let turn = move |runtime: &Runtime| runtime.block_on(turn(&target, &digests));
        Self { name, turn: Box::new(turn), rates: Vec::new(), times: Vec::new() }
    }
}

/// Lets the candidates take turns, in the order A B C C B A.
pub(crate) fn interleave(runtime: &Runtime, candidates: &mut [Candidate]) {
    for candidate in &*candidates {
        (candidate.turn)(runtime);
    }
    for _ in 0..ROUNDS {
        let there: Vec<_> = candidates.iter().map(|candidate| (candidate.turn)(runtime)).collect();
        for (candidate, there) in candidates.iter_mut().zip(there).rev() {
            let back = (candidate.turn)(runtime);
            candidate.rates.push(there.rate.midpoint(back.rate));
            candidate.times.extend(there.times);
            candidate.times.extend(back.times);
        }
    }
}

async fn turn<L: LookUp>(target: &Arc<L>, digests: &Arc<[TokenDigest]>) -> Turn {
    let begun = Instant::now();
    let tasks = (0..IN_FLIGHT)
        .map(|task| tokio::spawn(ask(Arc::clone(target), Arc::clone(digests), task as u64, begun)));
    let (mut count, mut times) = (0, Vec::new());
    for task in tasks.collect::<Vec<_>>() {
        let (asked, took) = task.await.expect("a task");
        count += asked;
        times.extend(took);
    }
    Turn { rate: count as f64 / begun.elapsed().as_secs_f64(), times }
}

/// Asks until the turn is over; how often, and how long it took.
async fn ask<L: LookUp>(
    target: Arc<L>,
    digests: Arc<[TokenDigest]>,
    task: u64,
    begun: Instant,
) -> (usize, Vec<u64>) {
    let mut random = (task + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let (mut count, mut times) = (0, Vec::new());
    let stride = if L::QUICK { STRIDE } else { 1 };
    while begun.elapsed() < TURN {
        for timed in 0..stride {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let digest = &digests[(random % digests.len() as u64) as usize];
            let start = (timed == 0).then(Instant::now);
            assert!(target.look_up(digest).await, "an account is missing");
            times.extend(start.map(|start| start.elapsed().as_nanos() as u64));
            count += 1;
        }
        tokio::task::yield_now().await;
    }
    (count, times)
}
