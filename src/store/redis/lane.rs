//! One connection that many operations share.

use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{
    Client, Cmd, ErrorKind, Pipeline, RedisError, RedisResult, Script, ServerErrorKind, Value,
};

/// How long the server may take to answer, and to accept a connection.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);

/// A connection that is opened when it is needed, and again when it has broken
/// or become silent. Each answer goes to the operation that asked, whoever has
/// gone meanwhile.
pub(super) struct Lane {
    client: Client,
    current: RwLock<Numbered>,
}

#[derive(Clone)]
struct Numbered {
    number: u64,
    connection: ConnectionManager,
}

impl Lane {
    pub(super) fn new(client: Client) -> RedisResult<Self> {
        let connection = open(&client)?;
        Ok(Self { client, current: RwLock::new(Numbered { number: 0, connection }) })
    }

    pub(super) async fn command(&self, command: &Cmd) -> RedisResult<Value> {
        let Numbered { number, mut connection } = self.current();
        let answer = connection.send_packed_command(command).await;
        self.replace_if_silent(number, &answer);
        answer?.extract_error()
    }

    /// The answers to all commands, errors among them, which go to one and the
    /// same connection with nothing between.
    pub(super) async fn commands(&self, commands: &Pipeline) -> RedisResult<Vec<Value>> {
        let Numbered { number, mut connection } = self.current();
        let answers = connection.send_packed_commands(commands, 0, commands.len()).await;
        self.replace_if_silent(number, &answers);
        answers
    }

    /// Runs the script that `call` calls; a server that does not have it is
    /// given it.
    pub(super) async fn script(&self, script: &Script, call: &Cmd) -> RedisResult<Value> {
        match self.command(call).await {
            Err(error) if is_without_script(&error) => {
                self.load(script).await?;
                self.command(call).await
            }
            answer => answer,
        }
    }

    pub(super) async fn load(&self, script: &Script) -> RedisResult<()> {
        let Numbered { number, mut connection } = self.current();
        let loaded = script.load_async(&mut connection).await;
        self.replace_if_silent(number, &loaded);
        loaded.map(drop)
    }

    fn current(&self) -> Numbered {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The manager reconnects when a connection breaks, but a cut that neither
    /// end is told of it takes for slowness.
    fn replace_if_silent<T>(&self, number: u64, answer: &RedisResult<T>) {
        if !answer.as_ref().is_err_and(RedisError::is_timeout) {
            return;
        }
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        if current.number == number
            && let Ok(connection) = open(&self.client)
        {
            *current = Numbered { number: number + 1, connection };
        }
    }
}

pub(super) fn is_without_script(error: &RedisError) -> bool {
    error.kind() == ErrorKind::Server(ServerErrorKind::NoScript)
}

fn open(client: &Client) -> RedisResult<ConnectionManager> {
    let config = ConnectionManagerConfig::new()
        .set_number_of_retries(1)
        .set_min_delay(Duration::from_millis(10))
        .set_max_delay(Duration::from_millis(100))
        .set_connection_timeout(Some(PATIENCE))
        .set_response_timeout(Some(PATIENCE));
    ConnectionManager::new_lazy_with_config(client.clone(), config)
}
