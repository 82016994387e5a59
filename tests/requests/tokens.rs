//! One configuration for both sides: what belongs together cannot be forgotten.

use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response, StatusCode};
use tower::{Layer, ServiceExt, service_fn};
use tower_api_token::manage::{Confirmation, Delivery, Guard};
use tower_api_token::method::MethodSet;
use tower_api_token::rotation::{Policy, RotationError};
use tower_api_token::store::{LastUses, MemoryStore};
use tower_api_token::test_util::ManualClock;
use tower_api_token::time::Timestamp;
use tower_api_token::token::{Token, TokenPrefix, TokenScheme};
use tower_api_token::user::{Actor, UserId};
use tower_api_token::{TokenAuthLayer, Tokens, TokensBuilder};

use crate::thread_log::ThreadLog;

fn builder(store: &Arc<MemoryStore>) -> TokensBuilder {
    Tokens::builder(Arc::clone(store)).confirmation(Confirmation::ByCaller)
}

fn alice() -> UserId {
    UserId::new("alice").unwrap()
}

/// alice may GET; her first token.
async fn first_token(tokens: &Tokens) -> Token {
    let root = Actor::administrator("root").unwrap();
    let methods = MethodSet::new(["GET"]).unwrap();
    tokens.manager().grant(&root, &alice(), methods).await.unwrap();
    tokens.manager().issue(&Actor::User, &alice()).await.unwrap().token
}

async fn answer(tokens: &Tokens, token: &Token) -> StatusCode {
    answer_of(&tokens.layer(), token).await
}

async fn answer_of(layer: &TokenAuthLayer, token: &Token) -> StatusCode {
    let service = service_fn(|_: Request<()>| async {
        Ok::<_, std::convert::Infallible>(Response::new(String::new()))
    });
    let request = Request::get("/").header("authorization", bearer(token)).body(()).unwrap();
    layer.layer(service).oneshot(request).await.unwrap().status()
}

fn bearer(token: &Token) -> String {
    format!("Bearer {}", token.expose_secret())
}

/// The scheme is the manager's and the layer's at once.
#[tokio::test]
async fn a_token_of_the_scheme_passes_the_layer() {
    let scheme = TokenScheme::new(TokenPrefix::new("acme").unwrap());
    let tokens = builder(&Arc::default()).scheme(scheme).build().await.unwrap();
    let token = first_token(&tokens).await;
    assert!(token.expose_secret().starts_with("acme_"));
    assert_eq!(answer(&tokens, &token).await, StatusCode::OK);
    let (mut head, ()) =
        Request::get("/").header("authorization", bearer(&token)).body(()).unwrap().into_parts();
    let identity = tokens.authenticator().authenticate(&mut head).await.unwrap();
    assert_eq!(identity.unwrap().user(), &alice());
}

/// What a layer has seen counts for the manager's guard at once, flushed or not.
#[tokio::test]
async fn a_token_that_the_layer_has_just_seen_is_in_use_to_the_manager() {
    let tokens = builder(&Arc::default()).build().await.unwrap();
    let first = first_token(&tokens).await;
    let manager = tokens.manager();
    let second = manager.generate_primary(&Actor::User, &alice()).await.unwrap();
    let Delivery::ToCaller(code) = second.delivery else { panic!("the code is the caller's") };
    manager.confirm(&Actor::User, &alice(), &code).await.unwrap();
    assert_eq!(answer(&tokens, &first).await, StatusCode::OK);
    let backup = manager.view(&alice()).await.unwrap().backup.unwrap();
    let (user, guard) = (alice(), Guard::UnlessInUse);
    let deleted = manager.delete_backup(&Actor::User, &user, backup.id, guard).await;
    let refused = deleted.unwrap_err();
    assert!(matches!(refused.refusal(), Some(RotationError::InUse { .. })), "{refused:?}");
}

async fn uses(store: &MemoryStore) -> usize {
    store.usage(&alice()).await.unwrap().len()
}

/// Nothing runs before `start`, and the interval is the policy's.
#[tokio::test(start_paused = true)]
async fn last_uses_are_written_on_the_interval_of_the_policy_once_started() {
    let store = Arc::<MemoryStore>::default();
    let policy = Policy::default().usage_interval(Duration::from_secs(3)).unwrap();
    let tokens = builder(&store).policy(policy).build().await.unwrap();
    let token = first_token(&tokens).await;
    assert_eq!(answer(&tokens, &token).await, StatusCode::OK);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(uses(&store).await, 0, "not started");
    tokens.start();
    tokens.start();
    tokio::time::sleep(Duration::from_millis(3_001)).await;
    assert_eq!(uses(&store).await, 1);
}

/// `close` writes what was noted since the last interval, started or not.
#[tokio::test(start_paused = true)]
async fn closing_writes_the_last_uses() {
    for started in [true, false] {
        let store = Arc::<MemoryStore>::default();
        let tokens = builder(&store).build().await.unwrap();
        if started {
            tokens.start();
        }
        let token = first_token(&tokens).await;
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert_eq!(answer(&tokens, &token).await, StatusCode::OK);
        assert_eq!(uses(&store).await, 0);
        tokens.close().await.unwrap();
        assert_eq!(uses(&store).await, 1, "started: {started}");
        tokens.close().await.unwrap();
    }
}

/// Whoever is left goes on being noted, and the last one that goes ends the task,
/// which writes once more.
#[tokio::test(start_paused = true)]
async fn what_is_dropped_without_being_closed_goes_on_for_whoever_is_left() {
    let store = Arc::<MemoryStore>::default();
    let tokens = builder(&store).build().await.unwrap();
    tokens.start();
    let token = first_token(&tokens).await;
    let layer = tokens.layer();
    drop(tokens);
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(uses(&store).await, 0);
    assert_eq!(answer_of(&layer, &token).await, StatusCode::OK);
    drop(layer);
    tokio::time::sleep(Duration::from_secs(11)).await;
    assert_eq!(uses(&store).await, 1);
    assert_eq!(Arc::strong_count(&store), 1, "the task has ended");
}

#[test]
fn what_ended_with_its_runtime_is_started_on_another() {
    let store = Arc::<MemoryStore>::default();
    let runtime = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap()
    };
    let tokens = runtime().block_on(async {
        let tokens = builder(&store).build().await.unwrap();
        tokens.start();
        tokens
    });
    runtime().block_on(async {
        tokens.start();
        let token = first_token(&tokens).await;
        assert_eq!(answer(&tokens, &token).await, StatusCode::OK);
        tokio::time::sleep(Duration::from_secs(11)).await;
        assert_eq!(uses(&store).await, 1);
    });
}

#[tokio::test]
async fn several_may_close_at_once_and_in_a_task() {
    let tokens = builder(&Arc::default()).build().await.unwrap();
    tokens.start();
    let other = tokens.clone();
    let task = tokio::spawn(async move { other.close().await });
    let (here, there) = tokio::join!(tokens.close(), task);
    here.unwrap();
    there.unwrap().unwrap();
}

/// A flush that a decision of the manager needs is none of the host's.
#[tokio::test]
async fn a_flush_of_the_managers_own_settles_nothing() {
    let (log, clock) = (ThreadLog::begin(), clock());
    let tokens = builder(&Arc::default()).clock(Arc::clone(&clock)).build().await.unwrap();
    let token = first_token(&tokens).await;
    let primary = tokens.manager().view(&alice()).await.unwrap().primary.unwrap();
    let (user, guard) = (alice(), Guard::UnlessInUse);
    tokens.manager().roll_back(&Actor::User, &user, primary.id, guard).await.unwrap_err();
    clock.set(Timestamp::from_unix_millis(100_000));
    assert_eq!(answer(&tokens, &token).await, StatusCode::OK);
    assert_eq!(count(&log, "never written"), 1);
}

/// How many lines of the log say that.
fn count(log: &ThreadLog, text: &str) -> usize {
    log.so_far().lines().filter(|line| line.contains(text)).count()
}

/// A clock that stands still until it is set.
fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::new(Timestamp::from_unix_millis(1)))
}

#[tokio::test]
async fn uses_that_nobody_writes_are_warned_of_once() {
    for flushed in [false, true] {
        let (log, clock) = (ThreadLog::begin(), clock());
        let tokens = builder(&Arc::default()).clock(Arc::clone(&clock)).build().await.unwrap();
        let mut token = first_token(&tokens).await;
        if flushed {
            tokens.flush().await.unwrap();
        }
        for seconds in [59, 60, 120] {
            clock.set(Timestamp::from_unix_millis(1 + seconds * 1_000));
            assert_eq!(answer(&tokens, &token).await, StatusCode::OK);
            let warned = usize::from(!flushed && seconds > 59);
            assert_eq!(count(&log, "never written"), warned, "after {seconds} seconds");
            tokens.manager().revoke_all(&Actor::User, &alice()).await.unwrap();
            token = tokens.manager().issue(&Actor::User, &alice()).await.unwrap().token;
        }
    }
}

#[tokio::test]
async fn what_runs_and_is_dropped_says_so_and_what_is_closed_does_not() {
    for closed in [false, true] {
        let log = ThreadLog::begin();
        let tokens = builder(&Arc::default()).build().await.unwrap();
        tokens.start();
        if closed {
            tokens.close().await.unwrap();
        }
        drop(tokens);
        assert_eq!(count(&log, "without being closed"), usize::from(!closed));
    }
}
