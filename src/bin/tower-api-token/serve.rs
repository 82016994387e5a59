//! The server: listeners, what answers on each, and an orderly end.

mod door;
mod endpoint;
mod io;
mod listener;
mod log;
mod operations;
mod portal;
mod stop;
mod tls;
mod unread;

use std::io::Error as IoError;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tower_api_token::denial::RealmError;
use tower_api_token::manage::Confirmation;
use tower_api_token::store::{AccountStore, CacheError, CachedStore, StoreError, WithMetrics};
use tower_api_token::token::TokenScheme;
use tower_api_token::usage::UsageRecorder;
use tower_api_token::{TokenManager, authenticate::Authenticator};

use self::listener::Listener;
use self::stop::{Signals, Stop};
use crate::failure::Failure;
use crate::settings::{ListenAddress, Settings, Time};
use crate::store::{Opened, SERVER_PATIENCE};

/// How long requests that run may take when the server stops, unless the
/// settings say otherwise.
const GRACE: Duration = Duration::from_secs(10);

/// How often last uses are written, unless the policy says otherwise.
const USAGE_INTERVAL: Duration = Duration::from_secs(10);

/// Why the server does not start, or has not ended well.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServeError {
    #[error("there is nothing to serve: say --listen or --ext-authz, or set `portal.listen`")]
    Nothing,
    #[error(
        "{name} would listen on {address}, where others could try tokens: listen on a loopback \
         address or unix:PATH, or give it `secret-file`, whose content the gateway sends as \
         X-Gateway-Secret"
    )]
    Public { name: &'static str, address: ListenAddress },
    #[error("the shared secret in {} is shorter than {} bytes", .path.display(), door::SHORTEST)]
    ShortSecret { path: PathBuf },
    #[error("{name} cannot listen on {address}: {source}")]
    Bind { name: &'static str, address: ListenAddress, source: IoError },
    #[error("the certificate or key in {} cannot be used: {problem}", .path.display())]
    Tls { path: PathBuf, problem: String },
    #[error("requests.realm: {0}")]
    Realm(#[from] RealmError),
    #[error(
        "the portal has nobody to send confirmation codes: set `notify.smtp`, or \
         `portal.show-codes = true` to show each code to whoever generates the token"
    )]
    NoNotifier,
    #[error("cache: {0}")]
    Cache(#[from] CacheError),
    #[error("log.filter: {0}")]
    Log(String),
    #[error("the metrics cannot be collected: {0}")]
    Metrics(String),
    #[error("no signal can be waited for: {0}")]
    Signals(#[source] IoError),
    #[error("the last uses could not be written")]
    LastFlush(#[source] StoreError),
}

/// What every listener shares.
pub(crate) struct Site {
    store: Arc<dyn AccountStore>,
    usage: UsageRecorder,
    authenticator: Authenticator,
    manager: TokenManager,
}

impl Site {
    async fn open(settings: &Settings) -> Result<Self, Failure> {
        let scheme = settings.tokens.scheme()?;
        let behind = Opened::open(settings).await?.accounts(settings, SERVER_PATIENCE);
        let behind = WithMetrics::new(behind);
        let store: Arc<dyn AccountStore> = match settings.cache.options() {
            Some(options) => {
                Arc::new(CachedStore::start(behind, options).map_err(ServeError::Cache)?)
            }
            None => Arc::new(behind),
        };
        let usage = UsageRecorder::new(Arc::clone(&store));
        let manager = manager(settings, &store, &scheme, &usage).await?;
        let authenticator = Authenticator::new(Arc::clone(&store))
            .scheme(scheme)
            .sources(settings.requests.sources()?)
            .usage(usage.clone());
        Ok(Self { store, usage, authenticator, manager })
    }
}

/// The manager behind the portal. It is built without one, too: it refuses to
/// start where tokens that are in use could not be recognised.
async fn manager(
    settings: &Settings,
    store: &Arc<dyn AccountStore>,
    scheme: &TokenScheme,
    usage: &UsageRecorder,
) -> Result<TokenManager, Failure> {
    let manager = TokenManager::builder(Arc::clone(store)).scheme(scheme.clone());
    let manager = manager.policy(settings.policy.policy()?).usage(usage.clone());
    let manager = match settings.notify.messenger()? {
        Some(notifier) => manager.notifier(notifier),
        None if settings.portal.listen.is_some() && !settings.portal.show_codes => {
            return Err(ServeError::NoNotifier.into());
        }
        None => manager.confirmation(Confirmation::ByCaller),
    };
    Ok(manager.build().await?)
}

/// Serves until a signal comes, and then ends in order.
pub(crate) async fn run(settings: &Settings) -> Result<(), Failure> {
    let mut signals = Signals::listen().map_err(ServeError::Signals)?;
    log::start(&settings.log)?;
    let metrics = operations::record()?;
    let site = Site::open(settings).await?;
    let (stop, ending) = (Stop::new(), Stop::new());
    // Bound before anything is served: a port that is taken must not leave half
    // a server.
    let mut public = endpoint::listeners(settings, &site, &stop).await?;
    if public.is_empty() {
        return Err(ServeError::Nothing.into());
    }
    let mut others = JoinSet::new();
    if let Some(address) = &settings.operations.listen {
        let listener = Listener::bind("operations", address, None).await?;
        let operations = operations::Operations::new(metrics, Arc::clone(&site.store), &stop);
        others.spawn(listener.serve(operations::service(operations), ending.clone()));
    }
    let interval = settings.policy.usage_interval.map_or(USAGE_INTERVAL, |Time(time)| time);
    let flushed = ending.clone();
    let flusher = tokio::spawn(site.usage.run(interval, async move { flushed.wait().await }));
    signals.wait().await;
    let grace = settings.shutdown_grace.map_or(GRACE, |Time(time)| time);
    tracing::info!(grace_s = grace.as_secs_f64(), "stopping");
    stop.now();
    if tokio::time::timeout(grace, async { while public.join_next().await.is_some() {} })
        .await
        .is_err()
    {
        tracing::warn!("requests were cut off that took longer than the grace period");
    }
    if tokio::time::timeout(grace, site.manager.idle()).await.is_err() {
        tracing::warn!("changes were not told of that took longer than the grace period");
    }
    ending.now();
    drop(tokio::time::timeout(grace, async { while others.join_next().await.is_some() {} }).await);
    if let Ok(flushed) = flusher.await {
        flushed.map_err(ServeError::LastFlush)?;
    }
    tracing::info!("stopped");
    Ok(())
}
