//! What an account says of all its tokens beside the methods: how long they live, and
//! whether they are suspended.

use std::time::Duration;

use crate::time::Timestamp;

/// How long the tokens of one user live, where that is shorter than the
/// [`Policy`](crate::rotation::Policy) says; `None` is as the policy says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a lifetime for each slot, of which there are two")]
pub struct Lifetimes {
    /// From the moment that a token becomes active; see
    /// [`Policy::token_lifetime`](crate::rotation::Policy::token_lifetime).
    pub token: Option<Duration>,
    /// From the moment that a token becomes the backup; see
    /// [`Policy::backup_lifetime`](crate::rotation::Policy::backup_lifetime).
    pub backup: Option<Duration>,
}

/// What few accounts have: one word where there is nothing of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Terms(Option<Box<Rare>>);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Rare {
    lifetimes: Lifetimes,
    suspended_since: Option<Timestamp>,
}

impl Terms {
    pub(crate) const NONE: Self = Self(None);

    pub(crate) fn lifetimes(&self) -> Lifetimes {
        self.0.as_ref().map(|rare| rare.lifetimes).unwrap_or_default()
    }

    #[inline]
    pub(crate) fn suspended_since(&self) -> Option<Timestamp> {
        self.0.as_ref().and_then(|rare| rare.suspended_since)
    }

    pub(crate) fn set_lifetimes(&mut self, lifetimes: Lifetimes) {
        self.set(Rare { lifetimes, suspended_since: self.suspended_since() });
    }

    pub(crate) fn set_suspended_since(&mut self, since: Option<Timestamp>) {
        self.set(Rare { lifetimes: self.lifetimes(), suspended_since: since });
    }

    /// Equal terms are equal values: there is no box where nothing is said.
    fn set(&mut self, rare: Rare) {
        self.0 = (rare != Rare::default()).then(|| Box::new(rare));
    }
}
