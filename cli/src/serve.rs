//! The server: listeners, what answers on each, and an orderly end.

mod body;
mod connection;
mod connections;
mod endpoint;
mod guard;
mod holder;
mod hosts;
mod io;
mod listener;
mod messages;
mod operations;
mod portal;
pub(crate) mod progress;
mod reload;
mod stop;
mod tasks;
mod tls;
mod unix;

use std::io::Error as IoError;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};
use tower_api_token::authenticate::Authenticator;
use tower_api_token::manage::Confirmation;
use tower_api_token::store::{AccountStore, CachedStore, StoreError, WithMetrics};
use tower_api_token::{ConfigError, Tokens};

use self::listener::Listener;
use self::messages::{Hook, Messages};
use self::progress::Limits;
use self::reload::Reloads;
use self::stop::{Signals, Stop};
use self::tasks::Tasks;
use crate::audit_file;
use crate::failure::Failure;
use crate::log;
use crate::settings::{ListenAddress, Settings, Time};
use crate::store::{Opened, SERVER_PATIENCE};

/// How long requests that run may take when the server stops, unless the
/// settings say otherwise.
pub(crate) const GRACE: Duration = Duration::from_secs(10);

/// The name by which the store knows how far the webhook has come.
const WEBHOOK: &str = "webhook";

/// How long what is done in no time may take where the grace is over.
const MOMENT: Duration = Duration::from_millis(100);

/// Why the server does not start, or has not ended well.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServeError {
    #[error(
        "there is nothing to serve: say --listen or --ext-authz, or set `portal.listen` or \
         `holder.listen`"
    )]
    Nothing,
    #[error(
        "{name} would listen on {address}, where others could try tokens: listen on a loopback \
         address or unix:PATH, or give it `secret-file`, whose content the gateway sends as \
         X-Gateway-Secret"
    )]
    Public { name: &'static str, address: ListenAddress },
    #[error("{name} cannot listen on {address}: {source}")]
    Bind { name: &'static str, address: ListenAddress, source: IoError },
    #[error("{setting}: the file {} cannot be used: {problem}", .path.display())]
    Tls { setting: &'static str, path: PathBuf, problem: String },
    #[error("requests.realm: {0}")]
    Realm(#[source] ConfigError),
    #[error(
        "the portal has nobody to send confirmation codes: set `notify.smtp`, or \
         `portal.show-codes = true` to show each code to whoever generates the token"
    )]
    NoNotifier,
    #[error("cache: {0}")]
    Cache(#[source] ConfigError),
    #[error("log.filter: {0}")]
    Log(String),
    #[error("the metrics cannot be collected: {0}")]
    Metrics(String),
    #[error("no signal can be waited for: {0}")]
    Signals(#[source] IoError),
    #[error("the last uses could not be written")]
    LastFlush(#[source] StoreError),
    #[error("{name} listens no more: {source}")]
    Listener { name: &'static str, source: IoError },
    #[error("{name} has ended, although it should run until the server stops")]
    Ended { name: &'static str },
    #[error("{name} broke by a fault of this program; the panic above says where")]
    Broken { name: &'static str },
    #[error("a second signal came: requests were cut off, and last uses may not be written")]
    CutOff,
}

/// What every listener shares.
pub(crate) struct Site {
    store: Arc<dyn AccountStore>,
    tokens: Tokens,
    authenticator: Authenticator,
}

impl Site {
    /// The manager behind the portal is there without one, too: it refuses to
    /// start where tokens that are in use could not be recognised.
    async fn open(settings: &Arc<Settings>, reloads: &mut Reloads) -> Result<Self, Failure> {
        let scheme = settings.tokens.scheme()?;
        let behind = Opened::open(settings).await?.accounts(settings, SERVER_PATIENCE);
        let behind = WithMetrics::new(behind);
        let store: Arc<dyn AccountStore> = match settings.cache.options() {
            Some(options) => {
                Arc::new(CachedStore::start(behind, options).map_err(ServeError::Cache)?)
            }
            None => Arc::new(behind),
        };
        let tokens = Tokens::builder(Arc::clone(&store))
            .scheme(scheme)
            .policy(settings.policy.policy()?)
            .events(audit_file::events(settings)?);
        let tokens = match Hook::of(settings, reloads)? {
            Some(hook) => tokens.deliver_to(WEBHOOK, hook),
            None => tokens,
        };
        let tokens = match Messages::of(settings, reloads)? {
            Some(notifier) => tokens.notifier(notifier),
            None if settings.portal.listen.is_some() && !settings.portal.show_codes => {
                return Err(ServeError::NoNotifier.into());
            }
            None => tokens.confirmation(Confirmation::ByCaller),
        };
        let tokens = tokens.build().await.map_err(|error| settings.tokens.not_started(error))?;
        let authenticator = tokens
            .authenticator()
            .sources(settings.requests.sources()?)
            .allow_preflight(settings.requests.allow_preflight);
        Ok(Self { store, tokens, authenticator })
    }
}

/// Serves until a signal comes or a part of it fails, and then ends in order;
/// at a second signal, at once.
pub(crate) async fn run(settings: &Arc<Settings>) -> Result<(), Failure> {
    let mut signals = Signals::listen().map_err(ServeError::Signals)?;
    let reload = signals.reload();
    log::of_server(&settings.log).map_err(ServeError::Log)?;
    let mut server = tokio::select! {
        // A store that does not answer must not hold up the end.
        () = signals.end() => return Ok(()),
        started = Server::start(settings, reload) => started?,
    };
    let failure = tokio::select! {
        () = signals.end() => None,
        failure = server.failure() => Some(failure),
    };
    if let Some(failure) = &failure {
        tracing::error!(error = %failure, "a part of the server has failed, which ends it");
    }
    let grace = settings.shutdown_grace.map_or(GRACE, |Time(time)| time);
    let ended = tokio::select! {
        () = signals.end() => Err(ServeError::CutOff),
        ended = server.end(grace) => ended,
    };
    failure.map_or(Ok(()), Err).and(ended)?;
    Ok(())
}

/// A server that runs.
struct Server {
    /// The listeners that others ask.
    public: Tasks,
    /// What operators ask, and what reads files anew.
    operations: Tasks,
    tokens: Tokens,
    /// Ends the public listeners, and then the rest.
    stop: Stop,
    ending: Stop,
}

impl Server {
    /// Binds every listener before it serves on any: a port that is taken must
    /// not leave half a server.
    async fn start(settings: &Arc<Settings>, reload: Arc<Notify>) -> Result<Self, Failure> {
        let limit = connections::limit(settings.listeners());
        let metrics = operations::record()?;
        let mut reloads = Reloads::default();
        let site = Site::open(settings, &mut reloads).await?;
        let (stop, ending) = (Stop::new(), Stop::new());
        let public = endpoint::listeners(settings, &site, limit, &stop, &mut reloads).await?;
        if public.is_empty() {
            return Err(ServeError::Nothing.into());
        }
        let mut operations = Tasks::default();
        if let Some(address) = &settings.operations.listen {
            let listener = Listener::bind("operations", address, None).await?;
            let answers = operations::Operations::new(metrics, Arc::clone(&site.store), &stop);
            let (answers, limits) = (operations::service(answers), Limits::of(settings));
            let served = listener.serve(answers, limits, limit, ending.clone());
            operations.spawn("operations", served);
        }
        let until = ending.clone();
        operations.spawn("the task that reads files anew", async move {
            reloads.run(reload, until).await;
            Ok(())
        });
        site.tokens.start();
        Ok(Self { public, operations, tokens: site.tokens, stop, ending })
    }

    /// Waits until a part of it ends that should not.
    async fn failure(&mut self) -> ServeError {
        tokio::select! {
            failure = self.public.failure() => failure,
            failure = self.operations.failure() => failure,
        }
    }

    /// Ends in order: no new connections, running requests are answered, last uses
    /// are written, changes are told of.
    async fn end(&mut self, grace: Duration) -> Result<(), ServeError> {
        tracing::info!(grace_s = grace.as_secs_f64(), "stopping");
        // Whoever comes later has what is left of it.
        let deadline = Instant::now() + grace;
        self.stop.now();
        let public = timeout_at(deadline, self.public.ended()).await.unwrap_or_else(|_| {
            tracing::warn!("requests were cut off that took longer than the grace period");
            Ok(())
        });
        // The store has its own limit.
        let written = self.tokens.flush().await.map_err(ServeError::LastFlush);
        let closing = deadline.max(Instant::now() + MOMENT);
        if timeout_at(closing, self.tokens.close()).await.is_err() {
            tracing::warn!("changes were not told of that took longer than the grace period");
        }
        self.ending.now();
        // An operator who is still answered is cut off.
        let operations = timeout_at(deadline, self.operations.ended()).await.unwrap_or(Ok(()));
        tracing::info!("stopped");
        public.and(operations).and(written)
    }
}
