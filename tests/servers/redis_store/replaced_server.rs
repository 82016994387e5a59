//! A server that holds another state than it did, under a node that remembers a
//! live token of the one before.

use redis::AsyncCommands;
use tower_api_token::store::{AccountStore, RedisStore};

use crate::redis_server::{DURABLE, Deployment, Server, client_of};
use crate::replaced::{Answer, Node};
use crate::sample::{account, change, digest};
use crate::server::run;

const OLD: u64 = 1;
const NEW: u64 = 2;

async fn with_old_token(deployment: &Deployment) -> RedisStore {
    let store = deployment.store().await;
    store.replace(change(account("alice", 1, OLD))).await.unwrap();
    store
}

/// Alice has the new token instead of the old one after this.
async fn replace_token(store: &RedisStore) {
    let end = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while store.replace(change(account("alice", 2, NEW))).await.is_err() {
        assert!(std::time::Instant::now() < end);
    }
}

/// Copies all that the server has into its second database.
async fn copy(server: &Server) {
    let mut connection = server.client().get_multiplexed_async_connection().await.unwrap();
    let keys: Vec<Vec<u8>> = connection.keys("*").await.unwrap();
    for key in keys {
        let copy = redis::cmd("COPY").arg(&key).arg(&key).arg("DB").arg(1).to_owned();
        copy.exec_async(&mut connection).await.unwrap();
    }
}

/// No connection is lost, and no message is sent.
#[tokio::test(flavor = "multi_thread")]
async fn an_older_database_that_is_swapped_in_is_answered_by() {
    let server = Server::start(&DURABLE);
    let store = with_old_token(&server.deployment()).await;
    copy(&server).await;
    replace_token(&store).await;
    let node = Node::that_knows(store, &digest(NEW)).await;
    server.tell("SWAPDB 0 1");
    node.comes_to_say(&digest(NEW), Answer::Refused).await;
    node.comes_to_say(&digest(OLD), Answer::Accepted).await;
    server.tell("SWAPDB 0 2");
    node.comes_to_say(&digest(OLD), Answer::Unavailable).await;
    server.tell("SWAPDB 0 1");
    node.comes_to_say(&digest(NEW), Answer::Accepted).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_flushed_is_unavailable() {
    for flush in ["FLUSHALL", "FLUSHDB", "FLUSHALL ASYNC"] {
        let server = Server::start(&DURABLE);
        let node = Node::that_knows(with_old_token(&server.deployment()).await, &digest(OLD)).await;
        server.tell(flush);
        node.comes_to_say(&digest(OLD), Answer::Unavailable).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_starts_again_with_an_older_file_is_answered_by() {
    let server = Server::start(&DURABLE);
    let store = with_old_token(&server.deployment()).await;
    let directory = server.directory();
    let copy = |from: &str, to: &str| {
        run(std::process::Command::new("rm").arg("-rf").arg(directory.join(to)));
        let mut copy = std::process::Command::new("cp");
        run(copy.arg("-a").arg(directory.join(from)).arg(directory.join(to)));
    };
    server.kill();
    copy("appendonlydir", "older");
    server.start_again();
    replace_token(&store).await;
    let node = Node::that_knows(store, &digest(NEW)).await;
    server.kill();
    copy("older", "appendonlydir");
    server.start_again();
    node.comes_to_say(&digest(NEW), Answer::Refused).await;
    node.comes_to_say(&digest(OLD), Answer::Accepted).await;
}

/// A replica that was cut off before the last change takes the primary's place.
#[tokio::test(flavor = "multi_thread")]
async fn a_replica_with_less_that_is_promoted_is_answered_by() {
    let primary = Server::start(&DURABLE);
    let deployment = primary.deployment();
    drop(with_old_token(&deployment).await);
    let replica = primary.replica();
    replica.tell("REPLICAOF NO ONE");
    let options = deployment.options().replicas(0).or_else(client_of(replica.address()));
    let store = options.open().await.unwrap();
    replace_token(&store).await;
    let node = Node::that_knows(store, &digest(NEW)).await;
    primary.kill();
    node.comes_to_say(&digest(NEW), Answer::Refused).await;
    node.comes_to_say(&digest(OLD), Answer::Accepted).await;
}
