//! Which servers are opened, and which are refused.

use std::error::Error;

use redis::Client;
use tower_api_token::account::LastUse;
use tower_api_token::store::{
    AccountStore, ChangeFeed, Erasure, LastUses, PageSize, RedisOpenError, RedisOptions,
    StoreErrorKind, TokenStore,
};
use tower_api_token::time::Timestamp;
use tower_api_token::token::TokenId;
use tower_api_token::user::Actor;

use crate::redis_server::{DURABLE, Server, client_of};
use crate::sample::{account, change, digest};
use crate::server::free_address;

/// A crash within a second of a revocation would undo it, or the server might
/// throw accounts away.
#[tokio::test]
async fn store_033_a_server_that_may_lose_what_it_has_acknowledged_is_refused() {
    let server = Server::start(&DURABLE);
    let deployment = server.deployment();
    for (setting, needed, bad) in [
        ("appendonly", "yes", "no"),
        ("appendfsync", "always", "everysec"),
        ("appendfsync", "always", "no"),
        ("maxmemory-policy", "noeviction", "allkeys-lru"),
    ] {
        server.tell(&format!("CONFIG SET {setting} {bad}"));
        match deployment.options().open().await {
            Err(RedisOpenError::Setting { setting: told, needed: wanted, found }) => {
                assert_eq!((told, wanted, found.as_str()), (setting, needed, bad));
            }
            other => panic!("{setting} {bad}: {other:?}"),
        }
        let opened = deployment.options().dangerous_accept_data_loss(true).open().await;
        opened.unwrap().create().await.unwrap();
        server.tell(&format!("CONFIG SET {setting} {needed}"));
        deployment.options().open().await.unwrap();
    }
}

#[tokio::test]
async fn a_server_that_refuses_to_tell_its_settings_is_refused() {
    let server = Server::start(&DURABLE);
    server.tell("ACL SETUSER limited on >secret ~* &* +@all -config");
    let url = format!("redis://limited:secret@{}/", server.address());
    let options = || RedisOptions::new(Client::open(url.as_str()).unwrap());
    let error = options().open().await.unwrap_err();
    assert!(matches!(error, RedisOpenError::SettingsUnknown(_)), "{error:?}");
    assert!(error.source().is_some());
    let store = options().dangerous_accept_data_loss(true).open().await.unwrap();
    store.create().await.unwrap();
    store.replace(change(account("alice", 1, 1))).await.unwrap();
    assert!(store.find(&digest(1)).await.unwrap().is_some());
}

/// What the documentation says that a user needs is enough.
#[tokio::test]
async fn a_user_with_the_documented_rights_can_do_everything() {
    let server = Server::start(&DURABLE);
    let deployment = server.deployment();
    server.tell(&format!(
        "ACL SETUSER host on >secret ~{{tower-api-token:{name}}}:* &{{tower-api-token:{name}}}:* \
         +@read +@write +@scripting +@pubsub +@connection +@transaction -@dangerous \
         +time +wait +info +config|get",
        name = deployment.name,
    ));
    let url = format!("redis://host:secret@{}/", server.address());
    let options = RedisOptions::new(Client::open(url).unwrap()).deployment(&deployment.name);
    let store = options.open().await.unwrap();
    store.create().await.unwrap();
    let mut feed = store.changes().await.unwrap();
    let batch = (1..=3).map(|number| change(account(&format!("user {number}"), 1, number)));
    for answer in store.replace_many(batch.collect()).await.unwrap() {
        answer.unwrap();
    }
    crate::watch::next_change(&mut feed).await;
    assert!(store.find(&digest(1)).await.unwrap().is_some());
    assert!(store.find(&digest(9)).await.unwrap().is_none());
    assert_eq!(store.list(None, PageSize::MAX).await.unwrap().items.len(), 3);
    let alice = account("user 1", 1, 1).user().clone();
    let usage = LastUse::new(TokenId::from_u64(1), Timestamp::from_unix_millis(1), None);
    store.record_usage(&[(alice.clone(), usage)]).await.unwrap();
    store.load(&alice).await.unwrap();
    assert_eq!(store.usage(&alice).await.unwrap().len(), 1);
    assert_eq!(store.history(&alice, None, PageSize::MAX).await.unwrap().items.len(), 1);
    assert_eq!(store.pepper_versions().await.unwrap().len(), 1);
    crate::redis_store::log::everything(&store, &alice).await;
}

#[tokio::test]
async fn a_replica_and_a_server_that_is_not_there_are_refused() {
    let server = Server::start(&DURABLE);
    let replica = server.replica();
    let error = replica.deployment().options().open().await.unwrap_err();
    assert!(matches!(error, RedisOpenError::Replica), "{error:?}");
    let error = RedisOptions::new(client_of(free_address())).open().await.unwrap_err();
    assert!(matches!(error, RedisOpenError::Unreachable(_)), "{error:?}");
}

#[tokio::test]
async fn a_name_that_could_leave_its_hash_tag_is_refused() {
    let client = Server::shared().client();
    let long = "x".repeat(65);
    for name in ["", "a b", "a}b", "{a}", "a:b", "ä", "a\n", &long] {
        let error = RedisOptions::new(client.clone()).deployment(name).open().await.unwrap_err();
        assert!(matches!(error, RedisOpenError::DeploymentName), "{name}: {error:?}");
    }
    for name in ["a", "A-1_b", &"x".repeat(64)] {
        RedisOptions::new(client.clone()).deployment(name).open().await.unwrap();
    }
}

#[tokio::test]
async fn a_store_on_another_database_of_the_server_shares_nothing() {
    let server = Server::start(&DURABLE);
    let here = server.deployment().store().await;
    here.replace(change(account("alice", 1, 1))).await.unwrap();
    let url = format!("redis://{}/1", server.address());
    let options = RedisOptions::new(Client::open(url).unwrap());
    let there = options.deployment(server.deployment().name).open().await.unwrap();
    there.create().await.unwrap();
    assert!(there.find(&digest(1)).await.unwrap().is_none());
    there.replace(change(account("alice", 1, 1))).await.unwrap();
    assert!(here.find(&digest(1)).await.unwrap().is_some());
}

/// Nothing undoes what a script has written before it fails.
#[tokio::test]
async fn a_user_who_lacks_a_right_that_a_change_needs_changes_nothing() {
    let server = Server::start(&[DURABLE.as_slice(), &["--enable-debug-command yes"]].concat());
    let deployment = server.deployment();
    let store = deployment.store().await;
    store.replace(change(account("alice", 1, 1))).await.unwrap();
    let content = || server.tell("DEBUG DIGEST");
    let before = content();
    let of_both = ["resetchannels", "-spublish", "-set", "-del", "-hincrby", "-hset"];
    let of_changes = [of_both.as_slice(), &["-xadd", "-hdel", "-zadd"]].concat();
    let of_erasures = [of_both.as_slice(), &["-zrem"]].concat();
    let limited = async |lacks: &str| {
        server.tell(&format!("ACL SETUSER limited reset on >secret ~* &* +@all {lacks}"));
        let url = format!("redis://limited:secret@{}/", server.address());
        let options = RedisOptions::new(Client::open(url).unwrap());
        options.deployment(&deployment.name).open().await.unwrap()
    };
    for lacks in of_changes {
        let limited = limited(lacks).await;
        for account in [account("bob", 1, 2), account("alice", 2, 2)] {
            let error = limited.replace(change(account)).await.unwrap_err();
            assert_eq!(error.kind(), StoreErrorKind::Refused, "{lacks}: {error:?}");
            assert_eq!(content(), before, "{lacks}");
        }
    }
    for lacks in of_erasures {
        let erasure = Erasure::new(account("alice", 1, 1), Timestamp::default(), Actor::User);
        let error = limited(lacks).await.erase(erasure).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Refused, "{lacks}: {error:?}");
        assert_eq!(content(), before, "{lacks}");
    }
}
