//! What is written: each change one script.

use redis::{Cmd, Pipeline, Value};

use super::link::{
    Link, Loss, REPLICATION, Replication, call, corrupt, lost, text, unavailable, unless_lost,
};
use super::message;
use super::scripts::{CHANGE, CONFLICT, DONE, LOST, ONE_COMMAND, RECORD};
use crate::store::record::{encode, encode_actor, encode_event};
use crate::store::{HeartbeatId, Replacement, StoreError, StoreErrorKind};
use crate::token::{RandomSource, SystemRandom};
use crate::usage::TokenUse;

pub(super) const ONE: &str = "replacing an account";
pub(super) const MANY: &str = "replacing many accounts";
const CREATING: &str = "creating a deployment";
const USAGE: &str = "recording last uses";
const HEARTBEAT: &str = "sending a heartbeat";

/// How many uses one script records: the server does nothing else meanwhile.
const USES: usize = 1_000;

pub(super) async fn create(link: &Link) -> Result<(), StoreError> {
    if !link.knows_deployment() {
        let mut name = [0; 16];
        let no_name =
            |error| StoreError::new(StoreErrorKind::Unavailable, CREATING).with_source(error);
        SystemRandom.fill(&mut name).map_err(no_name)?;
        let name: String = name.iter().map(|byte| format!("{byte:02x}")).collect();
        let mut begin = redis::cmd("SET");
        begin.arg(&link.keys.marker).arg(name).arg("NX");
        link.command(&begin).await.map_err(|error| unavailable(CREATING, error))?;
    }
    // Its own, or the one that another has begun.
    let known = link.deployment(CREATING).await?;
    let mut ask = redis::cmd("GET");
    let found = link.command(ask.arg(&link.keys.marker)).await;
    match text(&found.map_err(|error| unavailable(CREATING, error))?) {
        Some(found) if found == known => replicated(link, CREATING).await,
        _ => Err(lost(CREATING, Loss::Lost)),
    }
}

/// The call of the script that makes a change.
fn change(
    link: &Link,
    deployment: &str,
    Replacement { account, expected, entry }: &Replacement,
) -> Cmd {
    let (user, keys) = (account.user(), &link.keys);
    let peppers = account.pepper_versions_in_use().map(|pepper| format!("{pepper} "));
    let digests: Vec<_> = account.digests().map(|stored| *stored.digest.as_bytes()).collect();
    let mut change = call(&CHANGE, 5);
    change.arg(&keys.marker).arg(keys.account(user)).arg(keys.history(user));
    change.arg(&keys.users).arg(&keys.peppers);
    change.arg(deployment).arg(&keys.digest).arg(&keys.channel).arg(user.as_str());
    change.arg(expected.map(|expected| expected.to_string()).unwrap_or_default());
    change.arg(account.revision().as_u64()).arg(encode(account)).arg(peppers.collect::<String>());
    change.arg(digests.concat());
    change.arg(entry.revision.as_u64()).arg(entry.at.unix_millis());
    change.arg(encode_actor(&entry.actor)).arg(encode_event(&entry.event));
    change
}

pub(super) async fn replace(link: &Link, replacement: &Replacement) -> Result<(), StoreError> {
    let deployment = link.deployment(ONE).await?;
    let answer = link.script(&CHANGE, &change(link, deployment, replacement)).await;
    outcome(ONE, &answer.map_err(|error| unavailable(ONE, error))?)?;
    replicated(link, ONE).await
}

/// What a script says of its change.
fn outcome(doing: &'static str, answer: &Value) -> Result<(), StoreError> {
    match text(answer) {
        Some(DONE) => Ok(()),
        Some(CONFLICT) => Err(StoreError::new(StoreErrorKind::Conflict, doing)),
        Some(LOST) => Err(lost(doing, Loss::Lost)),
        Some(refused) => {
            Err(StoreError::new(StoreErrorKind::Unavailable, doing).with_source(refused))
        }
        None => Err(corrupt(doing)),
    }
}

pub(super) async fn replace_many(
    link: &Link,
    replacements: &[Replacement],
) -> Result<Vec<Result<(), StoreError>>, StoreError> {
    if replacements.is_empty() {
        return Ok(Vec::new());
    }
    let failed = |error| unavailable(MANY, error);
    let deployment = link.deployment(MANY).await?;
    // Inside of a transaction it is too late to find that it is not there.
    link.load(&CHANGE).await.map_err(failed)?;
    let mut batch = Pipeline::with_capacity(replacements.len());
    batch.atomic();
    for replacement in replacements {
        batch.add_command(change(link, deployment, replacement));
    }
    let answers = link.pipeline(&batch).await.map_err(failed)?;
    replicated(link, MANY).await?;
    Ok(answers.iter().map(|answer| outcome(MANY, answer)).collect())
}

/// Waits until enough replicas have everything that was written before on this
/// connection.
async fn replicated(link: &Link, doing: &'static str) -> Result<(), StoreError> {
    let millis = REPLICATION.as_millis() as u64;
    let (enough, mut wait) = match link.replication {
        Replication::None => return Ok(()),
        Replication::Received(enough) => (enough, redis::cmd("WAIT")),
        Replication::Written(enough) => {
            let mut wait = redis::cmd("WAITAOF");
            wait.arg(0);
            (enough, wait)
        }
    };
    let answer = link.command(wait.arg(enough).arg(millis)).await;
    let reached = match answer.map_err(|error| unavailable(doing, error))? {
        Value::Array(counts) => counts.last().cloned(),
        count => Some(count),
    };
    match reached {
        Some(Value::Int(reached)) if reached >= i64::from(enough) => Ok(()),
        Some(Value::Int(reached)) => {
            let few = TooFewReplicas { reached, enough };
            Err(StoreError::new(StoreErrorKind::Unavailable, doing).with_source(few))
        }
        _ => Err(corrupt(doing)),
    }
}

/// The change is made, but a failover could lose it.
#[derive(Debug, thiserror::Error)]
#[error("{reached} of {enough} replicas have the change")]
struct TooFewReplicas {
    reached: i64,
    enough: u32,
}

pub(super) async fn record_usage(link: &Link, batch: &[TokenUse]) -> Result<(), StoreError> {
    let deployment = link.deployment(USAGE).await?;
    for batch in batch.chunks(USES) {
        let mut record = call(&RECORD, 1);
        record.arg(&link.keys.marker).arg(deployment).arg(&link.keys.usage);
        for TokenUse { user, usage } in batch {
            let client = usage.client.as_ref().map_or("", |client| client.as_str());
            record.arg(user.as_str()).arg(usage.id.as_u64());
            record.arg(format!("{:020}", usage.at.unix_millis())).arg(client);
        }
        let answer =
            link.script(&RECORD, &record).await.map_err(|error| unavailable(USAGE, error))?;
        outcome(USAGE, &answer)?;
    }
    Ok(())
}

pub(super) async fn heartbeat(link: &Link, id: HeartbeatId) -> Result<(), StoreError> {
    let deployment = link.deployment(HEARTBEAT).await?;
    let mut send = call(&ONE_COMMAND, 1);
    send.arg(&link.keys.marker).arg(deployment);
    send.arg("SPUBLISH").arg(&link.keys.channel).arg(message::heartbeat(id));
    let answer =
        link.script(&ONE_COMMAND, &send).await.map_err(|error| unavailable(HEARTBEAT, error))?;
    unless_lost(HEARTBEAT, answer).map(drop)
}
