//! What the cache remembers, and whether it may be believed.
//!
//! Requests read the two maps beside all writes. Writers come one at a time,
//! under one lock: whoever begins or ends a look-up, hears of a change, or
//! hears an echo of the feed. So each of the rules below is one step.
//!
//! * A look-up is *current* as long as it is in `loads`. Hearing of a change of
//!   its digest takes it out, and only a current one is joined or remembered.
//! * What is remembered holds for one term, counted from before its look-up
//!   was sent, and for as long as the lease lasts.
//! * The lease lasts for one term from the moment at which the last heartbeat
//!   that has come back was sent. A lease that has run out, or was ended by a
//!   loss, is granted anew only over empty maps, without current look-ups. For a
//!   store without a feed it never ends.

use std::collections::HashMap;
use std::ptr;
use std::sync::{Arc, Weak};

use super::clear::Clear;
use super::clock::Ticker;
use super::lease::{Heartbeats, Lease};
use super::load::{Load, Outcome, Work};
use super::room::Room;
use super::sync::{AtomicBool, Mutex, MutexGuard, Ordering, PoisonError};
use crate::account::Account;
use crate::store::{Change, HeartbeatId};
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
pub(super) struct Unknown {
    until: u64,
}

/// The memory of a cache.
pub(super) struct Entries<K, U> {
    lease: Lease,
    known: K,
    clock: Ticker,
    /// In nanoseconds.
    term: u64,
    unknown: U,
    state: Mutex<State>,
}

/// What writers read and write, one after the other; apart from what requests
/// read.
#[repr(align(128))]
pub(super) struct State {
    /// The current look-ups.
    loads: HashMap<TokenDigest, Weak<Load>>,
    room: Room,
    heartbeats: Heartbeats,
}

/// An answer, or the look-up to wait for.
pub(super) enum Asked<'a, K: Clear<Known>, U: Clear<Unknown>> {
    Remembered(Option<Arc<Account>>),
    Waiting(Waiting<'a, K, U>),
}

impl<K: Clear<Known>, U: Clear<Unknown>> Entries<K, U> {
    /// Empty maps that nobody believes yet. At most `capacity` accounts are
    /// remembered, for `term` nanoseconds.
    pub(super) fn new(known: K, unknown: U, capacity: usize, term: u64, clock: Ticker) -> Self {
        let (loads, room) = (HashMap::new(), Room::new(capacity));
        let state = Mutex::new(State { loads, room, heartbeats: Heartbeats::new() });
        Self { lease: Lease::none(), known, clock, term, unknown, state }
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
    fn is_unknown(&self, digest: &TokenDigest) -> bool {
        let trusted = self.lease.until();
        let until = self.unknown.read(digest, |unknown| unknown.until);
        until.is_some_and(|until| self.clock.nanos() < trusted.min(until))
    }

    fn remembered(&self, digest: &TokenDigest) -> Option<Option<Arc<Account>>> {
        let known = self.peek(digest, |account| Some(Arc::new(account.clone())));
        known.or_else(|| self.is_unknown(digest).then_some(None))
    }

    /// What is remembered; else the current look-up, which is this request's
    /// own `work` if there was none.
    pub(super) fn ask(&self, digest: &TokenDigest, work: impl FnOnce() -> Work) -> Asked<'_, K, U> {
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
        Asked::Waiting(Waiting { entries: self, digest: *digest, leads, load: Some(load) })
    }

    /// Remembers what came of a look-up, if it is current.
    fn conclude(&self, digest: &TokenDigest, load: &Load, outcome: &Outcome) {
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
            return self.unknown.insert(digest, Unknown { until });
        };
        let used = |digest: &TokenDigest| {
            let swap = |known: &Known| known.used.swap(false, Ordering::Relaxed);
            self.known.read(digest, swap).unwrap_or(false)
        };
        let (place, left) = state.room.take(digest, account.user().clone(), used);
        if let Some(left) = left {
            self.known.remove(&left);
        }
        let (account, used) = (Account::clone(account), AtomicBool::new(again));
        self.known.insert(digest, Known { account, until, place, used });
    }

    /// Drops what is remembered of a digest; whether an account was.
    fn drop_entry(&self, state: &mut State, digest: &TokenDigest) -> bool {
        self.unknown.remove(digest);
        let place = self.known.read(digest, |known| known.place);
        if let Some(place) = place {
            self.known.remove(digest);
            state.room.release(place);
        }
        place.is_some()
    }

    /// Forgets what a change made untrue. It names every digest that it
    /// touched; entries of the user under any other are dropped too. Where they
    /// were too many for a message, any digest that is unknown, or is looked up
    /// now, may have come to be the user's.
    pub(super) fn forget(&self, change: &Change) {
        let mut state = self.state();
        for digest in &*change.digests {
            state.loads.remove(digest);
        }
        if !change.complete {
            state.loads.clear();
            self.unknown.clear();
        }
        self.drop_entries(&mut state, change);
    }

    /// Forgets what this node's own changes made untrue. They name only the
    /// digests that the accounts have now, and which others they had nobody
    /// here knows: no look-up stays current.
    pub(super) fn forget_own(&self, changes: &[Change]) {
        let mut state = self.state();
        state.loads.clear();
        for change in changes {
            self.drop_entries(&mut state, change);
        }
    }

    fn drop_entries(&self, state: &mut State, change: &Change) {
        let of_user = state.room.digests_of(&change.user);
        for digest in change.digests.iter().chain(&of_user) {
            self.drop_entry(state, digest);
        }
    }

    /// What is remembered is believed for its term, since no feed will tell of changes.
    pub(super) fn trust_without_feed(&self) {
        self.lease.grant(u64::MAX);
    }

    /// Changes may have been missed: nothing is believed until a heartbeat that
    /// is sent after this comes back.
    pub(super) fn lose(&self) {
        let mut state = self.state();
        self.lease.end();
        state.heartbeats.disown();
        self.empty(&mut state);
    }

    fn empty(&self, state: &mut State) {
        state.loads.clear();
        state.room.clear();
        self.known.clear();
        self.unknown.clear();
    }

    /// The heartbeat to send now.
    pub(super) fn heartbeat(&self) -> HeartbeatId {
        let mut state = self.state();
        state.heartbeats.next(self.clock.nanos())
    }

    /// Grants the lease that an echo is worth; how long the heartbeat was on
    /// its way, in nanoseconds, if it was one of ours that still counts.
    pub(super) fn echo(&self, id: HeartbeatId) -> Option<u64> {
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

    /// How many accounts are remembered, and how many look-ups are current.
    pub(super) fn sizes(&self) -> (usize, usize) {
        let state = self.state();
        (state.room.len(), state.loads.len())
    }
}

impl State {
    /// Ends a look-up, and says whether it was current.
    pub(super) fn close(&mut self, digest: &TokenDigest, load: &Load) -> bool {
        let current = self.loads.get(digest).is_some_and(|current| ptr::eq(current.as_ptr(), load));
        if current {
            self.loads.remove(digest);
        }
        current
    }
}

/// A request that waits for a look-up.
pub(super) struct Waiting<'a, K: Clear<Known>, U: Clear<Unknown>> {
    entries: &'a Entries<K, U>,
    digest: TokenDigest,
    leads: bool,
    /// There until it is dropped.
    load: Option<Arc<Load>>,
}

impl<K: Clear<Known>, U: Clear<Unknown>> Waiting<'_, K, U> {
    /// Whether the look-up is this request's own.
    pub(super) const fn leads(&self) -> bool {
        self.leads
    }

    /// What came of it; `None` if the look-up began too long ago for a request
    /// that came later.
    pub(super) async fn outcome(&self) -> Option<Outcome> {
        self.outcome_by(Entries::conclude).await
    }

    /// The same with a way of one's own to end the look-up: the test of the
    /// interleavings must see a wrong one fail.
    pub(super) async fn outcome_by(
        &self,
        conclude: impl FnOnce(&Entries<K, U>, &TokenDigest, &Load, &Outcome),
    ) -> Option<Outcome> {
        let load = self.load.as_ref()?;
        let conclude = |outcome: &Outcome| conclude(self.entries, &self.digest, load, outcome);
        let outcome = load.outcome(conclude).await;
        let age = self.entries.clock.nanos().saturating_sub(load.begun);
        (self.leads || age < self.entries.term).then_some(outcome)
    }
}

impl<K: Clear<Known>, U: Clear<Unknown>> Drop for Waiting<'_, K, U> {
    /// The last to go takes the look-up along. The store's work is dropped
    /// after the lock is free.
    fn drop(&mut self) {
        let mut state = self.entries.state();
        let last = self.load.take().and_then(Arc::into_inner);
        let gone = |load: &Weak<Load>| load.strong_count() == 0;
        if last.is_some() && state.loads.get(&self.digest).is_some_and(gone) {
            state.loads.remove(&self.digest);
        }
        drop(state);
    }
}
