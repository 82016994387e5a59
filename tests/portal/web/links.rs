//! The page that a mailed link opens.

use std::task::{Context, Waker};
use std::time::Duration;

use tower_api_token::account::Slot;
use tower_api_token::user::Actor;

use crate::generated;
use crate::secret::random_text;
use crate::web::world::{ALICE, BOB, World, user};

#[tokio::test]
async fn a_code_that_is_used_says_that_its_token_is_active() {
    let world = World::new().await;
    let (_, code) = world.generate(ALICE).await;
    let link = format!("/tokens/verify?code={code}");
    let page = world.get(ALICE, &link).await;
    assert_eq!(world.send_form(ALICE, &page, &[]).await.status, 303);
    let before = world.state().await;
    for answer in [world.send_form(ALICE, &page, &[]).await, world.get(ALICE, &link).await] {
        assert_eq!(answer.status, 410);
        assert!(answer.text.contains("Token 1 is active already."), "{}", answer.text);
    }
    assert_eq!(world.state().await, before);
}

#[tokio::test]
async fn a_code_that_has_run_out_says_so() {
    let world = World::new().await;
    let (token, code) = world.generate(ALICE).await;
    let link = format!("/tokens/verify?code={code}");
    let page = world.get(ALICE, &link).await;
    world.wait(Duration::from_secs(600));
    for answer in [world.get(ALICE, &link).await, world.send_form(ALICE, &page, &[]).await] {
        assert_eq!(answer.status, 410);
        assert!(answer.text.contains("This code has run out"), "{}", answer.text);
    }
    assert_eq!(world.slot(&token).await, None);
}

#[tokio::test]
async fn another_users_code_is_an_unknown_one() {
    let world = World::new().await;
    let (token, code) = world.generate(ALICE).await;
    world.generate(BOB).await;
    let alices = format!("/tokens/verify?code={code}");
    let (foreign, unknown) = (world.get(BOB, &alices).await, unknown(&world).await);
    assert_eq!((foreign.status, &foreign.text), (unknown.status, &unknown.text));
    assert_eq!(foreign.status, 404);
    // As a form, too, with a form token of bob's own.
    let form_token = world.form_token(BOB).await;
    let body = format!("form_token={form_token}&code={code}");
    assert_eq!(world.post(BOB, "/tokens/verify", &body).await.status, 404);
    assert_eq!(world.slot(&token).await, None);
    assert_eq!(world.submit(ALICE, &alices, &[]).await.status, 303, "and is hers still");
}

/// bob's answer to a code that nobody has.
async fn unknown(world: &World) -> crate::web::world::Answer {
    let code = format!("tac_{}", random_text(32));
    world.get(BOB, &format!("/tokens/verify?code={code}")).await
}

#[tokio::test]
async fn a_code_can_be_typed_with_space_around_it() {
    let world = World::new().await;
    let (token, code) = world.generate(ALICE).await;
    let typing = world.get(ALICE, "/tokens/verify").await;
    assert!(typing.text.contains("name=\"code\""), "{}", typing.text);
    let typed = format!("  {code}\n");
    assert_eq!(world.send_form(ALICE, &typing, &[("code", &typed)]).await.status, 303);
    assert_eq!(world.slot(&token).await, Some(Slot::Primary));
    assert_eq!(world.get(ALICE, "/tokens/verify").await.status, 404, "nothing is pending");
}

#[tokio::test]
async fn guessing_codes_is_limited_and_locks_nobody_else_out() {
    let world = World::new().await;
    let (token, code) = world.generate(ALICE).await;
    world.generate(BOB).await;
    let form_token = world.form_token(BOB).await;
    let guess = || format!("form_token={form_token}&code=tac_{}", random_text(32));
    for _ in 0..10 {
        assert_eq!(world.post(BOB, "/tokens/verify", &guess()).await.status, 404);
    }
    let limited = world.post(BOB, "/tokens/verify", &guess()).await;
    assert_eq!(limited.status, 429);
    assert!(limited.header("retry-after").parse::<u64>().unwrap() <= 60);
    let body = format!("{{\"code\":\"tac_{}\"}}", random_text(32));
    assert_eq!(world.api(BOB, "confirm", &body).await.problem(), "too_many", "one limit for both");
    let link = format!("/tokens/verify?code={code}");
    assert_eq!(world.submit(ALICE, &link, &[]).await.status, 303, "alice is not concerned");
    assert_eq!(world.slot(&token).await, Some(Slot::Primary));
}

/// The answer is of no use to whoever guesses: a right code works all the same.
#[tokio::test]
async fn guesses_count_whose_sender_hangs_up_before_the_answer() {
    let world = World::new().await;
    world.generate(BOB).await;
    let guess = || format!("{{\"code\":\"tac_{}\"}}", random_text(32));
    let (mut hung_up, mut context) = (0, Context::from_waker(Waker::noop()));
    for _ in 0..10 {
        let guess = guess();
        let mut sent = Box::pin(world.api(BOB, "confirm", &guess));
        hung_up += usize::from(sent.as_mut().poll(&mut context).is_pending());
    }
    assert_eq!(hung_up, 10);
    assert_eq!(world.api(BOB, "confirm", &guess()).await.problem(), "too_many");
}

#[tokio::test]
async fn right_codes_do_not_count_as_guesses() {
    let world = World::new().await;
    for _ in 0..12 {
        world.manager.generate_primary(&Actor::User, &user("alice")).await.unwrap();
        let body = format!("{{\"code\":\"{}\"}}", world.last_code());
        assert_eq!(world.api(ALICE, "confirm", &body).await.status, 204);
        world.manager.revoke_all(&Actor::User, &user("alice")).await.unwrap();
    }
}

#[tokio::test]
async fn links_that_another_site_opens_do_not_lock_the_owner_out() {
    let world = World::new().await;
    let (token, code) = world.generate(ALICE).await;
    let cross = [("sec-fetch-site", "cross-site"), ("sec-fetch-dest", "image")];
    let mut seen = 0;
    for _ in 0..80 {
        let link = format!("/tokens/verify?code=tac_{}", random_text(32));
        let answer = world.send(ALICE, "GET", &link, &cross, "").await;
        seen += usize::from(answer.status == 404);
    }
    assert!((60..80).contains(&seen), "what links tell is limited: {seen}");
    let answer = world.submit(ALICE, &format!("/tokens/verify?code={code}"), &[]).await;
    assert_eq!(answer.status, 303, "{}", answer.text);
    assert_eq!(world.slot(&token).await, Some(Slot::Primary));
}

#[tokio::test]
async fn a_token_in_place_of_a_code_is_neither_taken_nor_shown() {
    let world = World::new().await;
    world.generate(ALICE).await;
    let pasted = generated::token("tat");
    let page = world.get(ALICE, "/tokens/verify").await;
    let answer = world.send_form(ALICE, &page, &[("code", &pasted)]).await;
    assert_eq!(answer.status, 404);
    assert!(!answer.text.contains(&pasted));
}

#[tokio::test]
async fn the_field_for_a_code_is_no_password_that_a_browser_would_keep() {
    let world = World::new().await;
    world.generate(ALICE).await;
    let page = world.get(ALICE, "/tokens/verify").await;
    let field = page.between_text("<input type=\"text\" class=\"masked\" id=\"code\"", ">");
    assert!(field.contains("autocomplete=\"one-time-code\""), "{field}");
    assert!(!page.text.contains("type=\"password\""), "{}", page.text);
}
