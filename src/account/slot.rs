//! The two places of live tokens.

use std::fmt;

/// Which of an account's two live tokens. Both give the same access.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_enums, reason = "an account has these two slots by design")]
pub enum Slot {
    /// The token to use.
    Primary,
    /// The former primary, until the user deletes it.
    Backup,
}

impl Slot {
    /// `primary` or `backup`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Primary => "primary",
            Self::Backup => "backup",
        }
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
