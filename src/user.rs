//! Who is meant: users, the actors behind changes, and the clients that use
//! tokens.

use std::fmt;

use compact_str::CompactString;

use crate::error::{ValueError, limit};
use crate::visible::is_visible;

/// Who a token identifies: a text of the host's choice.
///
/// 1 to 255 bytes of UTF-8 without control characters, compared byte by byte:
/// `alice`, `Alice` and another Unicode normalisation are three users. Up to 24
/// bytes are kept without a heap allocation.
///
/// ```
/// use tower_api_token::ValueError;
/// use tower_api_token::user::UserId;
///
/// assert_eq!(UserId::new("alice")?.as_str(), "alice");
/// assert_eq!(UserId::new("a\nb").unwrap_err(), ValueError::NameControlCharacter);
/// # Ok::<(), ValueError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserId(CompactString);

impl UserId {
    /// The greatest length in bytes.
    pub const MAX_LENGTH: usize = limit::NAME;

    /// The user of that name.
    ///
    /// # Errors
    ///
    /// [`ValueError`] names the rule that the text breaks.
    pub fn new(text: impl AsRef<str>) -> Result<Self, ValueError> {
        match text.as_ref() {
            "" => Err(ValueError::NameEmpty),
            text if text.len() > Self::MAX_LENGTH => Err(ValueError::NameTooLong),
            text if text.chars().any(char::is_control) => Err(ValueError::NameControlCharacter),
            text => Ok(Self(text.into())),
        }
    }

    /// The text.
    #[must_use]
    #[inline]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::str::FromStr for UserId {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::new(text)
    }
}

/// Who asks for a change. Every audit entry names one.
///
/// It is a statement of the host, which has signed that person or program in;
/// it grants nothing by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Actor {
    /// The user whose account it is.
    User,
    /// The administrator of that name.
    Administrator(UserId),
    /// A program that acts on its own, such as a secret rotator.
    Program(UserId),
}

impl Actor {
    /// The administrator called `name`.
    ///
    /// # Errors
    ///
    /// [`ValueError`] names the rule that the name breaks.
    pub fn administrator(name: &str) -> Result<Self, ValueError> {
        UserId::new(name).map(Self::Administrator)
    }

    /// The program called `name`.
    ///
    /// # Errors
    ///
    /// [`ValueError`] names the rule that the name breaks.
    pub fn program(name: &str) -> Result<Self, ValueError> {
        UserId::new(name).map(Self::Program)
    }
}

/// `user`, `administrator root` or `program rotator`.
impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User => f.write_str("user"),
            Self::Administrator(name) => write!(f, "administrator {name}"),
            Self::Program(name) => write!(f, "program {name}"),
        }
    }
}

/// A short name of the client that used a token, such as `curl/8.5.0`.
///
/// 1 to 64 printable characters. Whatever the client claims: show it as text,
/// decide nothing by it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientLabel(CompactString);

impl ClientLabel {
    /// The greatest length in characters.
    pub const MAX_CHARACTERS: usize = limit::CLIENT_LABEL;

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
    fn a_user_id_names_the_rule_it_breaks() {
        assert_eq!(UserId::new("").unwrap_err(), ValueError::NameEmpty);
        assert_eq!(UserId::new("a".repeat(256)).unwrap_err(), ValueError::NameTooLong);
        for bad in ["a\0", "\r\n", "a\u{7f}", "a\u{85}"] {
            assert_eq!(UserId::new(bad).unwrap_err(), ValueError::NameControlCharacter);
        }
        assert!(UserId::new("a".repeat(255)).is_ok());
    }

    #[test]
    fn user_ids_are_never_folded() {
        let ids =
            ["alice", "Alice", "al\u{ed}ce", "ali\u{301}ce"].map(|id| UserId::new(id).unwrap());
        for (place, id) in ids.iter().enumerate() {
            assert!(!ids[..place].contains(id));
        }
    }

    #[test]
    fn names_are_plain_values() {
        fn plain<T: Clone + Send + Sync + Unpin + 'static>() {}
        plain::<UserId>();
        plain::<Actor>();
        plain::<ClientLabel>();
    }

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
