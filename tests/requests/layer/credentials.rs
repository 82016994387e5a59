//! Where a token may stand in a request, and in which spelling.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use http::{HeaderName, HeaderValue, Request};
use tower_api_token::TokenAuthLayer;
use tower_api_token::account::Slot;
use tower_api_token::credentials::CredentialSource;
use tower_api_token::denial::{DenialKind, RequestFault};
use tower_api_token::token::TokenScheme;

use crate::layer::support::{Answers, Outcome, Spy, World, account, digest, record, request, send};

const API_KEY: CredentialSource = CredentialSource::Header(HeaderName::from_static("x-api-key"));

fn everything(world: &World) -> TokenAuthLayer {
    let sources =
        [CredentialSource::Bearer, CredentialSource::Tok, CredentialSource::Basic, API_KEY];
    world.layer().sources(sources)
}

fn basic(text: &str) -> String {
    format!("Basic {}", STANDARD.encode(text))
}

fn authorization(layer: &TokenAuthLayer, value: &str) -> Outcome {
    send(layer, request("GET", &[("authorization", value)]))
}

fn fault(outcome: &Outcome) -> RequestFault {
    assert_eq!(outcome.status, 400);
    match outcome.denial.as_ref().unwrap().kind() {
        DenialKind::InvalidRequest(fault) => fault,
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_source_identifies_the_same_user() {
    let world = World::new();
    let layer = everything(&world);
    let token = &world.primary;
    for (name, value) in [
        ("authorization", format!("Bearer {token}")),
        ("authorization", format!("bEARER {token}")),
        ("authorization", format!("Bearer   {token}")),
        ("authorization", format!("TOK:{token}")),
        ("authorization", format!("TOK: {token}")),
        ("authorization", format!("tok:{token}")),
        ("authorization", basic(&format!("alice:{token}"))),
        ("authorization", basic(&format!("alice:{token}")).replace("Basic", "bASIC ")),
        ("x-api-key", token.clone()),
        ("X-API-Key", token.clone()),
    ] {
        let outcome = send(&layer, request("GET", &[(name, &value)]));
        assert_eq!(outcome.status, 200, "{name}: {value}");
        assert_eq!(outcome.identity().user().as_str(), "alice");
        assert_eq!(outcome.identity().slot(), Slot::Primary);
        assert_eq!(outcome.identity().token_id().as_u64(), 3);
        assert_eq!(outcome.identity().methods().to_string(), "GET, PURGE");
    }
}

#[test]
fn the_authorization_header_may_hold_the_token_alone_where_the_host_says_so() {
    let world = World::new();
    let token = &world.primary;
    let alone = CredentialSource::Header(http::header::AUTHORIZATION);
    let layer = world.layer().sources([alone.clone()]);
    assert_eq!(authorization(&layer, token).status, 200);
    let challenge = authorization(&layer, "tat_unknown").headers["www-authenticate"].clone();
    assert!(challenge.to_str().unwrap().contains("name=\"authorization\""), "{challenge:?}");
    for (value, expected) in [
        ("", RequestFault::EmptyCredential),
        (&*format!("Bearer {token}"), RequestFault::MalformedCredential),
    ] {
        assert_eq!(fault(&authorization(&layer, value)), expected);
    }
    let both = world.layer().sources([CredentialSource::Bearer, alone]);
    for value in [token, &*format!("Bearer {token}")] {
        assert_eq!(authorization(&both, value).status, 200);
    }
    assert_eq!(
        send(&both, request("GET", &[])).headers.get_all("www-authenticate").iter().count(),
        2
    );
    let stripped = send(&both.strip_credentials(true), request("GET", &[("authorization", token)]));
    assert!(stripped.seen.expect("reached").headers.is_empty());
}

#[test]
fn a_source_that_is_not_enabled_is_not_read() {
    let world = World::new();
    let token = &world.primary;
    let values = [
        (CredentialSource::Bearer, "authorization", format!("Bearer {token}")),
        (CredentialSource::Tok, "authorization", format!("TOK:{token}")),
        (CredentialSource::Basic, "authorization", basic(&format!("alice:{token}"))),
        (API_KEY, "x-api-key", token.clone()),
    ];
    for (enabled, ..) in &values {
        let layer = world.layer().sources([enabled.clone()]);
        for (source, name, value) in &values {
            let outcome = send(&layer, request("GET", &[(name, value)]));
            let status = if source == enabled { 200 } else { 401 };
            assert_eq!(outcome.status, status, "{enabled:?} {source:?}");
        }
    }
    assert_eq!(send(&world.layer().sources([]), world.get()).status, 401);
}

#[test]
fn no_other_place_carries_a_credential() {
    let world = World::new();
    let layer = everything(&world);
    let token = &world.primary;
    for (name, value) in [
        ("proxy-authorization", format!("Bearer {token}")),
        ("cookie", format!("token={token}; authorization=Bearer {token}")),
        ("x-auth-token", token.clone()),
        ("x_api_key", token.clone()),
        ("x.api.key", token.clone()),
        ("referer", format!("https://x/?access_token={token}")),
        ("authorization", format!("Token {token}")),
        ("authorization", format!("Bearer\t{token}")),
        ("authorization", format!("XBearer {token}")),
        ("authorization", format!("TOK {token}")),
        ("authorization", format!("Bearer:{token}")),
    ] {
        let outcome = send(&layer, request("GET", &[(name, &value)]));
        assert_eq!(outcome.status, 401, "{name}: {value}");
        assert_eq!(outcome.denial.unwrap().kind(), DenialKind::MissingCredential);
    }
    let in_url = Request::get(format!("/items/{token}?access_token={token}"));
    assert_eq!(send(&layer, in_url.body(String::new()).unwrap()).status, 401);
}

#[test]
fn what_is_no_token_is_refused_before_anything_is_hashed() {
    let world = World::new();
    let store = world.store(Answers::Peek);
    let layer = TokenAuthLayer::new(store.clone())
        .scheme(TokenScheme::default().accept_foreign_tokens(true))
        .sources([CredentialSource::Bearer, CredentialSource::Tok, API_KEY]);
    let token = &world.primary;
    for value in [
        "Bearer".to_owned(),
        "Bearer  ".to_owned(),
        "TOK:".to_owned(),
        "TOK: ".to_owned(),
        format!("TOK:  {token}"),
        format!("TOK::{token}"),
        format!("TOK:Bearer {token}"),
        format!("Bearer TOK:{token}"),
        format!("Bearer {token} x"),
        format!("Bearer {token} "),
        format!("Bearer {token},"),
        format!("Bearer junk, Bearer {token}"),
        format!("Bearer \"{token}\""),
        format!("Bearer token={token}"),
        format!("Bearer %74{token}"),
        format!("Bearer {token}\t"),
        "Bearer =".to_owned(),
    ] {
        let outcome = authorization(&layer, &value);
        let refused = matches!(
            fault(&outcome),
            RequestFault::EmptyCredential | RequestFault::MalformedCredential
        );
        assert!(refused, "{value}");
    }
    for value in ["", " ", "a b", "\"a\"", "a,b"] {
        let outcome = send(&layer, request("GET", &[("x-api-key", value)]));
        assert_eq!(outcome.status, 400, "{value:?}");
    }
    assert_eq!(store.take_calls(), []);
}

#[test]
fn bytes_outside_ascii_are_refused_like_any_other_bad_byte() {
    let world = World::new();
    for bytes in [&b"\xe9"[..], b"\xff\xfe", "Bearer é".as_bytes(), b"Bearer \x80"] {
        let mut request = request("GET", &[]);
        let value = HeaderValue::from_bytes(bytes).unwrap();
        request.headers_mut().insert("authorization", value.clone());
        assert!(matches!(send(&world.layer(), request).status.as_u16(), 400 | 401));
        let mut request = self::request("GET", &[]);
        request.headers_mut().insert("x-api-key", value);
        assert_eq!(send(&everything(&world), request).status, 400);
    }
}

#[test]
fn a_token_may_have_512_bytes_and_no_more() {
    let scheme = TokenScheme::default().accept_foreign_tokens(true);
    let (longest, longer) = ("x".repeat(512), "x".repeat(513));
    let record = record(1, digest(&scheme, &longest));
    let alice = account("alice", &["GET"]).primary(record).build().unwrap();
    let sources = [CredentialSource::Bearer, CredentialSource::Basic, API_KEY];
    let layer = TokenAuthLayer::new(Spy::new([alice], Answers::Peek));
    let layer = layer.scheme(scheme).sources(sources);
    for (name, longest, longer) in [
        ("authorization", format!("Bearer {longest}"), format!("Bearer {longer}")),
        ("authorization", basic(&format!("alice:{longest}")), basic(&format!("alice:{longer}"))),
        ("x-api-key", longest.clone(), longer.clone()),
    ] {
        assert_eq!(send(&layer, request("GET", &[(name, &longest)])).status, 200, "{name}");
        let refused = send(&layer, request("GET", &[(name, &longer)]));
        assert_eq!(fault(&refused), RequestFault::LongCredential, "{name}");
    }
}

#[test]
fn basic_must_name_the_user_of_the_token() {
    let world = World::new();
    let layer = everything(&world);
    let token = &world.primary;
    for name in ["", "Alice", "alice ", "carol", "alic", "alicex", token] {
        let outcome = authorization(&layer, &basic(&format!("{name}:{token}")));
        assert_eq!(outcome.denial.unwrap().kind(), DenialKind::InvalidToken, "{name:?}");
    }
}

#[test]
fn basic_has_one_spelling() {
    let world = World::new();
    let layer = everything(&world);
    let token = &world.primary;
    let padded = format!("alice:{token}").len() % 3 != 0;
    assert!(padded, "this test needs a credential with padding");
    let unpadded = STANDARD_NO_PAD.encode(format!("alice:{token}"));
    let (first, second) = (STANDARD.encode("a"), STANDARD.encode(format!("lice:{token}")));
    for value in [
        "Basic".to_owned(),
        "Basic ".to_owned(),
        "Basic !!!!".to_owned(),
        "Basic YWxp Y2U6".to_owned(),
        "Basic YWxpY2U6_-_-".to_owned(),
        format!("Basic {unpadded}"),
        format!("Basic {first}{second}"),
        basic("alice"),
        basic("alice:"),
        basic(&format!("{token}:")),
        basic(&format!("alice:{token}\n")),
        basic(&format!("al\0ice:{token}")),
        basic(&format!("alice:{token}:")),
        format!("Basic {}", STANDARD.encode([b"alice:", &b"\xff"[..], token.as_bytes()].concat())),
        basic(&"a".repeat(5_000)),
    ] {
        fault(&authorization(&layer, &value));
    }
}

#[test]
fn a_repeated_header_is_refused_whatever_it_holds() {
    let world = World::new();
    let layer = everything(&world);
    let (good, other) = (format!("Bearer {}", world.primary), format!("Bearer {}", world.carol));
    for second in [good.as_str(), &other, "Bearer junk", "", "Digest x"] {
        for lines in [[good.as_str(), second], [second, &good]] {
            let lines = lines.map(|line| ("authorization", line));
            let outcome = send(&layer, request("GET", &lines));
            assert_eq!(fault(&outcome), RequestFault::RepeatedCredential, "{second}");
        }
    }
    let keys = [("x-api-key", world.primary.as_str()); 60];
    assert_eq!(fault(&send(&layer, request("GET", &keys))), RequestFault::RepeatedCredential);
}

#[test]
fn two_enabled_sources_at_once_are_refused_even_if_they_agree() {
    let world = World::new();
    let other = CredentialSource::Header(HeaderName::from_static("x-token"));
    let layer = world.layer().sources([CredentialSource::Bearer, API_KEY, other]);
    let bearer = format!("Bearer {}", world.primary);
    let token = world.primary.as_str();
    for lines in [
        [("authorization", bearer.as_str()), ("x-api-key", token)],
        [("x-api-key", world.carol.as_str()), ("authorization", &bearer)],
        [("authorization", &bearer), ("x-api-key", "")],
        [("x-token", token), ("x-api-key", token)],
    ] {
        let outcome = send(&layer, request("GET", &lines));
        assert_eq!(fault(&outcome), RequestFault::SeveralCredentials, "{lines:?}");
    }
}

#[test]
fn a_scheme_that_is_not_enabled_leaves_the_other_source_alone() {
    let world = World::new();
    let lines = [("authorization", "Digest x"), ("x-api-key", world.primary.as_str())];
    assert_eq!(send(&everything(&world), request("GET", &lines)).status, 200);
    let by_key_alone = world.layer().sources([API_KEY]);
    let bearer = format!("Bearer {}", world.carol);
    let lines = [("authorization", bearer.as_str()), ("x-api-key", world.primary.as_str())];
    let outcome = send(&by_key_alone, request("GET", &lines));
    assert_eq!(outcome.identity().user().as_str(), "alice");
}
