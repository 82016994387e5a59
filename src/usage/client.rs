//! What used a token, as far as a host can tell.

use std::fmt;

use compact_str::CompactString;

use crate::ValueError;
use crate::visible::is_visible;

/// A short name of the client that used a token, such as `curl/8.5.0`.
///
/// 1 to 64 printable characters. Whatever the client claims: show it as text,
/// decide nothing by it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientLabel(CompactString);

impl ClientLabel {
    /// The greatest length in characters.
    pub const MAX_CHARACTERS: usize = 64;

    /// The label of that text.
    ///
    /// # Errors
    ///
    /// [`ValueError`] names the rule that the text breaks.
    pub fn new(text: impl AsRef<str>) -> Result<Self, ValueError> {
        let text = text.as_ref();
        if text.is_empty() {
            Err(ValueError::ClientLabelEmpty)
        } else if text.chars().count() > Self::MAX_CHARACTERS {
            Err(ValueError::ClientLabelTooLong)
        } else if !text.chars().all(is_visible) {
            Err(ValueError::ClientLabelUnprintable)
        } else {
            Ok(Self(text.into()))
        }
    }

    /// The first product of a `User-Agent` (RFC 9110 section 10.1.5), cut to
    /// its greatest length; `None` if it does not begin with one.
    #[must_use]
    pub fn of_user_agent(value: &[u8]) -> Option<Self> {
        let printable = |byte: &&u8| byte.is_ascii_graphic() && **byte != b'(';
        let product = value.iter().take(Self::MAX_CHARACTERS).take_while(printable);
        let product: CompactString = product.map(|&byte| char::from(byte)).collect();
        (!product.is_empty()).then_some(Self(product))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ClientLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_names_the_rule_it_breaks() {
        assert_eq!(ClientLabel::new("").unwrap_err(), ValueError::ClientLabelEmpty);
        assert_eq!(ClientLabel::new("é".repeat(65)).unwrap_err(), ValueError::ClientLabelTooLong);
        let hidden = ["a\u{3164}", "\u{2800}", "a\u{fe0f}", "a\u{a0}b", "\u{e0041}"];
        for bad in ["a\n", "a\u{202e}b", "\u{200b}", "a\u{2028}"].into_iter().chain(hidden) {
            assert_eq!(ClientLabel::new(bad).unwrap_err(), ValueError::ClientLabelUnprintable);
        }
        assert!(ClientLabel::new("é".repeat(64)).is_ok());
    }

    #[test]
    fn a_user_agent_gives_its_first_product() {
        let label = |value: &str| ClientLabel::of_user_agent(value.as_bytes());
        assert_eq!(label("curl/8.5.0").unwrap().as_str(), "curl/8.5.0");
        assert_eq!(label("Mozilla/5.0 (X11; Linux)").unwrap().as_str(), "Mozilla/5.0");
        assert_eq!(label(&"a".repeat(500)).unwrap().as_str().len(), 64);
        assert_eq!(label(""), None);
        assert_eq!(label("(comment)"), None);
        assert_eq!(ClientLabel::of_user_agent(b"\xff\xfe"), None);
    }
}
