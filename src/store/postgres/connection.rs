//! Connections of the pool, and parameters that the driver must not log.

use std::error::Error;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::time::Duration;

use bytes::BytesMut;
use deadpool_postgres::Client;
use tokio::runtime::Handle;
use tokio::time::timeout;
use tokio_postgres::types::{IsNull, ToSql, Type};

/// How long an answer that nobody waits for any more may take before its
/// connection is closed.
const TIMEOUT: Duration = Duration::from_secs(1);

/// A connection that goes back to its pool when all that was asked on it has
/// been answered. Where the caller has hung up before that, a task waits for
/// the answer, and closes a connection that brings none: the next caller would
/// wait in vain too, for as long as the operating system believes in it.
pub(super) struct PooledConnection(Option<Client>);

impl PooledConnection {
    pub(super) const fn new(client: Client) -> Self {
        Self(Some(client))
    }

    /// To be called when everything is answered.
    pub(super) fn release(mut self) {
        self.0 = None;
    }
}

impl Deref for PooledConnection {
    type Target = Client;

    fn deref(&self) -> &Client {
        self.0.as_ref().expect("the connection is there until it is released")
    }
}

impl DerefMut for PooledConnection {
    fn deref_mut(&mut self) -> &mut Client {
        self.0.as_mut().expect("the connection is there until it is released")
    }
}

impl Drop for PooledConnection {
    fn drop(&mut self) {
        if let (Some(client), Ok(runtime)) = (self.0.take(), Handle::try_current()) {
            runtime.spawn(release_when_answered(client));
        }
    }
}

/// What is asked now is answered after all that was asked before, the end of a
/// transaction that was broken off included.
async fn release_when_answered(client: Client) {
    let answer = timeout(TIMEOUT, client.simple_query("")).await;
    if !answer.is_ok_and(|answer| answer.is_ok()) {
        drop(Client::take(client));
    }
}

/// A parameter that holds digests. The driver writes every parameter's `Debug`
/// to its log at level `debug`; that of this one shows nothing.
pub(super) struct Hidden<T>(pub(super) T);

impl<T> fmt::Debug for Hidden<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(..)")
    }
}

impl<T: ToSql> ToSql for Hidden<T> {
    fn to_sql(
        &self,
        kind: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        self.0.to_sql(kind, out)
    }

    fn accepts(kind: &Type) -> bool {
        T::accepts(kind)
    }

    tokio_postgres::types::to_sql_checked!();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hidden_parameter_is_sent_and_not_shown() {
        let parameter: &dyn ToSql = &Hidden(&[0x5a_u8; 32][..]);
        let mut sent = BytesMut::new();
        parameter.to_sql_checked(&Type::BYTEA, &mut sent).unwrap();
        assert_eq!(sent[..], [0x5a; 32]);
        assert_eq!(format!("{parameter:?}"), "(..)");
    }
}
