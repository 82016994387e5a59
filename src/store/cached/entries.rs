//! What the cache remembers, and whether it may be believed.
//!
//! Requests read the two maps beside all writes. Writers come one at a time,
//! under one lock: whoever begins or ends a look-up, learns of a change, or
//! receives an echo from the feed. So each of the rules below is one step.
//!
//! * A look-up is *current* as long as it is in `loads`. An invalidation of
//!   its digest takes it out, and only a current one is joined or remembered.
//! * What is remembered holds for one term, counted from before its look-up
//!   was sent, and for as long as the lease lasts.
//! * The lease lasts for one term from the moment at which the last heartbeat
//!   that has come back was sent. A lease that has run out, or was ended by a
//!   loss, is granted anew only over empty maps, without current look-ups. For a
//!   store without a feed it never ends.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::ptr;
use std::sync::{Arc, Weak};

use super::capacity::Ring;
use super::clock::Ticker;
use super::load::{Asked, Load, Outcome, Waiting, Work};
use super::maps::{DigestMap, NegativeMap};
use super::sync::{AtomicBool, AtomicU64, Mutex, MutexGuard, Ordering, PoisonError};
use crate::account::Account;
use crate::store::Change;
use crate::token::TokenDigest;

/// That a digest is named by an account. That stands here itself, and not
/// behind a pointer: among many each one that is followed is a wait for memory.
pub(super) struct Known {
    account: Account,
    until: u64,
    place: usize,
    used: AtomicBool,
}

impl Known {
    /// Writes only if the mark is clear, so that threads which use one token do
    /// not write to one place.
    #[inline]
    fn mark(&self) {
        if !self.used.load(Ordering::Relaxed) {
            self.used.store(true, Ordering::Relaxed);
        }
    }
}

/// That a digest is named by no account.
#[derive(Clone)]
pub(super) struct Negative {
    until: u64,
}

/// The memory of a cache.
pub(super) struct Entries {
    lease: Lease,
    known: DigestMap<Known>,
    clock: Ticker,
    /// In nanoseconds.
    term: u64,
    negative: NegativeMap<Negative>,
    state: Mutex<State>,
}

/// What writers read and write, one after the other; apart from what requests
/// read.
#[repr(align(128))]
pub(super) struct State {
    /// The current look-ups.
    loads: HashMap<TokenDigest, Weak<Load>>,
    /// Whose the known digests are.
    remembered: Ring,
    heartbeats: Heartbeats,
}

impl Entries {
    /// Empty maps that are not trusted yet. At most `capacity` accounts are
    /// remembered, for `term` nanoseconds.
    pub(super) fn new(
        known: DigestMap<Known>,
        negative: NegativeMap<Negative>,
        capacity: usize,
        term: u64,
        clock: Ticker,
    ) -> Self {
        let (loads, remembered) = (HashMap::new(), Ring::new(capacity));
        let state = Mutex::new(State { loads, remembered, heartbeats: Heartbeats::new() });
        Self { lease: Lease::none(), known, clock, term, negative, state }
    }

    /// No code that holds this lock can panic half-way through a change.
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Shows the remembered account, without lock or wait.
    #[inline]
    pub(super) fn peek<R>(
        &self,
        digest: &TokenDigest,
        visit: impl FnOnce(&Account) -> R,
    ) -> Option<R> {
        // The lease before the entry, so that one which is forgotten before the
        // next lease is not believed under it; the clock last, so that a thread
        // that was stopped in between sees how late it is.
        let trusted = self.lease.until();
        let visit = |known: &Known| {
            let holds = self.clock.nanos() < trusted.min(known.until);
            holds.then(|| {
                known.mark();
                visit(&known.account)
            })
        };
        self.known.read(digest, visit).flatten()
    }

    /// Whether no account is remembered to name the digest.
    fn is_negative(&self, digest: &TokenDigest) -> bool {
        let trusted = self.lease.until();
        let until = self.negative.get(digest).map(|negative| negative.until);
        until.is_some_and(|until| self.clock.nanos() < trusted.min(until))
    }

    fn remembered(&self, digest: &TokenDigest) -> Option<Option<Arc<Account>>> {
        let known = self.peek(digest, |account| Some(Arc::new(account.clone())));
        known.or_else(|| self.is_negative(digest).then_some(None))
    }

    /// What is remembered; else the current look-up, which is this request's
    /// own `work` if there was none.
    pub(super) fn ask(&self, digest: &TokenDigest, work: impl FnOnce() -> Work) -> Asked<'_> {
        if let Some(answer) = self.remembered(digest) {
            return Asked::Remembered(answer);
        }
        let mut state = self.state();
        // A look-up may have ended since.
        if let Some(answer) = self.remembered(digest) {
            return Asked::Remembered(answer);
        }
        let current = state.loads.get(digest).and_then(Weak::upgrade);
        let leads = current.is_none();
        let load = current.unwrap_or_else(|| {
            let load = Arc::new(Load::new(self.clock.nanos(), work()));
            state.loads.insert(*digest, Arc::downgrade(&load));
            load
        });
        Asked::Waiting(Waiting::new(self, *digest, leads, load))
    }

    /// Remembers what came of a look-up, if it is current.
    pub(super) fn conclude(&self, digest: &TokenDigest, load: &Load, outcome: &Outcome) {
        let mut state = self.state();
        if state.close(digest, load) {
            self.keep(&mut state, *digest, load, outcome);
        }
    }

    /// Remembers what came of a look-up; an outage is not remembered.
    pub(super) fn keep(
        &self,
        state: &mut State,
        digest: TokenDigest,
        load: &Load,
        outcome: &Outcome,
    ) {
        let until = load.begun.saturating_add(self.term);
        let Ok(answer) = outcome else { return };
        let again = self.drop_entry(state, &digest);
        if !self.is_trusted() {
            return;
        }
        let Some(account) = answer else {
            return self.negative.insert(digest, Negative { until });
        };
        let used = |digest: &TokenDigest| {
            let swap = |known: &Known| known.used.swap(false, Ordering::Relaxed);
            self.known.read(digest, swap).unwrap_or(false)
        };
        let (place, left) = state.remembered.take(digest, account.user().clone(), used);
        if let Some(left) = left {
            self.known.remove(&left);
        }
        let (account, used) = (Account::clone(account), AtomicBool::new(again));
        self.known.insert(digest, Known { account, until, place, used });
    }

    /// Drops what is remembered of a digest; whether an account was.
    fn drop_entry(&self, state: &mut State, digest: &TokenDigest) -> bool {
        self.negative.remove(digest);
        let place = self.known.read(digest, |known| known.place);
        if let Some(place) = place {
            self.known.remove(digest);
            state.remembered.release(place);
        }
        place.is_some()
    }

    /// Drops what a change made untrue. It names every digest that it
    /// touched; entries of the user under any other are dropped too. Where they
    /// were too many for a message, any negative entry, or digest that is looked up
    /// now, may have come to be the user's.
    pub(super) fn invalidate(&self, change: &Change) {
        let mut state = self.state();
        for digest in &*change.digests {
            state.loads.remove(digest);
        }
        if !change.complete {
            state.loads.clear();
            self.negative.clear();
        }
        self.drop_entries(&mut state, change);
    }

    /// Drops what this node's own changes made untrue. They name only the
    /// digests that the accounts have now, and which others they had is not known
    /// here: no look-up stays current.
    pub(super) fn invalidate_own(&self, changes: &[Change]) {
        let mut state = self.state();
        state.loads.clear();
        for change in changes {
            self.drop_entries(&mut state, change);
        }
    }

    fn drop_entries(&self, state: &mut State, change: &Change) {
        let of_user = state.remembered.digests_of(&change.user);
        for digest in change.digests.iter().chain(&of_user) {
            self.drop_entry(state, digest);
        }
    }

    /// What is remembered is trusted for its term, since no feed will tell of changes.
    pub(super) fn trust_without_feed(&self) {
        self.lease.grant(u64::MAX);
    }

    /// Changes may have been missed: nothing is believed until a heartbeat that
    /// is sent after this comes back.
    pub(super) fn lose(&self) {
        let mut state = self.state();
        self.lease.end();
        state.heartbeats.forget();
        self.empty(&mut state);
    }

    fn empty(&self, state: &mut State) {
        state.loads.clear();
        state.remembered.clear();
        self.known.clear();
        self.negative.clear();
    }

    /// The heartbeat to send now.
    pub(super) fn heartbeat(&self) -> u64 {
        let mut state = self.state();
        state.heartbeats.next(self.clock.nanos())
    }

    /// Grants the lease that an echo is worth; how long the heartbeat was on
    /// its way, in nanoseconds, if it was one of ours that still counts.
    pub(super) fn echo(&self, id: u64) -> Option<u64> {
        let mut state = self.state();
        let sent = state.heartbeats.echoed(id)?;
        if !self.is_trusted() {
            self.empty(&mut state);
        }
        self.lease.grant(sent.saturating_add(self.term));
        Some(self.clock.nanos().saturating_sub(sent))
    }

    /// Whether the lease lasts.
    pub(super) fn is_trusted(&self) -> bool {
        self.lease.until() > self.clock.nanos()
    }

    /// Whether an answer that was asked for at that moment may still be given.
    pub(super) fn is_current(&self, begun: u64) -> bool {
        self.clock.nanos().saturating_sub(begun) < self.term
    }

    /// How many accounts are remembered, and how many look-ups are current.
    pub(super) fn sizes(&self) -> (usize, usize) {
        let state = self.state();
        (state.remembered.len(), state.loads.len())
    }
}

impl State {
    /// Ends a look-up that nobody waits for any more.
    pub(super) fn close_if_gone(&mut self, digest: &TokenDigest) {
        if self.loads.get(digest).is_some_and(|load| load.strong_count() == 0) {
            self.loads.remove(digest);
        }
    }

    /// Ends a look-up, and says whether it was current.
    pub(super) fn close(&mut self, digest: &TokenDigest, load: &Load) -> bool {
        let current = self.loads.get(digest).is_some_and(|current| ptr::eq(current.as_ptr(), load));
        if current {
            self.loads.remove(digest);
        }
        current
    }
}

/// The moment, in nanoseconds of the cache's clock, until which the cache is
/// trusted. Every request reads it, and only an echo or a loss writes it, so it
/// has a cache line to itself.
#[repr(align(128))]
struct Lease(AtomicU64);

impl Lease {
    /// A lease that has never begun.
    const fn none() -> Self {
        Self(AtomicU64::new(0))
    }

    /// Whoever reads this sees all that was forgotten before it was granted.
    #[inline]
    fn until(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }

    fn grant(&self, until: u64) {
        self.0.store(until, Ordering::Release);
    }

    fn end(&self) {
        self.grant(0);
    }
}

/// How many heartbeats are waited for; an echo of one before them would be too
/// late to be worth anything.
const AWAITED: usize = 16;

/// The heartbeats whose echo is awaited, in the order in which they were sent,
/// with the moment at which each was.
struct Heartbeats {
    sent: VecDeque<(u64, u64)>,
    number: u64,
    random: RandomState,
}

impl Heartbeats {
    fn new() -> Self {
        Self { sent: VecDeque::new(), number: 0, random: RandomState::new() }
    }

    /// The heartbeat to send at the moment `now`.
    fn next(&mut self, now: u64) -> u64 {
        self.number += 1;
        // Unlike that of any other node, which receives it too.
        let id = self.random.hash_one(self.number);
        if self.sent.len() == AWAITED {
            self.sent.pop_front();
        }
        self.sent.push_back((id, now));
        id
    }

    /// The moment at which the heartbeat that has come back was sent; `None` if
    /// it was another node's, or sent before a loss.
    fn echoed(&mut self, id: u64) -> Option<u64> {
        let place = self.sent.iter().position(|(sent, _)| *sent == id)?;
        self.sent.drain(..=place).next_back().map(|(_, at)| at)
    }

    /// Echoes of what was sent up to now prove nothing any more.
    fn forget(&mut self) {
        self.sent.clear();
    }
}
