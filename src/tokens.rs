//! One configuration for both sides: the requests that carry tokens, and the
//! people and programs that manage them.

#[cfg(feature = "tokio")]
mod background;
#[cfg(all(feature = "metrics", feature = "tokio"))]
mod count;

#[cfg(feature = "tokio")]
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
#[cfg(feature = "tokio")]
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

#[cfg(feature = "tokio")]
use tokio::sync::watch;
#[cfg(feature = "tokio")]
use tokio::task::JoinHandle;

#[cfg(feature = "tokio")]
use self::background::{do_what_is_due, holder, write_last_uses};
#[cfg(feature = "tokio")]
use crate::ConfigError;
use crate::audit::EventSink;
use crate::authenticate::Authenticator;
#[cfg(feature = "tokio")]
use crate::delivery::{Notices, Options, Receiver, Worker};
#[cfg(feature = "tokio")]
use crate::manage::NOTICES;
use crate::manage::{Confirmation, ManageError, TokenManager, TokenManagerBuilder};
use crate::middleware::TokenAuthLayer;
use crate::notify::Notifier;
use crate::rotation::Policy;
use crate::sealing::Sealer;
#[cfg(feature = "tokio")]
use crate::store::AuditCursor;
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
    delivery: Delivery,
    #[cfg(feature = "tokio")]
    background: Mutex<Option<Background>>,
}

/// What is delivered, and to whom.
#[cfg(feature = "tokio")]
struct Delivery {
    store: Arc<dyn AccountStore>,
    receivers: Vec<(String, Arc<dyn Receiver>)>,
    options: Options,
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
            #[cfg(feature = "tokio")]
            receivers: Vec::new(),
            #[cfg(feature = "tokio")]
            delivery: Options::default(),
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
        self.shared.usage.flush().await?;
        self.shared.manager.lift_expiries().await;
        Ok(())
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
    /// * With the feature `metrics` users are counted whose tokens end soon or who have a
    ///   backup: every ten minutes, over the whole list, with a pause after each page.
    /// * Where the store keeps an audit log, notices are delivered from it to the
    ///   notifier, and what they want to the [receivers](TokensBuilder::deliver_to): at
    ///   least once, also across the end of this process. This alone ends when every
    ///   clone of this value is dropped.
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
        if let Some(before) = background.take() {
            // What is left of it ends in its own time.
            let _ = before.stop.send(());
        }
        let Shared { manager, usage, interval, .. } = &*self.shared;
        let (stop, stopped) = watch::channel(());
        let due = do_what_is_due(manager.downgrade(), usage.urgent_noted(), stopped.clone());
        let uses = write_last_uses(usage.clone(), *interval, stopped.clone());
        let mut tasks = vec![tokio::spawn(uses), tokio::spawn(due)];
        #[cfg(feature = "metrics")]
        tasks.push(tokio::spawn(count::count_users(manager.downgrade(), stopped.clone())));
        tasks.extend(self.workers().map(|worker| tokio::spawn(worker.run(stopped.clone()))));
        *background = Some(Background { stop, tasks });
    }

    /// What delivers to each receiver, users among them.
    fn workers(&self) -> impl Iterator<Item = Worker> {
        let Delivery { store, receivers, options } = &self.shared.delivery;
        let notices = store.audit_log().and_then(|_| self.shared.manager.notices());
        let notices = notices.map(|(notifier, are_delivered)| {
            let receiver: Arc<dyn Receiver> = Arc::new(Notices(notifier));
            (NOTICES.to_owned(), receiver, are_delivered)
        });
        let others = receivers.iter().cloned();
        let others = others.map(|(name, receiver)| (name, receiver, Arc::default()));
        let holder = holder();
        notices.into_iter().chain(others).map(move |(name, receiver, has_begun)| Worker {
            store: Arc::clone(store),
            name,
            receiver,
            holder,
            options: *options,
            has_begun,
        })
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
    #[cfg(feature = "tokio")]
    receivers: Vec<(String, Arc<dyn Receiver>)>,
    #[cfg(feature = "tokio")]
    delivery: Options,
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

    /// Who is told of what happens to accounts, from the store's audit log, once
    /// `start` was called; see [`delivery`](crate::delivery). `name` is that of the
    /// receiver's cursor in the store: the same on every node and after every start.
    /// Several add up.
    #[cfg(feature = "tokio")]
    pub fn deliver_to(mut self, name: &str, receiver: impl Receiver) -> Self {
        self.receivers.push((name.to_owned(), Arc::new(receiver)));
        self
    }

    /// How long the lease of a receiver lasts, by which one node at a time delivers to
    /// it, and how often the log is looked at. Default: 15 seconds and 1 second.
    #[cfg(feature = "tokio")]
    pub fn delivery_times(mut self, lease: Duration, poll: Duration) -> Self {
        self.delivery = Options { lease, poll };
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
        #[cfg(feature = "tokio")]
        check_receivers(&*self.store, &self.receivers)?;
        let Self { manager, store, scheme, policy, events, clock, .. } = self;
        let usage = UsageRecorder::with(Arc::clone(&store), Arc::clone(&clock), events.clone());
        let interval = policy.usage_interval;
        usage.expect_flush_within(interval.saturating_mul(2).max(FIRST_FLUSH));
        let manager = manager.scheme(scheme.clone()).policy(policy).events(events);
        let manager = manager.usage(usage.clone()).build().await?;
        let shared = Shared {
            manager,
            #[cfg(feature = "tokio")]
            delivery: Delivery {
                store: Arc::clone(&store),
                receivers: self.receivers,
                options: self.delivery,
            },
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

#[cfg(feature = "tokio")]
fn check_receivers(
    store: &dyn AccountStore,
    receivers: &[(String, Arc<dyn Receiver>)],
) -> Result<(), ConfigError> {
    let names: BTreeSet<_> = receivers.iter().map(|(name, _)| name.as_str()).collect();
    let lengths = 1..=AuditCursor::NAME_LENGTH;
    let are_names = names.iter().all(|name| lengths.contains(&name.len()) && *name != NOTICES);
    if names.len() < receivers.len() || !are_names {
        Err(ConfigError::ReceiverName)
    } else if !receivers.is_empty() && store.audit_log().is_none() {
        Err(ConfigError::NoAuditLog)
    } else {
        Ok(())
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
