//! Requests for one digest share one look-up.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::future::join_all;
use tower_api_token::authenticate::Authenticator;
use tower_api_token::credentials::CredentialSource;
use tower_api_token::denial::DenialKind;
use tower_api_token::store::{CachedStore, StoreErrorKind, TokenStore, WithTimeout};
use tower_api_token::token::TokenScheme;

use super::link::{Fate, Link};
use super::sample::{digest, holder};
use super::world::{Answer, Node, TERM, World, eventually};

const TOKEN: u64 = 1;
const REQUESTS: usize = 5_000;

async fn world() -> (World, Node) {
    let world = World::default();
    world.insert(holder("alice", 1, TOKEN));
    let node = world.node().await;
    (world, node)
}

/// Requests that all wait for one look-up, which is held.
async fn crowd(node: &Node) -> Vec<tokio::task::JoinHandle<Answer>> {
    node.link.hold(true);
    let before = node.statistics().joined;
    let crowd: Vec<_> = (0..REQUESTS).map(|_| node.spawn_auth(TOKEN)).collect();
    let waiting = || node.statistics().joined == before + REQUESTS as u64 - 1;
    eventually("all wait for one look-up", waiting).await;
    crowd
}

async fn answers(crowd: Vec<tokio::task::JoinHandle<Answer>>) -> Vec<Answer> {
    join_all(crowd).await.into_iter().map(Result::unwrap).collect()
}

#[tokio::test(start_paused = true)]
async fn cache_015_a_stampede_is_one_look_up() {
    let (_, node) = world().await;
    let crowd = crowd(&node).await;
    node.link.hold(false);
    assert!(answers(crowd).await.iter().all(|answer| *answer == Answer::Accepted));
    assert_eq!(node.link.finds(), 1);
    assert_eq!(node.auth(TOKEN).await, Answer::Accepted);
    assert_eq!(node.link.finds(), 1);
}

#[tokio::test(start_paused = true)]
async fn cache_016_a_stampede_on_a_store_that_is_down_fails_at_once_and_is_no_storm_later() {
    let (_, node) = world().await;
    node.link.finds_fare(Fate::Fails);
    let crowd = crowd(&node).await;
    node.link.hold(false);
    assert!(answers(crowd).await.iter().all(|answer| *answer == Answer::Unavailable));
    assert_eq!(node.link.finds(), 1);
    node.link.finds_fare(Fate::Works);
    assert_eq!(node.auth(TOKEN).await, Answer::Accepted, "an outage is not remembered");
    assert_eq!(node.link.finds(), 2);
}

#[tokio::test(start_paused = true)]
async fn cache_016_on_a_store_that_hangs_nobody_waits_longer_than_the_limit() {
    const LIMIT: Duration = Duration::from_secs(2);
    let world = World::default();
    let link = Link::to(Arc::clone(&world.store));
    let store = WithTimeout::new(link.clone()).limit(LIMIT);
    let store = Arc::new(CachedStore::start(store, world.options()).unwrap());
    eventually("the node is trusted", || store.is_trusted()).await;
    link.hold(true);
    let start = tokio::time::Instant::now();
    let requests = (0..REQUESTS).map(|_| async {
        let error = store.find(&digest(TOKEN)).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Unavailable);
        start.elapsed()
    });
    let waited = join_all(requests).await.into_iter().max().unwrap();
    assert!((LIMIT..LIMIT * 2).contains(&waited), "{waited:?}");
    assert_eq!((link.finds(), link.under_way()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn cache_018_a_look_up_that_panics_fails_those_who_wait_and_poisons_nothing() {
    let (_, node) = world().await;
    node.link.finds_fare(Fate::Panics);
    let crowd = crowd(&node).await;
    node.link.hold(false);
    let (panicked, told): (Vec<_>, Vec<_>) =
        join_all(crowd).await.into_iter().partition(Result::is_err);
    assert_eq!(panicked.len(), 1);
    assert!(told.iter().all(|answer| *answer.as_ref().unwrap() == Answer::Unavailable));
    node.link.finds_fare(Fate::Works);
    assert_eq!(node.auth(TOKEN).await, Answer::Accepted);
}

#[tokio::test(start_paused = true)]
async fn when_the_first_hangs_up_the_look_up_goes_on_for_the_others() {
    let (_, node) = world().await;
    let mut crowd = crowd(&node).await;
    let leader = crowd.remove(0);
    leader.abort();
    assert!(leader.await.unwrap_err().is_cancelled());
    node.link.hold(false);
    assert!(answers(crowd).await.iter().all(|answer| *answer == Answer::Accepted));
    assert_eq!(node.link.finds(), 1, "nobody has to start anew");
    assert_eq!(node.remembers(&digest(TOKEN)), Some(Answer::Accepted));
}

#[tokio::test(start_paused = true)]
async fn when_all_hang_up_the_look_up_ends_and_the_next_request_begins_another() {
    let (_, node) = world().await;
    let crowd = crowd(&node).await;
    crowd.iter().for_each(tokio::task::JoinHandle::abort);
    eventually("the look-up is dropped", || node.link.under_way() == 0).await;
    assert_eq!(node.statistics().loads, 0, "nothing is kept of it");
    node.link.hold(false);
    assert_eq!(node.auth(TOKEN).await, Answer::Accepted);
    assert_eq!(node.link.finds(), 2);
}

#[tokio::test(start_paused = true)]
async fn one_that_joined_a_look_up_which_took_longer_than_a_term_asks_again() {
    let (world, node) = world().await;
    node.link.hold(true);
    let first = node.spawn_auth(TOKEN);
    eventually("the row is read", || node.link.under_way() == 1).await;
    let second = node.spawn_auth(TOKEN);
    eventually("another joins", || node.statistics().joined == 1).await;
    world.clock.advance(TERM);
    node.link.hold(false);
    assert_eq!(first.await.unwrap(), Answer::Accepted);
    assert_eq!(second.await.unwrap(), Answer::Accepted);
    assert_eq!(node.link.finds(), 2);
}

fn basic(user: &str, token: &str) -> http::request::Parts {
    let credential = STANDARD.encode(format!("{user}:{token}"));
    let request = http::Request::get("/").header("authorization", format!("Basic {credential}"));
    request.body(()).unwrap().into_parts().0
}

#[tokio::test(start_paused = true)]
async fn cache_019_absent_users_cost_what_present_ones_do() {
    let (_, node) = world().await;
    let scheme = TokenScheme::default().accept_foreign_tokens(true);
    let layer = Authenticator::new(Arc::clone(&node.cache)).scheme(scheme);
    let layer = layer.sources([CredentialSource::Basic]);
    let mut costs = Vec::new();
    for user in ["alice", "nobody"] {
        for token in ["one-of-its-own", "one-that-both-try"] {
            let requests = (0..100).map(|_| async {
                let mut request = basic(user, &format!("{token}-{user}"));
                let denial = layer.authenticate(&mut request).await.unwrap_err();
                assert_eq!(denial.kind(), DenialKind::InvalidToken);
            });
            let (before, start) = (node.link.finds(), tokio::time::Instant::now());
            join_all(requests).await;
            costs.push((node.link.finds() - before, start.elapsed()));
        }
    }
    assert_eq!(costs, [(1, Duration::ZERO); 4]);
}
