//! Who gets in, where a request may come from, and what every answer carries.

use crate::web::world::{ALICE, Answer, BOB, ROOT, Session, World};

/// Every path that a link can lead to.
pub(crate) const PATHS: [&str; 34] = [
    "/tokens",
    "/tokens/",
    "/tokens/edit",
    "/tokens/edit/generate",
    "/tokens/edit/delete-backup",
    "/tokens/edit/roll-back",
    "/tokens/edit/cancel-pending",
    "/tokens/edit/revoke-all",
    "/tokens/resend",
    "/tokens/reveal",
    "/tokens/verify",
    "/tokens/advice",
    "/tokens/admin",
    "/tokens/admin?expiring_within=7d&suspended=yes",
    "/tokens/admin/find",
    "/tokens/admin/user?user=alice",
    "/tokens/admin/methods",
    "/tokens/admin/revoke?user=alice",
    "/tokens/admin/suspend?user=alice",
    "/tokens/admin/resume?user=alice",
    "/tokens/admin/erase?user=alice",
    "/tokens/admin/audit?user=alice",
    "/tokens/nowhere",
    "/tokens/api/tokens",
    "/tokens/api/history",
    "/tokens/api/generate",
    "/tokens/api/revoke-all",
    "/tokens/api/admin/users",
    "/tokens/api/admin/methods",
    "/tokens/api/admin/audit",
    "/tokens/api/admin/suspend",
    "/tokens/api/admin/resume",
    "/tokens/api/admin/erase",
    "/tokens/api/openapi.json",
];

#[tokio::test]
async fn without_a_session_every_route_answers_401() {
    let world = World::new().await;
    let live = world.rotate(ALICE).await;
    let bearer = format!("Bearer {live}");
    let tok = format!("TOK:{live}");
    let before = world.state().await;
    for path in PATHS {
        for method in ["GET", "HEAD", "POST", "DELETE", "OPTIONS"] {
            for credential in [&bearer, &tok] {
                let headers = [
                    ("authorization", credential.as_str()),
                    ("x-api-key", &live),
                    ("x-user", "alice"),
                    ("x-is-admin", "true"),
                    ("sec-fetch-site", "same-origin"),
                ];
                let answer = world.send(Session::Nobody, method, path, &headers, "").await;
                assert_eq!(answer.status, 401, "{method} {path}: a token is no session");
                assert!(answer.headers.contains_key("www-authenticate"));
                assert_secured(&answer, path);
            }
        }
    }
    assert_eq!(world.state().await, before);
}

#[tokio::test]
async fn an_identity_of_the_layer_is_no_session_either() {
    use axum::body::Body;
    use axum::http::Request;
    use tower::ServiceExt;
    use tower_api_token::TokenAuthLayer;

    let world = World::new().await;
    let live = world.rotate(ALICE).await;
    let layer = TokenAuthLayer::new(std::sync::Arc::clone(&world.store));
    let behind = world.router.clone().layer(layer);
    let request =
        Request::get("/tokens/api/tokens").header("authorization", format!("Bearer {live}"));
    let response = behind.oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(response.status(), 401);
}

#[tokio::test]
async fn pages_send_strangers_to_the_hosts_sign_in_and_operations_do_not() {
    let world = World::with(|portal| portal.sign_in("/sign-in").unwrap()).await;
    let answer = world.get(Session::Nobody, "/tokens/edit?x=1").await;
    assert_eq!(answer.status, 303);
    assert_eq!(answer.header("location"), "/sign-in?return_to=%2Ftokens%2Fedit");
    assert_eq!(world.get(Session::Nobody, "/tokens/api/tokens").await.problem(), "not_signed_in");
    assert_eq!(world.post(Session::Nobody, "/tokens/resend", "id=1").await.status, 401);
}

#[tokio::test]
async fn every_answer_is_secured() {
    let world = World::new().await;
    for session in [ALICE, ROOT] {
        for path in PATHS {
            for method in ["GET", "HEAD", "POST", "PUT", "OPTIONS"] {
                let answer = world.send(session, method, path, &[], "").await;
                assert_secured(&answer, path);
            }
        }
    }
}

pub(crate) fn assert_secured(answer: &Answer, of: &str) {
    let policy = answer.header("content-security-policy");
    let parts = [
        "default-src 'none'",
        "frame-ancestors 'none'",
        "form-action 'self'",
        "base-uri 'none'",
        "script-src 'self'",
    ];
    for part in parts {
        assert!(policy.split("; ").any(|own| own == part), "{of}: {policy}");
    }
    assert!(!policy.contains("unsafe"), "{of}: {policy}");
    assert_eq!(answer.header("x-frame-options"), "DENY", "{of}");
    assert_eq!(answer.header("referrer-policy"), "no-referrer", "{of}");
    assert_eq!(answer.header("x-content-type-options"), "nosniff", "{of}");
    assert_eq!(answer.header("cache-control"), "no-store", "{of}");
    for inline in ["<style", "style=\"", "javascript:", "onclick"] {
        assert!(!answer.text.contains(inline), "{of}: {inline}");
    }
}

#[tokio::test]
async fn reading_changes_nothing_whoever_reads_and_however() {
    let world = World::new().await;
    world.rotate(ALICE).await;
    world.rotate(ALICE).await;
    let (_, code) = world.generate(ALICE).await;
    let before = (world.state().await, world.mails());
    let link = format!("/tokens/verify?code={code}");
    let prefetch = [("purpose", "prefetch"), ("sec-purpose", "prefetch;prerender")];
    for path in PATHS.into_iter().chain([link.as_str(), "/tokens/edit/revoke-all?agree=yes"]) {
        for method in ["GET", "HEAD", "OPTIONS"] {
            world.send(ALICE, method, path, &prefetch, "agree=yes").await;
            world.send(ROOT, method, path, &[], "").await;
        }
        // An override header makes no change of a reading.
        let overridden = [("x-http-method-override", "POST"), ("x-http-method", "POST")];
        world.send(ALICE, "GET", path, &overridden, "").await;
    }
    assert_eq!((world.state().await, world.mails()), before);
}

#[tokio::test]
async fn every_change_of_another_origin_is_refused() {
    let world = World::new().await;
    world.rotate(ALICE).await;
    let before = (world.state().await, world.mails());
    let form_token = world.form_token(ALICE).await;
    let body = format!("form_token={form_token}&agree=yes&primary=1&backup=&pending=&id=1");
    let origins: [&[(&str, &str)]; 8] = [
        &[("sec-fetch-site", "cross-site")],
        &[("sec-fetch-site", "same-site")],
        &[("sec-fetch-site", "none")],
        &[("sec-fetch-site", "same-origin"), ("sec-fetch-site", "cross-site")],
        &[("origin", "https://evil.example")],
        &[("origin", "http://portal.example.evil.example")],
        &[("origin", "https://portal.example:444")],
        &[("origin", "https://portal.example"), ("origin", "https://evil.example")],
    ];
    for origin in origins {
        for (path, kind, body) in [
            ("/tokens/edit/generate", "application/x-www-form-urlencoded", body.as_str()),
            ("/tokens/edit/revoke-all", "application/x-www-form-urlencoded", body.as_str()),
            ("/tokens/resend", "application/x-www-form-urlencoded", body.as_str()),
            ("/tokens/api/generate", "application/json", "{\"primary\":1}"),
            ("/tokens/api/revoke-all", "application/json", "{\"primary\":1}"),
        ] {
            let mut headers = vec![("host", "portal.example"), ("content-type", kind)];
            headers.extend(origin);
            let answer = world.send(ALICE, "POST", path, &headers, body.to_owned()).await;
            assert_eq!(answer.status, 403, "{path} {origin:?}");
        }
    }
    assert_eq!((world.state().await, world.mails()), before);
}

#[tokio::test]
async fn a_form_of_this_origin_is_taken_with_its_token_alone() {
    let world = World::new().await;
    let kind = ("content-type", "application/x-www-form-urlencoded");
    let host = ("host", "portal.example");
    let own: [&[(&str, &str)]; 4] = [
        &[("sec-fetch-site", "same-origin")],
        &[("origin", "https://portal.example")],
        // What an older browser sends from a page with our referrer policy.
        &[("origin", "null")],
        &[],
    ];
    for origin in own {
        let mut headers = vec![kind, host];
        headers.extend(origin);
        let bobs = world.form_token(BOB).await;
        for forged in ["", "form_token=", "form_token=AAAA", &format!("form_token={bobs}")] {
            let body = format!("{forged}&agree=yes&primary=&replacing_backup=");
            let answer = world.send(ALICE, "POST", "/tokens/edit/generate", &headers, body).await;
            assert_eq!(answer.status, 403, "{origin:?} {forged}");
        }
        let form_token = world.form_token(ALICE).await;
        let body = format!("form_token={form_token}&agree=yes&primary=&replacing_backup=");
        let answer = world.send(ALICE, "POST", "/tokens/edit/generate", &headers, body).await;
        assert_eq!(answer.status, 200, "{origin:?}");
    }
}

#[tokio::test]
async fn an_operation_takes_json_alone_which_no_form_can_send() {
    let world = World::new().await;
    for kind in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""] {
        let headers = [("content-type", kind), ("sec-fetch-site", "same-origin")];
        let answer = world.send(ALICE, "POST", "/tokens/api/generate", &headers, "{}").await;
        assert_eq!(answer.problem(), "not_json", "{kind}");
    }
    let sandboxed = [("content-type", "application/json"), ("origin", "null")];
    let answer = world.send(ALICE, "POST", "/tokens/api/generate", &sandboxed, "{}").await;
    assert_eq!(answer.problem(), "cross_origin");
    assert_eq!(world.mails(), 0);
}

#[tokio::test]
async fn nodes_with_one_form_key_take_each_others_forms() {
    let world = World::with(|portal| portal.form_key([7; 32]).unwrap()).await;
    let form_token = world.form_token(ALICE).await;
    let other = World::with(|portal| portal.form_key([7; 32]).unwrap()).await;
    let body = format!("form_token={form_token}&agree=yes&primary=&replacing_backup=");
    assert_eq!(other.post(ALICE, "/tokens/edit/generate", &body).await.status, 200);
    let stranger = World::new().await;
    assert_eq!(stranger.post(ALICE, "/tokens/edit/generate", &body).await.status, 403);
}

#[tokio::test]
async fn what_cannot_be_configured_is_refused() {
    use tower_api_token::ConfigError;
    use tower_api_token::portal::Portal;
    let world = World::new().await;
    let portal = || Portal::new(world.manager.clone());
    for path in ["", "//", "tokens", "/tokens/", "//tokens", "/a b", "/{id}", "/a/../b", "/é"] {
        assert_eq!(portal().at(path).unwrap_err(), ConfigError::PortalPath, "{path}");
    }
    for address in ["", "sign-in", "//evil.example", "javascript:alert(1)", "/a\nb", "/a?b"] {
        assert_eq!(portal().sign_in(address).unwrap_err(), ConfigError::PortalAddress, "{address}");
    }
    assert_eq!(portal().home("data:text/html,x").unwrap_err(), ConfigError::PortalAddress);
    assert_eq!(portal().form_key([0; 31]).unwrap_err(), ConfigError::FormKeyTooShort);
    assert!(portal().at("/account/api-tokens").is_ok());
}
