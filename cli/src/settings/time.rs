//! Lengths of time as people write them.

use std::time::Duration;

use serde::{Deserialize, Deserializer, de::Error};

/// A whole number and a unit: `250ms`, `5s`, `10m`, `24h`, `90d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Time(pub(crate) Duration);

impl Time {
    pub(crate) const ZERO: Self = Self(Duration::ZERO);

    pub(crate) fn parse(text: &str) -> Option<Self> {
        let unit = text.find(|character: char| !character.is_ascii_digit())?;
        let (number, unit) = text.split_at(unit);
        let number: u64 = number.parse().ok()?;
        let millis = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return None,
        };
        Some(Self(Duration::from_millis(number.checked_mul(millis)?)))
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let form = "a time is a whole number and ms, s, m, h or d, such as \"10m\"";
        Self::parse(&text).ok_or_else(|| D::Error::custom(form))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_a_number_and_a_unit() {
        let cases = [("250ms", 250), ("5s", 5_000), ("10m", 600_000), ("90d", 7_776_000_000)];
        for (text, millis) in cases {
            assert_eq!(Time::parse(text), Some(Time(Duration::from_millis(millis))));
        }
        for bad in ["", "5", "s", "-1s", "1.5s", "5 s", "1w", "99999999999999999999s"] {
            assert_eq!(Time::parse(bad), None, "{bad}");
        }
    }
}
