//! A value of the host's own beside an account.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

/// A value that the host's own store has put beside an account, if any.
///
/// It is no part of the account's state: no store of this crate writes it into a
/// database, and all of them are equal. One word, so that accounts without one
/// stay small; without one a copy touches no count.
#[derive(Clone, Default)]
pub(crate) struct Extension(Option<Arc<Arc<dyn Any + Send + Sync>>>);

impl Extension {
    pub(crate) const NONE: Self = Self(None);

    pub(crate) fn new<T: Any + Send + Sync>(value: Arc<T>) -> Self {
        Self(Some(Arc::new(value)))
    }

    /// The value, if it is of that type.
    pub(crate) fn get<T: Any>(&self) -> Option<&T> {
        let value: &(dyn Any + Send + Sync) = &***self.0.as_ref()?;
        value.downcast_ref()
    }
}

impl PartialEq for Extension {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Extension {}

/// Only whether there is one: what it is may be secret.
impl fmt::Debug for Extension {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Some(..)" } else { "None" })
    }
}
