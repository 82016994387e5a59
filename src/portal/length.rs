//! Lengths of time as administrators type them, in the form of the program's settings.

use std::str::FromStr;
use std::time::Duration;

/// Units with their milliseconds, the longest first.
const UNITS: [(&str, u64); 5] =
    [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// A length of time that is not none: a whole number and a unit, such as `30d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Length(pub(super) Duration);

impl FromStr for Length {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let read = || {
            let unit = text.find(|character: char| !character.is_ascii_digit())?;
            let (number, unit) = text.split_at(unit);
            let (_, millis) = UNITS.into_iter().find(|(name, _)| *name == unit)?;
            let millis = number.parse::<u64>().ok()?.checked_mul(millis)?;
            (millis > 0).then(|| Self(Duration::from_millis(millis)))
        };
        read().ok_or("a length of time is a whole number and s, m, h or d, such as 30d")
    }
}

/// The length in the longest unit of which it is a whole number.
pub(super) fn text(time: Duration) -> String {
    let millis = time.as_millis();
    let unit = UNITS.into_iter().find(|(_, unit)| millis.is_multiple_of(u128::from(*unit)));
    let (name, unit) = unit.unwrap_or(("ms", 1));
    format!("{}{name}", millis / u128::from(unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_is_a_number_and_a_unit_and_is_shown_as_it_is_typed() {
        for typed in ["30d", "12h", "90m", "45s", "1500ms", "36500d"] {
            let Length(time) = typed.parse().unwrap();
            assert_eq!(text(time), typed);
        }
        assert_eq!(text(Duration::from_secs(86_400)), "1d");
        assert_eq!("48h".parse().map(|Length(time)| text(time)), Ok("2d".to_owned()));
    }

    #[test]
    fn what_is_no_length_or_none_at_all_is_refused() {
        for bad in ["", "30", "d", "0d", "-1d", "1.5h", "5 s", "1w", "99999999999999999999s"] {
            assert!(bad.parse::<Length>().is_err(), "{bad}");
        }
        assert!("999999999999999999d".parse::<Length>().is_err(), "more than can be counted");
    }
}
