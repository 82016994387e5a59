//! The check values of peppers.

use tokio_postgres::Row;

use super::change::number;
use super::failure::{corrupt, store_error};
use super::hidden::Hidden;
use super::lent::Lent;
use crate::store::{StoreError, StoreErrorKind};
use crate::time::Timestamp;
use crate::token::{PepperCheck, PepperChecks, PepperVersion};

pub(super) const CHECKS: &str = "reading pepper check values";
pub(super) const KEEPING: &str = "keeping a pepper check value";

pub(super) async fn checks(lent: Lent) -> Result<PepperChecks, StoreError> {
    const SINCE: &str = "
        SELECT value FROM tower_api_token.number WHERE name = 'pepper checks since'";
    const VALUES: &str = "
        SELECT version, check_value FROM tower_api_token.pepper_check ORDER BY version";
    let failed = |error| store_error(CHECKS, error);
    let since = lent.query_opt(SINCE, &[]).await.map_err(failed)?;
    let rows = lent.query(VALUES, &[]).await.map_err(failed)?;
    lent.give_back();
    let mut checks =
        PepperChecks::new(rows.iter().map(version_and_check).collect::<Result<_, _>>()?);
    let since = since.map(|row| row.try_get(0)).transpose();
    let since: Option<i64> = since.map_err(|error| corrupt(CHECKS, error))?;
    checks.kept_since = since.map(|since| Timestamp::from_unix_millis(number(since)));
    Ok(checks)
}

fn version_and_check(row: &Row) -> Result<(PepperVersion, PepperCheck), StoreError> {
    let version: i32 = row.try_get(0).map_err(|error| corrupt(CHECKS, error))?;
    let version = u16::try_from(version);
    let version = version.map_err(|_| StoreError::new(StoreErrorKind::Corrupt, CHECKS))?;
    Ok((PepperVersion::from_u16(version), check(row, 1, CHECKS)?))
}

fn check(row: &Row, place: usize, doing: &'static str) -> Result<PepperCheck, StoreError> {
    let bytes: &[u8] = row.try_get(place).map_err(|error| corrupt(doing, error))?;
    let bytes = bytes.try_into().map_err(|_| StoreError::new(StoreErrorKind::Corrupt, doing))?;
    Ok(PepperCheck::from_bytes(bytes))
}

/// The update changes nothing: it lets the statement return the row that is there.
pub(super) async fn keep(
    lent: Lent,
    version: PepperVersion,
    offered: PepperCheck,
) -> Result<PepperCheck, StoreError> {
    const KEEP: &str = "
        INSERT INTO tower_api_token.pepper_check (version, check_value) VALUES ($1, $2)
        ON CONFLICT (version) DO UPDATE SET check_value = pepper_check.check_value
        RETURNING check_value";
    let failed = |error| store_error(KEEPING, error);
    let (version, offered) = (i32::from(version.as_u16()), Hidden(offered.as_bytes().to_vec()));
    let row = lent.query_one(KEEP, &[&version, &offered]).await.map_err(failed)?;
    lent.give_back();
    check(&row, 0, KEEPING)
}
