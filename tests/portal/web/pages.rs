//! What the pages show, and the procedure on them.

use std::time::Duration;

use tower_api_token::account::Slot;

use crate::web::world::{ALICE, ROOT, Session, World, user};

#[tokio::test]
async fn the_whole_procedure_from_the_first_token_to_the_deleted_backup() {
    let world = World::new().await;
    let profile = world.get(ALICE, "/tokens").await;
    assert!(profile.text.contains("href=\"/tokens/edit\""), "{}", profile.text);
    let (first, code) = world.generate(ALICE).await;
    assert_eq!(world.slot(&first).await, None, "not before it is confirmed");
    let verify = world.get(ALICE, &format!("/tokens/verify?code={code}")).await;
    assert!(verify.text.contains("becomes your primary and starts to work"), "{}", verify.text);
    let confirmed = world.send_form(ALICE, &verify, &[]).await;
    assert_eq!((confirmed.status.as_u16(), confirmed.header("location")), (303, "/tokens?saved"));
    assert_eq!(world.slot(&first).await, Some(Slot::Primary));
    let profile = world.get(ALICE, "/tokens?saved").await;
    assert!(profile.text.contains("Token 1 confirmed as the primary"), "{}", profile.text);

    let second = world.rotate(ALICE).await;
    assert_eq!(world.slot(&first).await, Some(Slot::Backup));
    assert_eq!(world.slot(&second).await, Some(Slot::Primary));

    world.wait(Duration::from_secs(60));
    let deleted = world.submit(ALICE, "/tokens/edit/delete-backup", &[("agree", "yes")]).await;
    assert_eq!((deleted.status.as_u16(), deleted.header("location")), (303, "/tokens?saved"));
    assert_eq!(world.slot(&first).await, None);
    assert_eq!(world.slot(&second).await, Some(Slot::Primary));
    let profile = world.get(ALICE, "/tokens?saved").await;
    assert!(profile.text.contains("Backup deleted: token 1"), "{}", profile.text);
}

#[tokio::test]
async fn the_backup_becomes_the_primary_again() {
    let world = World::new().await;
    let (first, second) = (world.rotate(ALICE).await, world.rotate(ALICE).await);
    world.wait(Duration::from_secs(60));
    let saved = world.submit(ALICE, "/tokens/edit/roll-back", &[("agree", "yes")]).await;
    assert_eq!(saved.status, 303, "{}", saved.text);
    assert_eq!(world.slot(&first).await, Some(Slot::Primary));
    assert_eq!(world.slot(&second).await, None);
}

#[tokio::test]
async fn everything_is_revoked_at_once() {
    let world = World::new().await;
    let (first, second) = (world.rotate(ALICE).await, world.rotate(ALICE).await);
    let ask = world.get(ALICE, "/tokens/edit/revoke-all").await;
    assert_eq!(ask.text.matches("ends at once").count(), 2, "it says so of each: {}", ask.text);
    assert_eq!(world.send_form(ALICE, &ask, &[("agree", "yes")]).await.status, 303);
    assert_eq!((world.slot(&first).await, world.slot(&second).await), (None, None));
}

#[tokio::test]
async fn a_pending_token_is_cancelled_and_its_link_is_void() {
    let world = World::new().await;
    let (token, code) = world.generate(ALICE).await;
    let saved = world.submit(ALICE, "/tokens/edit/cancel-pending", &[("agree", "yes")]).await;
    assert_eq!(saved.status, 303, "{}", saved.text);
    assert_eq!(world.get(ALICE, &format!("/tokens/verify?code={code}")).await.status, 404);
    assert_eq!(world.slot(&token).await, None);
}

#[tokio::test]
async fn nothing_happens_without_the_confirmation() {
    let world = World::new().await;
    world.rotate(ALICE).await;
    world.rotate(ALICE).await;
    let before = world.state().await;
    for action in ["generate", "delete-backup", "roll-back", "revoke-all"] {
        let answer = world.submit(ALICE, &format!("/tokens/edit/{action}"), &[]).await;
        assert_eq!(answer.status, 422, "{action}");
        assert!(answer.text.contains("tick the box to confirm"), "{}", answer.text);
        assert!(answer.text.contains("role=\"alert\""), "{}", answer.text);
    }
    assert_eq!(world.state().await, before);
}

#[tokio::test]
async fn a_backup_in_use_is_warned_of_and_needs_a_second_word() {
    let world = World::new().await;
    let first = world.rotate(ALICE).await;
    world.rotate(ALICE).await;
    let profile = world.get(ALICE, "/tokens").await;
    assert!(profile.text.contains("The backup may still be in use."), "{}", profile.text);
    world.wait(Duration::from_secs(3_600));
    let backup = world.view("alice").await.backup.unwrap().id;
    let profile = world.get(ALICE, "/tokens").await;
    assert!(!profile.text.contains("in use"), "{}", profile.text);
    world.used("alice", backup, "curl/8.5.0").await;
    let profile = world.get(ALICE, "/tokens").await;
    assert!(profile.text.contains("The backup is still in use."), "{}", profile.text);
    assert!(profile.text.contains("<bdi class=\"client\">curl/8.5.0</bdi>"), "{}", profile.text);

    let ask = world.get(ALICE, "/tokens/edit/delete-backup").await;
    assert!(ask.text.contains("name=\"even_if_in_use\""), "{}", ask.text);
    assert!(ask.text.contains("by curl/8.5.0"), "{}", ask.text);
    let refused = world.send_form(ALICE, &ask, &[("agree", "yes")]).await;
    assert_eq!(refused.status, 422);
    assert_eq!(world.slot(&first).await, Some(Slot::Backup));
    let both = [("agree", "yes"), ("even_if_in_use", "yes")];
    assert_eq!(world.send_form(ALICE, &ask, &both).await.status, 303);
    assert_eq!(world.slot(&first).await, None);
}

#[tokio::test]
async fn a_new_primary_over_a_backup_says_what_ends_and_names_it() {
    let world = World::new().await;
    let first = world.rotate(ALICE).await;
    let second = world.rotate(ALICE).await;
    let ask = world.get(ALICE, "/tokens/edit/generate").await;
    assert!(ask.text.contains("With the confirmation your present backup"), "{}", ask.text);
    assert!(ask.hidden().contains(&("replacing_backup".to_owned(), "1".to_owned())));
    let third = world.rotate(ALICE).await;
    assert_eq!(world.slot(&first).await, None);
    assert_eq!(world.slot(&second).await, Some(Slot::Backup));
    assert_eq!(world.slot(&third).await, Some(Slot::Primary));
}

#[tokio::test]
async fn a_pending_token_shows_its_time_and_is_sent_again() {
    let world = World::new().await;
    let (_, first) = world.generate(ALICE).await;
    let profile = world.get(ALICE, "/tokens").await;
    assert!(profile.text.contains("Waits for confirmation"), "{}", profile.text);
    assert!(profile.text.contains("in 10 minutes") && profile.text.contains("in 24 hours"));
    let resend = world.send_form(ALICE, &profile, &[]).await;
    assert_eq!(resend.status, 429, "at most one a minute");
    assert_eq!(resend.header("retry-after"), "60");
    world.wait(Duration::from_secs(60));
    let resend = world.send_form(ALICE, &profile, &[]).await;
    assert_eq!(resend.status, 303, "{}", resend.text);
    let second = world.last_code();
    assert_ne!(first, second);
    assert_eq!(world.get(ALICE, &format!("/tokens/verify?code={first}")).await.status, 404);
    assert_eq!(
        world.submit(ALICE, &format!("/tokens/verify?code={second}"), &[]).await.status,
        303
    );
}

#[tokio::test]
async fn without_access_nothing_is_seen_or_generated() {
    let world = World::new().await;
    let carol = Session::User("carol");
    let profile = world.get(carol, "/tokens").await;
    assert_eq!(profile.status, 200);
    assert!(profile.text.contains("You have no API access"), "{}", profile.text);
    assert!(!profile.text.contains("/tokens/edit"), "{}", profile.text);
    for path in ["/tokens/edit", "/tokens/edit/generate", "/tokens/verify"] {
        assert_eq!(world.get(carol, path).await.status, 403, "{path}");
    }
    let token = world.form_token_of("carol").await;
    let body = format!("form_token={token}&primary=&replacing_backup=&agree=yes");
    assert_eq!(world.post(carol, "/tokens/edit/generate", &body).await.status, 403);
    assert_eq!(world.mails(), 0);
    assert!(world.manager.summary(&user("carol")).await.unwrap().is_none());
}

#[tokio::test]
async fn every_page_has_a_title_a_heading_a_language_and_its_place() {
    let world = World::new().await;
    world.rotate(ALICE).await;
    world.rotate(ALICE).await;
    let (_, code) = world.generate(ALICE).await;
    let verify = format!("/tokens/verify?code={code}");
    let paths = [
        "/tokens",
        "/tokens/edit",
        "/tokens/edit/generate",
        "/tokens/edit/delete-backup",
        "/tokens/edit/roll-back",
        "/tokens/edit/cancel-pending",
        "/tokens/edit/revoke-all",
        "/tokens/verify",
        "/tokens/advice",
        &verify,
    ];
    for path in paths {
        let page = world.get(ALICE, path).await;
        assert_eq!(page.status, 200, "{path}");
        assert_eq!(page.text.matches("<h1").count(), 1, "{path}");
        assert!(page.text.contains("<html lang=\"en\">"), "{path}");
        assert!(page.text.contains("<main id=\"main\""), "{path}");
        assert!(page.text.contains("aria-current=\"page\""), "{path}");
        assert!(!page.text.contains("/tokens/admin"), "{path}: alice is no administrator");
    }
    assert!(world.get(ROOT, "/tokens").await.text.contains("/tokens/admin"));
}

#[tokio::test]
async fn the_advice_has_the_four_steps() {
    let world = World::new().await;
    let advice = world.get(ALICE, "/tokens/advice").await;
    let steps = advice.between("<ol class=\"steps\">", "</ol>").text;
    assert_eq!(steps.matches("<li>").count(), 4, "{steps}");
}

#[tokio::test]
async fn assets_are_kept_under_the_name_of_what_they_hold() {
    let world = World::new().await;
    let profile = world.get(ALICE, "/tokens").await;
    let style = profile.between_text("<link rel=\"stylesheet\" href=\"", "\"");
    let answer = world.get(Session::Nobody, &style).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), "text/css; charset=utf-8");
    assert_eq!(answer.header("cache-control"), "public, max-age=31536000, immutable");
    assert!(!answer.text.contains("url(") && !answer.text.contains("@import"));
}

#[tokio::test]
async fn an_unsent_mail_leaves_the_token_and_says_so() {
    use tower_api_token::TokenManager;
    use tower_api_token::notify::{ConfirmationMessage, NotifyError};
    use tower_api_token::portal::Portal;

    let mut world = World::new().await;
    let broken =
        |_: ConfirmationMessage| async { Err(NotifyError::new("the server answered 451")) };
    let builder = TokenManager::builder(std::sync::Arc::clone(&world.store)).notifier(broken);
    world.router = Portal::new(builder.build().await.unwrap()).into_router();
    let answer = world.submit(ALICE, "/tokens/edit/generate", &[("agree", "yes")]).await;
    assert_eq!(answer.status, 200);
    assert!(answer.text.contains("The mail could not be sent."), "{}", answer.text);
    assert!(world.view("alice").await.pending.is_some());
    world.wait(Duration::from_secs(60));
    let resent = world.submit(ALICE, "/tokens", &[]).await;
    assert_eq!(resent.status, 502, "{}", resent.text);
    assert!(!resent.text.contains("451"), "what the mail server says is for the log");
}

#[tokio::test]
async fn web_017_the_mail_is_told_from_where_the_token_was_asked_for() {
    use std::sync::{Arc, Mutex};

    use tower_api_token::TokenManager;
    use tower_api_token::notify::ConfirmationMessage;
    use tower_api_token::portal::Portal;

    let mut world = World::new().await;
    let seen = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&seen);
    let post = move |message: ConfirmationMessage| {
        told.lock().unwrap().push(message.client.map(|client| client.to_string()));
        async { Ok(()) }
    };
    let builder = TokenManager::builder(Arc::clone(&world.store)).notifier(post);
    world.router = Portal::new(builder.build().await.unwrap()).into_router();
    let headers = [
        ("content-type", "application/json"),
        ("sec-fetch-site", "same-origin"),
        ("user-agent", "rotator/2.1 (nightly)"),
    ];
    let generated = world.send(ALICE, "POST", "/tokens/api/generate", &headers, "{}").await;
    assert_eq!(generated.status, 201, "{}", generated.text);
    world.wait(Duration::from_secs(60));
    let resent = world.send(ALICE, "POST", "/tokens/api/resend", &headers, "{\"id\":1}").await;
    assert_eq!(resent.status, 200, "{}", resent.text);
    let client = Some("rotator/2.1".to_owned());
    assert_eq!(*seen.lock().unwrap(), [client.clone(), client]);
}
