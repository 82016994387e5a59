//! One pass after the other, with requests beside it and without.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;
use tower_api_token::TokenManager;
use tower_api_token::manage::Confirmation;
use tower_api_token::store::{AccountStore, PageSize};
use tower_api_token::time::Timestamp;
use tower_api_token::token::TokenDigest;

use super::accounts::{Accounts, digest};
use super::reader::Reader;
use crate::support::spread::Spread;
use crate::support::statistics::median;

/// Two turns without the pass may differ by so much, or the machine is busy.
const BUSY: f64 = 1.2;

/// Rounds in which all accounts are read through as well.
const SCANS: usize = 3;

/// A turn without the pass takes as long as the last pass, but not less than this.
const SHORTEST: Duration = Duration::from_millis(100);

/// What one round took.
struct Round {
    /// Seconds that it took to find out who is due.
    question: f64,
    /// Seconds of the pass.
    pass: f64,
    /// 99th percentiles of look-ups: before the pass, during it, and after it.
    percentiles: [f64; 3],
}

impl Round {
    fn is_busy(&self) -> bool {
        let [before, _, after] = self.percentiles;
        before.max(after) > before.min(after) * BUSY
    }

    fn without(&self) -> f64 {
        self.percentiles[0].midpoint(self.percentiles[2])
    }

    fn ratio(&self) -> f64 {
        self.percentiles[1] / self.without()
    }
}

/// The head of the table.
pub(crate) fn head() {
    println!(
        "| store | `due`, ms | all read, ms | of that | pass, s | p99 without, µs | during, µs \
         | ratio | least to most | without, one to the other | busy |"
    );
    println!("|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|");
}

/// Measures a store that is empty, prints its row, and gives the ratio; `None` if the
/// machine was busy.
pub(crate) fn measure<S: AccountStore>(
    runtime: &Runtime,
    name: &str,
    store: S,
    accounts: &Accounts,
    pause: Duration,
) -> Option<f64> {
    let store = &Arc::new(store);
    let manager = runtime.block_on(async {
        let manager = TokenManager::builder(Arc::clone(store));
        let manager = manager.confirmation(Confirmation::ByCaller).build().await;
        let manager = manager.expect("a manager");
        // From now on it knows that the policy is this one, and reads nobody through.
        manager.do_what_is_due().await.expect("nothing is due");
        accounts.populate(store).await;
        manager
    });
    let digests: Vec<_> = (0..accounts.rows).map(digest).collect();
    let case = Case { runtime, store, manager, accounts, digests, pause };
    // What is done for the first time counts for nothing.
    let mut last = case.round(0, SHORTEST);
    let (mut rounds, mut scans) = (Vec::new(), Vec::new());
    for number in 1..accounts.batches {
        if scans.len() < SCANS {
            scans.push(case.read_all());
        }
        last = case.round(number, Duration::from_secs_f64(last.pass).max(SHORTEST));
        rounds.push(Round { ..last });
    }
    report(name, &rounds, median(&scans))
}

/// One store and what is done with it.
struct Case<'a, S> {
    runtime: &'a Runtime,
    store: &'a S,
    manager: TokenManager,
    accounts: &'a Accounts,
    digests: Vec<TokenDigest>,
    pause: Duration,
}

impl<S: AccountStore> Case<'_, S> {
    fn round(&self, number: usize, without: Duration) -> Round {
        let due = self.store.due_accounts().expect("a store with an index");
        self.runtime.block_on(self.accounts.let_be_due(due, number));
        let question = self.who_is_due();
        let before = self.without(without);
        let (pass, during) = self.during();
        Round { question, pass, percentiles: [before, during, self.without(without)] }
    }

    /// Asks the index.
    fn who_is_due(&self) -> f64 {
        let due = self.store.due_accounts().expect("a store with an index");
        let (begun, now) = (Instant::now(), Timestamp::now());
        let found = self.runtime.block_on(async {
            let (mut found, mut after) = (0, None);
            loop {
                let page = due.due(now, after.as_ref(), PageSize::clamped(100)).await;
                let page = page.expect("an answer");
                found += page.items.len();
                after = page.next;
                if after.is_none() {
                    return found;
                }
            }
        });
        let took = begun.elapsed().as_secs_f64();
        assert_eq!(found, self.accounts.due, "so many are due");
        took
    }

    /// Finds out the same without the index: whose token ends within the first notice.
    fn read_all(&self) -> f64 {
        let begun = Instant::now();
        let read = self.runtime.block_on(async {
            let (mut read, mut ending, mut after) = (0, 0, None);
            let soon = Timestamp::now() + Duration::from_secs(30 * 86_400);
            loop {
                let page = self.store.list(after.as_ref(), PageSize::MAX).await;
                let page = page.expect("an answer");
                read += page.items.len();
                let ends = page.items.iter().filter_map(|account| account.primary()?.expires_at);
                ending += ends.filter(|end| *end < soon).count();
                after = page.next;
                if after.is_none() {
                    return (read, ending);
                }
            }
        });
        assert!(read.0 == self.accounts.rows && read.1 >= self.accounts.due, "{read:?}");
        begun.elapsed().as_secs_f64()
    }

    fn reader(&self) -> Reader<'_, S> {
        let runtime = self.runtime.handle();
        Reader { runtime, store: self.store, digests: &self.digests, pause: self.pause }
    }

    fn without(&self, time: Duration) -> f64 {
        let begun = Instant::now();
        self.reader().read(|| begun.elapsed() >= time)
    }

    /// Seconds of the pass, and the percentile of the look-ups beside it.
    fn during(&self) -> (f64, f64) {
        let ended = AtomicBool::new(false);
        thread::scope(|scope| {
            let reader = scope.spawn(|| self.reader().read(|| ended.load(Ordering::Relaxed)));
            let begun = Instant::now();
            let changes = self.runtime.block_on(self.manager.do_what_is_due());
            let took = begun.elapsed().as_secs_f64();
            ended.store(true, Ordering::Relaxed);
            assert_eq!(changes.expect("a pass"), self.accounts.due as u64, "one change each");
            (took, reader.join().expect("no panic"))
        })
    }
}

fn report(name: &str, rounds: &[Round], scan: f64) -> Option<f64> {
    let of = |what: &dyn Fn(&Round) -> f64, rounds: &[&Round]| {
        Spread::of(&rounds.iter().map(|round| what(round)).collect::<Vec<_>>())
    };
    let all: Vec<_> = rounds.iter().collect();
    let calm: Vec<_> = rounds.iter().filter(|round| !round.is_busy()).collect();
    let (question, pass) = (of(&|it| it.question, &all).median, of(&|it| it.pass, &all).median);
    let noise = of(&|it| it.percentiles[2] / it.percentiles[0], &all);
    let found = format!("{:.1} | {:.0} | 1/{:.0}", question * 1e3, scan * 1e3, scan / question);
    let noise = format!("{:.2} to {:.2}", noise.least, noise.most);
    let busy = rounds.len() - calm.len();
    if calm.len() * 2 < rounds.len() {
        println!("| {name} | {found} | {pass:.2} | | | not measured | | {noise} | {busy} |");
        return None;
    }
    let ratio = of(&Round::ratio, &calm);
    println!(
        "| {name} | {found} | {pass:.2} | {:.1} | {:.1} | {:.2} | {:.2} to {:.2} | {noise} | {busy} |",
        of(&Round::without, &calm).median,
        of(&|it| it.percentiles[1], &calm).median,
        ratio.median,
        ratio.least,
        ratio.most,
    );
    Some(ratio.median)
}
