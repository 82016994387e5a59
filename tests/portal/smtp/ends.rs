//! What users are told of the end of a token, of their access, and of a leak.

use std::time::Duration;

use tower_api_token::manage::LeakResponse;
use tower_api_token::notify::SmtpServer;
use tower_api_token::rotation::Policy;
use tower_api_token::user::Actor;

use crate::smtp::server::{Mail, MailServer};
use crate::smtp::world::{World, alice, notifier, root};

const DAY: Duration = Duration::from_secs(86_400);

/// Holds a message against what it must say in both parts, and what it must not.
fn assert_says(mail: &Mail, subject: &str, said: &[&str], unsaid: &[&str]) {
    assert_eq!(mail.header("subject"), subject);
    assert_eq!(mail.recipients(), ["alice@users.example"]);
    for part in [mail.text(), mail.html()] {
        for words in said {
            assert!(part.contains(words), "{words}: {part}");
        }
        for words in unsaid {
            assert!(!part.contains(words), "{words}: {part}");
        }
        assert!(part.contains("Account: alice"), "{part}");
    }
    assert!(mail.raw().is_ascii());
}

async fn world(server: &MailServer, policy: Policy) -> World {
    World::under(policy, notifier(SmtpServer::loopback(server.port()))).await
}

#[tokio::test]
async fn a_user_is_told_before_a_token_ends_once_for_each_notice() {
    let server = MailServer::start();
    let world = world(&server, Policy::default().token_lifetime(10 * DAY).unwrap()).await;
    let issued = world.manager.issue(&Actor::User, &alice()).await.unwrap();
    for days in [3, 6] {
        world.pass(days * DAY);
        for _ in 0..2 {
            world.manager.do_what_is_due().await.unwrap();
        }
        let mail = server.message();
        assert_says(
            &mail,
            "An API token of yours at Acme is going to end",
            &["Token 1 is going to end at 2026-01-12 03:04 UTC.", "Generate a new one before"],
            &["By:", "If this was not you", &issued.token.expose_secret()[4..12]],
        );
        assert!(server.is_empty(), "once");
    }
}

#[tokio::test]
async fn a_user_is_told_that_a_use_keeps_a_token_that_nobody_uses() {
    let server = MailServer::start();
    let world = world(&server, Policy::default().unused_lifetime(60 * DAY).unwrap()).await;
    world.manager.issue(&Actor::User, &alice()).await.unwrap();
    world.pass(30 * DAY);
    world.manager.do_what_is_due().await.unwrap();
    assert_says(
        &server.message(),
        "An API token of yours at Acme is going to end",
        &[
            "Token 1 is going to end at 2026-03-03 03:04 UTC unless it is used before.",
            "let that program use it before",
        ],
        &["Generate a new one", "If this was not you"],
    );
}

#[tokio::test]
async fn a_user_is_told_that_the_access_is_suspended_and_resumed() {
    let server = MailServer::start();
    let world = World::through(&server).await;
    world.manager.suspend(&root(), &alice()).await.unwrap();
    assert_says(
        &server.message(),
        "Your API access was suspended at Acme",
        &["None of your tokens works until it is resumed.", "By: the administrator root", "ask"],
        &["revoke all your tokens", "password"],
    );
    world.manager.resume(&root(), &alice()).await.unwrap();
    assert_says(
        &server.message(),
        "Your API access was resumed at Acme",
        &["that have not ended meanwhile work again.", "By: the administrator root"],
        &["revoke all your tokens", "password"],
    );
}

#[tokio::test]
async fn a_user_is_told_that_whoever_held_a_token_has_ended_it() {
    let server = MailServer::start();
    let world = World::through(&server).await;
    let issued = world.manager.issue(&Actor::User, &alice()).await.unwrap();
    let holder = Actor::program("holder").unwrap();
    let token = issued.token.expose_secret();
    world.manager.end_token(&holder, token).await.unwrap().expect("it has ended");
    assert_says(
        &server.message(),
        "An API token of yours was ended at Acme",
        &["Token 1 ended. It works no more.", "By: the program holder", "If this was not you"],
        &[&token[4..12]],
    );
}

#[tokio::test]
async fn a_user_is_told_where_a_token_was_found_and_that_it_has_ended() {
    let server = MailServer::start();
    let world = World::through(&server).await;
    let issued = world.manager.issue(&Actor::User, &alice()).await.unwrap();
    let scanner = Actor::program("leaks").unwrap();
    let (token, found) = (issued.token.expose_secret(), "https://code.example/<b>/config");
    let response = LeakResponse::EndToken;
    assert!(world.manager.report_leak(&scanner, token, found, response).await.unwrap());
    let mail = server.message();
    assert_says(
        &mail,
        "An API token of yours was found in public at Acme",
        &["Token 1 found where it was not secret:", "revoke every token", "generate a new one"],
        &["If this was not you", &token[4..12]],
    );
    assert!(mail.text().contains(found), "{}", mail.text());
    assert!(!mail.html().contains("<b>"), "{}", mail.html());
    let mail = server.message();
    assert_eq!(mail.header("subject"), "An API token of yours was ended at Acme");
    assert!(server.is_empty());
}
