//! How far a connection has come, and until when its peer may take for the rest.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use http::Version;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until};

use crate::settings::{Settings, Time};

/// How long a peer may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// From the first byte to a whole head of a request; for the first request
    /// from when the connection was accepted, so that a TLS handshake and the
    /// preface of HTTP/2 count.
    pub(super) head: Duration,
    /// From the last response to the next request.
    pub(super) idle: Duration,
    /// From a whole head until the response is made and taken.
    pub(super) response: Duration,
}

/// Unless the settings say otherwise.
const HEAD: Duration = Duration::from_secs(30);

/// Longer than gateways keep a connection open, so that it is they who close it.
const IDLE: Duration = Duration::from_secs(120);

impl Limits {
    pub(super) fn of(settings: &Settings) -> Self {
        let head = settings.head_timeout.map_or(HEAD, |Time(time)| time);
        // The store may be waited for more than once, and the network has its time, too.
        let store = settings.store_timeout.map_or(Duration::ZERO, |Time(time)| time);
        Self { head, idle: IDLE, response: IDLE + 2 * store }
    }
}

/// How long a connection that ends in order may take when nothing is answered
/// on it: for a peer to hear of it, and to finish a head that is under way.
const LINGER: Duration = Duration::from_millis(500);

/// What a connection waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// The head of the first request.
    FirstHead,
    /// The rest of the head of a further request.
    Head,
    /// A further request.
    Idle,
    /// Responses to be made and taken.
    Responding,
}

/// How far a connection has come.
#[derive(Debug)]
pub(super) struct Progress {
    limits: Limits,
    state: Mutex<State>,
    /// Nothing is being answered any more.
    at_rest: Notify,
    evicted: Notify,
}

#[derive(Debug)]
struct State {
    phase: Phase,
    since: Instant,
    /// When each request that is being answered was whole, the oldest first.
    responding: BTreeMap<u64, Instant>,
    /// The number of the next request.
    next: u64,
    http2: bool,
}

/// How the wait for a peer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Overdue {
    In(Phase),
    /// The connection makes room for another.
    Evicted,
}

impl Progress {
    pub(super) fn new(limits: Limits) -> Self {
        let (phase, since) = (Phase::FirstHead, Instant::now());
        let state = State { phase, since, responding: BTreeMap::new(), next: 0, http2: false };
        let state = Mutex::new(state);
        Self { limits, state, at_rest: Notify::new(), evicted: Notify::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn limits(&self) -> Limits {
        self.limits
    }

    /// Notes that bytes have come in.
    pub(super) fn received(&self) {
        let mut state = self.state();
        // Over HTTP/2 it may be a ping, or what follows a response.
        if state.phase == Phase::Idle && !state.http2 {
            (state.phase, state.since) = (Phase::Head, Instant::now());
        }
    }

    /// Notes that a whole head is there. What is returned lives until the
    /// response is made and taken.
    pub(super) fn responding(self: &Arc<Self>, version: Version) -> Responding {
        let mut state = self.state();
        state.http2 = version == Version::HTTP_2;
        let number = state.next;
        state.next += 1;
        state.responding.insert(number, Instant::now());
        state.phase = Phase::Responding;
        drop(state);
        Responding { progress: Arc::clone(self), number }
    }

    /// Since when there is nothing to answer, after whether there ever was: the
    /// least is what makes room first. `None` while something is answered.
    pub(super) fn resting(&self) -> Option<(bool, Instant)> {
        let state = self.state();
        (state.phase != Phase::Responding).then(|| (state.phase != Phase::FirstHead, state.since))
    }

    /// Ends the connection to make room for another.
    pub(super) fn evict(&self) {
        self.evicted.notify_one();
    }

    fn deadline(&self) -> (Phase, Instant) {
        let state = self.state();
        let limit = match state.phase {
            Phase::FirstHead | Phase::Head => self.limits.head,
            Phase::Idle => self.limits.idle,
            Phase::Responding => self.limits.response,
        };
        // Further requests must not prolong the time for a response that a peer
        // does not take.
        let oldest = state.responding.first_key_value().map(|(_, since)| *since);
        (state.phase, oldest.unwrap_or(state.since) + limit)
    }

    /// Waits until the peer has taken too long, or must make room. It is polled
    /// by the task that drives the connection, after the connection: only that
    /// brings a deadline nearer.
    pub(super) async fn overdue(&self) -> Overdue {
        let mut evicted = pin!(self.evicted.notified());
        let mut alarm = pin!(sleep_until(self.deadline().1));
        poll_fn(|context| {
            if evicted.as_mut().poll(context).is_ready() {
                return Poll::Ready(Overdue::Evicted);
            }
            loop {
                let (phase, deadline) = self.deadline();
                // A deadline that has moved on is looked at when the alarm rings.
                if deadline < alarm.deadline() {
                    alarm.as_mut().reset(deadline);
                }
                if alarm.as_mut().poll(context).is_pending() {
                    return Poll::Pending;
                }
                if deadline <= Instant::now() {
                    return Poll::Ready(Overdue::In(phase));
                }
                alarm.as_mut().reset(deadline);
            }
        })
        .await
    }

    /// Waits until a connection that was told to end may be cut off: nothing is
    /// answered on it, it must make room, or its peer takes too long.
    pub(super) async fn wound_down(&self) {
        tokio::select! {
            () = self.at_rest() => {}
            () = self.evicted.notified() => {}
            () = sleep(self.limits.response) => {}
        }
    }

    /// Waits until nothing has been answered for a moment.
    async fn at_rest(&self) {
        loop {
            let mut rest = pin!(self.at_rest.notified());
            rest.as_mut().enable();
            if self.resting().is_none() {
                rest.await;
            }
            sleep(LINGER).await;
            if self.resting().is_some() {
                return;
            }
        }
    }
}

/// A request that is being answered.
#[derive(Debug)]
pub(super) struct Responding {
    progress: Arc<Progress>,
    number: u64,
}

impl Drop for Responding {
    fn drop(&mut self) {
        let mut state = self.progress.state();
        state.responding.remove(&self.number);
        if state.responding.is_empty() {
            (state.phase, state.since) = (Phase::Idle, Instant::now());
            self.progress.at_rest.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn progress() -> Arc<Progress> {
        let limits = Limits { head: 30 * SECOND, idle: 120 * SECOND, response: 60 * SECOND };
        Arc::new(Progress::new(limits))
    }

    async fn overdue_after(progress: &Progress) -> (Overdue, Duration) {
        let from = Instant::now();
        (progress.overdue().await, from.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn each_phase_has_its_limit() {
        let progress = progress();
        progress.received();
        let (why, after) = overdue_after(&progress).await;
        assert_eq!((why, after.as_secs()), (Overdue::In(Phase::FirstHead), 30));
        let responding = progress.responding(Version::HTTP_11);
        let (why, after) = overdue_after(&progress).await;
        assert_eq!((why, after.as_secs()), (Overdue::In(Phase::Responding), 60));
        drop(responding);
        let (why, after) = overdue_after(&progress).await;
        assert_eq!((why, after.as_secs()), (Overdue::In(Phase::Idle), 120));
        progress.received();
        advance(20 * SECOND).await;
        progress.received();
        let (why, after) = overdue_after(&progress).await;
        assert_eq!((why, after.as_secs()), (Overdue::In(Phase::Head), 10));
    }

    #[tokio::test(start_paused = true)]
    async fn pings_do_not_hold_a_connection_over_http_2() {
        let progress = progress();
        drop(progress.responding(Version::HTTP_2));
        for _ in 0..11 {
            advance(10 * SECOND).await;
            progress.received();
        }
        let (why, after) = overdue_after(&progress).await;
        assert_eq!((why, after.as_secs()), (Overdue::In(Phase::Idle), 10));
    }

    #[tokio::test(start_paused = true)]
    async fn further_requests_do_not_prolong_the_time_of_a_response_that_is_not_taken() {
        let progress = progress();
        let _not_taken = progress.responding(Version::HTTP_2);
        for _ in 0..5 {
            advance(10 * SECOND).await;
            drop(progress.responding(Version::HTTP_2));
        }
        let (why, after) = overdue_after(&progress).await;
        assert_eq!((why, after.as_secs()), (Overdue::In(Phase::Responding), 10));
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_takes_no_response_does_not_hold_a_connection_that_ends() {
        let progress = progress();
        let _not_taken = progress.responding(Version::HTTP_2);
        let from = Instant::now();
        progress.wound_down().await;
        assert_eq!(from.elapsed().as_secs(), 60);
        progress.evict();
        progress.wound_down().await;
        assert_eq!(from.elapsed().as_secs(), 60, "it makes room at once");
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_never_asked_makes_room_before_whoever_rests_and_nobody_who_is_answered() {
        let (silent, used, busy) = (progress(), progress(), progress());
        drop(used.responding(Version::HTTP_11));
        let _response = busy.responding(Version::HTTP_11);
        assert!(silent.resting() < used.resting());
        assert_eq!(busy.resting(), None);
        silent.evict();
        assert_eq!(silent.overdue().await, Overdue::Evicted);
    }
}
