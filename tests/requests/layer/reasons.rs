//! The log says why a request is answered 401, and the answer does not.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tower_api_token::TokenAuthLayer;
use tower_api_token::authenticate::Authenticator;
use tower_api_token::credentials::CredentialSource;
use tower_api_token::test_util::ManualClock;
use tower_api_token::token::{Pepper, TokenScheme};

use crate::generated;
use crate::layer::support::{
    Answers, Spy, World, account, bearer, digest, record, request, send, timestamp,
};
use crate::thread_log::ThreadLog;

/// The answer to a request that is denied, and what is logged meanwhile.
fn denied(layer: &TokenAuthLayer, request: http::Request<String>) -> (String, String) {
    let log = ThreadLog::begin();
    let outcome = send(layer, request);
    assert!(!outcome.reached());
    let answer =
        format!("{} {:?} {:?} {:?}", outcome.status, outcome.headers, outcome.body, outcome.denial);
    (answer, log.so_far())
}

/// Holds that the request is answered 401 for a reason that the log alone
/// tells, once, and gives the answer.
#[track_caller]
fn refused_for(layer: &TokenAuthLayer, request: http::Request<String>, reason: &str) -> String {
    let (answer, log) = denied(layer, request);
    assert!(answer.starts_with("401"), "{reason}: {answer}");
    let lines: Vec<_> = log.lines().filter(|line| line.contains("denied")).collect();
    assert_eq!(lines.len(), 1, "{reason}: {log}");
    let logged = lines[0].split("reason=").nth(1).unwrap_or_else(|| panic!("no reason: {log}"));
    assert!(logged.contains(reason), "{reason}: {log}");
    for word in logged.trim_matches('"').split_whitespace().filter(|word| word.len() > 8) {
        assert!(!answer.contains(word) || word == "credential", "{word} is told: {answer}");
    }
    answer
}

fn of_erin(scheme: &TokenScheme, expired: &str) -> tower_api_token::account::Account {
    let mut primary = record(2, digest(scheme, expired));
    primary.expires_at = Some(timestamp(100));
    account("erin", &["GET"]).primary(primary).build().unwrap()
}

#[test]
fn each_invalid_token_has_a_reason_in_the_log_and_all_have_one_answer() {
    let former = TokenScheme::default().pepper(Pepper::new(1, &[1; 32]).unwrap()).unwrap();
    let current = TokenScheme::default().pepper(Pepper::new(2, &[2; 32]).unwrap()).unwrap();
    let both = current.clone().former_pepper(Pepper::new(1, &[1; 32]).unwrap()).unwrap();
    let plain = TokenScheme::default();
    for (made_with, scheme) in [(&plain, &plain), (&current, &both), (&former, &both)] {
        let (world, expired) = (World::with(made_with.clone()), generated::token("tat"));
        for answers in [Answers::Peek, Answers::Find] {
            let accounts = world.accounts().into_iter().chain([of_erin(made_with, &expired)]);
            let layer = TokenAuthLayer::new(Spy::new(accounts, answers))
                .clock(ManualClock::new(timestamp(1_000)))
                .scheme(scheme.clone())
                .sources([CredentialSource::Bearer, CredentialSource::Basic]);
            let basic = |user: &str, token: &str| {
                let credential = format!("Basic {}", STANDARD.encode(format!("{user}:{token}")));
                request("GET", &[("authorization", &credential)])
            };
            let mut damaged = generated::token("tat").into_bytes();
            damaged[10] = if damaged[10] == b'a' { b'b' } else { b'a' };
            let damaged = String::from_utf8(damaged).unwrap();
            let cases = [
                (bearer("GET", &generated::token("tat")), "no account has this token"),
                (bearer("GET", &world.retired), "has been retired"),
                (bearer("DELETE", &world.retired), "has been retired"),
                (bearer("GET", &world.pending), "not confirmed yet"),
                (bearer("GET", &expired), "has expired"),
                (basic("erin", &expired), "has expired"),
                (basic("bob", &world.primary), "named beside the token"),
                (basic("bob", &world.retired), "has been retired"),
                (bearer("GET", &damaged), "check sum is wrong"),
                (bearer("GET", "junk"), "accept_foreign_tokens"),
                (bearer("GET", &generated::token("other")), "accept_foreign_tokens"),
            ];
            let answers: Vec<_> =
                cases.into_iter().map(|(request, why)| refused_for(&layer, request, why)).collect();
            assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:#?}");
        }
    }
}

#[test]
fn a_foreign_token_that_is_asked_for_and_found_nowhere_is_unknown() {
    let scheme = TokenScheme::default().accept_foreign_tokens(true);
    for answers in [Answers::Peek, Answers::Find] {
        let layer = TokenAuthLayer::new(World::new().store(answers)).scheme(scheme.clone());
        refused_for(
            &layer,
            bearer("GET", "a-token-of-another-system"),
            "no account has this token",
        );
    }
}

#[test]
fn a_missing_credential_has_a_reason_too() {
    let layer = World::new().layer();
    let preflight = [("origin", "https://a.test"), ("access-control-request-method", "PUT")];
    let live = generated::token("tat");
    let cases = [
        (request("GET", &[]), "no enabled source"),
        (request("GET", &[("x-api-key", &live)]), "no enabled source"),
        (request("GET", &[("authorization", "")]), "no scheme"),
        (request("GET", &[("authorization", &live)]), "no scheme"),
        (request("GET", &[("authorization", "Digest a=b")]), "not an enabled one"),
        (request("GET", &[("authorization", "Basic YTpi")]), "not an enabled one"),
        (request("OPTIONS", &preflight), "allow_preflight"),
        (request("PUT", &preflight), "no enabled source"),
    ];
    let answers: Vec<_> =
        cases.into_iter().map(|(request, why)| refused_for(&layer, request, why)).collect();
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:#?}");
}

#[test]
fn other_denials_say_in_the_log_what_they_say_in_the_answer() {
    let world = World::new();
    let layer = world.layer();
    let (answer, log) = denied(&layer, request("GET", &[("authorization", "Bearer a b")]));
    assert!(answer.starts_with("400") && log.contains("reason=\"the credential is malformed\""));
    let (answer, log) = denied(&layer, bearer("DELETE", &world.primary));
    assert!(answer.starts_with("403") && log.contains("does not grant the request's method"));
}

#[tokio::test]
async fn a_host_that_decides_by_itself_cannot_print_the_reason() {
    let world = World::new();
    let authenticator = Authenticator::new(world.store(Answers::Peek));
    let mut told = Vec::new();
    for token in [&world.retired, &world.pending, &generated::token("tat")] {
        let (mut head, _) = bearer("GET", token).into_parts();
        let denial = authenticator.authenticate(&mut head).await.unwrap_err();
        told.push((
            format!("{denial:?} {denial} {:?}", std::error::Error::source(&denial)),
            denial,
        ));
    }
    assert!(told.iter().all(|each| *each == told[0]), "{told:?}");
}
