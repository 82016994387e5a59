//! Questions to the server, each of them one round trip.

use std::collections::BTreeMap;
use std::sync::Arc;

use redis::Value;

use super::connection::{Server, call, text};
use super::error::corrupt;
use super::scripts::{FIND, LIST, LOAD, ONE_COMMAND};
use super::write::confirm_changes;
use crate::account::{Account, LastUse, Revision};
use crate::audit::AuditEntry;
use crate::store::record::{decode, decode_actor, decode_event};
use crate::store::{Loaded, Page, PageSize, StoreError};
use crate::time::Timestamp;
use crate::token::{PepperCheck, PepperChecks, PepperVersion, TokenDigest, TokenId, TokenPrefix};
use crate::user::{ClientLabel, UserId};

pub(super) const ACCOUNT: &str = "reading an account";
const LISTING: &str = "listing accounts";
const USAGE: &str = "reading last uses";
const HISTORY: &str = "reading a history";
const PEPPERS: &str = "counting pepper versions";
const PREFIXES: &str = "counting prefixes";
const CHECKS: &str = "reading pepper check values";

/// Since when check values of peppers are kept, if accounts are older.
const CHECKS_SINCE: &str = "pepper checks since";

pub(super) async fn find(
    server: &Server,
    digest: &TokenDigest,
) -> Result<Option<Arc<Account>>, StoreError> {
    let deployment = server.deployment(ACCOUNT).await?;
    let mut find = call(&FIND, 1);
    find.arg(server.keys.digest(digest)).arg(deployment).arg(&server.keys.all);
    match server.ask(ACCOUNT, &FIND, &find).await? {
        Value::BulkString(record) => Ok(Some(Arc::new(decode(&record)?))),
        Value::Nil => Ok(None),
        _ => Err(corrupt(ACCOUNT)),
    }
}

pub(super) async fn load(server: &Server, user: &UserId) -> Result<Loaded, StoreError> {
    confirm_changes(server, ACCOUNT).await?;
    let deployment = server.deployment(ACCOUNT).await?;
    let mut load = call(&LOAD, 3);
    load.arg(&server.keys.marker).arg(server.keys.account(user)).arg(&server.keys.numbers);
    load.arg(deployment);
    let Value::Array(answer) = server.ask(ACCOUNT, &LOAD, &load).await? else {
        return Err(corrupt(ACCOUNT));
    };
    let [Value::Array(time), record, erased] = &answer[..] else { return Err(corrupt(ACCOUNT)) };
    let account = match record {
        Value::BulkString(record) => Some(Arc::new(decode(record)?)),
        Value::Nil => None,
        _ => return Err(corrupt(ACCOUNT)),
    };
    let now = read_time(time).ok_or_else(|| corrupt(ACCOUNT))?;
    let erased = match erased {
        Value::Nil => 0,
        erased => number(erased).ok_or_else(|| corrupt(ACCOUNT))?,
    };
    Ok(Loaded::new(account, now).with_erased_up_to(erased))
}

/// Seconds and microseconds.
fn read_time(time: &[Value]) -> Option<Timestamp> {
    let [seconds, micros] = time else { return None };
    let (seconds, micros): (u64, u64) = (number(seconds)?, number(micros)?);
    Some(Timestamp::from_unix_millis(seconds * 1_000 + micros / 1_000))
}

pub(super) fn number<T: std::str::FromStr>(value: &Value) -> Option<T> {
    text(value)?.parse().ok()
}

pub(super) async fn list(
    server: &Server,
    after: Option<&UserId>,
    size: PageSize,
) -> Result<Page<Arc<Account>>, StoreError> {
    let deployment = server.deployment(LISTING).await?;
    let start = after.map_or_else(|| "-".to_owned(), |after| format!("({after}"));
    let mut list = call(&LIST, 2);
    list.arg(&server.keys.marker).arg(&server.keys.users);
    list.arg(deployment).arg(&server.keys.account).arg(start).arg(size.get() + 1);
    let Value::Array(records) = server.ask(LISTING, &LIST, &list).await? else {
        return Err(corrupt(LISTING));
    };
    let accounts = records.iter().map(account).collect::<Result<_, _>>()?;
    Ok(Page::of_accounts(accounts, size))
}

fn account(record: &Value) -> Result<Arc<Account>, StoreError> {
    match record {
        Value::BulkString(record) => decode(record).map(Arc::new),
        _ => Err(corrupt(LISTING)),
    }
}

/// The list that the server answers to a single command about the key.
pub(super) async fn ask(
    server: &Server,
    doing: &'static str,
    key: String,
    command: &[&str],
) -> Result<Vec<Value>, StoreError> {
    let deployment = server.deployment(doing).await?;
    let (name, rest) = command.split_first().ok_or_else(|| corrupt(doing))?;
    let mut ask = call(&ONE_COMMAND, 2);
    ask.arg(&server.keys.marker).arg(&key).arg(deployment).arg(*name).arg(&key).arg(rest);
    match server.ask(doing, &ONE_COMMAND, &ask).await? {
        Value::Array(items) => Ok(items),
        _ => Err(corrupt(doing)),
    }
}

pub(super) async fn usage(server: &Server, user: &UserId) -> Result<Vec<LastUse>, StoreError> {
    let fields = ask(server, USAGE, server.keys.usage(user), &["HGETALL"]).await?;
    let uses = fields.as_chunks::<2>().0.iter().map(last_use);
    let mut uses: Vec<_> = uses.collect::<Option<_>>().ok_or_else(|| corrupt(USAGE))?;
    uses.sort_unstable_by_key(|used: &LastUse| used.id);
    Ok(uses)
}

/// A token's number; the time in twenty digits, and the client.
fn last_use([token, used]: &[Value; 2]) -> Option<LastUse> {
    let (at, client) = text(used)?.split_at_checked(20)?;
    // What cannot be a label says nothing; the time of the use still does.
    let client = ClientLabel::new(client).ok();
    let at = Timestamp::from_unix_millis(at.parse().ok()?);
    Some(LastUse::new(TokenId::from_u64(number(token)?), at, client))
}

pub(super) async fn history(
    server: &Server,
    user: &UserId,
    before: Option<Revision>,
    size: PageSize,
) -> Result<Page<AuditEntry, Revision>, StoreError> {
    // No entry is below the first revision, and the server takes no number below.
    let before = before.map(|before| before.as_u64().max(1));
    let before = before.map_or_else(|| "+".to_owned(), |before| format!("({before}-0"));
    let count = (size.get() + 1).to_string();
    let command = ["XREVRANGE", &before, "-", "COUNT", &count];
    let entries = ask(server, HISTORY, server.keys.history(user), &command).await?;
    let entries = entries.iter().map(|entry| audit_entry(user, entry));
    Ok(Page::of_entries(entries.collect::<Result<_, _>>()?, size))
}

pub(super) fn audit_entry(user: &UserId, entry: &Value) -> Result<AuditEntry, StoreError> {
    let parts = || {
        let Value::Array(entry) = entry else { return None };
        let [id, Value::Array(fields)] = &entry[..] else { return None };
        let [_, at, _, actor, _, event] = &fields[..] else { return None };
        let (revision, _) = text(id)?.split_once('-')?;
        Some((revision.parse().ok()?, number(at)?, text(actor)?, text(event)?))
    };
    let (revision, at, actor, event) = parts().ok_or_else(|| corrupt(HISTORY))?;
    let (revision, at) = (Revision::from_u64(revision), Timestamp::from_unix_millis(at));
    Ok(AuditEntry::new(user.clone(), revision, at, decode_actor(actor)?, decode_event(event)?))
}

pub(super) async fn pepper_versions(
    server: &Server,
) -> Result<Vec<(PepperVersion, u64)>, StoreError> {
    let version = |version: &str, _: &str| version.parse().ok().map(PepperVersion::from_u16);
    count(server, PEPPERS, version).await
}

pub(super) async fn prefixes(
    server: &Server,
) -> Result<Vec<(Option<TokenPrefix>, u64)>, StoreError> {
    count(server, PREFIXES, |_, prefix| Some(TokenPrefix::new(prefix).ok())).await
}

/// How many tokens in use there are of each thing that `of` makes of a pepper
/// version and a prefix.
async fn count<T: Ord>(
    server: &Server,
    doing: &'static str,
    of: impl Fn(&str, &str) -> Option<T> + Send,
) -> Result<Vec<(T, u64)>, StoreError> {
    let fields = ask(server, doing, server.keys.tokens.clone(), &["HGETALL"]).await?;
    let mut counts = BTreeMap::new();
    for [token, count] in fields.as_chunks::<2>().0 {
        let token = text(token).and_then(|token| token.split_once(':'));
        let thing = token.and_then(|(version, prefix)| of(version, prefix));
        let (thing, count) = thing.zip(number::<u64>(count)).ok_or_else(|| corrupt(doing))?;
        *counts.entry(thing).or_default() += count;
    }
    counts.retain(|_, count| *count > 0);
    Ok(counts.into_iter().collect())
}

pub(super) async fn pepper_checks(server: &Server) -> Result<PepperChecks, StoreError> {
    let fields = ask(server, CHECKS, server.keys.pepper_checks.clone(), &["HGETALL"]).await?;
    let checks = fields.as_chunks::<2>().0.iter().map(|[version, check]| {
        let Value::BulkString(check) = check else { return None };
        let check = PepperCheck::from_bytes(check.as_slice().try_into().ok()?);
        Some((PepperVersion::from_u16(number(version)?), check))
    });
    let checks = checks.collect::<Option<_>>().ok_or_else(|| corrupt(CHECKS))?;
    let mut checks = PepperChecks::new(checks);
    let since = ask(server, CHECKS, server.keys.numbers.clone(), &["HMGET", CHECKS_SINCE]).await?;
    checks.kept_since = match since.first() {
        Some(Value::Nil) => None,
        Some(since) => {
            let since = number(since).ok_or_else(|| corrupt(CHECKS))?;
            Some(Timestamp::from_unix_millis(since))
        }
        None => return Err(corrupt(CHECKS)),
    };
    Ok(checks)
}
