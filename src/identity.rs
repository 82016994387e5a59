//! Who is meant: users, the actors behind changes, and the identity that a
//! request's handler is given.

use std::any::Any;
use std::fmt;

use compact_str::CompactString;

use crate::ValueError;
use crate::account::{Extension, Slot};
use crate::method::MethodSet;
use crate::token::TokenId;

/// Who a token identifies: a text of the host's choice.
///
/// 1 to 255 bytes of UTF-8 without control characters, compared byte by byte:
/// `alice`, `Alice` and another Unicode normalisation are three users. Up to 24
/// bytes are kept without a heap allocation.
///
/// ```
/// use tower_api_token::identity::UserId;
///
/// assert_eq!(UserId::new("alice")?.as_str(), "alice");
/// assert_eq!(UserId::new("a\nb").unwrap_err(), ValueError::NameControlCharacter);
/// # Ok::<(), ValueError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserId(CompactString);

impl UserId {
    /// The greatest length in bytes.
    pub const MAX_LENGTH: usize = 255;

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

/// Who an authenticated request comes from, and with which token.
///
/// The layer puts it into the request's extensions. It is a copy: later changes
/// of the account do not show in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    user: UserId,
    methods: MethodSet,
    token: TokenId,
    slot: Slot,
    extension: Extension,
}

impl Identity {
    pub(crate) const fn new(
        user: UserId,
        methods: MethodSet,
        token: TokenId,
        slot: Slot,
        extension: Extension,
    ) -> Self {
        Self { user, methods, token, slot, extension }
    }

    /// The user whom the token identifies.
    #[must_use]
    pub const fn user(&self) -> &UserId {
        &self.user
    }

    /// The slot that the presented token is in.
    #[must_use]
    pub const fn slot(&self) -> Slot {
        self.slot
    }

    /// The public name of the presented token.
    #[must_use]
    pub const fn token_id(&self) -> TokenId {
        self.token
    }

    /// The methods granted to the user, this request's among them.
    #[must_use]
    pub const fn methods(&self) -> &MethodSet {
        &self.methods
    }

    /// The value that the host's own store has put beside the account, if there is
    /// one of that type; see
    /// [`AccountBuilder::extension`](crate::account::AccountBuilder::extension).
    #[must_use]
    pub fn extension<T: Any>(&self) -> Option<&T> {
        self.extension.get()
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
    fn identities_are_plain_values() {
        fn plain<T: Clone + Send + Sync + Unpin + 'static>() {}
        plain::<UserId>();
        plain::<Actor>();
        plain::<Identity>();
    }
}
