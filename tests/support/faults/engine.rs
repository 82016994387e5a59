//! What the scenarios need to know of a kind of server.

use std::net::SocketAddr;

use tower_api_token::store::AccountStore;

/// A server that nodes share, and that a test can break.
pub(crate) trait Engine: Send + Sync + 'static {
    /// What a node keeps its accounts in.
    type Store: AccountStore;

    /// The test of this program that calls [`super::serve_if_told`] for this
    /// kind, by its whole name.
    const NODE_PROCESS: &str;

    /// Where the server listens.
    fn address(&self) -> SocketAddr;

    /// Tells another process which data it shall open, through `address`.
    fn describe(&self, address: SocketAddr) -> String;

    /// A store over the data of that description, ready.
    fn open(description: &str) -> impl Future<Output = Self::Store> + Send;

    /// Kills the server, as a crash would.
    fn kill(&self);

    /// Starts the server that was killed, and waits until it answers.
    fn start_again(&self);

    /// Stops the server's processes, or lets them go on.
    fn freeze(&self, freeze: bool);

    /// Breaks, from the server's end, every connection that waits for messages.
    fn end_listeners(&self) -> impl Future<Output = ()> + Send;
}
