//! How a PostgreSQL database is reached.

use std::fmt;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use deadpool_postgres::{Connect, Manager, ManagerConfig, Pool, Runtime};
use tokio::task::JoinHandle;
use tokio_postgres::{Client, Config, Error};
use tokio_postgres_rustls::MakeRustlsConnect;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use tower_api_token::store::PostgresStore;

use super::OpenError;
use crate::certificates;
use crate::secret;
use crate::settings::{Settings, SettingsError};

/// How many connections requests and changes share, besides the feed's own.
const CONNECTIONS: usize = 16;

/// How long to wait for a connection.
const PATIENCE: Duration = Duration::from_secs(5);

/// Names the file with the password.
const PASSWORD: &str = "store-password-file";

/// A database, and how to connect to it. Clones are one.
#[derive(Clone)]
pub(crate) struct Database {
    config: Arc<Mutex<Config>>,
    password: Option<PathBuf>,
    tls: MakeRustlsConnect,
}

/// Shows nothing: the configuration may hold a password.
impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Database").finish_non_exhaustive()
    }
}

impl Database {
    pub(super) fn of(url: &str, settings: &Settings) -> Result<Self, SettingsError> {
        // The driver's own words may repeat a part of the address.
        let form = "a PostgreSQL store is postgres://USER@HOST:PORT/DATABASE";
        let bad = |_| SettingsError::bad("store", form);
        let mut config: Config = url.parse().map_err(bad)?;
        if let Some(path) = &settings.store_password_file {
            config.password(secret::password(PASSWORD, path)?.as_bytes());
        }
        config.application_name("tower-api-token");
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(PATIENCE);
        }
        let roots = roots(settings.store_ca_file.as_deref())?;
        let provider = Arc::new(ring::default_provider());
        let tls = ClientConfig::builder_with_provider(provider);
        let tls = tls
            .with_safe_default_protocol_versions()
            .map_err(|error| SettingsError::bad("store", error))?;
        let tls = tls.with_root_certificates(roots).with_no_client_auth();
        let (config, password) =
            (Arc::new(Mutex::new(config)), settings.store_password_file.clone());
        Ok(Self { config, password, tls: MakeRustlsConnect::new(tls) })
    }

    pub(super) fn store(&self) -> Result<PostgresStore, OpenError> {
        let manager = Manager::from_connect(self.config(), self.clone(), ManagerConfig::default());
        let pool = Pool::builder(manager).max_size(CONNECTIONS).runtime(Runtime::Tokio1);
        let patience = Some(PATIENCE);
        let pool = pool.wait_timeout(patience).create_timeout(patience).build();
        let pool = pool.map_err(|error| SettingsError::bad("store", error))?;
        let database = self.clone();
        let listening = move || database.config();
        Ok(PostgresStore::new(pool).listen_with_each(listening, self.tls.clone()))
    }

    /// How to connect now: with the password that its file holds, or held when
    /// it could last be used.
    fn config(&self) -> Config {
        let mut config = self.config.lock().unwrap_or_else(PoisonError::into_inner);
        // A pipe can be read once only.
        if let Some(path) = self.password.as_ref().filter(|path| path.is_file() || !path.exists()) {
            match secret::password(PASSWORD, path) {
                Ok(password) => {
                    config.password(password.as_bytes());
                }
                Err(error) => {
                    tracing::error!(%error, "the store's former password stays in use");
                }
            }
        }
        config.clone()
    }

    /// A connection of its own.
    pub(crate) async fn connect(&self) -> Result<Client, Error> {
        Ok(self.open().await?.0)
    }

    /// A connection, and the task that drives it.
    async fn open(&self) -> Result<(Client, JoinHandle<()>), Error> {
        let (client, connection) = self.config().connect(self.tls.clone()).await?;
        let task = tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::warn!(%error, "a connection to the database broke");
            }
        });
        Ok((client, task))
    }
}

impl Connect for Database {
    // The pool's own copy of the configuration holds the first password.
    fn connect(
        &self,
        _: &Config,
    ) -> Pin<Box<dyn Future<Output = Result<(Client, JoinHandle<()>), Error>> + Send + '_>> {
        Box::pin(self.open())
    }
}

/// The certificates that a server's own must lead to: those of the file, or
/// those that browsers trust.
pub(super) fn roots(file: Option<&Path>) -> Result<RootCertStore, SettingsError> {
    let Some(path) = file else {
        return Ok(RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() });
    };
    certificates::trusted("store-ca-file", path)
}
