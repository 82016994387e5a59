//! The body of an operation: one JSON object and nothing else, whose numbers are
//! integers however they are written.

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, StatusCode};
use serde::de::{Deserialize, DeserializeOwned, Deserializer, Error};
use serde_json::Number;
use utoipa::ToSchema;

use crate::manage::Problem;

/// A body of that form. Its type refuses unknown and repeated members; the
/// parser refuses what is nested deeper than 128.
pub(super) struct Body<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        if !is_json(request.headers()) {
            return Err(Problem::NOT_JSON);
        }
        let read = Bytes::from_request(request, state).await;
        let body = read.map_err(|rejection| match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => Problem::TOO_LARGE,
            _ => Problem::bad_request("The body could not be read. Nothing has changed."),
        })?;
        // A list would be taken for the members in their order.
        let what = "The body is not the JSON object that this operation takes";
        if !body.trim_ascii_start().starts_with(b"{") {
            return Err(Problem::bad_request(format!("{what}.")));
        }
        // The parser's message could repeat what was sent, a secret in the wrong
        // place among it: only the place is told.
        serde_json::from_slice(&body).map(Self).map_err(|error| {
            let (line, column) = (error.line(), error.column());
            match member(&error) {
                Some(problem) => Problem::bad_request(format!("{what}: {problem}.")),
                None => Problem::bad_request(format!("{what}, at line {line}, column {column}.")),
            }
        })
    }
}

/// Which member is missing or repeated: a name of ours, and nothing that was
/// sent.
fn member(error: &serde_json::Error) -> Option<String> {
    let said = error.to_string();
    let named = |start: &str| said.strip_prefix(start)?.split('`').next().map(str::to_owned);
    let missing = named("missing field `").map(|name| format!("the member {name} is missing"));
    missing.or_else(|| {
        named("duplicate field `").map(|name| format!("the member {name} is there twice"))
    })
}

fn is_json(headers: &HeaderMap) -> bool {
    let mut kinds = headers.get_all(CONTENT_TYPE).iter().map(HeaderValue::as_bytes);
    let (Some(kind), None) = (kinds.next(), kinds.next()) else { return false };
    let kind = kind.split(|byte| *byte == b';').next().unwrap_or_default();
    kind.trim_ascii().eq_ignore_ascii_case(b"application/json")
}

/// An integer that is not negative. `5.0` and `5e0` are 5: JSON has one kind of
/// number (RFC 8259 section 6), and some programs write every one so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ToSchema)]
#[schema(value_type = u64)]
pub(super) struct Integer(pub(super) u64);

/// 2^48. Below it what a parser of floating-point numbers rounds never leads
/// from one integer to another.
const EXACT: f64 = 281_474_976_710_656.0;

impl<'de> Deserialize<'de> for Integer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // A build in which somebody enables `arbitrary_precision` hands a visitor of
        // numbers something else than a number.
        let number = Number::deserialize(deserializer)?;
        let integer = number.as_u64().or_else(|| number.as_f64().and_then(whole));
        integer
            .map(Self)
            .ok_or_else(|| D::Error::custom("expected an integer that is not negative"))
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the number is an integer from 0 to below 2^48"
)]
fn whole(number: f64) -> Option<u64> {
    let is_whole = number.fract() == 0.0 && (0.0..EXACT).contains(&number);
    is_whole.then_some(number as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_without_a_fraction_is_an_integer() {
        for (text, number) in [
            ("5", 5),
            ("5.0", 5),
            ("5e0", 5),
            ("1e2", 100),
            ("120e-1", 12),
            ("0", 0),
            ("-0", 0),
            ("0.0", 0),
            ("281474976710655.0", (1 << 48) - 1),
            ("18446744073709551615", u64::MAX),
        ] {
            assert_eq!(serde_json::from_str::<Integer>(text).unwrap(), Integer(number), "{text}");
        }
        for bad in [
            "5.5",
            "-1",
            "-1.0",
            "1e300",
            "281474976710656.0",
            "\"5\"",
            "true",
            "null",
            "[5]",
            "{}",
            "1e400",
        ] {
            assert!(serde_json::from_str::<Integer>(bad).is_err(), "{bad}");
        }
    }
}
