//! Where futures are dropped.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tower::ServiceExt;
use tower::timeout::Timeout;
use tower_api_token::manage::TokenManager;
use tower_api_token::portal::Portal;
use tower_api_token::store::{AccountStore, WithTimeout};

use super::kinds::{Kind, Prepared};
use super::restless::Restless;

/// For how long a store that commits after its time-out is waited for.
const LIMIT: Duration = Duration::from_millis(20);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// The caller drops the future of the manager.
    Manager,
    /// The server drops the handler of a portal.
    Portal,
    /// A layer in front of a portal drops it.
    TimeoutLayer,
    /// The store drops the answer, and its caller may be gone by then.
    WithTimeout,
}

impl Place {
    pub(super) fn kinds(self) -> &'static [Kind] {
        match self {
            Self::Manager | Self::WithTimeout => &Kind::ALL,
            Self::Portal | Self::TimeoutLayer => Kind::IN_A_PORTAL,
        }
    }

    /// The store as the manager of this place has it.
    pub(super) fn around(self, store: &Arc<dyn AccountStore>) -> Arc<dyn AccountStore> {
        let store = Arc::clone(store);
        match self {
            Self::WithTimeout => {
                let slow = Restless::new(store, LIMIT * 2);
                Arc::new(WithTimeout::new(slow).limit(LIMIT))
            }
            _ => Arc::new(Restless::new(store, Duration::from_millis(2))),
        }
    }

    /// Makes the change, or drops it half-way, by the number; whether it came to
    /// its end.
    pub(super) async fn make(
        self,
        manager: &TokenManager,
        prepared: &Prepared,
        number: u64,
    ) -> bool {
        let random = super::restless::random(number);
        match self {
            Self::Manager => hung_up(prepared.make(manager.clone()), random).await,
            Self::WithTimeout if random.is_multiple_of(2) => {
                // The answer says that nobody knows: that is no end.
                prepared.make(manager.clone()).await;
                false
            }
            Self::WithTimeout => hung_up(prepared.make(manager.clone()), random >> 1).await,
            Self::Portal => {
                let portal = Portal::new(manager.clone()).into_router();
                hung_up(portal.oneshot(prepared.request()), random).await
            }
            Self::TimeoutLayer => {
                let portal = Portal::new(manager.clone()).into_router();
                let patience = Duration::from_micros(random % 6_000);
                Timeout::new(portal, patience).oneshot(prepared.request()).await.is_ok()
            }
        }
    }
}

/// Polls the future until it has ended, has been polled a few times, or some
/// time has passed, and drops it. Whether it had ended.
async fn hung_up(future: impl Future, random: u64) -> bool {
    let (how, much) = (random % 3, random >> 8);
    let polls = if how == 0 { 1 + much % 8 } else { u64::MAX };
    let time = if how == 1 { Duration::from_micros(much % 5_000) } else { Duration::MAX };
    tokio::time::timeout(time, polled(future, polls)).await.unwrap_or(false)
}

async fn polled(future: impl Future, times: u64) -> bool {
    let mut future = Box::pin(future);
    let mut left = times;
    poll_fn(|context| {
        left -= 1;
        match future.as_mut().poll(context) {
            Poll::Ready(_) => Poll::Ready(true),
            Poll::Pending if left == 0 => Poll::Ready(false),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}
