//! What is written: each change one script.

use redis::{Cmd, RedisResult, Script, Value};

use super::failure::{corrupt, store_error};
use super::keys::Keys;
use super::link::{Link, call, text};
use super::marker::Marker;
use super::message;
use super::scripts::{CHANGE, CONFLICT, DONE, ERASE, KEEP_PEPPER_CHECK, ONE_COMMAND, RECORD};
use super::upgrade;
use super::write::{fence, write};
use crate::account::{Account, LastUse, TokenRecord};
use crate::store::record::{encode, encode_actor, encode_event};
use crate::store::{Erasure, HeartbeatId, Replacement, StoreError, StoreErrorKind};
use crate::token::{PepperCheck, PepperVersion, RandomSource, SystemRandom, TokenPrefix};
use crate::user::UserId;

pub(super) const CREATING: &str = "creating a deployment";
pub(super) const ONE: &str = "replacing an account";
pub(super) const MANY: &str = "replacing many accounts";
pub(super) const USAGE: &str = "recording last uses";
pub(super) const ERASING: &str = "erasing an account";
pub(super) const KEEPING: &str = "keeping a pepper check value";
const HEARTBEAT: &str = "sending a heartbeat";

/// How many uses one script records, and how many changes one transaction makes:
/// the server does nothing else meanwhile, look-ups included.
const USES: usize = 1_000;
const CHANGES: usize = 500;

pub(super) async fn create(link: &Link) -> Result<(), StoreError> {
    if !link.knows_deployment() {
        let mut begin = redis::cmd("SET");
        begin.arg(&link.keys.marker).arg(Marker::ready(&new_name()?)).arg("NX");
        link.writing.command(&begin).await.map_err(|error| store_error(CREATING, error))?;
        if let Marker::Older(name) = link.marker(CREATING).await? {
            upgrade::to_version_2(link, &name).await?;
        }
    }
    // Its own, or the one that another has begun.
    fence(link, CREATING).await
}

/// A name that no other deployment has.
fn new_name() -> Result<String, StoreError> {
    let mut name = [0; 8];
    let no_name = |error| StoreError::new(StoreErrorKind::Unavailable, CREATING).with_source(error);
    SystemRandom.fill(&mut name).map_err(no_name)?;
    Ok(name.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// The call of the script that makes a change.
fn change(link: &Link, deployment: &str, replacement: &Replacement) -> Cmd {
    let Replacement { account, expected, .. } = replacement;
    let (user, keys) = (account.user(), &link.keys);
    let ids = account.token_ids().map(|id| format!("{id} ")).collect::<String>();
    let digests: Vec<_> = account.digests().map(|stored| *stored.digest.as_bytes()).collect();
    let mut change = of_account(&CHANGE, keys, user);
    change.arg(deployment).arg(&keys.digest).arg(&keys.channel).arg(user.as_str());
    change.arg(expected.map(|expected| expected.to_string()).unwrap_or_default());
    change.arg(account.revision().as_u64()).arg(encode(account)).arg(tokens(account));
    change.arg(digests.concat()).arg(account.least_number()).arg(format!(" {ids}"));
    for entry in replacement.entries() {
        change.arg(entry.revision.as_u64()).arg(entry.at.unix_millis());
        change.arg(encode_actor(&entry.actor)).arg(encode_event(&entry.event));
    }
    change
}

/// The beginning of a call of a script that changes the account.
fn of_account(script: &Script, keys: &Keys, user: &UserId) -> Cmd {
    let mut change = call(script, 7);
    change.arg(&keys.marker).arg(keys.account(user)).arg(keys.history(user));
    change.arg(&keys.users).arg(&keys.tokens).arg(&keys.numbers).arg(keys.usage(user));
    change
}

/// The pepper version and the prefix of each token in use, by which they are
/// counted. None has a space in it.
pub(super) fn tokens(account: &Account) -> String {
    let token = |token: &TokenRecord| {
        let prefix = token.hint.prefix();
        format!("{}:{} ", token.digest.pepper, prefix.as_ref().map_or("", TokenPrefix::as_str))
    };
    account.tokens_in_use().map(token).collect()
}

pub(super) async fn erase(link: &Link, erasure: &Erasure) -> Result<(), StoreError> {
    let deployment = link.deployment(ERASING).await?;
    let (user, keys) = (erasure.user(), &link.keys);
    let stay = erasure.at.since(erasure.forgets_before()).as_millis() as u64;
    let mut erase = of_account(&ERASE, keys, user);
    erase.arg(deployment).arg(&keys.digest).arg(&keys.channel).arg(user.as_str());
    erase.arg(erasure.account.revision().as_u64()).arg(erasure.reached()).arg(stay.max(1));
    erase.arg(erasure.change().revision.as_u64());
    let mut answers = write(link, ERASING, &ERASE, vec![erase]).await?;
    outcome(ERASING, answers.pop().ok_or_else(|| corrupt(ERASING))?)
}

/// Keeps the check value unless the version has one, and answers with that.
pub(super) async fn keep_pepper_check(
    link: &Link,
    version: PepperVersion,
    check: &PepperCheck,
) -> Result<PepperCheck, StoreError> {
    let deployment = link.deployment(KEEPING).await?;
    let mut keep = call(&KEEP_PEPPER_CHECK, 2);
    keep.arg(&link.keys.marker).arg(&link.keys.pepper_checks).arg(deployment);
    keep.arg(version.as_u16()).arg(&check.as_bytes()[..]);
    let mut answers = write(link, KEEPING, &KEEP_PEPPER_CHECK, vec![keep]).await?;
    let answer = answers.pop().ok_or_else(|| corrupt(KEEPING))?;
    match answer.map_err(|error| store_error(KEEPING, error))? {
        Value::BulkString(kept) => {
            let kept = kept.try_into().map_err(|_| corrupt(KEEPING))?;
            Ok(PepperCheck::from_bytes(kept))
        }
        _ => Err(corrupt(KEEPING)),
    }
}

pub(super) async fn replace(link: &Link, replacement: &Replacement) -> Result<(), StoreError> {
    let deployment = link.deployment(ONE).await?;
    let calls = vec![change(link, deployment, replacement)];
    let mut answers = write(link, ONE, &CHANGE, calls).await?;
    outcome(ONE, answers.pop().ok_or_else(|| corrupt(ONE))?)
}

/// Makes the changes in transactions of a bounded size, one after the other.
pub(super) async fn replace_many(
    link: &Link,
    replacements: &[Replacement],
) -> Result<Vec<Result<(), StoreError>>, StoreError> {
    if replacements.is_empty() {
        return Ok(Vec::new());
    }
    let deployment = link.deployment(MANY).await?;
    let mut answers = Vec::with_capacity(replacements.len());
    for batch in replacements.chunks(CHANGES) {
        let calls = batch.iter().map(|replacement| change(link, deployment, replacement));
        match write(link, MANY, &CHANGE, calls.collect()).await {
            Ok(written) => answers.extend(written.into_iter().map(|answer| outcome(MANY, answer))),
            Err(error) if answers.is_empty() => return Err(error),
            Err(error) => {
                // What has been written before is answered for all the same.
                let missing = replacements.len() - answers.len();
                let kind = error.kind();
                answers.push(Err(error));
                answers.extend((1..missing).map(|_| Err(StoreError::new(kind, MANY))));
                break;
            }
        }
    }
    Ok(answers)
}

/// What a script says of what it was to write.
fn outcome(doing: &'static str, answer: RedisResult<Value>) -> Result<(), StoreError> {
    match text(&answer.map_err(|error| store_error(doing, error))?) {
        Some(DONE) => Ok(()),
        Some(CONFLICT) => Err(StoreError::new(StoreErrorKind::Conflict, doing)),
        _ => Err(corrupt(doing)),
    }
}

/// The calls of the script that record these uses.
pub(super) struct Recording(Vec<Cmd>);

impl Recording {
    pub(super) async fn of(link: &Link, batch: &[(UserId, LastUse)]) -> Result<Self, StoreError> {
        let deployment = link.deployment(USAGE).await?;
        let calls = batch.chunks(USES).map(|batch| {
            let mut record = call(&RECORD, 1);
            record.arg(&link.keys.marker).arg(deployment);
            record.arg(&link.keys.account).arg(&link.keys.usage);
            for (user, usage) in batch {
                let client = usage.client.as_ref().map_or("", |client| client.as_str());
                record.arg(user.as_str()).arg(usage.id.as_u64());
                record.arg(format!("{:020}", usage.at.unix_millis())).arg(client);
            }
            record
        });
        Ok(Self(calls.collect()))
    }

    /// Waits for no replica: a use that is lost with its server will be
    /// recorded anew.
    pub(super) async fn make(self, link: &Link) -> Result<(), StoreError> {
        for record in &self.0 {
            outcome(USAGE, link.writing.script(&RECORD, record).await)?;
        }
        Ok(())
    }
}

/// Through the server's one order of scripts, whichever connection it takes.
pub(super) async fn heartbeat(link: &Link, id: HeartbeatId) -> Result<(), StoreError> {
    let deployment = link.deployment(HEARTBEAT).await?;
    let mut send = call(&ONE_COMMAND, 1);
    send.arg(&link.keys.marker).arg(deployment);
    send.arg("SPUBLISH").arg(&link.keys.channel).arg(message::heartbeat(id));
    link.ask(HEARTBEAT, &ONE_COMMAND, &send).await.map(drop)
}
