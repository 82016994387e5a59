//! Connections while the pool lends them.

use std::ops::{Deref, DerefMut};
use std::time::Duration;

use deadpool_postgres::Client;
use tokio::runtime::Handle;
use tokio::time::timeout;

/// How long an answer that nobody waits for any more may take before its
/// connection is closed.
const PATIENCE: Duration = Duration::from_secs(1);

/// A connection that goes back to its pool when all that was asked on it has
/// been answered. Where the caller has hung up before that, a task waits for
/// the answer, and closes a connection that brings none: the next caller would
/// wait in vain too, for as long as the operating system believes in it.
pub(super) struct Lent(Option<Client>);

impl Lent {
    pub(super) const fn new(client: Client) -> Self {
        Self(Some(client))
    }

    /// To be called when everything is answered.
    pub(super) fn give_back(mut self) {
        self.0 = None;
    }
}

impl Deref for Lent {
    type Target = Client;

    fn deref(&self) -> &Client {
        self.0.as_ref().expect("it is lent until it is given back")
    }
}

impl DerefMut for Lent {
    fn deref_mut(&mut self) -> &mut Client {
        self.0.as_mut().expect("it is lent until it is given back")
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let (Some(client), Ok(runtime)) = (self.0.take(), Handle::try_current()) {
            runtime.spawn(settle(client));
        }
    }
}

/// What is asked now is answered after all that was asked before, the end of a
/// transaction that was broken off included.
async fn settle(client: Client) {
    let settled = timeout(PATIENCE, client.simple_query("")).await;
    if !settled.is_ok_and(|answer| answer.is_ok()) {
        drop(Client::take(client));
    }
}
