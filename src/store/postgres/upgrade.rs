//! What version 2 of the schema keeps of each account, for those that version 1
//! has written.

use std::collections::BTreeSet;

use tokio_postgres::types::ToSql;
use tokio_postgres::{Error, IsolationLevel, Row};

use super::failure::{corrupt, store_error};
use super::lent::Lent;
use super::locks;
use super::schema::DOING;
use crate::account::Account;
use crate::store::StoreError;
use crate::store::record::decode;
use crate::token::TokenPrefix;

/// How many accounts are in memory at once.
const PAGE: i64 = 1_000;

const IS_COMPLETE: &str = "SELECT NOT EXISTS (
    SELECT FROM tower_api_token.number WHERE name = 'prefixes missing since')";

const ACCOUNTS: &str = "
    SELECT user_id, record FROM tower_api_token.account
    WHERE user_id > $1 AND prefixes IS NULL ORDER BY user_id LIMIT $2";

/// Each account's prefixes are one text, with commas between and a dash for none.
/// One that has been written meanwhile has its prefixes.
const SET_PREFIXES: &str = "
    UPDATE tower_api_token.account SET prefixes = string_to_array(known.prefixes, ',', '-')
    FROM unnest($1::text[], $2::text[]) AS known (user_id, prefixes)
    WHERE account.user_id = known.user_id AND account.prefixes IS NULL";

/// Version 1 has kept the uses of tokens that their account had forgotten. Those
/// of an account that has been written meanwhile have gone with that change.
const FORGET_USES: &str = "
    DELETE FROM tower_api_token.token_use AS used
    USING unnest($1::text[]) AS page (user_id), tower_api_token.account
    WHERE used.user_id = page.user_id AND account.user_id = page.user_id
        AND account.prefixes IS NULL AND NOT EXISTS (
            SELECT FROM unnest($2::text[], $3::int8[]) AS named (user_id, token_id)
            WHERE named.user_id = used.user_id AND named.token_id = used.token_id)";

const COMPLETE: &str = "
    DELETE FROM tower_api_token.number WHERE name = 'prefixes missing since'";

/// Goes on where an earlier attempt has ended. Look-ups and changes go on beside
/// it, and so may another node that does the same.
pub(super) async fn add_prefixes(mut lent: Lent) -> Result<(), StoreError> {
    let failed = |error| store_error(DOING, error);
    let mut complete = is_complete(&lent).await.map_err(failed)?;
    let mut after = String::new();
    while !complete {
        let rows = lent.query(ACCOUNTS, &[&after, &PAGE]).await.map_err(failed)?;
        let page = Page::of(&rows)?;
        page.write(&mut lent).await?;
        match page.users.last() {
            Some(last) => after.clone_from(last),
            None => {
                lent.execute(COMPLETE, &[]).await.map_err(failed)?;
                complete = true;
            }
        }
    }
    lent.give_back();
    Ok(())
}

/// Whether every account has been gone through.
pub(super) async fn is_complete(lent: &Lent) -> Result<bool, Error> {
    lent.query_one(IS_COMPLETE, &[]).await?.try_get(0)
}

/// What is known of some accounts, column by column.
#[derive(Default)]
struct Page {
    users: Vec<String>,
    prefixes: Vec<String>,
    named_users: Vec<String>,
    named_tokens: Vec<i64>,
}

impl Page {
    fn of(rows: &[Row]) -> Result<Self, StoreError> {
        let mut page = Self::default();
        for row in rows {
            let user: String = row.try_get(0).map_err(|error| corrupt(DOING, error))?;
            let record = row.try_get(1).map_err(|error| corrupt(DOING, error))?;
            page.add(user, &decode(record)?);
        }
        Ok(page)
    }

    fn add(&mut self, user: String, account: &Account) {
        let prefixes = account.prefixes_in_use();
        let prefixes: Vec<_> = prefixes
            .map(|prefix| prefix.as_ref().map_or("-", TokenPrefix::as_str).to_owned())
            .collect();
        self.prefixes.push(prefixes.join(","));
        for id in account.token_ids().collect::<BTreeSet<_>>() {
            self.named_users.push(user.clone());
            self.named_tokens.push(id.as_u64().cast_signed());
        }
        self.users.push(user);
    }

    async fn write(&self, lent: &mut Lent) -> Result<(), StoreError> {
        let Self { users, prefixes, named_users, named_tokens } = self;
        write(lent, FORGET_USES, &[users, named_users, named_tokens]).await?;
        write(lent, SET_PREFIXES, &[users, prefixes]).await
    }
}

/// Executes one statement, which may wait for changes and make them wait.
async fn write(
    lent: &mut Lent,
    statement: &str,
    parameters: &[&(dyn ToSql + Sync)],
) -> Result<(), StoreError> {
    let failed = |error| store_error(DOING, error);
    let transaction = lent.build_transaction().isolation_level(IsolationLevel::ReadCommitted);
    let mut transaction = transaction.start().await.map_err(failed)?;
    locks::execute(&mut transaction, statement, parameters).await?;
    transaction.commit().await.map_err(failed)
}
