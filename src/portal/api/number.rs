//! Integers as JSON knows them: a number without a fraction, whatever it is
//! written like.

use serde::de::{Deserialize, Deserializer, Error};
use serde_json::Number;
use utoipa::ToSchema;

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
