//! Forms that are out of date, sent twice, or sent from two windows at once.

use std::time::Duration;

use tower_api_token::account::Slot;

use crate::web::world::{ALICE, World, form};

#[tokio::test]
async fn a_stale_form_says_so_and_does_nothing() {
    let world = World::new().await;
    world.rotate(ALICE).await;
    world.rotate(ALICE).await;
    world.wait(Duration::from_secs(60));
    let pages = ["generate", "delete-backup", "roll-back", "revoke-all"];
    let mut opened = Vec::new();
    for page in pages {
        opened.push(world.get(ALICE, &format!("/tokens/edit/{page}")).await);
    }
    // In another window the tokens change.
    world.rotate(ALICE).await;
    let before = world.state().await;
    for (page, name) in opened.iter().zip(pages) {
        let fields = [("agree", "yes"), ("even_if_in_use", "yes")];
        let answer = world.send_form(ALICE, page, &fields).await;
        assert_eq!(answer.status, 409, "{name}");
        assert!(answer.text.contains("This page was out of date"), "{name}: {}", answer.text);
    }
    assert_eq!(world.state().await, before);
}

#[tokio::test]
async fn a_form_sent_twice_has_one_effect() {
    let world = World::new().await;
    let first = world.rotate(ALICE).await;
    let second = world.rotate(ALICE).await;
    world.wait(Duration::from_secs(60));
    let agree = [("agree", "yes")];
    let page = world.get(ALICE, "/tokens/edit/delete-backup").await;
    assert_eq!(world.send_form(ALICE, &page, &agree).await.status, 303);
    let after = world.state().await;
    assert_eq!(world.send_form(ALICE, &page, &agree).await.status, 303);
    assert_eq!(world.state().await, after);
    assert_eq!(world.slot(&first).await, None);

    let page = world.get(ALICE, "/tokens/edit/revoke-all").await;
    assert_eq!(world.send_form(ALICE, &page, &agree).await.status, 303);
    let after = world.state().await;
    assert_eq!(world.send_form(ALICE, &page, &agree).await.status, 303);
    assert_eq!(world.state().await, after);
    assert_eq!(world.slot(&second).await, None);
}

#[tokio::test]
async fn of_two_generated_tokens_the_later_wins_and_one_is_pending() {
    let world = World::new().await;
    world.rotate(ALICE).await;
    let page = world.get(ALICE, "/tokens/edit/generate").await;
    let early = world.send_form(ALICE, &page, &[("agree", "yes")]).await;
    let early_code = world.last_code();
    let late = world.send_form(ALICE, &page, &[("agree", "yes")]).await;
    let late_code = world.last_code();
    let token =
        |answer: &crate::web::world::Answer| answer.between_text("<code id=\"token\">", "</code>");
    assert_eq!(world.get(ALICE, &format!("/tokens/verify?code={early_code}")).await.status, 404);
    let link = format!("/tokens/verify?code={late_code}");
    assert_eq!(world.submit(ALICE, &link, &[]).await.status, 303);
    assert_eq!(world.slot(&token(&early)).await, None);
    assert_eq!(world.slot(&token(&late)).await, Some(Slot::Primary));
}

#[tokio::test]
async fn two_windows_at_once_leave_one_pending_token() {
    let world = World::new().await;
    world.rotate(ALICE).await;
    let page = world.get(ALICE, "/tokens/edit/generate").await;
    let send = || world.send_form(ALICE, &page, &[("agree", "yes")]);
    let (one, two) = tokio::join!(send(), send());
    assert_eq!((one.status.as_u16(), two.status.as_u16()), (200, 200));
    let view = world.view("alice").await;
    assert_eq!(view.pending.unwrap().id.as_u64(), 3);
    assert_eq!(view.primary.unwrap().id.as_u64(), 1);
}

#[tokio::test]
async fn a_field_that_is_there_twice_or_is_no_number_is_refused() {
    let world = World::new().await;
    world.rotate(ALICE).await;
    world.rotate(ALICE).await;
    world.wait(Duration::from_secs(60));
    let before = world.state().await;
    let hidden = world.get(ALICE, "/tokens/edit/delete-backup").await.hidden();
    for odd in ["&id=1&id=1", "&form_token=x", "&id=-1"] {
        let body = form(&hidden, &[("agree", "yes")]) + odd;
        let answer = world.post(ALICE, "/tokens/edit/delete-backup", &body).await;
        assert_eq!(answer.status, 400, "{odd}: {}", answer.text);
    }
    for id in ["-1", "1.0", "99999999999999999999", "one"] {
        let body = form(&hidden, &[("agree", "yes"), ("id", id)]);
        let answer = world.post(ALICE, "/tokens/edit/delete-backup", &body).await;
        assert_eq!(answer.status, 400, "{id}");
    }
    assert_eq!(world.state().await, before);
}

#[tokio::test]
async fn generating_is_limited_per_user() {
    let world = World::new().await;
    for _ in 0..10 {
        world.generate(ALICE).await;
    }
    let page = world.get(ALICE, "/tokens/edit/generate").await;
    let limited = world.send_form(ALICE, &page, &[("agree", "yes")]).await;
    assert_eq!(limited.status, 429);
    assert_eq!(world.api(ALICE, "generate", "{}").await.problem(), "too_many");
    assert_eq!(world.mails(), 10);
    world.generate(crate::web::world::BOB).await;
}
