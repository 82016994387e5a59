//! How scripts that write are run, and how replicas come to have what they
//! wrote.

use redis::{Cmd, Pipeline, RedisResult, Script, Value};

use super::failure::{TooFewReplicas, corrupt, store_error};
use super::lane::is_without_script;
use super::link::{Link, REPLICATION, Replication, call};
use super::marker::Marker;
use super::scripts::ONE_COMMAND;
use crate::store::{StoreError, StoreErrorKind};

/// What the server answers to each of these calls of a script, more than one of
/// which are a transaction. Enough replicas have what they wrote.
///
/// The question about the replicas follows on the same connection: it is about
/// what was written through that, and nothing was through another.
pub(super) async fn write(
    link: &Link,
    doing: &'static str,
    script: &Script,
    calls: Vec<Cmd>,
) -> Result<Vec<RedisResult<Value>>, StoreError> {
    let transaction = calls.len() > 1;
    let commands = commands(link.replication, transaction, calls);
    let failed = |error| store_error(doing, error);
    let mut answers = link.writing.commands(&commands).await.map_err(failed);
    if answers.as_ref().is_ok_and(|answers| lack_script(answers)) {
        link.writing.load(script).await.map_err(failed)?;
        answers = link.writing.commands(&commands).await.map_err(failed);
    }
    let outcome = answers.and_then(|answers| read(link.replication, doing, transaction, answers));
    if outcome.is_err() && link.replication != Replication::None {
        link.doubts.raise();
    }
    outcome
}

fn commands(replication: Replication, transaction: bool, calls: Vec<Cmd>) -> Pipeline {
    let mut commands = Pipeline::with_capacity(calls.len() + 3);
    if transaction {
        commands.cmd("MULTI");
    }
    for call in calls {
        commands.add_command(call);
    }
    if transaction {
        commands.cmd("EXEC");
    }
    let millis = REPLICATION.as_millis() as u64;
    match replication {
        Replication::None => {}
        Replication::Received(enough) => {
            commands.cmd("WAIT").arg(enough).arg(millis);
        }
        Replication::Written(enough) => {
            // A replica tells at once what it has received, and only once a
            // second what is on its disk, unless it is asked after it has told.
            commands.cmd("WAIT").arg(enough).arg(millis);
            commands.cmd("WAITAOF").arg(0).arg(enough).arg(millis);
        }
    }
    commands
}

/// Whether the first call, and so each of them, found no script: nothing has
/// happened then.
fn lack_script(answers: &[Value]) -> bool {
    let refused = |answer: &Value| match answer {
        Value::ServerError(error) => is_without_script(&error.clone().into()),
        _ => false,
    };
    answers.iter().any(|answer| match answer {
        Value::Array(answers) => answers.first().is_some_and(refused),
        answer => refused(answer),
    })
}

fn read(
    replication: Replication,
    doing: &'static str,
    transaction: bool,
    mut answers: Vec<Value>,
) -> Result<Vec<RedisResult<Value>>, StoreError> {
    let failed = |error| store_error(doing, error);
    if let Replication::Received(enough) | Replication::Written(enough) = replication {
        let answer = answers.pop().ok_or_else(|| corrupt(doing))?;
        if let Replication::Written(_) = replication {
            answers.pop();
        }
        let reached = match answer.extract_error().map_err(failed)? {
            Value::Array(counts) => counts.last().cloned(),
            count => Some(count),
        };
        match reached {
            Some(Value::Int(reached)) if reached >= i64::from(enough) => {}
            Some(Value::Int(reached)) => {
                let few = TooFewReplicas { reached, enough };
                return Err(StoreError::new(StoreErrorKind::Unavailable, doing).with_source(few));
            }
            _ => return Err(corrupt(doing)),
        }
    }
    match answers.pop() {
        Some(Value::Array(answers)) if transaction => {
            Ok(answers.into_iter().map(Value::extract_error).collect())
        }
        // The server has refused the transaction as a whole.
        Some(Value::ServerError(error)) if transaction => Err(failed(error.into())),
        Some(answer) if !transaction => Ok(vec![answer.extract_error()]),
        _ => Err(corrupt(doing)),
    }
}

/// Writes the marker again where it is, so that replicas which have that have
/// everything that was written before.
pub(super) async fn fence(link: &Link, doing: &'static str) -> Result<(), StoreError> {
    let (deployment, marker) = (link.deployment(doing).await?, &link.keys.marker);
    let mut again = call(&ONE_COMMAND, 1);
    again.arg(marker).arg(deployment).arg("SET").arg(marker).arg(Marker::ready(deployment));
    for answer in write(link, doing, &ONE_COMMAND, vec![again]).await? {
        answer.map_err(|error| store_error(doing, error))?;
    }
    Ok(())
}

/// Waits until enough replicas have the changes of this node that were in doubt.
///
/// The primary shows a change that no replica has, and whoever reads it back to
/// find out whether it was made would take it for one that a failover cannot
/// lose.
pub(super) async fn settle_doubts(link: &Link, doing: &'static str) -> Result<(), StoreError> {
    if let Some(doubt) = link.doubts.latest() {
        fence(link, doing).await?;
        link.doubts.settle(doubt);
    }
    Ok(())
}
