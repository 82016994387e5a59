//! The service for whoever holds a token, and for who has found one.

mod leaks;

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use bytes::Bytes;
use http::request::Builder;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use tokio::time::Instant;
use tower::ServiceExt;
use tower_api_token::audit::Event;
use tower_api_token::denial::DenialKind;
use tower_api_token::holder::HolderService;
use tower_api_token::rotation::Policy;
use tower_api_token::store::StoreErrorKind;
use tower_api_token::token::{Pepper, Token, TokenScheme};
use tower_api_token::user::Actor;

use crate::manager::store::{Call, Fault};
use crate::manager::world::{World, alice, root};

const FORM: &str = "application/x-www-form-urlencoded";
const DAY: Duration = Duration::from_secs(86_400);

/// An answer, read to its end.
struct Answer {
    status: u16,
    head: http::response::Parts,
    body: Bytes,
}

impl Answer {
    async fn of(response: Response<Full<Bytes>>) -> Self {
        let (head, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        assert_eq!(head.headers["cache-control"], "no-store");
        Self { status: head.status.as_u16(), head, body }
    }

    fn header(&self, name: &str) -> &str {
        self.head.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

fn service(world: &World) -> HolderService {
    let service = HolderService::new(world.manager.clone()).least_time(Duration::ZERO);
    service.rate_limit(NonZeroU32::MAX, Duration::ZERO)
}

async fn ask(service: &HolderService, request: Request<Full<Bytes>>) -> Answer {
    let response = service.clone().oneshot(request).await;
    Answer::of(response.unwrap_or_else(|never| match never {})).await
}

fn with_body(request: Builder, body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    request.body(Full::from(body.into())).unwrap()
}

async fn post(service: &HolderService, form: String) -> Answer {
    let request = Request::post("/revoke").header("content-type", FORM);
    ask(service, with_body(request, form)).await
}

/// Revokes the token; the answer is the same whatever it is.
async fn revoke(service: &HolderService, token: &str) {
    let answer = post(service, format!("token={token}&token_type_hint=refresh_token")).await;
    assert_eq!((answer.status, answer.body.len()), (200, 0));
    assert_eq!(answer.head.headers.len(), 1, "{:?}", answer.head.headers);
}

async fn tell(service: &HolderService, token: &str) -> Answer {
    let request = Request::get("/token").header("authorization", format!("Bearer {token}"));
    ask(service, with_body(request, "")).await
}

/// A token with a right check sum that nobody knows.
async fn unknown() -> Token {
    World::in_memory().await.active().await.token
}

/// A generated token with another last character.
fn damaged(token: &str) -> String {
    let (rest, last) = token.split_at(token.len() - 1);
    format!("{rest}{}", if last == "a" { "b" } else { "a" })
}

#[tokio::test]
async fn whoever_holds_a_token_ends_it() {
    let world = World::in_memory().await;
    let service = service(&world);
    let (primary, backup) = world.dual().await;
    revoke(&service, primary.token.expose_secret()).await;
    assert_eq!(world.auth(&primary.token, "GET").await, Err(DenialKind::InvalidToken));
    assert!(world.auth(&backup.token, "GET").await.is_ok());
    let told = world.post.notices.lock().unwrap().last().unwrap().clone();
    assert_eq!(told.event, Event::TokenEnded { id: primary.id, promoted: Some(backup.id) });
    assert_eq!(told.actor, Actor::program("revocation").unwrap());
    let revision = world.account().await.revision();
    let unknown = unknown().await;
    let long = "a".repeat(2_000);
    for again in [primary.token.expose_secret(), unknown.expose_secret(), "garbage", "%ff", &long] {
        revoke(&service, again).await;
    }
    assert_eq!(world.account().await.revision(), revision, "none of these was a token");
}

#[tokio::test]
async fn a_pending_token_is_cancelled() {
    let world = World::in_memory().await;
    world.active().await;
    let (pending, code) = world.generate().await;
    revoke(&service(&world), pending.token.expose_secret()).await;
    assert_eq!(world.history().await.last(), Some(&"pending_cancelled"));
    assert!(world.manager.confirm(&Actor::User, alice(), &code).await.is_err());
}

#[tokio::test]
async fn a_token_is_ended_while_access_is_suspended() {
    let world = World::in_memory().await;
    let issued = world.active().await;
    world.manager.suspend(root(), alice()).await.unwrap();
    let token = issued.token.expose_secret();
    let service = service(&world);
    assert_eq!(tell(&service, token).await.json()["suspended"], true);
    revoke(&service, token).await;
    assert_eq!(tell(&service, token).await.status, 401);
    world.manager.resume(root(), alice()).await.unwrap();
    assert_eq!(world.auth(&issued.token, "GET").await, Err(DenialKind::InvalidToken));
}

#[tokio::test]
async fn a_request_in_another_form_ends_nothing() {
    let world = World::in_memory().await;
    let issued = world.active().await;
    let token = issued.token.expose_secret();
    let service = service(&world);
    let long = format!("token={token}&padding={}", "a".repeat(4_096));
    for (content_type, form) in [
        (FORM, String::new()),
        (FORM, format!("tokens={token}")),
        (FORM, format!("token={token}&token={token}")),
        (FORM, format!("token={token}&t%6Fken=x")),
        (FORM, long),
        ("application/json", format!("token={token}")),
        ("text/plain", format!("token={token}")),
    ] {
        let request = Request::post("/revoke").header("content-type", content_type);
        let answer = ask(&service, with_body(request, form.clone())).await;
        assert_eq!((answer.status, answer.json()), (400, json!({ "error": "invalid_request" })));
        assert_eq!(answer.header("content-type"), "application/json");
    }
    let request = Request::post(format!("/revoke?token={token}")).header("content-type", FORM);
    assert_eq!(ask(&service, with_body(request, "")).await.status, 400, "never from the address");
    for (method, path, allowed) in [
        ("GET", "/revoke", "POST"),
        ("HEAD", "/revoke", "POST"),
        ("DELETE", "/token", "GET, HEAD"),
        ("POST", "/token", "GET, HEAD"),
    ] {
        let request = Request::builder().method(method).uri(path).header("content-type", FORM);
        let answer = ask(&service, with_body(request, format!("token={token}"))).await;
        assert_eq!((answer.status, answer.header("allow")), (405, allowed));
    }
    for path in ["/", "/revoke/", "/tokens", "/leaks"] {
        let request = Request::post(path).header("content-type", FORM);
        assert_eq!(ask(&service, with_body(request, format!("token={token}"))).await.status, 404);
    }
    assert!(world.auth(&issued.token, "GET").await.is_ok());
}

#[tokio::test]
async fn an_outage_says_when_to_come_back_and_ends_nothing() {
    let world = World::in_memory().await;
    let issued = world.active().await;
    let token = issued.token.expose_secret();
    let service = service(&world);
    for (call, kind, status) in [
        (Call::Find, StoreErrorKind::Unavailable, 503),
        (Call::Load, StoreErrorKind::Unavailable, 503),
        (Call::Replace, StoreErrorKind::Refused, 503),
        (Call::Find, StoreErrorKind::Corrupt, 500),
    ] {
        world.store.plan(call, Fault::Error(kind));
        let answer = post(&service, format!("token={token}")).await;
        assert_eq!(
            (answer.status, answer.header("retry-after").is_empty()),
            (status, status != 503)
        );
        assert!(!String::from_utf8_lossy(&answer.body).contains(token));
        assert!(world.auth(&issued.token, "GET").await.is_ok());
    }
    world.store.plan(Call::Find, Fault::Error(StoreErrorKind::Unavailable));
    let answer = tell(&service, token).await;
    assert_eq!((answer.status, answer.header("retry-after").is_empty()), (503, false));
    assert_eq!(answer.header("www-authenticate"), "", "it looks like no bad token");
}

fn pepper(version: u16) -> Pepper {
    Pepper::new(version, &[version as u8; 32]).unwrap()
}

#[tokio::test]
async fn a_token_that_has_ended_costs_what_an_unknown_one_does() {
    let former = TokenScheme::default().pepper(pepper(1)).unwrap();
    let both = TokenScheme::default().pepper(pepper(2)).unwrap().former_pepper(pepper(1)).unwrap();
    let three = both.clone().formerly_without_pepper().unwrap();
    for (scheme, count) in [(TokenScheme::default(), 1), (former, 1), (both, 2), (three, 3)] {
        let world = World::in_memory().await.again(scheme, |builder| builder).await;
        let (ended, _) = world.dual().await;
        let service = service(&world);
        revoke(&service, ended.token.expose_secret()).await;
        let (pending, _) = world.generate().await;
        revoke(&service, pending.token.expose_secret()).await;
        let unknown = unknown().await;
        for token in [&ended.token, &pending.token, &unknown] {
            let token = token.expose_secret();
            world.store.take_all_calls();
            revoke(&service, token).await;
            assert_eq!(world.store.take_all_calls(), vec![Call::Find; count]);
            assert_eq!(tell(&service, token).await.status, 401);
            assert_eq!(world.store.take_all_calls(), vec![Call::Find; count]);
            for garbage in [&damaged(token), "garbage"] {
                revoke(&service, garbage).await;
                assert_eq!(tell(&service, garbage).await.status, 401);
            }
            assert_eq!(world.store.take_all_calls(), [], "no store is asked for garbage");
        }
    }
}

/// By the runtime's own clock, which stands still but for whoever waits.
#[tokio::test(start_paused = true)]
async fn no_answer_about_a_token_comes_before_the_least_time() {
    let world = World::in_memory().await;
    let (ended, live) = world.dual().await;
    let unknown = unknown().await;
    let least = Duration::from_millis(20);
    for (service, least) in [
        (HolderService::new(world.manager.clone()), least),
        (HolderService::new(world.manager.clone()).least_time(least * 5), least * 5),
        (service(&world), Duration::ZERO),
    ] {
        revoke(&service, ended.token.expose_secret()).await;
        for token in [ended.token.expose_secret(), unknown.expose_secret(), "garbage"] {
            let begun = Instant::now();
            revoke(&service, token).await;
            assert_eq!(begun.elapsed(), least);
            let begun = Instant::now();
            assert_eq!(tell(&service, token).await.status, 401);
            assert_eq!(begun.elapsed(), least);
        }
        let begun = Instant::now();
        assert_eq!(tell(&service, live.token.expose_secret()).await.status, 200);
        assert_eq!(begun.elapsed(), least);
        let begun = Instant::now();
        assert_eq!(post(&service, String::new()).await.status, 400);
        assert_eq!(begun.elapsed(), Duration::ZERO, "nothing is found out");
    }
}

/// Nobody has retired it yet.
#[tokio::test]
async fn a_token_whose_end_has_come_costs_what_an_unknown_one_does() {
    let policy = Policy::default().token_lifetime(DAY * 90).unwrap();
    let world = World::in_memory().await;
    let world = world.again(TokenScheme::default(), |builder| builder.policy(policy)).await;
    let issued = world.active().await;
    let (pending, _) = world.generate().await;
    let (service, unknown) = (service(&world), unknown().await);
    world.pass(DAY * 91);
    let revision = world.account().await.revision();
    for token in [&issued.token, &pending.token, &unknown] {
        let token = token.expose_secret();
        world.store.take_all_calls();
        revoke(&service, token).await;
        assert_eq!(world.store.take_all_calls(), [Call::Find]);
        assert_eq!(tell(&service, token).await.status, 401);
        assert_eq!(world.store.take_all_calls(), [Call::Find]);
    }
    assert_eq!(world.account().await.revision(), revision);
}

#[tokio::test]
async fn a_holder_is_told_what_the_token_is() {
    let policy = Policy::default().token_lifetime(DAY * 90).unwrap();
    let world = World::in_memory().await;
    let world = world.again(TokenScheme::default(), |builder| builder.policy(policy)).await;
    let issued = world.active().await;
    let token = issued.token.expose_secret();
    world.pass(DAY);
    assert!(world.auth(&issued.token, "GET").await.is_ok());
    world.usage.flush().await.unwrap();
    let (service, revision) = (service(&world), world.account().await.revision());
    let answer = tell(&service, token).await;
    let expected = json!({
        "user": "alice",
        "token": 1,
        "slot": "primary",
        "methods": ["GET", "POST"],
        "suspended": false,
        "made_at": "2026-01-01T00:00:00.000Z",
        "expires_at": "2026-04-01T00:00:00.000Z",
        "last_used_at": "2026-01-02T00:00:00.000Z",
    });
    assert_eq!((answer.status, answer.json()), (200, expected));
    assert_eq!(answer.header("content-type"), "application/json");
    let request = Request::head("/token").header("authorization", format!("Bearer {token}"));
    let head = ask(&service, with_body(request, "")).await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(head.header("content-length"), answer.body.len().to_string());
    assert_eq!(world.account().await.revision(), revision);
    world.usage.flush().await.unwrap();
    let view = world.manager.view(alice()).await.unwrap();
    assert_eq!(view.primary.unwrap().last_used_at.unwrap().to_string(), "2026-01-02T00:00:00.000Z");
    world.pass(DAY * 89);
    assert_eq!(tell(&service, token).await.status, 401, "it has expired");
}

#[tokio::test]
async fn a_question_without_a_live_token_is_answered_as_the_layer_does() {
    let world = World::in_memory().await;
    let issued = world.active().await;
    let (pending, _) = world.generate().await;
    let service = service(&world).realm("tokens").unwrap();
    let token = issued.token.expose_secret();
    let authorization = async |values: &[&str]| {
        let request = Request::get("/token");
        let request =
            values.iter().fold(request, |request, value| request.header("authorization", *value));
        ask(&service, with_body(request, "")).await
    };
    let none = authorization(&[]).await;
    assert_eq!((none.status, none.header("www-authenticate")), (401, "Bearer realm=\"tokens\""));
    for value in ["Basic YWxpY2U6eA==", "Negotiate abc"] {
        assert_eq!(authorization(&[value]).await.status, 401);
    }
    let bearer = format!("Bearer {token}");
    for values in [&["Bearer"][..], &["Bearer a b"], &[token], &[&bearer, &bearer]] {
        let answer = authorization(values).await;
        assert_eq!(answer.status, 400);
        assert!(answer.header("www-authenticate").contains("invalid_request"));
    }
    let unknown = unknown().await;
    for token in [pending.token.expose_secret(), unknown.expose_secret(), "junk"] {
        let answer = tell(&service, token).await;
        assert_eq!(answer.status, 401);
        assert!(answer.header("www-authenticate").contains("invalid_token"));
    }
}

/// The service, with the address of each request in a header.
fn limited(world: &World, at_once: u32) -> HolderService {
    let at_once = NonZeroU32::new(at_once).unwrap();
    HolderService::new(world.manager.clone())
        .address_of(|request| request.headers.get("x-from")?.to_str().ok()?.parse().ok())
        .rate_limit(at_once, Duration::from_secs(3_600))
        .least_time(Duration::ZERO)
}

async fn revoke_from(service: &HolderService, address: &str, token: &str) -> Answer {
    let request = Request::post("/revoke").header("content-type", FORM).header("x-from", address);
    ask(service, with_body(request, format!("token={token}"))).await
}

#[tokio::test]
async fn one_address_asks_only_so_often() {
    let world = World::in_memory().await;
    let issued = world.active().await;
    let (service, unknown) = (limited(&world, 3), unknown().await);
    world.store.take_all_calls();
    for turn in 0..10 {
        let answer = revoke_from(&service, "192.0.2.1", unknown.expose_secret()).await;
        assert_eq!(answer.status, if turn < 3 { 200 } else { 429 });
        assert_eq!(answer.header("retry-after").is_empty(), turn < 3);
    }
    assert_eq!(world.store.take_all_calls(), [Call::Find; 3]);
    for turn in 0..4 {
        let address = format!("2001:db8:0:1::{turn}");
        let status = revoke_from(&service, &address, "garbage").await.status;
        assert_eq!(status, if turn < 3 { 200 } else { 429 }, "a network of IPv6 is one");
        let unnamed = revoke_from(&service, "no address", "garbage").await.status;
        assert_eq!(unnamed, if turn < 3 { 200 } else { 429 }, "those without one are one");
    }
    assert_eq!(revoke_from(&service, "2001:db8:0:2::1", "garbage").await.status, 200);
    let request = Request::get("/token").header("x-from", "192.0.2.1");
    assert_eq!(ask(&service, with_body(request, "")).await.status, 429);
    assert!(world.auth(&issued.token, "GET").await.is_ok());
}

#[tokio::test]
async fn a_flood_of_a_live_token_costs_what_the_limit_lets_through() {
    let world = World::in_memory().await;
    let issued = world.active().await;
    let (service, token) = (limited(&world, 3), issued.token.expose_secret());
    world.store.take_all_calls();
    for turn in 0..2_000 {
        let request = Request::get("/token").header("x-from", "192.0.2.1");
        let request = request.header("authorization", format!("Bearer {token}"));
        let status = ask(&service, with_body(request, "")).await.status;
        assert_eq!(status, if turn < 3 { 200 } else { 429 });
    }
    let calls = world.store.take_all_calls();
    let found = calls.iter().filter(|call| **call == Call::Find).count();
    assert_eq!((found, calls.len() % 3), (3, 0), "{calls:?}");
    assert!(calls.len() <= 3 * 4, "{calls:?}");
    assert_eq!(revoke_from(&service, "192.0.2.1", token).await.status, 429);
    assert_eq!(world.store.take_all_calls(), []);
    assert!(world.auth(&issued.token, "GET").await.is_ok());
}

#[tokio::test]
async fn a_flood_from_many_addresses_asks_the_store_nothing_for_garbage() {
    let world = World::in_memory().await;
    let issued = world.active().await;
    let service = limited(&world, 2);
    let garbage = damaged(issued.token.expose_secret());
    world.store.take_all_calls();
    for number in 0..6_000_u32 {
        let address = IpAddr::from(number.to_be_bytes()).to_string();
        assert_eq!(revoke_from(&service, &address, &garbage).await.status, 200);
    }
    assert_eq!(world.store.take_all_calls(), []);
    assert!(world.auth(&issued.token, "GET").await.is_ok());
}
