//! Servers that refuse, hang, or hang up.

use std::error::Error;
use std::time::Duration;

use tower_api_token::manage::{Delivery, ManageError};
use tower_api_token::notify::{Mailbox, SmtpErrorKind, SmtpServer};
use tower_api_token::rotation::RotationError;
use tower_api_token::user::{Actor, UserId};

use crate::smtp::server::MailServer;
use crate::smtp::world::{World, alice, cause, code, failure, notifier, notifier_to};

/// What every failure leaves behind: the token that waits, the old one that
/// works, and nothing secret in the error.
async fn fails(world: &World, kind: SmtpErrorKind, reply: Option<u16>) {
    let generated = world.manager.generate_primary(&Actor::User, &alice()).await.unwrap();
    let view = world.manager.view(&alice()).await.unwrap();
    assert_eq!(view.pending.map(|pending| pending.id), Some(generated.id));
    let error = failure(generated.delivery);
    let failed = cause(&error);
    assert_eq!((failed.kind(), failed.reply()), (kind, reply), "{error:?}");
    let mut said = format!("{error:?} {error}");
    let mut source = error.source();
    while let Some(error) = source {
        said += &format!(" {error}");
        source = error.source();
    }
    assert!(!said.contains("tac_") && !said.contains("tat_"), "{said}");
}

#[tokio::test]
async fn a_refusal_is_told_with_the_servers_answer() {
    for (trouble, kind, reply) in [
        ("refuse-sender", SmtpErrorKind::Sender, 553),
        ("refuse-recipient", SmtpErrorKind::Recipient, 550),
        ("later-recipient", SmtpErrorKind::Recipient, 451),
        ("refuse-message", SmtpErrorKind::Message, 554),
    ] {
        let server = MailServer::in_trouble(trouble);
        fails(&World::through(&server).await, kind, Some(reply)).await;
    }
}

#[tokio::test]
async fn what_the_server_says_of_a_recipient_is_kept() {
    let server = MailServer::in_trouble("refuse-recipient");
    let error = World::through(&server).await.failure().await;
    let answer = cause(&error).source().unwrap().to_string();
    assert!(answer.contains("no such user here"), "{answer}");
}

#[tokio::test]
async fn a_server_that_repeats_the_link_tells_it_to_nobody() {
    let server = MailServer::in_trouble("repeat-message");
    let world = World::through(&server).await;
    fails(&world, SmtpErrorKind::Message, Some(554)).await;
    // It had the message, and the link in it.
    code(&server.message());
}

#[tokio::test]
async fn a_server_that_hangs_up_is_told() {
    for (trouble, kind) in [
        ("drop-in-data", SmtpErrorKind::Message),
        ("drop-at-end", SmtpErrorKind::Message),
        ("no-smtp", SmtpErrorKind::Connection),
    ] {
        let server = MailServer::in_trouble(trouble);
        fails(&World::through(&server).await, kind, None).await;
    }
    // A port that nobody listens at.
    let port = MailServer::start().port();
    let world = World::new(notifier(SmtpServer::loopback(port))).await;
    fails(&world, SmtpErrorKind::Connection, None).await;
}

#[tokio::test]
async fn a_server_that_hangs_holds_nobody_up_for_longer_than_the_limit() {
    for trouble in ["silent-greeting", "silent-recipient", "silent-data", "silent-message"] {
        let server = MailServer::in_trouble(trouble);
        let hurried = notifier(SmtpServer::loopback(server.port()));
        let world = World::new(hurried.time_limit(Duration::from_millis(300))).await;
        fails(&world, SmtpErrorKind::TimedOut, None).await;
    }
}

#[tokio::test]
async fn a_directory_that_does_not_know_is_told() {
    let server = MailServer::start();
    let through = || SmtpServer::loopback(server.port());
    let world = World::new(notifier_to(through(), |_| async { Ok(None) })).await;
    fails(&world, SmtpErrorKind::NoAddress, None).await;
    let broken = |_| async { Err("the table of users is gone".into()) };
    let world = World::new(notifier_to(through(), broken)).await;
    fails(&world, SmtpErrorKind::Directory, None).await;
    // An address that is none is not sent to, and neither is anybody else.
    let odd = |_| async { Ok(Some(Mailbox::new("a@b,c@d")?)) };
    let world = World::new(notifier_to(through(), odd)).await;
    fails(&world, SmtpErrorKind::Address, None).await;
    // Nor is one that mail programs without RFC 6531 cannot be given.
    let other = |_| async { Ok(Some(Mailbox::new("user@m\u{fc}ller.de")?)) };
    let world = World::new(notifier_to(through(), other)).await;
    fails(&world, SmtpErrorKind::Address, None).await;
    let hanging = |_| std::future::pending();
    let hanging = notifier_to(through(), hanging).time_limit(Duration::from_millis(50));
    fails(&World::new(hanging).await, SmtpErrorKind::TimedOut, None).await;
    let panicking = |user: UserId| async move { panic!("no address of {user}") };
    fails(&World::new(notifier_to(through(), panicking)).await, SmtpErrorKind::Internal, None)
        .await;
    assert!(server.is_empty());
}

#[tokio::test]
async fn what_could_not_be_sent_is_sent_again_a_minute_later() {
    let server = MailServer::in_trouble("recovers");
    let world = World::through(&server).await;
    let old = world.manager.issue(&Actor::User, &alice()).await.unwrap();
    let generated = world.manager.generate_primary(&Actor::User, &alice()).await.unwrap();
    assert!(matches!(generated.delivery, Delivery::NotSent(_)));
    let alice = alice();
    let resend = || world.manager.resend_confirmation(&Actor::User, &alice, generated.id);
    world.pass(Duration::from_secs(59));
    let error = resend().await.unwrap_err();
    assert!(matches!(error.refusal(), Some(RotationError::TooSoon { .. })), "{error}");
    world.pass(Duration::from_secs(1));
    assert!(matches!(resend().await.unwrap().1, Delivery::NotSent(_)));
    assert!(matches!(resend().await, Err(ManageError::Refused(RotationError::TooSoon { .. }))));
    world.pass(Duration::from_secs(60));
    assert!(matches!(resend().await.unwrap().1, Delivery::Sent));
    world.manager.confirm(&Actor::User, &alice, &code(&server.message())).await.unwrap();
    let view = world.manager.view(&alice).await.unwrap();
    assert_eq!(view.primary.map(|token| token.id), Some(generated.id));
    assert_eq!(view.backup.map(|token| token.id), Some(old.id));
}

/// The message is the server's as soon as it has said so.
#[tokio::test]
async fn a_server_that_does_not_say_goodbye_has_the_message_all_the_same() {
    let server = MailServer::in_trouble("silent-quit");
    let hurried = notifier(SmtpServer::loopback(server.port()));
    let world = World::new(hurried.time_limit(Duration::from_secs(3))).await;
    let generated = world.manager.generate_primary(&Actor::User, &alice()).await.unwrap();
    assert!(matches!(generated.delivery, Delivery::Sent), "{:?}", generated.delivery);
    code(&server.message());
}

/// The connection of a message that was given up is not used for the next one:
/// the server would put both together, or answer the one for the other.
#[tokio::test]
async fn a_message_that_was_given_up_leaves_nothing_for_the_next() {
    let server = MailServer::in_trouble("slow");
    let through = || notifier(SmtpServer::loopback(server.port()));
    let hurried = World::new(through().time_limit(Duration::from_millis(100))).await;
    assert_eq!(cause(&hurried.failure().await).kind(), SmtpErrorKind::TimedOut);
    let patient = World::new(through()).await;
    let mallory = UserId::new("mallory").unwrap();
    patient.grant(&mallory).await;
    let generated = patient.manager.generate_primary(&Actor::User, &mallory).await.unwrap();
    assert!(matches!(generated.delivery, Delivery::Sent), "{:?}", generated.delivery);
    let mail = server.message();
    assert_eq!(mail.recipients(), ["mallory@users.example"]);
    patient.manager.confirm(&Actor::User, &mallory, &code(&mail)).await.unwrap();
}

/// A browser that goes away while the mail is on its way.
#[tokio::test]
async fn a_caller_who_gives_up_does_not_end_the_message() {
    let server = MailServer::in_trouble("slow");
    let world = World::through(&server).await;
    let (user, alice) = (Actor::User, alice());
    let mut generating = Box::pin(world.manager.generate_primary(&user, &alice));
    // Until it waits for the mail.
    while world.manager.view(&alice).await.unwrap().pending.is_none() {
        let waiting = futures_util::FutureExt::now_or_never(&mut generating);
        assert!(waiting.is_none());
        tokio::task::yield_now().await;
    }
    drop(generating);
    let mail = tokio::task::spawn_blocking(move || (server.message(), server)).await.unwrap().0;
    world.manager.confirm(&user, &alice, &code(&mail)).await.unwrap();
}

#[tokio::test]
async fn a_notice_that_cannot_be_sent_fails_nothing() {
    let server = MailServer::in_trouble("refuse-recipient");
    let world = World::through(&server).await;
    world.manager.issue(&Actor::User, &alice()).await.unwrap();
    world.manager.revoke_all(&Actor::User, &alice()).await.unwrap();
    assert!(world.manager.view(&alice()).await.unwrap().primary.is_none());
}
