//! What a large change leaves of everybody else's entries in another node's
//! cache.

use crate::neighbours;
use crate::redis_server::Server;

/// As many tokens that have ended as an account keeps, and as many as an
/// account of an earlier version may have.
#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_a_full_account_leaves_everybody_elses_entries() {
    for retired in [128, 500] {
        let deployment = Server::shared().deployment();
        let (here, there) = (deployment.store().await, deployment.store().await);
        neighbours::outlast_a_full_account(here, there, retired).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_leaves_everybody_elses_entries() {
    let deployment = Server::shared().deployment();
    let (here, there) = (deployment.store().await, deployment.store().await);
    neighbours::outlast_a_batch(here, there).await;
}
