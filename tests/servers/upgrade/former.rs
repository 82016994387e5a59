//! Programs of the version before, which run on while a store is migrated: what they
//! look accounts up by goes on, and what they change accounts by fails.

use rusqlite::{Connection, OpenFlags};
use tower_api_token::store::{AccountStore, PageSize, SqliteStore};

use crate::postgres::Server;
use crate::upgrade::fixture::{Fixture, path};
use crate::upgrade::locks::written_by;

const USER: &str = "primary";

/// What version 2 reads of a file.
const SQLITE_READS: [&str; 3] = [
    "SELECT record FROM digests JOIN accounts ON number = account
    WHERE user_id = ?1",
    "SELECT record FROM accounts WHERE user_id = ?1",
    "SELECT revision, at, actor, event FROM history
    WHERE account = (SELECT number FROM accounts WHERE user_id = ?1) AND revision <= 99
    ORDER BY revision DESC LIMIT 100",
];

/// That it writes nothing more is due to the number of the schema's version, which it
/// looks at in each transaction.
#[tokio::test]
async fn a_file_goes_on_to_be_read() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("tokens.db");
    std::fs::copy(path("c8952fe", "sqlite.db"), &file).unwrap();
    let former = Connection::open_with_flags(&file, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let read = |sql: &&str| {
        let mut statement = former.prepare_cached(sql).unwrap();
        let rows = statement.query_map([USER], |row| row.get::<_, rusqlite::types::Value>(0));
        rows.unwrap().collect::<Result<Vec<_>, _>>().unwrap()
    };
    let before: Vec<_> = SQLITE_READS.iter().map(read).collect();
    assert!(before.iter().all(|rows| !rows.is_empty()));
    SqliteStore::open(&file).unwrap().migrate().await.unwrap();
    assert_eq!(SQLITE_READS.iter().map(read).collect::<Vec<_>>(), before);
    let version: i32 = former.query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap();
    assert_eq!(version, 3);
}

/// What version 2 reads of a database.
const POSTGRES_READS: [&str; 3] = [
    "SELECT account.record::text
    FROM (SELECT pg_current_wal_lsn()) AS on_a_primary
    LEFT JOIN (tower_api_token.digest JOIN tower_api_token.account USING (user_id))
    ON digest.user_id = 'primary'",
    "SELECT (SELECT value FROM tower_api_token.number WHERE name = 'erased up to')::text
        || account.record::text
    FROM (SELECT pg_current_wal_lsn()) AS on_a_primary
    LEFT JOIN tower_api_token.account ON account.user_id = 'primary'",
    "SELECT concat(revision, at_millis, actor, event::text) FROM tower_api_token.history
    WHERE user_id = 'primary' AND revision < 99 ORDER BY revision DESC LIMIT 100",
];

/// The beginnings of its changes and of its erasures.
const POSTGRES_WRITES: [&str; 3] = [
    "INSERT INTO tower_api_token.account (user_id, revision, record, pepper_versions, prefixes)
    VALUES ('new', 1, '', '{}', '{}')",
    "UPDATE tower_api_token.account
    SET revision = 99, record = '', pepper_versions = '{}', prefixes = '{}'
    WHERE user_id = 'primary'",
    "UPDATE tower_api_token.digest SET user_id = NULL, erased_at_millis = 1
    WHERE user_id = 'primary'",
];

#[tokio::test]
async fn a_database_goes_on_to_be_read_and_is_not_changed() {
    let database = written_by("c8952fe").await;
    let former = database.client().await;
    let read = async || {
        let mut found = Vec::new();
        for statement in POSTGRES_READS {
            let rows = former.query(statement, &[]).await.unwrap();
            found.push(rows.iter().map(|row| row.get::<_, String>(0)).collect::<Vec<_>>());
        }
        found
    };
    let before = read().await;
    assert!(before.iter().all(|rows| !rows.is_empty()));
    for statement in POSTGRES_WRITES {
        let undone = format!("BEGIN; {statement}; ROLLBACK");
        former.batch_execute(&undone).await.unwrap();
    }
    let store = database.store().await;
    assert_eq!(read().await, before);
    for statement in POSTGRES_WRITES {
        let error = former.batch_execute(statement).await.unwrap_err();
        let undefined_column = tokio_postgres::error::SqlState::UNDEFINED_COLUMN;
        assert_eq!(error.code(), Some(&undefined_column), "{statement}");
    }
    let accounts = Fixture::read("c8952fe", "postgres").accounts.len();
    assert_eq!(store.list(None, PageSize::MAX).await.unwrap().items.len(), accounts);
}

/// A new database has the very tables and indexes of one that was migrated.
#[tokio::test]
async fn a_migrated_database_has_the_tables_of_a_new_one() {
    const SHAPE: &str = "
        SELECT concat_ws(' ', table_name, column_name, data_type, is_nullable, collation_name)
        FROM information_schema.columns WHERE table_schema = 'tower_api_token'
        UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname = 'tower_api_token'
        ORDER BY 1";
    let new = Server::shared().database().await;
    new.store().await;
    let mut shapes = Vec::new();
    for database in [new, written_by("b65aa2a").await, written_by("c8952fe").await] {
        database.store().await;
        let rows = database.client().await.query(SHAPE, &[]).await.unwrap();
        shapes.push(rows.iter().map(|row| row.get::<_, String>(0)).collect::<Vec<_>>());
    }
    assert_eq!(shapes[0], shapes[1]);
    assert_eq!(shapes[0], shapes[2]);
}

/// And a new file those of one that was migrated.
#[tokio::test]
async fn a_migrated_file_has_the_tables_of_a_new_one() {
    let mut shapes = Vec::new();
    for version in [None, Some("b65aa2a"), Some("c8952fe")] {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("tokens.db");
        if let Some(version) = version {
            std::fs::copy(path(version, "sqlite.db"), &file).unwrap();
        }
        SqliteStore::open(&file).unwrap().migrate().await.unwrap();
        let raw = Connection::open(&file).unwrap();
        let columns = "
            SELECT concat_ws(' ', tables.name, columns.name, columns.type, columns.\"notnull\",
                columns.pk)
            FROM sqlite_schema AS tables, pragma_table_info(tables.name) AS columns
            WHERE tables.type IN ('table', 'index') AND tables.name NOT LIKE 'sqlite_%'
            UNION ALL SELECT name || coalesce(tbl_name, '') FROM sqlite_schema
            ORDER BY 1";
        let mut columns = raw.prepare(columns).unwrap();
        let rows = columns.query_map([], |row| row.get::<_, String>(0)).unwrap();
        shapes.push(rows.collect::<Result<Vec<_>, _>>().unwrap());
    }
    assert_eq!(shapes[0], shapes[1]);
    assert_eq!(shapes[0], shapes[2]);
}
