//! `examples/sso` as it stands there: the portal behind a sign-in at a real OpenID
//! Connect provider, and an API behind tokens, under one host name.

mod browser;
mod site;

use self::browser::driver::{Browser, Scripts};
use self::site::{Answer, Site};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_signs_in_and_sees_their_profile_and_no_more() {
    let site = Site::start();
    let browser = Browser::start(Scripts::On).await;
    site.sign_in(&browser, "alice").await;
    let address = browser.client.current_url().await.unwrap().to_string();
    assert_eq!(address, site.url("/tokens"));
    let page = browser.client.source().await.unwrap();
    assert!(page.contains("Signed in as</span> <bdi>alice</bdi>"), "{page}");
    assert!(page.contains("token 1") || page.contains("Token 1"), "her token is shown: {page}");
    assert!(!page.contains("Administration"), "{page}");
    browser.client.goto(&site.url("/tokens/admin")).await.unwrap();
    let refused = browser.client.source().await.unwrap();
    assert!(!refused.contains("Find a user") && refused.contains("administrator"), "{refused}");
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_of_the_group_administers_and_others_do_not() {
    let site = Site::start();
    for (user, is_administrator) in [("carol", true), ("mallory", false)] {
        let browser = Browser::start(Scripts::On).await;
        site.sign_in(&browser, user).await;
        let cookies = site::cookies(&browser).await;
        let shown = browser.client.source().await.unwrap().contains(">Administration</a>");
        assert_eq!(shown, is_administrator, "{user}");
        let users = site.ask("GET", "/tokens/api/admin/users", &[("cookie", &cookies)]);
        assert_eq!(users.status, if is_administrator { 200 } else { 403 }, "{user}: {users:?}");
        browser.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_form_of_whoever_is_signed_in_is_taken() {
    let site = Site::start();
    let browser = Browser::start(Scripts::Off).await;
    site.sign_in(&browser, "alice").await;
    browser.client.goto(&site.url("/tokens/edit/generate")).await.unwrap();
    site::click(&browser, "//label").await;
    site::click(&browser, "//button[normalize-space()='Save']").await;
    let page = browser.client.source().await.unwrap();
    assert!(page.contains("<code id=\"token\">"), "{page}");
    browser.close().await;
}

#[test]
fn a_machines_token_passes_by_the_same_host_name_without_a_sign_in() {
    let site = Site::start();
    let bearer = format!("Bearer {}", site.token);
    let passed = site.ask("GET", "/api/items", &[("authorization", &bearer)]);
    assert_eq!(passed.status, 200, "{passed:?}");
    let reached = site.reached();
    assert!(reached.contains("GET /items ") && reached.contains("X-Auth-User: alice"), "{reached}");
    assert!(!reached.contains(&site.token), "{reached}");
    let said = site.ask_as_the_readme_says();
    assert!(said.starts_with("HTTP/1.1 200"), "{said}");
    assert!(site.reached().contains("X-Auth-User: alice"), "the same by the README's command");
    let denied = site.ask("POST", "/api/items", &[("authorization", &bearer)]);
    assert_eq!(denied.status, 403);
    for credential in ["Bearer junk", ""] {
        let denied = site.ask("GET", "/api/items", &[("authorization", credential)]);
        is_challenged(&denied);
    }
    is_challenged(&site.ask("GET", "/api/items", &[]));
    for elsewhere in ["/", "/items", "/api", "/apix/items", "/token"] {
        let answer = site.ask("GET", elsewhere, &[("authorization", &bearer)]);
        assert!(matches!(answer.status, 403 | 404), "{elsewhere}: {answer:?}");
    }
    assert_eq!(site.reached(), "", "no denial has reached the API");
}

/// 401 with the API's challenge: not to be sent to a sign-in.
fn is_challenged(answer: &Answer) {
    assert_eq!(answer.status, 401, "{answer:?}");
    assert!(answer.head.contains("www-authenticate: bearer"), "{answer:?}");
    assert!(!answer.head.contains("location:"), "{answer:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cookie_is_no_token_and_a_token_is_no_session() {
    let site = Site::start();
    let browser = Browser::start(Scripts::On).await;
    site.sign_in(&browser, "alice").await;
    let cookies = site::cookies(&browser).await;
    let mine = site.ask("GET", "/tokens/api/tokens", &[("cookie", &cookies)]);
    assert_eq!(mine.status, 200, "the cookie is a session: {mine:?}");
    is_challenged(&site.ask("GET", "/api/items", &[("cookie", &cookies)]));
    assert_eq!(site.reached(), "");

    let bearer = format!("Bearer {}", site.token);
    let page = site.ask("GET", "/tokens", &[("authorization", &bearer)]);
    site.leads_to_the_sign_in(&page);
    let operation = site.ask("GET", "/tokens/api/tokens", &[("authorization", &bearer)]);
    assert_eq!(operation.status, 401, "{operation:?}");
    // With both each counts for its own part alone: the API sees no cookie.
    let both = [("authorization", &*bearer), ("cookie", &cookies)];
    assert_eq!(site.ask("GET", "/api/items", &both).status, 200);
    let reached = site.reached();
    assert!(
        !reached.to_lowercase().contains("cookie:") && !reached.contains(&site.token),
        "{reached}"
    );
    // Nor does what the browser itself sends there sign anybody in.
    browser.client.goto(&site.url("/api/items")).await.unwrap();
    assert!(browser.client.source().await.unwrap().contains("Unauthorized"));
    assert_eq!(site.reached(), "");
    browser.close().await;
}

/// Headers by which somebody outside claims to be carol, and in her group.
const FORGED: [(&str, &str); 10] = [
    ("x-remote-user", "carol"),
    ("x-remote-groups", "api-administrators"),
    ("x_remote_user", "carol"),
    ("x_remote_groups", "api-administrators"),
    ("remote_user", "carol"),
    ("oidc_claim_sub", "carol"),
    ("oidc_claim_groups", "api-administrators"),
    ("oidc-claim-groups", "api-administrators"),
    ("x-auth-user", "carol"),
    ("x-gateway-secret", "a guess of the portal's secret"),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forged_header_makes_nobody_a_user_or_an_administrator() {
    let site = Site::start();
    site.leads_to_the_sign_in(&site.ask("GET", "/tokens", &FORGED));
    site.leads_to_the_sign_in(&site.ask("GET", "/tokens/admin", &FORGED));
    assert_eq!(site.ask("GET", "/tokens/api/admin/users", &FORGED).status, 401);
    is_challenged(&site.ask("GET", "/api/items", &FORGED));

    let browser = Browser::start(Scripts::On).await;
    site.sign_in(&browser, "alice").await;
    let cookies = site::cookies(&browser).await;
    browser.close().await;
    let twice = [("x-remote-user", "carol"), ("x-remote-groups", "api-administrators")];
    let removed = [("connection", "x-remote-user, x-remote-groups, x-gateway-secret")];
    for more in [&[][..], &FORGED, &twice, &removed] {
        let headers = [&[("cookie", &*cookies)], &FORGED[..], more].concat();
        let mine = site.ask("GET", "/tokens/api/tokens", &headers);
        let whose = mine.status == 200 && mine.body.contains("\"user\":\"alice\"");
        assert!(whose || (more == removed && mine.status >= 400), "{more:?}: {mine:?}");
        assert!(!mine.body.contains("carol"), "{more:?}: {mine:?}");
        let users = site.ask("GET", "/tokens/api/admin/users", &headers);
        assert!(users.status >= 400, "{more:?}: {users:?}");
    }

    // Whoever goes round the gateway has no secret.
    for secret in [None, Some(("x-gateway-secret", "a guess of the portal's secret"))] {
        let headers = FORGED.iter().copied().filter(|(name, _)| *name != "x-gateway-secret");
        let headers: Vec<_> = headers.chain(secret).collect();
        let around = site.ask_the_portal("/tokens/api/admin/users", &headers);
        assert_eq!(around.status, 503, "{around:?}");
    }
}
