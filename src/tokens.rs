//! One configuration for both sides: the requests that carry tokens, and the
//! people and programs that manage them.

use std::fmt;
use std::sync::Arc;
#[cfg(feature = "tokio")]
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

#[cfg(feature = "tokio")]
use tokio::sync::{Notify, watch};
#[cfg(feature = "tokio")]
use tokio::task::JoinHandle;
#[cfg(feature = "tokio")]
use tokio::time::{MissedTickBehavior, interval, sleep};

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

/// How often accounts are looked for about which something is due.
#[cfg(feature = "tokio")]
const DUE_INTERVAL: Duration = Duration::from_secs(60);

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
    background: Mutex<Option<Background>>,
}

/// What runs in the background.
#[cfg(feature = "tokio")]
struct Background {
    stop: watch::Sender<()>,
    tasks: Vec<JoinHandle<()>>,
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
    /// Runs on the current runtime from now on what has to run in the background; once
    /// more makes no difference.
    ///
    /// * Once every [`usage_interval`](Policy::usage_interval) last uses are written to
    ///   the store.
    /// * Once a minute users are told whose tokens are going to end, and tokens that
    ///   have ended are retired; see [`TokenManager::do_what_is_due`]. A token that was
    ///   to end unless it is used is kept as soon as it is used.
    ///
    /// It goes on until [`close`](Self::close), or until every clone and every
    /// layer, manager and authenticator that came of them is dropped. Then last uses
    /// are written once more, if the runtime lives as long.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime whose timer is enabled.
    pub fn start(&self) {
        let mut background = self.background();
        // One may have ended with its runtime.
        let runs = |background: &Background| !background.tasks.iter().any(JoinHandle::is_finished);
        if background.as_ref().is_some_and(runs) {
            return;
        }
        let Shared { manager, usage, interval, .. } = &*self.shared;
        let (stop, stopped) = watch::channel(());
        let due = do_what_is_due(manager.downgrade(), usage.urgent_noted(), stopped.clone());
        let uses = write_last_uses(usage.clone(), *interval, stopped);
        *background = Some(Background { stop, tasks: vec![tokio::spawn(uses), tokio::spawn(due)] });
    }

    async fn stop(&self) {
        let background = self.background().take();
        if let Some(Background { stop, tasks }) = background {
            // Both fail only where a task has panicked: it does nothing more.
            let _ = stop.send(());
            for task in tasks {
                drop(task.await);
            }
        }
    }

    fn background(&self) -> MutexGuard<'_, Option<Background>> {
        self.shared.background.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes last uses once every interval until it is stopped, or nobody is left
/// who notes any.
#[cfg(feature = "tokio")]
async fn write_last_uses(
    usage: UsageRecorder,
    interval: Duration,
    mut stopped: watch::Receiver<()>,
) {
    let others = usage.others();
    let end = async move {
        let dropped = stopped.changed().await.is_err();
        while dropped && others.are_left() {
            sleep(interval).await;
        }
    };
    if let Err(error) = usage.run(interval, end).await {
        error.log();
    }
}

/// Does what is due once a minute, and at once what must not wait, until it is stopped
/// or the manager is dropped by all others.
#[cfg(feature = "tokio")]
async fn do_what_is_due(
    manager: impl Fn() -> Option<TokenManager> + Send,
    urgent: Arc<Notify>,
    mut stopped: watch::Receiver<()>,
) {
    let mut minutes = interval(DUE_INTERVAL);
    minutes.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let work = async {
            let is_urgent = tokio::select! {
                () = urgent.notified() => true,
                _ = minutes.tick() => false,
            };
            let manager = manager()?;
            manager.lift_expiries().await;
            if !is_urgent && let Err(error) = manager.do_what_is_due().await {
                error.log();
            }
            Some(())
        };
        tokio::select! {
            biased;
            Ok(()) = stopped.changed() => return,
            done = work => if done.is_none() { return },
        }
    }
}

#[cfg(feature = "tokio")]
impl Drop for Shared {
    fn drop(&mut self) {
        if self.background.get_mut().is_ok_and(|background| background.is_some()) {
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

    /// How confirmation codes reach their user, unless a call says otherwise.
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
            background: Mutex::new(None),
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
