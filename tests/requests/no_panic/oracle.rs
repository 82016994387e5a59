//! What must be true of every answer, said without the code under test.

use std::convert::Infallible;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::FutureExt;
use http::{Request, Response};
use tower::{Layer, ServiceExt, service_fn};
use tower_api_token::Identity;

use crate::no_panic::generator::Sample;
use crate::no_panic::target::{OWN_HEADER, Target, Tokens};

/// In the response of a request that was let through.
#[derive(Clone)]
struct Reached(Option<Identity>);

/// Sends the sample, checks the answer, and returns its status; 400 and more
/// for every denial.
pub(crate) fn check(target: &Target, tokens: &Tokens, sample: &Sample) -> u16 {
    let handler = async |request: Request<String>| {
        let mut response = Response::new(String::new());
        response.extensions_mut().insert(Reached(request.extensions().get().cloned()));
        Ok::<_, Infallible>(response)
    };
    let answer = target.layer.layer(service_fn(handler)).oneshot(sample.request()).now_or_never();
    let response = answer.expect("ready").unwrap_or_else(|no| match no {});
    let status = response.status().as_u16();
    match (response.extensions().get::<Reached>(), expected(target, tokens, sample)) {
        (Some(Reached(Some(identity))), Expected::User(user)) => {
            assert_eq!(identity.user().as_str(), user);
        }
        (Some(Reached(None)), Expected::NoCredential) => assert!(target.anonymous),
        (None, Expected::NoCredential | Expected::Refused) => {}
        (reached, expected) => {
            panic!("{expected:?}, and the handler reached: {}", reached.is_some())
        }
    }
    if response.extensions().get::<Reached>().is_some() {
        assert_eq!(status, 200);
        return status;
    }
    let denial = response.extensions().get::<tower_api_token::denial::Denial>().expect("a denial");
    let denied = denial.status().as_u16();
    assert!(matches!(denied, 400 | 401 | 403), "{denied}");
    let by_grpc = target.grpc && response.headers().contains_key("grpc-status");
    assert_eq!(status, if by_grpc { 200 } else { denied });
    denied
}

#[derive(Debug, PartialEq, Eq)]
enum Expected {
    /// Passes as this user.
    User(&'static str),
    /// Carries nothing that an enabled source would read.
    NoCredential,
    Refused,
}

fn expected(target: &Target, tokens: &Tokens, sample: &Sample) -> Expected {
    let lines = |wanted: &str| -> Vec<&[u8]> {
        let lines = sample.lines.iter().filter(|(name, _)| *name == wanted);
        lines.map(|(_, value)| value.as_bytes()).collect()
    };
    let [bearer, tok, basic, own] = target.sources;
    let reads_authorization = bearer || tok || basic;
    let authorization = if reads_authorization { lines("authorization") } else { Vec::new() };
    let own = if own { lines(OWN_HEADER) } else { Vec::new() };
    if authorization.len() > 1 || own.len() > 1 {
        return Expected::Refused;
    }
    let spoken = authorization.first().filter(|value| of_enabled_scheme(target, value));
    match (spoken, own.first()) {
        (None, None) => Expected::NoCredential,
        (Some(_), Some(_)) => Expected::Refused,
        (Some(value), None) => {
            by_token(target, tokens, sample, |token, user| says(target, value, token, user))
        }
        (None, Some(value)) => {
            by_token(target, tokens, sample, |token, _| *value == token.as_bytes())
        }
    }
}

fn starts(value: &[u8], scheme: &str) -> bool {
    value.get(..scheme.len()).is_some_and(|head| head.eq_ignore_ascii_case(scheme.as_bytes()))
}

fn of_enabled_scheme(target: &Target, value: &[u8]) -> bool {
    let [bearer, tok, basic, _] = target.sources;
    let alone = |scheme: &str| value.eq_ignore_ascii_case(scheme.as_bytes());
    (bearer && (starts(value, "bearer ") || alone("bearer")))
        || (basic && (starts(value, "basic ") || alone("basic")))
        || (tok && starts(value, "tok:"))
}

/// Whether the `Authorization` value is exactly this user's token, in one of
/// the spellings of an enabled scheme.
fn says(target: &Target, value: &[u8], token: &str, user: &str) -> bool {
    let [bearer, tok, basic, _] = target.sources;
    let after = |scheme: &str| starts(value, scheme).then(|| &value[scheme.len()..]);
    let unspaced = |rest: &[u8]| String::from_utf8_lossy(rest).trim_start_matches(' ').to_owned();
    let encoded = STANDARD.encode(format!("{user}:{token}"));
    (bearer && after("bearer ").is_some_and(|rest| unspaced(rest) == token))
        || (basic && after("basic ").is_some_and(|rest| unspaced(rest) == encoded))
        || (tok
            && (after("tok:") == Some(token.as_bytes())
                || after("tok: ") == Some(token.as_bytes())))
}

/// The user of the one live token that `presented` recognises, if that user may
/// perform the method and every override.
fn by_token(
    target: &Target,
    tokens: &Tokens,
    sample: &Sample,
    presented: impl Fn(&str, &str) -> bool,
) -> Expected {
    let live = tokens.live().into_iter().find(|(token, user, _)| presented(token, user));
    let accepted = live.filter(|(token, ..)| target.foreign || *token != tokens.foreign);
    match accepted {
        Some((_, user, methods))
            if asked(sample).is_some_and(|asked| {
                asked
                    .iter()
                    .all(|method| methods.iter().any(|granted| granted.as_bytes() == *method))
            }) =>
        {
            Expected::User(user)
        }
        _ => Expected::Refused,
    }
}

/// Every method that the request asks for; `None` if an override is repeated.
fn asked(sample: &Sample) -> Option<Vec<&[u8]>> {
    let mut names = Vec::new();
    let mut methods = vec![sample.method.as_str().as_bytes()];
    for (name, value) in &sample.lines {
        let name = name.replace(['_', '.'], "-");
        let known = ["x-http-method-override", "x-http-method", "x-method-override"];
        if known.contains(&name.as_str()) {
            if names.contains(&name) {
                return None;
            }
            names.push(name);
            methods.push(value.as_bytes());
        }
    }
    Some(methods)
}
