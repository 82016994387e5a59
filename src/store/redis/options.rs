//! Opening a store, and what a server must be like.

use std::fmt;
use std::time::Duration;

use redis::{Client, RedisError, Value};

use super::connection::{Replication, Server, text};
use super::deployment::Keys;
use super::{RedisStore, error};
use crate::store::StoreErrorKind;
use crate::store::server::LazyListener;

/// How to open a [`RedisStore`].
#[must_use = "nothing is opened until `open` is called"]
pub struct RedisOptions {
    client: Client,
    others: Vec<Client>,
    deployment: String,
    replicas: Option<u32>,
    accept_data_loss: bool,
}

/// Without the client, which may hold a password.
impl fmt::Debug for RedisOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut options = f.debug_struct("RedisOptions");
        options.field("deployment", &self.deployment).field("replicas", &self.replicas);
        options.field("accept_data_loss", &self.accept_data_loss).finish_non_exhaustive()
    }
}

impl RedisOptions {
    /// Opens the server that the client leads to. How it is reached, with TLS or
    /// without, is the client's business.
    pub fn new(client: Client) -> Self {
        let deployment = "main".to_owned();
        let others = Vec::new();
        Self { client, others, deployment, replicas: None, accept_data_loss: false }
    }

    /// Adds another server that may come to serve the deployment: a replica that
    /// a failover makes the primary, or another node of the same cluster.
    /// Default: none; the client's own address must always lead to the primary.
    ///
    /// The servers are asked in turn, by new connections, when the one in use
    /// cannot be reached, is silent, or says that it is no primary. Where a node
    /// of a cluster says which one serves the deployment, that one is asked.
    ///
    /// ```
    /// # fn example(client: redis::Client, other: redis::Client) {
    /// use tower_api_token::store::RedisOptions;
    ///
    /// let options = RedisOptions::new(client).or_else(other);
    /// # }
    /// ```
    pub fn or_else(mut self, client: Client) -> Self {
        self.others.push(client);
        self
    }

    /// The name of the deployment, where a server holds more than one: 1 to 64
    /// letters and digits of ASCII, `-` and `_`. Default: `main`.
    ///
    /// ```
    /// # fn example(client: redis::Client) {
    /// use tower_api_token::store::RedisOptions;
    ///
    /// let options = RedisOptions::new(client).deployment("staging");
    /// # }
    /// ```
    pub fn deployment(mut self, name: impl Into<String>) -> Self {
        self.deployment = name.into();
        self
    }

    /// How many replicas must have a change before it is acknowledged. Default:
    /// one if the server has any when it is opened, else none. Say it where the
    /// replicas may be away at that moment.
    ///
    /// ```
    /// # fn example(client: redis::Client) {
    /// use tower_api_token::store::RedisOptions;
    ///
    /// let options = RedisOptions::new(client).replicas(2);
    /// # }
    /// ```
    pub const fn replicas(mut self, count: u32) -> Self {
        self.replicas = Some(count);
        self
    }

    /// Opens a server that may lose acknowledged changes in a crash, or throw
    /// accounts away: tokens that were revoked may work again, and live ones
    /// may be gone. Default: off, such a server is refused.
    ///
    /// ```
    /// # fn example(client: redis::Client) {
    /// use tower_api_token::store::RedisOptions;
    ///
    /// let for_tests = RedisOptions::new(client).dangerous_accept_data_loss(true);
    /// # }
    /// ```
    pub const fn dangerous_accept_data_loss(mut self, accept: bool) -> Self {
        self.accept_data_loss = accept;
        self
    }

    /// Opens the store, and looks at how the server is configured.
    ///
    /// # Errors
    ///
    /// [`RedisOpenError`] says what the server would have to be like.
    pub async fn open(self) -> Result<RedisStore, RedisOpenError> {
        if !is_name(&self.deployment) {
            return Err(RedisOpenError::DeploymentName);
        }
        let servers = [vec![self.client], self.others].concat();
        let mut server = Server::new(servers, Keys::of(&self.deployment))?;
        let info = find_primary(&server).await?;
        if !self.accept_data_loss {
            keeps_what_it_is_given(&server).await?;
        }
        server.replicate(info.replication(self.replicas));
        Ok(RedisStore { server: server.into(), listener: LazyListener::default() })
    }
}

fn is_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    (1..=64).contains(&name.len()) && name.bytes().all(allowed)
}

/// Asks the servers in turn for one that is a primary.
async fn find_primary(server: &Server) -> Result<Information, RedisOpenError> {
    for _ in 1..server.failover.servers() {
        let generation = server.failover.generation();
        match Information::of(server).await {
            Err(RedisOpenError::Replica | RedisOpenError::Unreachable(_)) => {
                server.failover.switch(generation, Duration::ZERO);
            }
            info => return info,
        }
    }
    Information::of(server).await
}

/// What the server says of itself.
struct Information {
    version: (u32, u32),
    replicas: u32,
}

impl Information {
    async fn of(server: &Server) -> Result<Self, RedisOpenError> {
        // In a cluster the answer, or the lack of it, tells where the primary is.
        server.reading.command(redis::cmd("GET").arg(&server.keys.marker)).await?;
        let answer = server.reading.command(&redis::cmd("INFO")).await?;
        let answer = match &answer {
            Value::VerbatimString { text, .. } => text,
            value => text(value).unwrap_or_default(),
        };
        let field =
            |name| answer.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        if field("role") != Some("master") {
            return Err(RedisOpenError::Replica);
        }
        let version = field("redis_version").unwrap_or_default();
        let mut numbers = version.split('.').map_while(|number| number.parse().ok());
        let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
        if version < (7, 0) {
            return Err(RedisOpenError::Version);
        }
        let replicas = field("connected_slaves").and_then(|count| count.parse().ok());
        Ok(Self { version, replicas: replicas.unwrap_or(0) })
    }

    fn replication(&self, wanted: Option<u32>) -> Replication {
        match wanted.unwrap_or(self.replicas.min(1)) {
            0 => Replication::None,
            enough if self.version >= (7, 2) => Replication::Written(enough),
            enough => Replication::Received(enough),
        }
    }
}

/// The settings without which an acknowledged change can be lost.
const SETTINGS: [(&str, &str); 3] =
    [("appendonly", "yes"), ("appendfsync", "always"), ("maxmemory-policy", "noeviction")];

async fn keeps_what_it_is_given(server: &Server) -> Result<(), RedisOpenError> {
    for (setting, needed) in SETTINGS {
        let mut ask = redis::cmd("CONFIG");
        let answer = server.reading.command(ask.arg("GET").arg(setting)).await;
        let answer = answer.map_err(RedisOpenError::SettingsUnknown)?;
        let found = match &answer {
            Value::Array(pair) => pair.get(1).and_then(text),
            Value::Map(pairs) => pairs.first().and_then(|(_, value)| text(value)),
            _ => None,
        };
        if found != Some(needed) {
            let found = found.unwrap_or_default().to_owned();
            return Err(RedisOpenError::Setting { setting, needed, found });
        }
    }
    Ok(())
}

impl RedisOpenError {
    /// What kind of failure of a store it is; `None` if it is an option that is
    /// wrong.
    #[must_use]
    pub fn kind(&self) -> Option<StoreErrorKind> {
        match self {
            Self::DeploymentName => None,
            Self::Unreachable(error) => Some(error::kind(error)),
            // Another may be the primary soon.
            Self::Replica => Some(StoreErrorKind::Unavailable),
            Self::Version | Self::SettingsUnknown(_) | Self::Setting { .. } => {
                Some(StoreErrorKind::Refused)
            }
        }
    }
}

/// Why a [`RedisStore`] was not opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RedisOpenError {
    /// The deployment's name is not 1 to 64 letters and digits of ASCII, `-` and
    /// `_`.
    #[error("a deployment's name must be 1 to 64 of the characters A-Z a-z 0-9 - _")]
    DeploymentName,
    /// The server cannot be reached, or refuses to talk.
    #[error("the server cannot be reached, or refuses")]
    Unreachable(#[from] RedisError),
    /// The server is a replica, which can be behind.
    #[error("the server must be a primary, not a replica")]
    Replica,
    /// The server is older than 7.0, which has sharded channels.
    #[error("the server must be Redis 7.0 or later")]
    Version,
    /// The server does not tell how it is configured.
    #[error(
        "the server refuses `CONFIG GET`, so nobody knows whether it keeps what it is given; \
         say `dangerous_accept_data_loss` if you do"
    )]
    SettingsUnknown(#[source] RedisError),
    /// The server is configured to lose data.
    #[error("the server must have `{setting} {needed}`, and has `{setting} {found}`")]
    Setting {
        /// The setting's name.
        setting: &'static str,
        /// What it must be.
        needed: &'static str,
        /// What it is.
        found: String,
    },
}
