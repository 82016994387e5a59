//! One configuration for both sides: the requests that carry tokens, and the
//! people and programs that manage them.

use std::fmt;
use std::sync::Arc;
#[cfg(feature = "tokio")]
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

#[cfg(feature = "tokio")]
use tokio::sync::oneshot;
#[cfg(feature = "tokio")]
use tokio::task::JoinHandle;
#[cfg(feature = "tokio")]
use tokio::time::sleep;

use crate::audit::EventSink;
use crate::authenticate::Authenticator;
use crate::manage::{Confirmation, ManageError, TokenManager, TokenManagerBuilder};
use crate::middleware::TokenAuthLayer;
use crate::notify::Notifier;
use crate::rotation::Policy;
use crate::sealing::Sealer;
use crate::store::{AccountStore, StoreError};
#[cfg(feature = "tokio")]
use crate::telemetry::dropped_unclosed;
use crate::time::{Clock, SystemClock};
use crate::token::TokenScheme;
use crate::usage::UsageRecorder;

/// How long the log waits at least for the first flush before it warns.
const FIRST_FLUSH: Duration = Duration::from_secs(60);

/// Everything that the two sides of an API's tokens share: store, scheme,
/// policy, notifier, audit sink and last uses.
///
/// [`layer`](Self::layer) protects an API, [`manager`](Self::manager) changes
/// what its users may do, and [`authenticator`](Self::authenticator) decides
/// where no layer fits, as for a gateway. Clones share everything.
///
#[cfg_attr(all(feature = "axum", feature = "tokio"), doc = "```")]
#[cfg_attr(not(all(feature = "axum", feature = "tokio")), doc = "```ignore")]
/// use axum::Router;
/// use axum::routing::get;
/// use tower_api_token::manage::Confirmation;
/// use tower_api_token::store::MemoryStore;
/// use tower_api_token::{Identity, Tokens};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let tokens = Tokens::builder(MemoryStore::new())
///     .confirmation(Confirmation::ByCaller)
///     .build()
///     .await?;
/// tokens.start();
/// let app: Router = Router::new()
///     .route("/items", get(|who: Identity| async move { format!("for {}", who.user()) }))
///     .layer(tokens.layer().same_body());
/// // ... serve ...
/// # let _ = app;
/// tokens.close().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Tokens {
    shared: Arc<Shared>,
}

struct Shared {
    manager: TokenManager,
    authenticator: Authenticator,
    usage: UsageRecorder,
    #[cfg(feature = "tokio")]
    interval: Duration,
    #[cfg(feature = "tokio")]
    flushing: Mutex<Option<Flushing>>,
}

/// The task that writes last uses on an interval.
#[cfg(feature = "tokio")]
struct Flushing {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Tokens {
    /// Tokens of the accounts in `store`, to be configured.
    pub fn builder(store: impl AccountStore) -> TokensBuilder {
        let store: Arc<dyn AccountStore> = Arc::new(store);
        TokensBuilder {
            manager: TokenManager::builder(Arc::clone(&store)),
            store,
            scheme: TokenScheme::default(),
            policy: Policy::default(),
            events: None,
            clock: Arc::new(SystemClock),
        }
    }

    /// A layer that lets only requests with a live token through; its own
    /// settings, such as the sources of credentials, have their defaults.
    pub fn layer(&self) -> TokenAuthLayer {
        self.authenticator().into()
    }

    /// What the layer decides with, for services that answer gateways and for
    /// hosts of their own kind.
    #[must_use]
    pub fn authenticator(&self) -> Authenticator {
        self.shared.authenticator.clone()
    }

    /// The manager: grants, rotation, views.
    #[must_use]
    pub fn manager(&self) -> TokenManager {
        self.shared.manager.clone()
    }

    /// Writes the last uses that were noted so far to the store.
    ///
    /// Needed where `start` is not called, once every
    /// [`usage_interval`](Policy::usage_interval).
    ///
    /// # Errors
    ///
    /// [`StoreError`] if they could not be written; the next flush tries again.
    pub async fn flush(&self) -> Result<(), StoreError> {
        self.shared.usage.flush().await
    }

    /// Ends what `start` has begun, writes the last uses, and
    /// waits until everybody has been told of the changes that were made.
    ///
    /// Call it when no more requests are taken. Bound the time: a store or a
    /// notifier that never answers holds it up.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the last uses could not be written.
    pub async fn close(&self) -> Result<(), StoreError> {
        #[cfg(feature = "tokio")]
        self.stop().await;
        let flushed = self.flush().await;
        self.shared.manager.idle().await;
        flushed
    }
}

#[cfg(feature = "tokio")]
impl Tokens {
    /// Writes last uses to the store once every
    /// [`usage_interval`](Policy::usage_interval) from now on, on the current
    /// runtime; once more makes no difference.
    ///
    /// It goes on until [`close`](Self::close), or until every clone and every
    /// layer, manager and authenticator that came of them is dropped. Then it
    /// writes once more, if the runtime lives as long.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime whose timer is enabled.
    pub fn start(&self) {
        let mut flushing = self.flushing();
        // One may have ended with its runtime.
        if flushing.as_ref().is_none_or(|flushing| flushing.task.is_finished()) {
            let (stop, stopped) = oneshot::channel();
            let (usage, interval) = (self.shared.usage.clone(), self.shared.interval);
            let task = tokio::spawn(write_last_uses(usage, interval, stopped));
            *flushing = Some(Flushing { stop, task });
        }
    }

    async fn stop(&self) {
        let flushing = self.flushing().take();
        if let Some(Flushing { stop, task }) = flushing {
            // Both fail only where the task has panicked: it writes nothing more.
            let _ = stop.send(());
            drop(task.await);
        }
    }

    fn flushing(&self) -> MutexGuard<'_, Option<Flushing>> {
        self.shared.flushing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes last uses once every interval until it is stopped, or nobody is left
/// who notes any.
#[cfg(feature = "tokio")]
async fn write_last_uses(usage: UsageRecorder, interval: Duration, stopped: oneshot::Receiver<()>) {
    let others = usage.others();
    let end = async move {
        let dropped = stopped.await.is_err();
        while dropped && others.are_left() {
            sleep(interval).await;
        }
    };
    if let Err(error) = usage.run(interval, end).await {
        error.log();
    }
}

#[cfg(feature = "tokio")]
impl Drop for Shared {
    fn drop(&mut self) {
        if self.flushing.get_mut().is_ok_and(|flushing| flushing.is_some()) {
            dropped_unclosed();
        }
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens").field("manager", &self.shared.manager).finish_non_exhaustive()
    }
}

/// Configures [`Tokens`]; see [`Tokens::builder`].
#[must_use]
pub struct TokensBuilder {
    manager: TokenManagerBuilder,
    store: Arc<dyn AccountStore>,
    scheme: TokenScheme,
    policy: Policy,
    events: Option<Arc<dyn EventSink>>,
    clock: Arc<dyn Clock>,
}

impl TokensBuilder {
    /// How tokens are made, recognised and hashed. Default:
    /// [`TokenScheme::default`].
    pub fn scheme(mut self, scheme: TokenScheme) -> Self {
        self.scheme = scheme;
        self
    }

    /// How long things last. Default: [`Policy::default`].
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// Who sends confirmation codes and notices; a later one takes the place of an
    /// earlier one. Default: nobody, which only [`Confirmation::ByCaller`] can do
    /// without.
    pub fn notifier(mut self, notifier: impl Notifier) -> Self {
        self.manager = self.manager.notifier(notifier);
        self
    }

    /// How confirmation codes reach their user;
    /// [`with_confirmation`](TokenManager::with_confirmation) makes an exception.
    /// Default: [`Confirmation::ByNotifier`].
    pub fn confirmation(mut self, confirmation: Confirmation) -> Self {
        self.manager = self.manager.confirmation(confirmation);
        self
    }

    /// Where audit entries go, besides the store and the log; a later one takes the
    /// place of an earlier one. Default: nowhere else.
    pub fn events(mut self, sink: impl EventSink) -> Self {
        self.events = Some(Arc::new(sink));
        self
    }

    /// What keeps every token from now on sealed, so that it can be
    /// [revealed](TokenManager::reveal); a later one takes the place of an earlier
    /// one. Default: none is kept.
    pub fn sealer(mut self, sealer: impl Sealer) -> Self {
        self.manager = self.manager.sealer(sealer);
        self
    }

    /// The clock that lifetimes are checked by and last uses are noted with.
    /// Default: the system's.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Both sides, ready for use. Nothing runs in the background yet:
    /// `Tokens::start` (feature `tokio`) begins that.
    ///
    /// What is read from the store, and kept there, is said at
    /// [`TokenManagerBuilder::build`].
    ///
    /// # Errors
    ///
    /// As of [`TokenManagerBuilder::build`].
    pub async fn build(self) -> Result<Tokens, ManageError> {
        let Self { manager, store, scheme, policy, events, clock } = self;
        let usage = UsageRecorder::with(Arc::clone(&store), Arc::clone(&clock), events.clone());
        let interval = policy.usage_interval;
        usage.expect_flush_within(interval.saturating_mul(2).max(FIRST_FLUSH));
        let manager = manager.scheme(scheme.clone()).policy(policy).events(events);
        let manager = manager.usage(usage.clone()).build().await?;
        let shared = Shared {
            manager,
            authenticator: Authenticator::sharing(store, scheme, clock, usage.clone()),
            usage,
            #[cfg(feature = "tokio")]
            interval,
            #[cfg(feature = "tokio")]
            flushing: Mutex::new(None),
        };
        Ok(Tokens { shared: Arc::new(shared) })
    }
}

impl fmt::Debug for TokensBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokensBuilder")
            .field("scheme", &self.scheme)
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}
