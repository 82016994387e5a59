//! How far a connection has come, and until when its peer may take for the rest.

pub(crate) mod limits;
mod request;

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use http::Version;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until, timeout};

pub(super) use self::limits::Limits;
use self::request::Request;
pub(super) use self::request::{Answering, Responding};

/// How long a connection that ends in order may take when nothing is answered
/// on it: for a peer to hear of it, and to finish a head that is under way.
pub(super) const LINGER: Duration = Duration::from_millis(500);

/// How long a peer may leave the rest of a body or a response before its
/// connection may have to make room: what is under way has mostly come by then.
const UNDER_WAY: Duration = Duration::from_secs(1);

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
    /// The first head is there.
    begun: Notify,
    /// Nothing is being answered any more.
    at_rest: Notify,
    evicted: Notify,
}

#[derive(Debug)]
struct State {
    phase: Phase,
    since: Instant,
    /// The requests that are being answered, the oldest first.
    responding: BTreeMap<u64, Request>,
    /// The number of the next request.
    next: u64,
    http2: bool,
    /// How much of the body of a request over HTTP/1 is still to come, where its
    /// length was said.
    body: Option<u64>,
    /// When the head of the next one began to come, before it was its turn.
    ahead: Option<Instant>,
}

impl State {
    /// Looks for the next head behind the body that comes before it. What an
    /// empty line ends is no beginning of a head, but the end of a chunked body.
    fn look_ahead(&mut self, bytes: u64, ends_empty: bool) {
        let further = match &mut self.body {
            Some(left) => {
                let further = bytes > *left;
                *left = left.saturating_sub(bytes);
                further
            }
            None => !ends_empty,
        };
        self.ahead = further.then(|| self.ahead.unwrap_or_else(Instant::now));
    }
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
        let responding = BTreeMap::new();
        let (http2, body, ahead) = (false, None, None);
        let state = State { phase, since, responding, next: 0, http2, body, ahead };
        let (begun, at_rest, evicted) = (Notify::new(), Notify::new(), Notify::new());
        Self { limits, state: Mutex::new(state), begun, at_rest, evicted }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn limits(&self) -> Limits {
        self.limits
    }

    /// How many bytes of a body over HTTP/1 are still to come, if that is known.
    pub(super) fn body(&self) -> Option<usize> {
        let state = self.state();
        let left = state.body.filter(|left| *left > 0 && state.phase == Phase::Responding)?;
        usize::try_from(left).ok()
    }

    /// Notes that so many bytes have come in, and whether an empty line ends them.
    pub(super) fn received(&self, bytes: u64, ends_empty: bool) {
        let mut state = self.state();
        match state.phase {
            // Over HTTP/2 it may be a ping, or what follows a response.
            _ if state.http2 => {}
            Phase::Idle => (state.phase, state.since) = (Phase::Head, Instant::now()),
            Phase::Responding => state.look_ahead(bytes, ends_empty),
            Phase::FirstHead | Phase::Head => {}
        }
    }

    /// Notes that a whole head is there, and how long a body it says to have.
    /// What is returned lives until the response is made and taken.
    pub(super) fn responding(self: &Arc<Self>, version: Version, body: Option<u64>) -> Responding {
        let mut state = self.state();
        state.http2 = version == Version::HTTP_2;
        (state.body, state.ahead) = (body.filter(|_| !state.http2), None);
        let number = state.next;
        state.next += 1;
        state.responding.insert(number, Request::new());
        state.phase = Phase::Responding;
        drop(state);
        self.begun.notify_waiters();
        Responding::new(self, number)
    }

    /// Since when only the peer is waited for, after how readily the connection
    /// makes room: the least does first. `None` while a service is at work.
    pub(super) fn resting(&self) -> Option<(u8, Instant)> {
        let state = self.state();
        match state.phase {
            Phase::FirstHead => Some((0, state.since)),
            Phase::Responding => {
                let waits = state.responding.values().map(Request::waits);
                // The oldest: further requests must not make it look newer.
                let since = waits.min().flatten()?;
                (since.elapsed() >= UNDER_WAY).then_some((1, since))
            }
            Phase::Head | Phase::Idle => Some((2, state.since)),
        }
    }

    /// Notes that a request has been answered, and the response was taken.
    fn responded(&self, number: u64) {
        let mut state = self.state();
        state.responding.remove(&number);
        if state.responding.is_empty() {
            (state.phase, state.since) = match state.ahead {
                Some(since) => (Phase::Head, since),
                None => (Phase::Idle, Instant::now()),
            };
            self.at_rest.notify_waiters();
        }
    }

    fn is_responding(&self) -> bool {
        self.state().phase == Phase::Responding
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
        let oldest = state.responding.first_key_value().map(|(_, request)| request.since);
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

    /// Waits until the first head is there, if that comes in a moment: a request that
    /// is under way when the server is told to stop is answered like any other.
    pub(super) async fn begun(&self) {
        let mut begun = pin!(self.begun.notified());
        begun.as_mut().enable();
        if self.state().phase == Phase::FirstHead {
            drop(timeout(LINGER, begun).await);
        }
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
            if self.is_responding() {
                rest.await;
            }
            sleep(LINGER).await;
            if !self.is_responding() {
                return;
            }
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
        progress.received(1, false);
        let (why, after) = overdue_after(&progress).await;
        assert_eq!((why, after.as_secs()), (Overdue::In(Phase::FirstHead), 30));
        let responding = progress.responding(Version::HTTP_11, Some(0));
        let (why, after) = overdue_after(&progress).await;
        assert_eq!((why, after.as_secs()), (Overdue::In(Phase::Responding), 60));
        drop(responding);
        let (why, after) = overdue_after(&progress).await;
        assert_eq!((why, after.as_secs()), (Overdue::In(Phase::Idle), 120));
        progress.received(1, false);
        advance(20 * SECOND).await;
        progress.received(1, false);
        let (why, after) = overdue_after(&progress).await;
        assert_eq!((why, after.as_secs()), (Overdue::In(Phase::Head), 10));
    }

    #[tokio::test(start_paused = true)]
    async fn pings_do_not_hold_a_connection_over_http_2() {
        let progress = progress();
        drop(progress.responding(Version::HTTP_2, None));
        for _ in 0..11 {
            advance(10 * SECOND).await;
            progress.received(17, false);
        }
        let (why, after) = overdue_after(&progress).await;
        assert_eq!((why, after.as_secs()), (Overdue::In(Phase::Idle), 10));
    }

    #[tokio::test(start_paused = true)]
    async fn further_requests_do_not_prolong_the_time_of_a_response_that_is_not_taken() {
        let progress = progress();
        let _not_taken = progress.responding(Version::HTTP_2, None);
        for _ in 0..5 {
            advance(10 * SECOND).await;
            drop(progress.responding(Version::HTTP_2, None));
        }
        let (why, after) = overdue_after(&progress).await;
        assert_eq!((why, after.as_secs()), (Overdue::In(Phase::Responding), 10));
    }

    #[tokio::test(start_paused = true)]
    async fn a_first_head_that_is_under_way_at_the_end_has_a_moment_to_come() {
        let progress = progress();
        let from = Instant::now();
        progress.begun().await;
        assert_eq!(from.elapsed(), LINGER, "it has not come");
        let waiting = tokio::spawn({
            let progress = Arc::clone(&progress);
            async move { progress.begun().await }
        });
        tokio::task::yield_now().await;
        let from = Instant::now();
        let _responding = progress.responding(Version::HTTP_11, Some(0));
        waiting.await.expect("it has come");
        progress.begun().await;
        assert_eq!(from.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_takes_no_response_does_not_hold_a_connection_that_ends() {
        let progress = progress();
        let _not_taken = progress.responding(Version::HTTP_2, None);
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
        drop(used.responding(Version::HTTP_11, Some(0)));
        let _response = busy.responding(Version::HTTP_11, Some(0));
        advance(SECOND).await;
        assert!(silent.resting() < used.resting());
        assert_eq!(busy.resting(), None);
        silent.evict();
        assert_eq!(silent.overdue().await, Overdue::Evicted);
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_is_waited_for_in_the_middle_makes_room_before_whoever_has_nothing_to_say() {
        let (idle, slow) = (progress(), progress());
        drop(idle.responding(Version::HTTP_2, None));
        let oldest = slow.responding(Version::HTTP_2, None);
        let sends_no_body = slow.responding(Version::HTTP_2, None);
        oldest.answered();
        sends_no_body.request().wants_body();
        advance(SECOND / 2).await;
        assert_eq!(slow.resting(), None, "its bytes may be under way");
        advance(SECOND / 2).await;
        assert!(slow.resting() < idle.resting() && slow.resting().is_some());
        sends_no_body.request().has_body();
        assert_eq!(slow.resting(), None, "it is the service's turn");
        sends_no_body.request().wants_body();
        assert!(slow.resting().is_some(), "a byte of the body changes nothing");
        sends_no_body.answered();
        sends_no_body.request().has_body();
        let since = slow.resting().expect("both wait for the peer").1;
        assert_eq!(since.elapsed(), SECOND, "the oldest tells");
        advance(SECOND / 2).await;
        drop(oldest);
        assert_eq!(slow.resting(), None, "what was taken is over");
    }

    #[tokio::test(start_paused = true)]
    async fn half_a_head_that_comes_too_early_has_no_more_time_than_any_other() {
        for (body, received, ahead) in [
            (Some(0), &[(3, false)][..], true),
            (Some(0), &[(3, false), (30, true)], true),
            (Some(0), &[], false),
            (Some(5), &[(2, false), (3, false)], false),
            (Some(5), &[(4, true), (4, false)], true),
            (None, &[(9, false), (7, true)], false),
            (None, &[(9, false), (7, true), (3, false)], true),
        ] {
            let progress = progress();
            let responding = progress.responding(Version::HTTP_11, body);
            for (bytes, ends_empty) in received {
                progress.received(*bytes, *ends_empty);
            }
            advance(10 * SECOND).await;
            drop(responding);
            let (why, after) = overdue_after(&progress).await;
            let right = if ahead { (Phase::Head, 20) } else { (Phase::Idle, 120) };
            assert_eq!((why, after.as_secs()), (Overdue::In(right.0), right.1), "{received:?}");
        }
    }
}
