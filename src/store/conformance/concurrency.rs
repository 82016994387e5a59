//! Cases: changes and readers at the same time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::sync::Barrier;
use tokio::task::{JoinHandle, yield_now};

use super::Harness;
use super::sample::{DAY, Life, change, digest, holder, user};
use super::subject::{Rule, Subject, outcome};
use crate::account::Account;
use crate::store::{AccountStore, Replacement, StoreError, StoreErrorKind};
use crate::token::TokenDigest;

/// How many tasks write at once.
pub(super) const WRITERS: u64 = 8;
const ROUNDS: u64 = 20;

/// Of several changes of one revision at once exactly one is written; the
/// others conflict and leave no trace.
pub async fn concurrent_changes_have_exactly_one_winner<H: Harness>(harness: &H) {
    let rule = "of changes of one revision at once exactly one is written";
    let subject = Subject::new(harness, rule).await;
    for revision in 1..=ROUNDS {
        let numbers = (0..WRITERS).map(|writer| revision * WRITERS + writer);
        let proposed: Vec<_> = numbers.map(|number| holder("alice", revision, number)).collect();
        let winner = only_winner(&subject, &[Arc::clone(&subject.store)], &proposed).await;
        subject.has(&proposed[winner]).await;
        let history = subject.revisions(&user("alice")).await;
        subject.rule.same(&history, &(1..=revision).rev().collect(), "the history");
    }
}

/// Of several accounts that name one digest at once exactly one is written.
pub async fn concurrent_claims_of_a_digest_have_exactly_one_winner<H: Harness>(harness: &H) {
    let rule = "of accounts that name one digest at once exactly one is written";
    let subject = Subject::new(harness, rule).await;
    for round in 0..ROUNDS {
        let name = |writer| format!("user {round} {writer}");
        let proposed = (0..WRITERS).map(|writer| holder(&name(writer), 1, round + 1));
        let proposed: Vec<_> = proposed.collect();
        let winner = only_winner(&subject, &[Arc::clone(&subject.store)], &proposed).await;
        subject.has(&proposed[winner]).await;
    }
}

/// Proposes all accounts at once, over these stores in turn; holds that one is
/// written, says which, and holds that the others' digests and users are not
/// there.
pub(super) async fn only_winner<S: AccountStore>(
    subject: &Subject<S>,
    stores: &[Arc<S>],
    proposed: &[Account],
) -> usize {
    let changes = proposed.iter().cloned().map(change).collect();
    let answers: Vec<_> = at_once(stores, changes).await.iter().map(outcome).collect();
    let won = |&place: &usize| answers[place].is_ok();
    let winners: Vec<_> = (0..answers.len()).filter(won).collect();
    subject.rule.same(&winners.len(), &1, format_args!("the winners of {answers:?}"));
    let lost = |outcome: &&_| **outcome == Err(StoreErrorKind::Conflict);
    let losers = answers.iter().filter(lost).count();
    subject.rule.same(&losers, &(answers.len() - 1), format_args!("the losers of {answers:?}"));
    for loser in proposed.iter().filter(|account| **account != proposed[winners[0]]) {
        no_trace(subject, loser, &proposed[winners[0]]).await;
    }
    winners[0]
}

async fn no_trace<S: AccountStore>(subject: &Subject<S>, loser: &Account, winner: &Account) {
    for stored in loser.digests().filter(|stored| winner.place_of(&stored.digest).is_none()) {
        subject.finds(&stored.digest, None, "a digest of a change that conflicted").await;
    }
    let loaded = subject.load(loser.user()).await;
    subject.rule.holds(loaded.as_ref() != Some(loser), "a change that conflicted was written");
}

/// The answers to the changes, which are sent at one moment by tasks of their
/// own.
async fn at_once<S: AccountStore>(
    stores: &[Arc<S>],
    changes: Vec<Replacement>,
) -> Vec<Result<(), StoreError>> {
    let start = Arc::new(Barrier::new(changes.len()));
    let send = |(replacement, store): (Replacement, &Arc<S>)| {
        let (store, start) = (Arc::clone(store), Arc::clone(&start));
        tokio::spawn(async move {
            start.wait().await;
            store.replace(replacement).await
        })
    };
    let tasks: Vec<_> = changes.into_iter().zip(stores.iter().cycle()).map(send).collect();
    let mut answers = Vec::new();
    for task in tasks {
        answers.push(finished(task).await);
    }
    answers
}

/// What a task returned; its panic is passed on.
pub(super) async fn finished<T>(task: JoinHandle<T>) -> T {
    match task.await {
        Ok(returned) => returned,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

/// A token that stays live through promotions and roll-backs is found live by a
/// reader in every instant.
pub async fn a_reader_during_promotions_always_finds_a_live_token<H: Harness>(harness: &H) {
    let rule = "a token that stays live is found live in every instant";
    let subject = Subject::new(harness, rule).await;
    let mut life = Life::of("alice", 1);
    for step in [life.grant(), life.issue()] {
        subject.replace(step).await;
    }
    let readers = Readers::start(&subject, digest(1), is_live).await;
    for _ in 0..100 {
        life.wait(DAY * 100);
        for next in [Life::generate, Life::confirm, Life::roll_back] {
            subject.replace(next(&mut life)).await;
            yield_now().await;
        }
    }
    readers.stop().await;
}

fn is_live(rule: Rule, digest: &TokenDigest, found: Option<&Account>) {
    let slot = found.map(|account| account.slot_of(digest));
    rule.holds(matches!(slot, Some(Some(_))), format_args!("a reader found {slot:?}"));
}

/// A reader sees each change whole: the revision that it is shown names the
/// digest it asked for.
pub async fn a_reader_sees_whole_changes<H: Harness>(harness: &H) {
    let rule = "a reader sees the old account or the new one, and nothing between";
    let subject = Subject::new(harness, rule).await;
    subject.put(&holder("alice", 1, 1)).await;
    let readers = Readers::start(&subject, digest(1), is_odd).await;
    for revision in 2..300 {
        let number = if revision % 2 == 1 { 1 } else { revision };
        subject.put(&holder("alice", revision, number)).await;
        yield_now().await;
    }
    readers.stop().await;
}

/// Digest 1 is named at odd revisions, and by nobody in between.
fn is_odd(rule: Rule, digest: &TokenDigest, found: Option<&Account>) {
    let revision = found.map(|account| account.revision().as_u64());
    let named = found.is_none_or(|account| account.place_of(digest).is_some());
    let odd = revision.is_none_or(|revision| revision % 2 == 1);
    rule.holds(named && odd, format_args!("a reader was shown revision {revision:?}"));
}

/// Two tasks that look one digest up until they are stopped.
struct Readers {
    stop: Arc<AtomicBool>,
    tasks: Vec<JoinHandle<()>>,
}

impl Readers {
    /// Starts the readers and waits until they have read something.
    async fn start<S: AccountStore>(
        subject: &Subject<S>,
        digest: TokenDigest,
        check: fn(Rule, &TokenDigest, Option<&Account>),
    ) -> Self {
        let (stop, reads) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let read = |_| {
            let (stop, reads) = (Arc::clone(&stop), Arc::clone(&reads));
            let (store, rule) = (Arc::clone(&subject.store), subject.rule);
            tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    let found = rule.answered(store.find(&digest).await, "finding a digest");
                    check(rule, &digest, found.as_deref());
                    store.peek(&digest, &mut |found| check(rule, &digest, found));
                    reads.fetch_add(1, Ordering::Relaxed);
                    yield_now().await;
                }
            })
        };
        let tasks = (0..2).map(read).collect();
        while reads.load(Ordering::Relaxed) < 10 {
            yield_now().await;
        }
        Self { stop, tasks }
    }

    async fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        for task in self.tasks {
            finished(task).await;
        }
    }
}
