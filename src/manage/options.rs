//! What a caller chooses of how a change is made.

/// How the code that activates a generated token reaches its user.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Confirmation {
    /// The [`Notifier`](crate::notify::Notifier) sends it, so that only who reads
    /// the user's mail can activate the token.
    #[default]
    ByNotifier,
    /// It is returned to the caller beside the token, and nothing is sent: for
    /// machine accounts, whose secret rotator cannot read mail. It confirms in
    /// a second call, after it has stored the token.
    ByCaller,
}

/// Whether a token may end although it was used within the guard window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a token is in use or not")]
pub enum Guard {
    /// Refuse with [`RotationError::InUse`](crate::rotation::RotationError::InUse)
    /// if it was, if it is so new that nobody can tell yet, or if the store keeps no
    /// last uses.
    #[default]
    UnlessInUse,
    /// End it all the same.
    EvenIfInUse,
}

impl Guard {
    pub(super) const fn is_waived(self) -> bool {
        matches!(self, Self::EvenIfInUse)
    }
}
