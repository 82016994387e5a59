//! Integers as JSON knows them: a number without a fraction, whatever it is
//! written like.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, Visitor};

/// An integer that is not negative. `5.0` and `5e0` are 5: JSON has one kind of
/// number (RFC 8259 section 6), and some programs write every one so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Integer(pub(super) u64);

/// 2^48. Below it what a parser of floating-point numbers rounds never leads
/// from one integer to another.
const EXACT: f64 = 281_474_976_710_656.0;

impl<'de> Deserialize<'de> for Integer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OfNumber;
        impl Visitor<'_> for OfNumber {
            type Value = Integer;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an integer that is not negative")
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<Integer, E> {
                Ok(Integer(number))
            }

            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "the number is an integer from 0 to below 2^48"
            )]
            fn visit_f64<E: Error>(self, number: f64) -> Result<Integer, E> {
                if number.fract() == 0.0 && (0.0..EXACT).contains(&number) {
                    Ok(Integer(number as u64))
                } else {
                    Err(E::custom("not an integer"))
                }
            }
        }
        deserializer.deserialize_any(OfNumber)
    }
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
        ] {
            assert!(serde_json::from_str::<Integer>(bad).is_err(), "{bad}");
        }
    }
}
