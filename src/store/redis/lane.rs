//! One connection that many operations share.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{Cmd, ErrorKind, Pipeline, RedisError, RedisResult, Script, ServerErrorKind, Value};

use super::route::Route;

/// How long the server may take to answer, and to accept a connection.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);

/// A connection that is opened when it is needed, and anew when it has broken or
/// become silent, or when the server has moved. Each answer goes to the
/// operation that asked, whoever has gone meanwhile.
pub(super) struct Lane {
    route: Arc<Route>,
    current: RwLock<Numbered>,
}

/// A connection by the way of that number.
#[derive(Clone)]
struct Numbered {
    number: u64,
    connection: ConnectionManager,
}

impl Lane {
    pub(super) fn new(route: Arc<Route>) -> RedisResult<Self> {
        let current = RwLock::new(open(&route)?);
        Ok(Self { route, current })
    }

    /// The answer to the command, which is asked again where the server has told
    /// that it has moved: such a server has done nothing.
    pub(super) async fn command(&self, command: &Cmd) -> RedisResult<Value> {
        let Numbered { number, mut connection } = self.current()?;
        let answer = connection.send_packed_command(command).await.and_then(Value::extract_error);
        match &answer {
            Err(error) if self.route.heed(number, error) => {}
            _ => return answer,
        }
        let Numbered { number, mut connection } = self.current()?;
        let answer = connection.send_packed_command(command).await.and_then(Value::extract_error);
        self.heed(number, &answer);
        answer
    }

    /// The answers to all commands, errors among them, which go to one and the
    /// same connection with nothing between.
    pub(super) async fn commands(&self, commands: &Pipeline) -> RedisResult<Vec<Value>> {
        let Numbered { number, mut connection } = self.current()?;
        let answers = connection.send_packed_commands(commands, 0, commands.len()).await;
        self.heed(number, &answers);
        for answer in answers.iter().flatten() {
            if let Value::ServerError(error) = answer {
                self.route.heed(number, &error.clone().into());
            }
        }
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
        let Numbered { number, mut connection } = self.current()?;
        let loaded = script.load_async(&mut connection).await;
        self.heed(number, &loaded);
        loaded.map(drop)
    }

    fn heed<T>(&self, number: u64, answer: &RedisResult<T>) {
        if let Err(error) = answer {
            self.route.heed(number, error);
        }
    }

    fn current(&self) -> RedisResult<Numbered> {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner).clone();
        if current.number == self.route.number() {
            return Ok(current);
        }
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        if current.number != self.route.number() {
            *current = open(&self.route)?;
        }
        Ok(current.clone())
    }
}

pub(super) fn is_without_script(error: &RedisError) -> bool {
    error.kind() == ErrorKind::Server(ServerErrorKind::NoScript)
}

fn open(route: &Route) -> RedisResult<Numbered> {
    let config = ConnectionManagerConfig::new()
        .set_number_of_retries(1)
        .set_min_delay(Duration::from_millis(10))
        .set_max_delay(Duration::from_millis(100))
        .set_connection_timeout(Some(PATIENCE))
        .set_response_timeout(Some(PATIENCE));
    let (number, client) = route.client();
    let connection = ConnectionManager::new_lazy_with_config(client, config)?;
    Ok(Numbered { number, connection })
}
