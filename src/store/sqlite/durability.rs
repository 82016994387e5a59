//! What the writer's connection says of itself.

use rusqlite::Connection;

use super::failure::Failure;

/// How safely the store writes, read back from the connection that writes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Durability {
    /// When a commit counts as done.
    /// `off`, `normal`: when it was handed to the operating system, whose crash may
    /// undo it; `full`: when it has reached the disk; `extra`: and the directory
    /// too.
    pub synchronous: &'static str,
    /// How a commit is kept until it is in the file itself: `wal`.
    pub journal_mode: String,
    /// Whether references between tables are enforced.
    pub foreign_keys: bool,
    /// The version of SQLite, such as `3.51.3`.
    pub sqlite_version: String,
}

impl Durability {
    /// Whether an acknowledged change survives a crash of the system.
    #[must_use]
    pub fn survives_a_crash(&self) -> bool {
        matches!(self.synchronous, "full" | "extra") && self.journal_mode == "wal"
    }

    pub(super) fn of(connection: &Connection) -> Result<Self, Failure> {
        let version = connection.query_row("SELECT sqlite_version()", [], |row| row.get(0))?;
        Ok(Self {
            synchronous: synchronous(connection.pragma_query_one(None, "synchronous")?),
            journal_mode: connection.pragma_query_one(None, "journal_mode")?,
            foreign_keys: connection.pragma_query_one(None, "foreign_keys")?,
            sqlite_version: version,
        })
    }
}

const fn synchronous(number: i64) -> &'static str {
    match number {
        0 => "off",
        1 => "normal",
        2 => "full",
        _ => "extra",
    }
}
