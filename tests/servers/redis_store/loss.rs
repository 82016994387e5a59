//! A server that has lost everything.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::Request;
use tower_api_token::TokenManager;
use tower_api_token::account::LastUse;
use tower_api_token::authenticate::Authenticator;
use tower_api_token::denial::DenialKind;
use tower_api_token::manage::Confirmation;
use tower_api_token::method::MethodSet;
use tower_api_token::store::{
    AccountStore, AuditLog, AuditPosition, CacheOptions, CachedStore, ChangeFeed, DueAccounts,
    LastUses, PageSize, RedisStore, StoreError, StoreErrorKind, TokenStore,
};
use tower_api_token::time::Timestamp;
use tower_api_token::token::TokenId;
use tower_api_token::user::Actor;

use crate::redis_server::{DURABLE, Server};
use crate::sample::{account, change, digest, user};

#[track_caller]
fn is_refused<T: std::fmt::Debug>(
    expected: StoreErrorKind,
    answer: Result<T, StoreError>,
    what: &str,
) {
    let kind = answer.map_err(|error| error.kind());
    assert!(matches!(kind, Err(kind) if kind == expected), "{what}: {kind:?}");
}

async fn everything_is_refused(store: &RedisStore, kind: StoreErrorKind) {
    let alice = user("alice");
    is_refused(kind, store.find(&digest(1)).await, "a token that was there");
    is_refused(kind, store.find(&digest(2)).await, "a token that was not there");
    is_refused(kind, store.load(&alice).await, "loading");
    is_refused(kind, store.load(&user("new")).await, "loading who was not there");
    is_refused(kind, store.replace(change(account("new", 1, 3))).await, "an account from nothing");
    is_refused(kind, store.replace(change(account("alice", 2, 1))).await, "a change");
    let batch = vec![change(account("new", 1, 3)), change(account("newer", 1, 4))];
    match store.replace_many(batch).await {
        Ok(answers) => answers.into_iter().for_each(|answer| is_refused(kind, answer, "a batch")),
        failed => is_refused(kind, failed, "a batch"),
    }
    is_refused(kind, store.list(None, PageSize::MAX).await, "listing");
    let usage = LastUse::new(TokenId::from_u64(1), Timestamp::from_unix_millis(1), None);
    is_refused(kind, store.record_usage(&[(alice.clone(), usage)]).await, "a use");
    is_refused(kind, store.usage(&alice).await, "uses");
    is_refused(kind, store.history(&alice, None, PageSize::MAX).await, "a history");
    is_refused(kind, store.heartbeat(1).await, "a heartbeat");
    is_refused(kind, store.pepper_versions().await, "counting");
    is_refused(kind, store.audit(AuditPosition::START, PageSize::MAX).await, "the log");
    is_refused(kind, store.audit_end().await, "the end of the log");
    is_refused(kind, store.prune_audit(Timestamp::default()).await, "pruning");
    is_refused(kind, store.audit_cursors().await, "cursors");
    is_refused(kind, store.lease_cursor("a", 1, Duration::ZERO).await, "leasing");
    is_refused(kind, store.move_cursor("a", 1, AuditPosition::START).await, "moving");
    is_refused(kind, store.remove_cursor("a").await, "removing a cursor");
    is_refused(kind, store.due(Timestamp::default(), None, PageSize::MAX).await, "what is due");
    let revision = account("alice", 1, 1).revision();
    is_refused(kind, store.put_off(&alice, revision, None).await, "putting off");
    is_refused(kind, store.schedule().await, "the schedule");
    is_refused(kind, store.keep_schedule(1).await, "keeping a schedule");
}

/// The loss is visible: nobody is told that their token does not exist, and
/// nothing is begun anew.
#[tokio::test]
async fn store_032_after_a_flush_everything_is_refused_and_nothing_recreated() {
    let server = Server::start(&DURABLE);
    let deployment = server.deployment();
    let store = deployment.store().await;
    store.replace(change(account("alice", 1, 1))).await.unwrap();
    assert!(store.find(&digest(1)).await.unwrap().is_some());
    server.tell("FLUSHALL");
    everything_is_refused(&store, StoreErrorKind::Unavailable).await;
    is_refused(StoreErrorKind::Unavailable, store.create().await, "creating what is lost");
    assert!(server.tell("DBSIZE").starts_with(":0"), "nothing has come to be");
    server.kill();
    server.start_again();
    everything_is_refused(&store, StoreErrorKind::Unavailable).await;
    // Not even by a node that has never seen it.
    let newcomer = deployment.opened().await;
    everything_is_refused(&newcomer, StoreErrorKind::NotSetUp).await;
    // Somebody decides to begin anew, elsewhere: that is not what was lost.
    newcomer.create().await.unwrap();
    assert!(newcomer.find(&digest(1)).await.unwrap().is_none());
    newcomer.replace(change(account("alice", 1, 1))).await.unwrap();
    everything_is_refused(&store, StoreErrorKind::Unavailable).await;
}

/// What is remembered is not trusted for longer than it is promised.
#[tokio::test]
async fn store_032_after_a_flush_a_cache_is_unavailable_too() {
    const BOUND: Duration = Duration::from_millis(500);

    let server = Server::start(&DURABLE);
    let options = CacheOptions::new().staleness_bound(BOUND);
    let cache = CachedStore::start(server.deployment().store().await, options).unwrap();
    let cache = Arc::new(cache);
    let manager = TokenManager::builder(Arc::clone(&cache)).confirmation(Confirmation::ByCaller);
    let manager = manager.build().await.unwrap();
    let (actor, alice) = (Actor::User, user("alice"));
    manager.grant(&actor, &alice, MethodSet::new(["GET"]).unwrap()).await.unwrap();
    let issued = manager.issue(&actor, &alice).await.unwrap();
    let authenticator = Authenticator::new(Arc::clone(&cache));
    let decide = async || {
        let credential = format!("Bearer {}", issued.token.expose_secret());
        let request = Request::get("/").header("authorization", credential).body(()).unwrap();
        let decision = authenticator.authenticate(&mut request.into_parts().0).await;
        decision.map(drop).map_err(|denial| denial.kind())
    };
    while !cache.is_trusted() {
        tokio::task::yield_now().await;
    }
    decide().await.unwrap();
    assert!(cache.find(&digest(2)).await.unwrap().is_none());
    server.tell("FLUSHALL");
    let since = Instant::now();
    loop {
        let asked = Instant::now();
        let (known, unknown) = (decide().await, cache.find(&digest(2)).await);
        if known.is_err() && unknown.is_err() {
            assert_eq!(known, Err(DenialKind::StoreUnavailable));
            break;
        }
        assert!(asked.duration_since(since) < BOUND, "{known:?} {unknown:?}");
        assert!(known.is_ok() || known == Err(DenialKind::StoreUnavailable), "{known:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// What was acknowledged is there after a crash, to the last change.
#[tokio::test]
async fn store_033_what_was_acknowledged_survives_a_crash_at_once() {
    let server = Server::start(&DURABLE);
    let store = server.deployment().store().await;
    for revision in 1..=10 {
        loop {
            match store.replace(change(account("alice", revision, revision))).await {
                Ok(()) => break,
                Err(error) => assert_eq!(error.kind(), StoreErrorKind::Unavailable),
            }
        }
        server.kill();
        server.start_again();
        let account = loop {
            match store.load(&user("alice")).await {
                Ok(loaded) => break loaded.account.unwrap(),
                Err(error) => assert_eq!(error.kind(), StoreErrorKind::Unavailable),
            }
        };
        assert_eq!(account.revision().as_u64(), revision);
    }
}
