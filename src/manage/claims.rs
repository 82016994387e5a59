//! Which entries of histories a manager is about to add, or may have added.
//!
//! A change whose outcome is unknown is looked for by its entry in the history.
//! If its caller asks again at once, the second change may add the very same
//! entry: whichever of the two finds it first tells of it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::account::Revision;
use crate::user::UserId;

/// The claims of a manager and its clones, by the place of the entry.
#[derive(Default)]
pub(super) struct Claims(Mutex<HashMap<(UserId, Revision), Claimed>>);

#[derive(Default)]
struct Claimed {
    claims: usize,
    told: bool,
}

impl Claims {
    /// No code that holds this lock can panic half-way through a change.
    fn lock(&self) -> MutexGuard<'_, HashMap<(UserId, Revision), Claimed>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One change's claim to its entry, from before it is written until it is told
/// of or given up.
pub(super) struct Claim {
    claims: Arc<Claims>,
    entry: (UserId, Revision),
}

impl Claim {
    pub(super) fn new(claims: &Arc<Claims>, user: &UserId, revision: Revision) -> Self {
        let entry = (user.clone(), revision);
        claims.lock().entry(entry.clone()).or_default().claims += 1;
        Self { claims: Arc::clone(claims), entry }
    }

    /// Takes the entry, which is in the history, to tell of it; `false` if
    /// another change of this manager has.
    pub(super) fn take(&self) -> bool {
        let mut claims = self.claims.lock();
        claims.get_mut(&self.entry).is_some_and(|it| !std::mem::replace(&mut it.told, true))
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut claims = self.claims.lock();
        if let Some(claimed) = claims.get_mut(&self.entry) {
            claimed.claims -= 1;
            if claimed.claims == 0 {
                claims.remove(&self.entry);
            }
        }
    }
}
