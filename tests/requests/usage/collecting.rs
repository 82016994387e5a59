//! What requests note between two flushes.

use std::sync::Arc;

use http::HeaderValue;
use tower_api_token::TokenAuthLayer;
use tower_api_token::test_util::ManualClock;
use tower_api_token::usage::UsageRecorder;
use tower_api_token::user::ClientLabel;

use crate::generated;
use crate::usage::store::Store;
use crate::usage::world::{World, at, get, send, uses};

#[test]
fn a_token_is_noted_once_an_interval() {
    let world = World::new();
    for second in 1..=100 {
        assert_eq!(world.use_at(second, &world.primary), 200);
        assert_eq!(world.use_at(second, &world.backup), 200);
    }
    world.flush();
    assert_eq!(uses(&world.store.take_batch()), [(2, 1), (3, 1)]);
    world.flush();
    assert_eq!(world.store.take_batches(), Vec::<Vec<_>>::new(), "an empty batch is not written");
    world.use_at(200, &world.primary);
    world.flush();
    assert_eq!(uses(&world.store.take_batch()), [(3, 200)]);
}

#[test]
fn clones_collect_together() {
    let world = World::new();
    let clone = world.usage.clone();
    for _ in 0..3 {
        send(&world.layer(), get(&world.primary));
        send(
            &TokenAuthLayer::new(Arc::clone(&world.store)).usage(clone.clone()),
            get(&world.primary),
        );
    }
    drop(world.usage.clone());
    world.flush();
    assert_eq!(uses(&world.store.take_batch()), [(3, 1)]);
}

#[test]
fn two_recorders_on_one_store_do_not_steal_marks() {
    let world = World::new();
    let clock = ManualClock::new(at(7));
    let other = UsageRecorder::with(Arc::clone(&world.store), clock, ());
    let by_other = TokenAuthLayer::new(Arc::clone(&world.store)).usage(other.clone());
    for _ in 0..3 {
        send(&world.layer(), get(&world.primary));
        send(&by_other, get(&world.primary));
    }
    world.flush();
    assert_eq!(uses(&world.store.take_batch()), [(3, 1)]);
    futures_util::FutureExt::now_or_never(other.flush()).unwrap().unwrap();
    assert_eq!(uses(&world.store.take_batch()), [(3, 7)]);
}

#[test]
fn threads_that_use_one_token_note_it_once() {
    let world = World::new();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..250 {
                    assert_eq!(send(&world.layer(), get(&world.primary)), 200);
                }
            });
        }
    });
    world.flush();
    assert_eq!(uses(&world.store.take_batch()), [(3, 1)]);
}

#[test]
fn a_use_of_another_flush_interval_is_noted_anew_by_every_thread() {
    let world = World::new();
    for round in 1..=20 {
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| world.use_at(round, &world.backup));
            }
        });
        world.flush();
        assert_eq!(uses(&world.store.take_batch()), [(2, round)]);
    }
}

#[test]
fn what_is_not_let_through_is_no_use() {
    let world = World::new();
    let mut wrong_method = get(&world.primary);
    *wrong_method.method_mut() = http::Method::POST;
    assert_eq!(send(&world.layer(), wrong_method), 403);
    assert_eq!(send(&world.layer(), get(&generated::token("tat"))), 401);
    let anonymous = world.layer().optional(true);
    assert_eq!(send(&anonymous, http::Request::get("/").body(String::new()).unwrap()), 200);
    world.flush();
    assert_eq!(world.store.take_batches().len(), 0);
}

#[test]
fn the_client_is_the_first_product_of_its_user_agent_or_what_the_host_says() {
    let label = |layer: &TokenAuthLayer, world: &World, agent: &'static [u8]| {
        let mut request = get(&world.primary);
        let agent = HeaderValue::from_bytes(agent).unwrap();
        request.headers_mut().insert("user-agent", agent);
        send(layer, request);
        world.flush();
        let client = world.store.take_batch().remove(0).1.client;
        client.map(|client| client.as_str().to_owned())
    };
    let world = World::new();
    let layer = world.layer();
    assert_eq!(label(&layer, &world, b"curl/8.5.0 (x)").as_deref(), Some("curl/8.5.0"));
    assert_eq!(label(&layer, &world, b"\xff\xfe"), None);
    let path = layer.client_of(|request| ClientLabel::new(request.uri.path()).ok());
    assert_eq!(label(&path, &world, b"curl/8.5.0").as_deref(), Some("/"));
}

#[test]
fn a_layer_without_a_recorder_notes_nothing_and_works() {
    let world = World::new();
    let silent = TokenAuthLayer::new(Arc::<Store>::clone(&world.store));
    assert_eq!(send(&silent, get(&world.primary)), 200);
    assert_eq!(send(&silent, get(&world.retired)), 401);
    world.flush();
    assert_eq!(world.store.take_batches().len(), 0);
    assert_eq!(world.take_entries(), []);
}
