//! Sees from outside that a change is committed, so that the kill can hit the
//! short time in which its maker does not know it yet.

use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::Connection;

/// Longer than any operation takes; one that writes nothing ends it.
const LONGEST: Duration = Duration::from_millis(30);

pub(crate) struct Watch {
    connection: Connection,
    version: i64,
}

impl Watch {
    pub(crate) fn start(file: &Path) -> Self {
        let mut watch = Self { connection: Connection::open(file).unwrap(), version: 0 };
        watch.version = watch.data_version();
        watch
    }

    pub(crate) fn until_committed(&self) {
        let deadline = Instant::now() + LONGEST;
        while self.data_version() == self.version && Instant::now() < deadline {}
    }

    /// Changes when another connection commits.
    fn data_version(&self) -> i64 {
        self.connection.pragma_query_value(None, "data_version", |row| row.get(0)).unwrap()
    }
}
