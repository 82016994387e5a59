//! Whether a store keeps what it has acknowledged.

use tower_api_token::store::SqliteStore;

use crate::failure::Failure;
use crate::store::{Database, Opened};

pub(super) async fn of(opened: &Opened) -> Result<String, String> {
    match opened {
        Opened::Sqlite(store) => of_sqlite(store).await,
        Opened::Postgres(_, database) => of_postgres(database).await,
        // Another server would not have been opened.
        Opened::Redis(_) => Ok("appendonly=yes, appendfsync=always, no eviction".to_owned()),
    }
}

async fn of_sqlite(store: &SqliteStore) -> Result<String, String> {
    let durability = store.durability().await;
    let durability = durability.map_err(|error| Failure::Store(error).explained())?;
    let said = format!(
        "journal_mode={}, synchronous={}, SQLite {}",
        durability.journal_mode, durability.synchronous, durability.sqlite_version
    );
    if durability.survives_a_crash() { Ok(said) } else { Err(said) }
}

/// What PostgreSQL must be set to.
const SETTINGS: [(&str, &[&str]); 4] = [
    ("fsync", &["on"]),
    ("full_page_writes", &["on"]),
    ("synchronous_commit", &["on", "local", "remote_write", "remote_apply"]),
    ("server_encoding", &["UTF8"]),
];

async fn of_postgres(database: &Database) -> Result<String, String> {
    let client = database.connect().await.map_err(|error| error.to_string())?;
    let mut said = Vec::new();
    let mut wrong = false;
    for (setting, good) in SETTINGS {
        let row = client.query_one(&format!("SHOW {setting}"), &[]).await;
        let found: String = row.map_err(|error| error.to_string())?.get(0);
        wrong |= !good.contains(&found.as_str());
        said.push(format!("{setting}={found}"));
    }
    let row = client.query_one("SELECT pg_is_in_recovery()", &[]).await;
    let standby: bool = row.map_err(|error| error.to_string())?.get(0);
    if standby {
        said.push("it is a standby, which answers by the past".to_owned());
    }
    let said = said.join(", ");
    if wrong || standby { Err(said) } else { Ok(said) }
}
