//! How a reader of the log leases its cursor.

use std::time::Duration;

use tokio_postgres::Row;

use super::audit::position;
use super::connection::PooledConnection;
use super::read::{ask, column, signed};
use crate::store::{AuditPosition, StoreError};

pub(super) const LEASING: &str = "leasing a cursor";

/// Leases the cursor where it is, if it is free.
const LEASE: &str = "
    UPDATE tower_api_token.audit_cursor
    SET holder = $2, until_millis = (extract(epoch FROM clock_timestamp()) * 1000)::int8 + $3
    WHERE name = $1 AND (
        holder = $2 OR until_millis <= (extract(epoch FROM clock_timestamp()) * 1000)::int8)
    RETURNING position";

pub(super) const IS_THERE: &str = "SELECT FROM tower_api_token.audit_cursor WHERE name = $1";

/// Nothing if another has made it meanwhile.
const MAKE: &str = "
    INSERT INTO tower_api_token.audit_cursor (name, holder, until_millis, position)
    VALUES ($1, $2, (extract(epoch FROM clock_timestamp()) * 1000)::int8 + $3, $4)
    ON CONFLICT DO NOTHING RETURNING position";

/// The longest lease, in milliseconds: a hundred years.
const LONGEST_LEASE: i64 = 100 * 365 * 86_400_000;

/// What somebody asks for who wants to read on from a cursor.
#[derive(Clone)]
pub(super) struct Lease {
    name: String,
    holder: i64,
    millis: i64,
}

impl Lease {
    pub(super) fn new(name: &str, holder: u64, time: Duration) -> Self {
        let millis = i64::try_from(time.as_millis()).unwrap_or(i64::MAX).min(LONGEST_LEASE);
        Self { name: name.to_owned(), holder: holder.cast_signed(), millis }
    }

    pub(super) async fn take(
        self,
        connection: PooledConnection,
    ) -> Result<Option<AuditPosition>, StoreError> {
        let Self { name, holder, millis } = &self;
        leased(&ask(connection, LEASING, LEASE, &[name, holder, millis]).await?)
    }

    /// Makes the cursor at the end of the log.
    pub(super) async fn make(
        self,
        connection: PooledConnection,
        end: AuditPosition,
    ) -> Result<Option<AuditPosition>, StoreError> {
        let Self { name, holder, millis } = &self;
        let end = signed(end.as_u64());
        leased(&ask(connection, LEASING, MAKE, &[name, holder, millis, &end]).await?)
    }
}

fn leased(rows: &[Row]) -> Result<Option<AuditPosition>, StoreError> {
    let leased = rows.first().map(|row| column(row, 0, LEASING));
    Ok(leased.transpose()?.map(position))
}
