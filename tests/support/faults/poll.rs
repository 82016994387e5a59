//! A client that uses one token on one node all the time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};
use tower_api_token::denial::DenialKind;
use tower_api_token::store::AccountStore;
use tower_api_token::token::Token;

use super::Node;
use super::node::eventually;

/// One request, and what was decided.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attempt {
    pub(crate) begun: Instant,
    pub(crate) ended: Instant,
    pub(crate) decision: Result<(), DenialKind>,
}

/// Makes a request in every period until it is ended.
pub(crate) struct Poll {
    stopped: Arc<AtomicBool>,
    made: Arc<AtomicUsize>,
    task: JoinHandle<Attempts>,
}

impl Poll {
    pub(crate) fn start<S: AccountStore>(
        node: &Arc<Node<S>>,
        token: &Token,
        period: Duration,
    ) -> Self {
        let (node, token) = (Arc::clone(node), token.clone());
        let (stopped, made) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let (stop, count) = (Arc::clone(&stopped), Arc::clone(&made));
        let task = tokio::spawn(async move {
            let mut attempts = Vec::new();
            let mut ticks = interval(period);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            while !stop.load(Ordering::Relaxed) {
                ticks.tick().await;
                let begun = Instant::now();
                let decision = node.decide(&token).await;
                attempts.push(Attempt { begun, ended: Instant::now(), decision });
                count.fetch_add(1, Ordering::Relaxed);
            }
            Attempts(attempts)
        });
        Self { stopped, made, task }
    }

    /// Waits until that many requests were made.
    pub(crate) async fn has_made(&self, requests: usize) {
        eventually("requests are made", || self.made.load(Ordering::Relaxed) >= requests).await;
    }

    pub(crate) async fn end(self) -> Attempts {
        self.stopped.store(true, Ordering::Relaxed);
        self.task.await.expect("the requests")
    }
}

pub(crate) struct Attempts(Vec<Attempt>);

impl Attempts {
    fn accepted(&self) -> impl DoubleEndedIterator<Item = &Attempt> {
        self.0.iter().filter(|attempt| attempt.decision.is_ok())
    }

    /// The end of the first request that was accepted.
    pub(crate) fn first_accepted(&self) -> Option<Instant> {
        self.accepted().next().map(|attempt| attempt.ended)
    }

    /// The beginning of the last request that was accepted.
    pub(crate) fn last_accepted(&self) -> Option<Instant> {
        self.accepted().next_back().map(|attempt| attempt.begun)
    }

    /// The beginning of the last request that was refused.
    pub(crate) fn last_refused(&self) -> Option<Instant> {
        let refused = |attempt: &&Attempt| attempt.decision == Err(DenialKind::InvalidToken);
        self.0.iter().rev().find(refused).map(|attempt| attempt.begun)
    }

    /// How many requests were not decided for want of the store (I9: 503).
    pub(crate) fn unavailable(&self) -> usize {
        let kind = Err(DenialKind::StoreUnavailable);
        self.0.iter().filter(|attempt| attempt.decision == kind).count()
    }

    /// I9: each request was decided by the token, or not for want of the store.
    pub(crate) fn assert_plain(&self) {
        for Attempt { decision, .. } in &self.0 {
            let plain = [DenialKind::InvalidToken, DenialKind::StoreUnavailable];
            assert!(
                decision.is_ok() || decision.is_err_and(|kind| plain.contains(&kind)),
                "I9: {decision:?}"
            );
        }
    }
}
