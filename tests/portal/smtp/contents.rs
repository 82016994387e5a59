//! What a message says, to whom, and what it does not say.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tower_api_token::manage::{Delivery, Guard};
use tower_api_token::notify::{LinkBase, Mailbox, SmtpNotifier, SmtpServer};
use tower_api_token::user::{Actor, ClientLabel, UserId};

use crate::smtp::server::MailServer;
use crate::smtp::world::{World, alice, code, notifier_to, root};

#[tokio::test]
async fn web_017_a_confirmation_says_who_when_from_where_and_how_to_refuse() {
    let server = MailServer::start();
    let world = World::through(&server).await;
    let first = world.manager.issue(&Actor::User, &alice()).await.unwrap();
    let client = ClientLabel::new("Firefox/128").unwrap();
    let generated =
        world.manager.from_client(client).generate_primary(&Actor::User, &alice()).await.unwrap();
    assert!(matches!(generated.delivery, Delivery::Sent), "{:?}", generated.delivery);
    let mail = server.message();
    assert_eq!(
        (mail.sender(), mail.recipients()),
        ("api@acme.example", vec!["alice@users.example"])
    );
    assert_eq!(mail.header("from"), "Acme API <api@acme.example>");
    assert_eq!(mail.header("to"), "alice@users.example");
    assert_eq!(mail.header("subject"), "Confirm your new API token for Acme");
    assert_eq!(mail.header("auto-submitted"), "auto-generated");
    assert!(mail.header("message-id").ends_with("@acme.example>"), "{}", mail.header("message-id"));
    assert!(mail.header("content-type").starts_with("multipart/alternative"));
    assert_eq!(mail.parts(), 2);
    for part in [mail.text(), mail.html()] {
        for said in [
            "number 2 (tat_...",
            "sign in first",
            "Account: alice",
            "When: 2026-01-02 03:04 UTC",
            "By: you, signed in",
            "From: Firefox/128",
            "until 2026-01-02 03:14 UTC",
            "If you did not ask for this",
        ] {
            assert!(part.contains(said), "{said}: {part}");
        }
        for secret in [&first.token, &generated.token] {
            assert!(!part.contains(&secret.expose_secret()[4..12]), "{part}");
        }
    }
    assert!(mail.raw().is_ascii());
    for loaded in ["src=", "url(", "<link", "<script", "<img", "style"] {
        assert!(!mail.html().contains(loaded), "{}", mail.html());
    }
    world.manager.confirm(&Actor::User, &alice(), &code(&mail)).await.unwrap();
    // The notice of that.
    let notice = server.message();
    assert_eq!(notice.header("subject"), "Your new API token is active at Acme");
    assert!(server.is_empty());
}

#[tokio::test]
async fn each_notice_tells_what_happened_and_holds_no_secret() {
    let server = MailServer::start();
    let world = World::through(&server).await;
    let (manager, user, alice) = (&world.manager, &Actor::User, &alice());
    let first = manager.issue(user, alice).await.unwrap();
    let mut secrets = vec![first.token.expose_secret().to_owned()];
    let mut notices = Vec::new();
    let mut backup = None;
    for _ in 0..2 {
        let generated = match backup {
            Some(id) => manager.generate_primary_replacing(user, alice, id).await.unwrap(),
            None => manager.generate_primary(user, alice).await.unwrap(),
        };
        let code = code(&server.message());
        secrets.extend([generated.token.expose_secret(), code.expose_secret()].map(String::from));
        manager.confirm(&root(), alice, &code).await.unwrap();
        notices.push(server.message());
        backup = manager.view(alice).await.unwrap().backup.map(|token| token.id);
    }
    manager.delete_backup(user, alice, backup.unwrap(), Guard::EvenIfInUse).await.unwrap();
    notices.push(server.message());
    let generated = manager.generate_primary(user, alice).await.unwrap();
    let code = code(&server.message());
    manager.confirm(user, alice, &code).await.unwrap();
    notices.push(server.message());
    manager.roll_back(user, alice, generated.id, Guard::EvenIfInUse).await.unwrap();
    notices.push(server.message());
    manager.revoke_all(user, alice).await.unwrap();
    notices.push(server.message());
    manager.revoke_access(&root(), alice).await.unwrap();
    notices.push(server.message());
    let subjects: Vec<_> = notices.iter().map(|mail| mail.header("subject")).collect();
    let expected = [
        "Your new API token is active at Acme",
        "Your new API token is active at Acme",
        "Your backup API token was deleted at Acme",
        "Your new API token is active at Acme",
        "Your former API token is the primary again at Acme",
        "All your API tokens were revoked at Acme",
        "Your API access was revoked at Acme",
    ];
    assert_eq!(subjects, expected);
    assert!(notices[0].text().contains("By: the administrator root"), "{}", notices[0].text());
    assert!(notices[0].text().contains("token 1 is the backup"), "{}", notices[0].text());
    assert!(notices[1].text().contains("token 1, the former backup, ended"));
    for notice in &notices {
        assert_eq!(notice.recipients(), ["alice@users.example"]);
        assert!(!notice.text().contains("://") && !notice.html().contains("href"));
        for secret in &secrets {
            let found = notice.raw().contains(&secret[4..12]);
            assert!(!found && !notice.text().contains(&secret[4..12]), "{}", notice.raw());
        }
    }
}

#[tokio::test]
async fn web_008_the_link_is_the_configured_one_whatever_a_request_says() {
    use axum::routing::post;
    use tower::ServiceExt;

    let server = MailServer::start();
    let world = World::through(&server).await;
    let manager = world.manager.clone();
    let generate = || async move {
        let generated = manager.generate_primary(&Actor::User, &alice()).await.unwrap();
        format!("{:?}", generated.delivery)
    };
    let request = http::Request::post("http://evil.example/generate")
        .header("host", "evil.example")
        .header("x-forwarded-host", "evil.example")
        .header("forwarded", "host=evil.example")
        .header("origin", "https://evil.example")
        .body(axum::body::Body::empty())
        .unwrap();
    let app = axum::Router::new().route("/generate", post(generate));
    assert_eq!(app.oneshot(request).await.unwrap().status(), 200);
    let mail = server.message();
    assert!(!mail.raw().contains("evil"), "{}", mail.raw());
    world.manager.confirm(&Actor::User, &alice(), &code(&mail)).await.unwrap();
}

#[tokio::test]
async fn web_013_a_name_reaches_one_recipient_and_no_header() {
    let server = MailServer::start();
    let names = [
        "\"Bob\" <x@y>, evil@z",
        "Bob, evil@z",
        "Bob%0d%0aBcc: evil@z",
        "Bob\u{2028}Bcc: evil@z",
        "B\u{f6}b =?utf-8?q?=0D=0ABcc=3A_evil=40z?=",
        "(comment",
        "",
    ];
    let calls = Arc::new(AtomicUsize::new(0));
    let named = move |_| {
        let name = names[calls.fetch_add(1, Ordering::SeqCst) % names.len()];
        async move { Ok(Some(Mailbox::new("bob@users.example")?.name(name)?)) }
    };
    let world = World::new(notifier_to(SmtpServer::loopback(server.port()), named)).await;
    // No user id can hold the end of a line.
    assert!(UserId::new("bob\r\nBcc: evil@z").is_err());
    let user = UserId::new("bob Bcc: evil@z \"<script>alert(1)</script>\" {{7*7}}").unwrap();
    world.grant(&user).await;
    for name in names {
        let generated = world.manager.generate_primary(&Actor::User, &user).await.unwrap();
        assert!(matches!(generated.delivery, Delivery::Sent), "{name}: {:?}", generated.delivery);
        let mail = server.message();
        assert_eq!(mail.recipients(), ["bob@users.example"], "{name}");
        let mut headers = mail.header_names();
        headers.sort();
        let expected = [
            "auto-submitted",
            "content-type",
            "date",
            "from",
            "message-id",
            "mime-version",
            "subject",
            "to",
        ];
        assert_eq!(headers, expected, "{name}");
        let to = mail.header("to").trim_end_matches('>');
        assert!(to.ends_with("bob@users.example"), "{to}");
        assert!(mail.html().contains("&lt;script&gt;") && !mail.html().contains("<script>"));
        code(&mail);
    }
}

#[tokio::test]
async fn the_address_is_that_of_the_moment() {
    let server = MailServer::start();
    let calls = Arc::new(AtomicUsize::new(0));
    let asked = Arc::clone(&calls);
    let moving = move |user: UserId| {
        let call = asked.fetch_add(1, Ordering::SeqCst);
        async move { Ok(Some(Mailbox::new(&format!("{user}.{call}@users.example"))?)) }
    };
    let world = World::new(notifier_to(SmtpServer::loopback(server.port()), moving)).await;
    let generated = world.manager.generate_primary(&Actor::User, &alice()).await.unwrap();
    assert_eq!(server.message().recipients(), ["alice.0@users.example"]);
    world.pass(Duration::from_secs(61));
    let id = generated.id;
    let _ = world.manager.resend_confirmation(&Actor::User, &alice(), id).await.unwrap();
    assert_eq!(server.message().recipients(), ["alice.1@users.example"]);
    assert_eq!(calls.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn the_link_stands_whole_on_one_raw_line_of_both_parts() {
    let server = MailServer::start();
    let path = "a".repeat(LinkBase::MAX_LENGTH - "https://a.example/".len());
    for base in ["https://tokens.example.com/profile/verify", &format!("https://a.example/{path}")]
    {
        for (service, parts) in [("Acme", 2), ("\u{c4}cme", 1)] {
            let to = |_| async { Ok(Some(Mailbox::new("alice@users.example")?)) };
            let sender = Mailbox::new("api@acme.example").unwrap();
            let through = SmtpServer::loopback(server.port());
            let notifier = SmtpNotifier::new(through, to, sender, LinkBase::new(base).unwrap());
            let world = World::new(notifier.service_name(service)).await;
            let _ = world.manager.generate_primary(&Actor::User, &alice()).await.unwrap();
            let mail = server.message();
            let link = mail.text().split_whitespace().find(|word| word.contains("://")).unwrap();
            let lines: Vec<_> = mail.raw().lines().filter(|line| line.contains(link)).collect();
            // The address and the text of the link in HTML, and the line of the
            // plain part where that is ASCII.
            assert_eq!(lines.len(), 1 + parts, "{}", mail.raw());
            assert!(mail.raw().lines().all(|line| line.len() <= 998), "{}", mail.raw());
            assert!(mail.raw().is_ascii());
        }
    }
}

#[tokio::test]
async fn a_server_is_greeted_by_a_name_with_a_dot_or_an_address() {
    let server = MailServer::start();
    let world = World::through(&server).await;
    let _ = world.manager.generate_primary(&Actor::User, &alice()).await.unwrap();
    let mail = server.message();
    assert!(mail.hello().contains('.'), "{}", mail.hello());
}

#[tokio::test]
async fn a_service_is_called_what_the_host_says_on_one_line() {
    let server = MailServer::start();
    let directory = |_| async { Ok(Some(Mailbox::new("a@b")?)) };
    let notifier = notifier_to(
        SmtpServer::loopback(server.port()).hello_name("node1.acme.example").unwrap(),
        directory,
    );
    let world = World::new(notifier.service_name("\u{c4}cme\r\nBcc: evil@z")).await;
    let _ = world.manager.generate_primary(&Actor::User, &alice()).await.unwrap();
    let mail = server.message();
    assert_eq!(mail.header("subject"), "Confirm your new API token for \u{c4}cme  Bcc: evil@z");
    assert!(!mail.header_names().contains(&String::from("bcc")));
    assert_eq!(mail.recipients(), ["a@b"]);
    assert_eq!(mail.hello(), "node1.acme.example");
    assert!(mail.raw().is_ascii());
    code(&mail);
}
