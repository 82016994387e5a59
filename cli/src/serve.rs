//! The server: listeners, what answers on each, and an orderly end.

mod body;
mod clients;
mod connection;
mod connections;
mod endpoint;
pub(crate) mod guard;
mod health;
mod holder;
mod hosts;
mod inherited;
mod io;
mod listener;
mod messages;
mod operations;
mod portal;
pub(crate) mod progress;
mod readiness;
mod reload;
mod seldom;
mod service_manager;
mod stop;
mod tasks;
mod tls;
mod unix;

use std::io::Error as IoError;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout_at};
use tower_api_token::authenticate::Authenticator;
use tower_api_token::manage::Confirmation;
use tower_api_token::store::{AccountStore, CachedStore, StoreError, WithMetrics};
use tower_api_token::{ConfigError, Tokens};

pub(crate) use self::inherited::Inherited;
use self::listener::{HTTP, Listener};
use self::messages::{Hook, Messages};
use self::progress::Limits;
use self::readiness::Readiness;
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
         X-Gateway-Secret, or `client-ca-file`, by which the gateway's certificate is verified, or \
         say `access = \"network\"` where a NetworkPolicy, a mesh or a network of its own decides \
         who reaches it"
    )]
    Public { name: &'static str, address: ListenAddress },
    #[error("{name} cannot listen on {address}: {source}")]
    Bind { name: &'static str, address: ListenAddress, source: IoError },
    #[error(
        "the service manager hands over what is no socket to listen on (TCP, or a Unix socket of \
         streams): {0}"
    )]
    Inherited(#[source] IoError),
    #[error(
        "the service manager hands over a socket on {address}, which no `listen` names: whoever \
         connected to it would wait for good"
    )]
    NotTaken { address: ListenAddress },
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

/// What the start of listeners takes from: files that are read, and sockets that
/// were handed over.
struct Start {
    reloads: Reloads,
    inherited: Inherited,
}

/// What every listener shares.
pub(crate) struct Site {
    readiness: Arc<Readiness>,
    tokens: Tokens,
    authenticator: Authenticator,
}

impl Site {
    /// The manager behind the portal is there without one, too: it refuses to
    /// start where tokens that are in use could not be recognised.
    async fn open(
        settings: &Arc<Settings>,
        leaving: &Stop,
        reloads: &mut Reloads,
    ) -> Result<Self, Failure> {
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
            None if settings.portal.listener()?.is_some() && !settings.portal.show_codes => {
                return Err(ServeError::NoNotifier.into());
            }
            None => tokens.confirmation(Confirmation::ByCaller),
        };
        let tokens = tokens.build().await.map_err(|error| settings.tokens.not_started(error))?;
        let authenticator = tokens
            .authenticator()
            .sources(settings.requests.sources()?)
            .allow_preflight(settings.requests.allow_preflight);
        let readiness = Arc::new(Readiness::new(store, leaving));
        Ok(Self { readiness, tokens, authenticator })
    }
}

/// Serves until a signal comes or a part of it fails, and then ends in order;
/// at a second signal, at once.
pub(crate) async fn run(settings: &Arc<Settings>, inherited: Inherited) -> Result<(), Failure> {
    let mut signals = Signals::listen().map_err(ServeError::Signals)?;
    let reload = signals.reload();
    log::of_server(&settings.log).map_err(ServeError::Log)?;
    let mut server = tokio::select! {
        // A store that does not answer must not hold up the end.
        () = signals.end() => return Ok(()),
        started = Server::start(settings, reload, inherited) => started?,
    };
    service_manager::ready();
    let failure = tokio::select! {
        () = signals.end() => None,
        failure = server.failure() => Some(failure),
    };
    if let Some(failure) = &failure {
        tracing::error!(error = %failure, "a part of the server has failed, which ends it");
    }
    let Time(grace) = settings.shutdown_grace.unwrap_or(Time(GRACE));
    let Time(delay) = settings.shutdown_delay.unwrap_or(Time::ZERO);
    // What has failed already is no reason to wait.
    let delay = if failure.is_some() { Duration::ZERO } else { delay };
    let ended = tokio::select! {
        () = signals.end() => Err(ServeError::CutOff),
        ended = server.end(delay, grace) => ended,
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
    /// Sends nobody here any more, ends the public listeners, and then the rest.
    leaving: Stop,
    stop: Stop,
    ending: Stop,
}

impl Server {
    /// Binds every listener before it serves on any: a port that is taken must
    /// not leave half a server.
    async fn start(
        settings: &Arc<Settings>,
        reload: Arc<Notify>,
        inherited: Inherited,
    ) -> Result<Self, Failure> {
        let limit = connections::limit(settings.listeners()?);
        let metrics = operations::record()?;
        let mut start = Start { reloads: Reloads::default(), inherited };
        let (leaving, stop, ending) = (Stop::new(), Stop::new(), Stop::new());
        let site = Site::open(settings, &leaving, &mut start.reloads).await?;
        let public = endpoint::listeners(settings, &site, limit, &stop, &mut start).await?;
        if public.is_empty() {
            return Err(ServeError::Nothing.into());
        }
        let mut operations = Tasks::default();
        if let Some(config) = settings.operations.listener()? {
            let listener = Listener::bind(&config, HTTP, &mut start).await?;
            let answers = operations::Operations::new(metrics, Arc::clone(&site.readiness));
            let (answers, limits) = (operations::service(answers), Limits::of(settings));
            let served = listener.serve(answers, limits, limit, ending.clone());
            operations.spawn("operations", served);
        }
        start.inherited.all_taken()?;
        let until = ending.clone();
        operations.spawn("the task that reads files anew", async move {
            start.reloads.run(reload, until).await;
            Ok(())
        });
        let until = ending.clone();
        operations.spawn("the task that tells the watchdog", async move {
            service_manager::watchdog(until).await;
            Ok(())
        });
        site.tokens.start();
        Ok(Self { public, operations, tokens: site.tokens, leaving, stop, ending })
    }

    /// Waits until a part of it ends that should not.
    async fn failure(&mut self) -> ServeError {
        tokio::select! {
            failure = self.public.failure() => failure,
            failure = self.operations.failure() => failure,
        }
    }

    /// Ends in order: nobody is sent here any more, no new connections, running
    /// requests are answered, last uses are written, changes are told of.
    async fn end(&mut self, delay: Duration, grace: Duration) -> Result<(), ServeError> {
        service_manager::stopping();
        self.leaving.now();
        if !delay.is_zero() {
            tracing::info!(delay_s = delay.as_secs_f64(), "no longer ready, and still serving");
            sleep(delay).await;
        }
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
