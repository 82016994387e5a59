//! What a large change leaves of everybody else's entries in another node's
//! cache.

use crate::neighbours;
use crate::postgres::Server;

/// As many tokens that have ended as an account keeps, and as many as an
/// account of an earlier version may have, which fit into no message.
#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_a_full_account_leaves_everybody_elses_entries() {
    for retired in [128, 500] {
        let database = Server::shared().database().await;
        let (here, there) = (database.store().await, database.store().await);
        neighbours::outlast_a_full_account(here, there, retired).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_leaves_everybody_elses_entries() {
    let database = Server::shared().database().await;
    let (here, there) = (database.store().await, database.store().await);
    neighbours::outlast_a_batch(here, there).await;
}
