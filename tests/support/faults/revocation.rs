//! One revocation on a healthy node, seen from another to which something
//! happens.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tower_api_token::token::Token;
use tower_api_token::user::{Actor, UserId};

use super::poll::Poll;
use super::world::World;
use super::{BOUND, Engine, Node};

/// How often each token is used.
const PERIOD: Duration = Duration::from_millis(2);

/// Two users whose tokens the node remembers, and uses all the time.
pub(crate) struct Revocation<'w, E: Engine> {
    world: &'w World<E>,
    user: UserId,
    /// Of the token that will be revoked.
    doomed: Poll,
    /// Of the token that stays.
    kept: Poll,
    revoked: Option<Instant>,
}

/// What the client has seen.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    /// From the return of the revocation to the last acceptance.
    pub(crate) stale: Duration,
    /// Requests with the token that stays which were not decided.
    pub(crate) unavailable: usize,
}

impl<'w, E: Engine> Revocation<'w, E> {
    /// Before the change: the node answers for both tokens from memory.
    pub(crate) async fn prepare(
        world: &'w World<E>,
        node: &Arc<Node<E::Store>>,
        name: &str,
    ) -> Self {
        let (_, kept) = world.holder(&format!("{name}, kept")).await;
        let (user, doomed) = world.holder(&format!("{name}, doomed")).await;
        let poll = async |token: &Token| {
            node.warm(token).await;
            let poll = Poll::start(node, token, PERIOD);
            poll.has_made(1).await;
            poll
        };
        Self { world, user, doomed: poll(&doomed).await, kept: poll(&kept).await, revoked: None }
    }

    pub(crate) async fn revoke(&mut self) {
        self.world.manager.revoke_all(&Actor::User, &self.user).await.expect("it is revoked");
        self.revoked = Some(Instant::now());
    }

    /// Lets time pass until that long after the revocation.
    pub(crate) async fn wait_until(&self, after: Duration) {
        let revoked = self.revoked.expect("it was revoked");
        tokio::time::sleep_until((revoked + after).into()).await;
    }

    /// I8 and I9, for as long as this was watched.
    pub(crate) async fn end(self) -> Seen {
        self.wait_until(BOUND + 20 * PERIOD).await;
        let revoked = self.revoked.expect("it was revoked");
        let (doomed, kept) = (self.doomed.end().await, self.kept.end().await);
        doomed.assert_plain();
        kept.assert_plain();
        let last = doomed.last_accepted().expect("it was accepted before");
        let stale = last.saturating_duration_since(revoked);
        assert!(stale <= BOUND, "I8: accepted {stale:?} after it was revoked");
        let refused = kept.last_refused();
        assert!(refused.is_none(), "I9: a live token was refused");
        Seen { stale, unavailable: kept.unavailable() }
    }
}
