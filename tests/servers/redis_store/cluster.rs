//! A cluster: all keys are in one slot, and the store goes where the slot goes.

use std::time::Duration;

use tower_api_token::account::LastUse;
use tower_api_token::store::{
    AccountStore, ChangeFeed, LastUses, PageSize, StoreErrorKind, TokenStore,
};
use tower_api_token::time::Timestamp;
use tower_api_token::token::TokenId;

use crate::redis_server::{DURABLE, Server, client_of, replicated};
use crate::sample::{account, change, digest, user};
use crate::server::wait_until;
use crate::watch::{echo, next_change};

fn node() -> Server {
    let enabled = "--cluster-enabled yes".to_owned();
    let patience = "--cluster-node-timeout 2000".to_owned();
    Server::start(&[DURABLE.map(str::to_owned).as_slice(), &[enabled, patience]].concat())
}

/// What `CLUSTER MYID` answers, after its length.
fn id(server: &Server) -> String {
    server.tell("CLUSTER MYID").lines().nth(1).expect("an id").to_owned()
}

/// Two primaries, which share the slots, and a replica of the first.
fn cluster() -> [Server; 3] {
    let [first, second, replica] = [node(), node(), node()];
    first.tell("CLUSTER ADDSLOTSRANGE 0 8191");
    second.tell("CLUSTER ADDSLOTSRANGE 8192 16383");
    for other in [&second, &replica] {
        first.tell(&format!("CLUSTER MEET 127.0.0.1 {}", other.address().port()));
    }
    wait_until("the nodes know each other", || {
        [&first, &second, &replica].iter().all(|node| {
            let info = node.tell("CLUSTER INFO");
            info.contains("cluster_known_nodes:3") && info.contains("cluster_state:ok")
        })
    });
    replica.tell(&format!("CLUSTER REPLICATE {}", id(&first)));
    first.wait_for_replica();
    wait_until("all know the replica", || {
        [&first, &second].iter().all(|node| node.tell("CLUSTER NODES").contains(" slave "))
    });
    [first, second, replica]
}

/// The name of a deployment in the first half of the slots, which are the first
/// primary's.
fn name_in_the_first_half(server: &Server) -> String {
    let slot = |name: &str| {
        let answer = server.tell(&format!("CLUSTER KEYSLOT {{tower-api-token:{name}}}:deployment"));
        let number = answer.strip_prefix(':').and_then(|rest| rest.split('\r').next());
        number.expect("a number").parse::<u32>().expect("a slot")
    };
    let names = (0..100).map(|number| format!("cluster-{number}"));
    names.into_iter().find(|name| slot(name) < 8_192).expect("half of them are")
}

#[tokio::test]
async fn a_deployment_is_in_one_slot_and_is_followed_to_another_node() {
    let [first, second, replica] = tokio::task::spawn_blocking(cluster).await.unwrap();
    let mut deployment = second.deployment();
    deployment.name = name_in_the_first_half(&first);
    // The node that is named first serves another slot.
    let options = deployment.options().or_else(client_of(replica.address()));
    let store = options.or_else(client_of(first.address())).open().await.unwrap();
    replicated(&store).await;
    let mut feed = store.changes().await.unwrap();
    let batch = (1..=20).map(|number| change(account(&format!("user {number:02}"), 1, number)));
    for answer in store.replace_many(batch.collect()).await.unwrap() {
        answer.unwrap();
    }
    for number in 1..=20 {
        assert!(store.find(&digest(number)).await.unwrap().is_some(), "{number}");
        assert_eq!(next_change(&mut feed).await.user, user(&format!("user {number:02}")));
    }
    let usage = LastUse::new(TokenId::from_u64(1), Timestamp::from_unix_millis(1), None);
    store.record_usage(&[(user("user 01"), usage)]).await.unwrap();
    assert_eq!(store.list(None, PageSize::MAX).await.unwrap().items.len(), 20);
    assert_eq!(store.history(&user("user 01"), None, PageSize::MAX).await.unwrap().items.len(), 1);
    assert_eq!(store.usage(&user("user 01")).await.unwrap().len(), 1);
    assert_eq!(store.pepper_versions().await.unwrap().len(), 1);
    assert!(second.tell("DBSIZE").starts_with(":0"), "a cluster does not spread it");

    // The slot's node changes places with its replica.
    replica.tell("CLUSTER FAILOVER");
    wait_until("it has", || replica.tell("ROLE").contains("master"));
    for number in 1..=20 {
        let found = loop {
            match store.find(&digest(number)).await {
                Ok(found) => break found,
                Err(error) => assert_eq!(error.kind(), StoreErrorKind::Unavailable),
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        };
        assert!(found.is_some(), "{number}");
    }
    echo(&store, &mut feed).await;
    replica.wait_for_replica();
    replicated(&store).await;
    store.replace(change(account("user 01", 2, 100))).await.unwrap();
    assert_eq!(next_change(&mut feed).await.user, user("user 01"));
    assert!(store.find(&digest(1)).await.unwrap().is_none());
}
