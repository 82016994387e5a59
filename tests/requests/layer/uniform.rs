//! Nobody learns from an answer, or from what the store was asked, why a token
//! is not valid.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tower_api_token::TokenAuthLayer;
use tower_api_token::account::{Account, TokenRecord};
use tower_api_token::credentials::CredentialSource;
use tower_api_token::test_util::ManualClock;
use tower_api_token::token::{Pepper, TokenPrefix, TokenScheme};

use crate::generated;
use crate::layer::support::{
    Answers, Call, Outcome, Spy, World, account, bearer, digest, record, request, send, timestamp,
};

/// All of an answer that a client can see.
fn told(outcome: &Outcome) -> String {
    format!("{} {:?} {:?}", outcome.status, outcome.headers, outcome.body)
}

fn peeks_and_finds(calls: &[Call]) -> (usize, usize) {
    let peeks = calls.iter().filter(|call| matches!(call, Call::Peek(_))).count();
    (peeks, calls.len() - peeks)
}

fn until(seconds: u64, mut record: TokenRecord) -> TokenRecord {
    record.expires_at = Some(timestamp(seconds));
    record
}

/// `erin` (GET), whose primary ends at second 100 and whose backup at second 50.
fn erin(scheme: &TokenScheme, primary: &str, backup: &str) -> Account {
    let primary = until(100, record(2, digest(scheme, primary)));
    let backup = until(50, record(1, digest(scheme, backup)));
    account("erin", &["GET"]).primary(primary).backup(backup).build().unwrap()
}

/// Holds that no invalid token differs from another in what is told of it and
/// in what the store is asked; `peppers` is how many there are.
fn no_invalid_token_differs(made_with: &TokenScheme, scheme: &TokenScheme, peppers: usize) {
    let world = World::with(made_with.clone());
    let (expired, unknown) = (generated::token("tat"), generated::token("tat"));
    for answers in [Answers::Peek, Answers::Find] {
        let accounts = world.accounts().into_iter().chain([erin(made_with, &expired, "other")]);
        let store = Spy::new(accounts, answers);
        let clock = ManualClock::new(timestamp(1_000));
        let layer = TokenAuthLayer::new(Arc::clone(&store)).clock(clock).scheme(scheme.clone());
        let layer = layer.sources([CredentialSource::Bearer, CredentialSource::Basic]);
        let of_another = STANDARD.encode(format!("bob:{}", world.primary));
        for method in ["GET", "DELETE"] {
            let mut seen = Vec::new();
            for credential in [
                format!("Bearer {unknown}"),
                format!("Bearer {}", world.retired),
                format!("Bearer {}", world.pending),
                format!("Bearer {expired}"),
                format!("Basic {of_another}"),
            ] {
                let outcome = send(&layer, request(method, &[("authorization", &credential)]));
                assert_eq!(outcome.status, 401);
                seen.push((told(&outcome), peeks_and_finds(&store.take_calls())));
            }
            assert!(seen.iter().all(|each| *each == seen[0]), "{seen:#?}");
            let finds = if answers == Answers::Find { peppers } else { 0 };
            assert_eq!(seen[0].1, (peppers, finds));
        }
    }
}

#[test]
fn store_038_every_invalid_token_gets_one_text_at_the_same_price() {
    no_invalid_token_differs(&TokenScheme::default(), &TokenScheme::default(), 1);
}

#[test]
fn store_038_with_two_peppers_it_is_the_price_of_both() {
    let former = TokenScheme::default().pepper(pepper(1)).unwrap();
    let current = TokenScheme::default().pepper(pepper(2)).unwrap();
    let both = current.clone().former_pepper(pepper(1)).unwrap();
    for made_with in [current, former] {
        no_invalid_token_differs(&made_with, &both, 2);
    }
}

#[test]
fn a_live_token_costs_the_store_no_more_than_an_invalid_one() {
    let world = World::new();
    for (answers, expected) in [(Answers::Peek, (1, 0)), (Answers::Find, (1, 1))] {
        let store = world.store(answers);
        let layer = TokenAuthLayer::new(Arc::clone(&store));
        for token in [&world.primary, &world.backup] {
            assert_eq!(send(&layer, bearer("GET", token)).status, 200);
            assert_eq!(peeks_and_finds(&store.take_calls()), expected);
        }
    }
}

#[test]
fn a_token_ends_at_the_instant_its_lifetime_names() {
    let (primary, backup) = (generated::token("tat"), generated::token("tat"));
    let clock = Arc::new(ManualClock::new(timestamp(0)));
    let store = Spy::new([erin(&TokenScheme::default(), &primary, &backup)], Answers::Peek);
    let layer = TokenAuthLayer::new(store).clock(Arc::clone(&clock));
    let status = |token: &str| send(&layer, bearer("GET", token)).status.as_u16();
    clock.set(timestamp(50));
    clock.set(tower_api_token::time::Timestamp::from_unix_millis(49_999));
    assert_eq!((status(&primary), status(&backup)), (200, 200));
    clock.advance(Duration::from_millis(1));
    assert_eq!((status(&primary), status(&backup)), (200, 401));
    clock.set(timestamp(100));
    assert_eq!((status(&primary), status(&backup)), (401, 401));
}

/// `token` with one of its random characters changed.
fn damaged(token: &str) -> String {
    let place = token.len() - 20;
    let other = if token.as_bytes()[place] == b'x' { "y" } else { "x" };
    format!("{}{other}{}", &token[..place], &token[place + 1..])
}

#[test]
fn a_damaged_token_never_reaches_the_store() {
    let world = World::new();
    for foreign in [false, true] {
        let store = world.store(Answers::Find);
        let scheme = TokenScheme::default().accept_foreign_tokens(foreign);
        let layer = TokenAuthLayer::new(Arc::clone(&store)).scheme(scheme);
        let outcome = send(&layer, bearer("GET", &damaged(&world.primary)));
        assert_eq!(outcome.status, 401);
        assert_eq!(peeks_and_finds(&store.take_calls()).1, 0);
    }
}

#[test]
fn a_foreign_string_reaches_the_store_only_where_such_are_accepted() {
    let world = World::new();
    let foreign = ["hunter2", &generated::token("acme"), &world.primary[1..]];
    let store = world.store(Answers::Find);
    let layer = TokenAuthLayer::new(Arc::clone(&store));
    let accepting = layer.clone().scheme(TokenScheme::default().accept_foreign_tokens(true));
    for token in foreign {
        let refused = send(&layer, bearer("GET", token));
        assert_eq!(store.take_calls(), [], "nothing is asked for {token}");
        let asked = send(&accepting, bearer("GET", token));
        assert_eq!(peeks_and_finds(&store.take_calls()), (1, 1));
        assert_eq!(told(&refused), told(&asked));
    }
}

#[test]
fn a_listed_prefix_is_as_good_as_the_current_one() {
    let old = generated::token("tat");
    let scheme = TokenScheme::new(TokenPrefix::new("acme").unwrap());
    let record = record(1, digest(&scheme, &old));
    let store =
        Spy::new([account("old", &["GET"]).primary(record).build().unwrap()], Answers::Find);
    let layer = TokenAuthLayer::new(store).scheme(scheme.clone());
    assert_eq!(send(&layer, bearer("GET", &old)).status, 401);
    let listed = layer.scheme(scheme.former_prefix(TokenPrefix::standard()));
    assert_eq!(send(&listed, bearer("GET", &old)).status, 200);
}

fn pepper(version: u16) -> Pepper {
    Pepper::new(version, &[version as u8; 32]).unwrap()
}

#[test]
fn both_peppers_are_peeked_under_before_the_store_is_waited_for() {
    let former = TokenScheme::default().pepper(pepper(1)).unwrap();
    let current = TokenScheme::default().pepper(pepper(2)).unwrap();
    let both = current.clone().former_pepper(pepper(1)).unwrap();
    for (made_with, finds) in [(&current, 1), (&former, 2)] {
        let world = World::with(made_with.clone());
        let store = world.store(Answers::Find);
        let layer = TokenAuthLayer::new(Arc::clone(&store)).scheme(both.clone());
        let (new, old) = (digest(&current, &world.primary), digest(&former, &world.primary));
        let (new, old) = (*new.digest.as_bytes(), *old.digest.as_bytes());
        assert_eq!(send(&layer, world.get()).status, 200);
        let calls = [Call::Peek(new), Call::Peek(old), Call::Find(new), Call::Find(old)];
        assert_eq!(store.take_calls(), calls[..2 + finds]);
    }
}

#[test]
fn memory_that_knows_the_token_is_asked_once_under_the_current_pepper() {
    let both = TokenScheme::default().pepper(pepper(2)).unwrap().former_pepper(pepper(1)).unwrap();
    let world = World::with(both.clone());
    let store = world.store(Answers::Peek);
    let layer = TokenAuthLayer::new(Arc::clone(&store)).scheme(both);
    assert_eq!(send(&layer, world.get()).status, 200);
    assert_eq!(peeks_and_finds(&store.take_calls()), (1, 0));
    assert_eq!(send(&layer, bearer("GET", &generated::token("tat"))).status, 401);
    assert_eq!(peeks_and_finds(&store.take_calls()), (2, 0));
}

#[test]
fn tokens_from_before_the_first_pepper_go_on_working_where_they_are_listed() {
    let plain = TokenScheme::default();
    let peppered = TokenScheme::default().pepper(pepper(1)).unwrap();
    let world = World::with(plain);
    let layer = TokenAuthLayer::new(world.store(Answers::Peek));
    assert_eq!(send(&layer.clone().scheme(peppered.clone()), world.get()).status, 401);
    let listed = layer.scheme(peppered.formerly_without_pepper().unwrap());
    assert_eq!(send(&listed, world.get()).status, 200);
}
