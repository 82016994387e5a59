//! What the writer's connection says of itself.

use std::fmt;

use rusqlite::Connection;

use super::failure::Failure;

/// How safely the store writes, read back from the connection that writes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Durability {
    /// When a commit counts as done.
    pub synchronous: Synchronous,
    /// How a commit is kept until it is in the file itself: `wal`.
    pub journal_mode: String,
    /// Whether references between tables are enforced.
    pub foreign_keys: bool,
    /// The version of SQLite, such as `3.51.3`.
    pub sqlite_version: String,
}

/// When SQLite takes a commit to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Synchronous {
    /// When it was handed to the operating system.
    Off,
    /// As for `Off` with a write-ahead log: the system's crash may undo it.
    Normal,
    /// When it has reached the disk.
    Full,
    /// When it has reached the disk, and the directory too.
    Extra,
}

impl Durability {
    /// Whether an acknowledged change survives a crash of the system.
    #[must_use]
    pub fn survives_a_crash(&self) -> bool {
        matches!(self.synchronous, Synchronous::Full | Synchronous::Extra)
            && self.journal_mode == "wal"
    }

    pub(super) fn of(connection: &Connection) -> Result<Self, Failure> {
        let version = connection.query_row("SELECT sqlite_version()", [], |row| row.get(0))?;
        Ok(Self {
            synchronous: Synchronous::of(connection.pragma_query_one(None, "synchronous")?),
            journal_mode: connection.pragma_query_one(None, "journal_mode")?,
            foreign_keys: connection.pragma_query_one(None, "foreign_keys")?,
            sqlite_version: version,
        })
    }
}

impl Synchronous {
    const fn of(number: i64) -> Self {
        match number {
            0 => Self::Off,
            1 => Self::Normal,
            2 => Self::Full,
            _ => Self::Extra,
        }
    }

    /// `off`, `normal`, `full` or `extra`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Normal => "normal",
            Self::Full => "full",
            Self::Extra => "extra",
        }
    }
}

impl fmt::Display for Synchronous {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
