//! The collected cases of the area `web` that are steps, by their ids, and
//! `log-005` and `rotation-033`. Those about mail itself stand with the mail.
//! `tests/adversarial` explains the ids.

use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures_util::StreamExt;
use tower_api_token::account::Slot;
use tower_api_token::method::MethodSet;
use tower_api_token::user::{Actor, UserId};

use crate::log;
use crate::web::protection::assert_secured;
use crate::web::world::{ALICE, BOB, ROOT, Session, World, user};
use crate::{generated, secret};

#[tokio::test]
async fn web_001_opening_a_link_changes_nothing() {
    let world = World::new().await;
    let (token, code) = world.generate(ALICE).await;
    let link = format!("/tokens/verify?code={code}");
    let before = world.state().await;
    let safe_links =
        [("user-agent", "Mozilla/5.0 (Windows NT 10.0) SafeLinks"), ("purpose", "preview")];
    for _ in 0..10 {
        let page = world.get(ALICE, &link).await;
        assert_eq!(page.status, 200);
        assert!(page.text.contains("What will happen"), "{}", page.text);
        world.get(Session::Nobody, &link).await;
        world.send(ALICE, "HEAD", &link, &[], "").await;
        world.send(ALICE, "OPTIONS", &link, &[], "").await;
        world.send(ALICE, "GET", &link, &[("sec-purpose", "prefetch")], "").await;
        world.send(Session::Nobody, "GET", &link, &safe_links, "").await;
    }
    assert_eq!(world.state().await, before);
    assert_eq!(world.slot(&token).await, None);
}

#[tokio::test]
async fn web_003_a_confirmation_from_elsewhere_is_refused() {
    let world = World::new().await;
    let (token, code) = world.generate(ALICE).await;
    let form_token = world.form_token(ALICE).await;
    let complete = format!("form_token={form_token}&code={code}");
    let without = format!("code={code}");
    let same = ("sec-fetch-site", "same-origin");
    let cases: [(&str, &[(&str, &str)]); 5] = [
        (&without, &[same]),
        (&complete, &[("sec-fetch-site", "cross-site")]),
        (&complete, &[("origin", "https://evil.example"), ("host", "portal.example")]),
        (&without, &[]),
        (&without, &[("origin", "null")]),
    ];
    let before = world.state().await;
    for (body, origin) in cases {
        let mut headers = vec![("content-type", "application/x-www-form-urlencoded")];
        headers.extend(origin);
        let answer = world.send(ALICE, "POST", "/tokens/verify", &headers, body.to_owned()).await;
        assert_eq!(answer.status, 403, "{origin:?}");
    }
    assert_eq!(world.state().await, before);
    assert_eq!(world.slot(&token).await, None);
    assert_eq!(world.post(ALICE, "/tokens/verify", &complete).await.status, 303);
}

#[tokio::test]
async fn web_005_the_link_page_tells_nobody_its_address() {
    let world = World::new().await;
    let (_, code) = world.generate(ALICE).await;
    let page = world.get(ALICE, &format!("/tokens/verify?code={code}")).await;
    assert_secured(&page, "the link page");
    for place in ["href=\"", "src=\"", "action=\""] {
        for address in page.text.split(place).skip(1) {
            assert!(address.starts_with('/') || address.starts_with('#'), "{address:.40}");
        }
    }
    assert!(page.header("set-cookie").is_empty());
}

#[tokio::test]
async fn web_007_back_and_reload_have_no_second_effect_and_show_no_token() {
    let world = World::new().await;
    let (token, code) = world.generate(ALICE).await;
    let link = format!("/tokens/verify?code={code}");
    let opened = world.get(ALICE, &link).await;
    let confirmed = world.send_form(ALICE, &opened, &[]).await;
    assert_eq!(confirmed.status, 303, "a redirect, so that a reload repeats a GET");
    let after = world.state().await;
    let back = world.get(ALICE, &link).await;
    let resent = world.send_form(ALICE, &opened, &[]).await;
    let landed = world.get(ALICE, confirmed.header("location")).await;
    for answer in [&back, &resent, &landed] {
        assert!(!answer.text.contains(&token), "no token is shown again");
        assert_eq!(answer.header("cache-control"), "no-store");
    }
    assert_eq!((back.status.as_u16(), resent.status.as_u16()), (410, 410));
    assert_eq!(world.state().await, after);
}

#[tokio::test]
async fn web_008_no_answer_repeats_a_host_of_the_request() {
    let world = World::new().await;
    let form_token = world.form_token(ALICE).await;
    let body = format!("form_token={form_token}&agree=yes&primary=&replacing_backup=");
    let headers = [
        ("content-type", "application/x-www-form-urlencoded"),
        ("sec-fetch-site", "same-origin"),
        ("host", "evil.example"),
        ("x-forwarded-host", "evil.example"),
        ("forwarded", "host=evil.example"),
    ];
    let answer = world.send(ALICE, "POST", "/tokens/edit/generate", &headers, body).await;
    assert_eq!(answer.status, 200);
    assert!(!answer.text.contains("evil.example"));
    for path in ["/tokens", "/tokens/", "/tokens/verify"] {
        let answer = world.send(ALICE, "GET", path, &headers, "").await;
        let all = format!("{:?}{}", answer.headers, answer.text);
        assert!(!all.contains("evil.example"), "{path}");
    }
}

#[tokio::test]
async fn web_011_names_are_text_wherever_they_stand() {
    let world = World::new().await;
    let root = Actor::administrator("root").unwrap();
    let names = [
        "<script>alert(1)</script>",
        "\"><img src=x onerror=alert(1)>",
        "{{7*7}}",
        "javascript:alert(1)",
        "'; DROP TABLE users; --",
        "a&b=c#d?e/../f%00",
    ];
    for name in names {
        let name: &'static str = name;
        let id = user(name);
        world.manager.grant(&root, &id, MethodSet::new(["GET"]).unwrap()).await.unwrap();
        let session = Session::User(name);
        world.rotate(session).await;
        let primary = world.view(name).await.primary.unwrap().id;
        world.used(name, primary, "<script>alert(2)</script>").await;
        let encoded =
            percent_encoding::utf8_percent_encode(name, percent_encoding::NON_ALPHANUMERIC);
        let pages = [
            world.get(session, "/tokens").await,
            world.get(session, "/tokens/edit/revoke-all").await,
            world.get(ROOT, "/tokens/admin").await,
            world.get(ROOT, &format!("/tokens/admin?find={encoded}")).await,
            world.get(ROOT, &format!("/tokens/admin/user?user={encoded}")).await,
            world.get(ROOT, &format!("/tokens/admin/revoke?user={encoded}")).await,
            world.get(ROOT, &format!("/tokens/admin/erase?user={encoded}")).await,
        ];
        for page in pages {
            assert_eq!(page.status, 200, "{name}");
            assert!(!page.text.contains("<script>alert"), "{name}: {}", page.text);
            assert!(!page.text.contains("<img src=x"), "{name}");
            assert!(!page.text.contains("href=\"javascript:"), "{name}");
            assert!(!page.text.contains(">49<"), "{name}");
        }
        let saved = world
            .submit(ROOT, &format!("/tokens/admin/user?user={encoded}"), &[("method", "POST")])
            .await;
        assert_eq!(saved.status, 303, "{name}: {}", saved.text);
        assert_eq!(
            world.view(name).await.methods.to_string(),
            "POST",
            "{name} goes and comes back"
        );
        let json = world.get(session, "/tokens/api/tokens").await;
        assert_eq!(json.json()["user"], name);
        assert_eq!(json.header("content-type"), "application/json");
    }
}

#[tokio::test]
async fn web_018_a_user_without_an_account_is_answered_as_one_without_access() {
    let world = World::new().await;
    let (known, unknown) = (Session::User("former"), Session::User("nobody"));
    let root = Actor::administrator("root").unwrap();
    let former = UserId::new("former").unwrap();
    world.manager.grant(&root, &former, MethodSet::new(["GET"]).unwrap()).await.unwrap();
    world.manager.revoke_access(&root, &former).await.unwrap();
    for (name, body) in
        [("generate", "{}"), ("resend", "{\"id\":1}"), ("confirm", "{\"code\":\"x\"}")]
    {
        let (a, b) = (world.api(known, name, body).await, world.api(unknown, name, body).await);
        assert_eq!((a.status, &a.text), (b.status, &b.text), "{name}");
        let (a, b) = (format!("{:?}", a.headers), format!("{:?}", b.headers));
        assert_eq!(a, b, "{name}");
    }
    assert_eq!(world.mails(), 0);
}

#[tokio::test]
async fn web_024_each_side_keeps_to_its_own() {
    let world = World::new().await;
    let token = world.rotate(ALICE).await;
    // A user on the administrators' routes.
    for path in ["/tokens/admin", "/tokens/admin/user?user=alice", "/tokens/api/admin/users"] {
        assert_eq!(world.get(ALICE, path).await.status, 403, "{path}");
    }
    // An administrator without API access of their own on the users' routes.
    assert_eq!(world.get(ROOT, "/tokens/api/tokens").await.problem(), "no_access");
    assert_eq!(world.api(ROOT, "generate", "{}").await.problem(), "no_access");
    assert_eq!(world.get(ROOT, "/tokens/edit").await.status, 403);
    // An API token on either.
    let bearer = format!("Bearer {token}");
    for path in ["/tokens/api/tokens", "/tokens/api/admin/users"] {
        let headers = [("authorization", bearer.as_str())];
        let answer = world.send(Session::Nobody, "GET", path, &headers, "").await;
        assert_eq!(answer.problem(), "not_signed_in", "{path}");
    }
}

#[tokio::test]
async fn web_026_only_methods_can_be_granted() {
    let world = World::new().await;
    let before = world.state().await;
    let many = format!("[{}]", ["\"GET\""; 10_000].join(","));
    let extensions: Vec<_> = (0..40).map(|number| format!("\"M{number}\"")).collect();
    let extensions = format!("[{}]", extensions.join(","));
    let bad = [
        ("[\"get\"]", 400),
        ("[\"*\"]", 400),
        ("[\"CONNECT\"]", 400),
        ("[\"TRACE\"]", 400),
        ("[\"\"]", 400),
        ("[\"GE T\"]", 400),
        ("[\"GET\",7]", 400),
        ("\"GET\"", 400),
        ("null", 400),
        (extensions.as_str(), 400),
        (many.as_str(), 413),
    ];
    for (methods, status) in bad {
        let body = format!("{{\"user\":\"alice\",\"methods\":{methods},\"revision\":1}}");
        let answer = world.api(ROOT, "admin/methods", &body).await;
        assert_eq!(answer.status, status, "{methods:.40}");
        assert!(!answer.problem().is_empty());
    }
    for methods in ["get", "*", "TRACE", "CONNECT", "GÉT"] {
        let fields = [("method", "GET"), ("other_methods", methods)];
        let answer = world.submit(ROOT, "/tokens/admin/user?user=alice", &fields).await;
        assert_eq!(answer.status, 400, "{methods}");
    }
    assert_eq!(world.state().await, before);
    let twice = "{\"user\":\"alice\",\"methods\":[\"POST\",\"POST\"],\"revision\":1}";
    assert_eq!(world.api(ROOT, "admin/methods", twice).await.status, 204);
    assert_eq!(world.view("alice").await.methods.to_string(), "POST", "twice is once");
}

#[tokio::test]
async fn web_027_a_body_has_its_bounds() {
    let world = World::new().await;
    let before = world.state().await;
    let deep = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let cases = [
        (deep(100_000), 413),
        (deep(8_000), 400),
        ("{\"user\":\"alice\",\"user\":\"bob\",\"methods\":[\"GET\"]}".to_owned(), 400),
        ("{\"user\":\"alice\",\"methods\":[\"GET\"],\"methods\":[]}".to_owned(), 400),
        ("{\"user\":\"alice\",\"methods\":[\"GET\"],\"extra\":1}".to_owned(), 400),
        ("{\"user\":\"alice\",\"methods\":[\"GET\"]} {}".to_owned(), 400),
        ("{\"user\":\"ali\u{0}ce\",\"methods\":[\"GET\"]}".to_owned(), 400),
        (String::new(), 400),
        ("\u{feff}{}".to_owned(), 400),
    ];
    for (body, status) in cases {
        let answer = world.api(ROOT, "admin/methods", &body).await;
        assert_eq!(answer.status, status, "{body:.60}");
        assert!(!answer.problem().is_empty());
    }
    // A gigabyte that says so, and one that does not: neither is read.
    let kinds = [("content-type", "application/json"), ("sec-fetch-site", "same-origin")];
    let mut said = kinds.to_vec();
    said.push(("content-length", "1073741824"));
    let path = "/tokens/api/admin/methods";
    assert_eq!(world.send(ROOT, "POST", path, &said, "{").await.status, 413);
    let read = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counted = std::sync::Arc::clone(&read);
    let mebibyte = Bytes::from(vec![b' '; 1 << 20]);
    let gigabyte = futures_util::stream::iter(0..1_024).map(move |_| {
        counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Ok::<_, std::io::Error>(mebibyte.clone())
    });
    let answer = world.send(ROOT, "POST", path, &kinds, Body::from_stream(gigabyte)).await;
    assert_eq!(answer.status, 413);
    assert!(read.load(std::sync::atomic::Ordering::Relaxed) <= 2, "it is not read to its end");
    // Forms have the same bound.
    let form = format!("form_token=x&code={}", "x".repeat(20_000));
    assert_eq!(world.post(ALICE, "/tokens/verify", &form).await.status, 413);
    assert_eq!(world.state().await, before);
}

#[tokio::test]
async fn web_029_a_pasted_token_is_masked_and_neither_shown_nor_logged() {
    log::so_far();
    let world = World::new().await;
    world.generate(ALICE).await;
    let pasted = generated::token("tat");
    let typing = world.get(ALICE, "/tokens/verify").await;
    // Masked by the stylesheet: a browser would keep what a field of passwords holds.
    let field = typing.between_text("<input type=\"text\" class=\"masked\" id=\"code\"", ">");
    assert!(field.contains("autocomplete=\"one-time-code\""), "{field}");
    let style = include_str!("../../../templates/portal/portal.css");
    assert!(style.contains(".masked { -webkit-text-security: disc; }"));
    let answers = [
        world.send_form(ALICE, &typing, &[("code", &pasted)]).await,
        world.submit(ROOT, "/tokens/admin", &[("find", &pasted)]).await,
        world.submit(ROOT, "/tokens/admin/user?user=alice", &[("user", &pasted)]).await,
        world.submit(ROOT, "/tokens/admin/user?user=alice", &[("other_methods", &pasted)]).await,
        world.api(ALICE, "confirm", &format!("{{\"code\":\"{pasted}\"}}")).await,
        world.api(ALICE, "confirm", &format!("{{\"{pasted}\":1}}")).await,
        world
            .api(ROOT, "admin/methods", &format!("{{\"user\":\"{pasted}\",\"methods\":[]}}"))
            .await,
    ];
    for answer in answers {
        assert!(answer.status.is_client_error(), "{}", answer.status);
        let all = format!("{:?}{}", answer.headers, answer.text);
        assert!(!all.contains(&pasted), "{all}");
    }
    assert!(!log::so_far().contains(&pasted));
}

#[tokio::test]
async fn log_005_neither_the_log_nor_a_path_holds_the_code() {
    log::so_far();
    let world = World::with(|portal| portal.sign_in("/sign-in").unwrap()).await;
    log::so_far();
    let (token, code) = world.generate(ALICE).await;
    let link = format!("/tokens/verify?code={code}");
    // Before the sign-in: where it is sent to does not hold the code.
    let away = world.get(Session::Nobody, &link).await;
    assert_eq!(away.header("location"), "/sign-in?return_to=%2Ftokens%2Fverify");
    let page = world.get(ALICE, &link).await;
    let action = page.between("<form", ">").text;
    assert!(action.contains("action=\"/tokens/verify\"") && action.contains("method=\"post\""));
    let confirmed = world.send_form(ALICE, &page, &[]).await;
    assert_eq!(confirmed.header("location"), "/tokens?saved");
    assert_eq!(world.slot(&token).await, Some(Slot::Primary));
    world.wait(Duration::from_secs(1));
    let logged = log::so_far();
    assert!(logged.contains("primary_confirmed"), "the log is looked at: {logged}");
    for secret in [&code, &token] {
        assert!(!logged.contains(&secret[4..12]), "{logged}");
    }
    // What a guess leaves behind, too.
    let guess = format!("tac_{}", secret::random_text(32));
    world.get(ALICE, &format!("/tokens/verify?code={guess}")).await;
    assert!(!log::so_far().contains(&guess[4..12]));
}

/// Neither an API token nor a user's name in the request stands for a session.
#[tokio::test]
async fn rotation_033_only_the_owner_starts_a_rotation() {
    let world = World::new().await;
    let bobs = world.rotate(BOB).await;
    let (before, mails) = (world.state().await, world.mails());
    let credential = format!("Bearer {bobs}");
    let json = ("content-type", "application/json");
    let same = ("sec-fetch-site", "same-origin");
    for headers in [&[json, same][..], &[json, same, ("authorization", &credential)]] {
        for body in ["{}", "{\"user\":\"alice\"}"] {
            let path = "/tokens/api/generate";
            let answer = world.send(Session::Nobody, "POST", path, headers, body.to_owned()).await;
            assert_eq!(answer.status, 401, "{}", answer.text);
        }
    }
    assert_eq!((world.state().await, world.mails()), (before, mails));
    let alices = world.view("alice").await;
    world.api(BOB, "generate", "{\"user\":\"alice\"}").await;
    assert_eq!(world.view("alice").await, alices, "bob generates for nobody but himself");
}

#[tokio::test]
async fn what_a_name_hides_is_visible_on_every_page() {
    let world = World::new().await;
    let root = Actor::administrator("ro\u{2066}ot").unwrap();
    let name = "alice\u{200b}\u{3164}\u{202e}nimda";
    let id = user(name);
    world.manager.grant(&root, &id, MethodSet::new(["GET"]).unwrap()).await.unwrap();
    let session = Session::User(name);
    world.rotate(session).await;
    let encoded = percent_encoding::utf8_percent_encode(name, percent_encoding::NON_ALPHANUMERIC);
    let own = world.get(session, "/tokens").await;
    assert!(own.text.contains("administrator ro\\u{2066}ot"), "{}", own.text);
    let pages = [
        own,
        world.get(ROOT, "/tokens/admin").await,
        world.get(ROOT, &format!("/tokens/admin?find={encoded}%20")).await,
        world.get(ROOT, &format!("/tokens/admin/user?user={encoded}")).await,
        world.get(ROOT, &format!("/tokens/admin/revoke?user={encoded}")).await,
        world.get(ROOT, &format!("/tokens/admin/erase?user={encoded}")).await,
    ];
    for page in pages {
        assert_eq!(page.status, 200);
        assert!(page.text.contains("alice\\u{200b}\\u{3164}\\u{202e}nimda"), "{}", page.text);
        // What a form sends back is the name itself.
        let shown: String = page.text.split('<').filter_map(|tag| tag.split('>').nth(1)).collect();
        let hides = |c| matches!(c, '\u{200b}' | '\u{3164}' | '\u{202e}' | '\u{2066}');
        assert!(!shown.contains(hides), "{}", page.text);
    }
}
