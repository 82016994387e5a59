//! What stands under the marker: the version of the schema and the deployment's
//! name for itself.
//!
//! Version 1 had the name alone. Since version 2 a byte stands before it that is no
//! UTF-8: a program of version 1 that is started finds the marker unreadable, and
//! one that is running finds that it has changed. So it writes nothing more. It goes
//! on recognising tokens, since what a digest leads to has kept its form.

use super::failure::{Loss, SchemaFault, corrupt, lost};
use crate::store::{StoreError, StoreErrorKind};

/// Before the name in version 2. The scripts have it too.
const VERSION_2: &[u8] = b"\xff2:";

/// Before the name while version 1 becomes version 2.
pub(super) const UPGRADING: &[u8] = b"\xff1>2:";

/// What a marker says.
pub(super) enum Marker {
    /// This program's version.
    Ready(String),
    /// Version 1, as a whole or in part.
    Older(String),
}

impl Marker {
    /// What the marker of the deployment of that name is.
    pub(super) fn ready(name: &str) -> Vec<u8> {
        [VERSION_2, name.as_bytes()].concat()
    }

    pub(super) fn read(doing: &'static str, marker: Option<&[u8]>) -> Result<Self, StoreError> {
        let marker = marker.ok_or_else(|| lost(doing, Loss::NotCreated))?;
        let name = |name: &[u8]| String::from_utf8(name.to_vec()).map_err(|_| corrupt(doing));
        if let Some(rest) = marker.strip_prefix(VERSION_2) {
            return Ok(Self::Ready(name(rest)?));
        }
        if let Some(rest) = marker.strip_prefix(UPGRADING) {
            return Ok(Self::Older(name(rest)?));
        }
        match marker.first() {
            Some(0xff) => {
                let newer = StoreError::new(StoreErrorKind::NewerSchema, doing);
                Err(newer.with_source(SchemaFault::Newer))
            }
            _ => Ok(Self::Older(name(marker)?)),
        }
    }

    /// The deployment's name, if this program may work on it.
    pub(super) fn name(self, doing: &'static str) -> Result<String, StoreError> {
        match self {
            Self::Ready(name) => Ok(name),
            Self::Older(_) => {
                let older = StoreError::new(StoreErrorKind::NotSetUp, doing);
                Err(older.with_source(SchemaFault::Older))
            }
        }
    }
}
