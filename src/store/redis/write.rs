//! What is written: each change one script; and how replicas come to have it.

use std::sync::atomic::{AtomicU64, Ordering};

use redis::{Cmd, Pipeline, RedisResult, Script, Value};

use super::connection::{REPLICATION, Replication, Server, call, is_without_script, text};
use super::deployment::{Keys, Marker};
use super::error::{Doing, TooFewReplicas, corrupt, store_error};
use super::scripts::{CHANGE, CONFLICT, DONE, ERASE, KEEP_PEPPER_CHECK, ONE_COMMAND, RECORD};
use super::{feed, upgrade};
use crate::account::{Account, LastUse, TokenRecord};
use crate::store::record::{encode, encode_actor, encode_event};
use crate::store::{Erasure, Replacement, StoreError, StoreErrorKind};
use crate::time::Timestamp;
use crate::token::{PepperCheck, PepperVersion, RandomSource, SystemRandom, TokenPrefix};
use crate::user::{ClientLabel, UserId};

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

pub(super) async fn create(server: &Server) -> Result<(), StoreError> {
    if !server.knows_deployment() {
        let mut begin = redis::cmd("SET");
        begin.arg(&server.keys.marker).arg(Marker::ready(&new_name()?)).arg("NX");
        server.writing.command(&begin).await.doing(CREATING)?;
        if let Marker::Version1(name) = server.marker(CREATING).await? {
            upgrade::to_version_2(server, &name).await?;
        }
        if let Marker::Version2(name) = server.marker(CREATING).await? {
            upgrade::to_version_3(server, &name).await?;
        }
    }
    // Its own, or the one that another has begun.
    fence(server, CREATING).await
}

/// A name that no other deployment has.
fn new_name() -> Result<String, StoreError> {
    let mut name = [0; 8];
    let no_name = |error| StoreError::new(StoreErrorKind::Unavailable, CREATING).with_source(error);
    SystemRandom.fill(&mut name).map_err(no_name)?;
    Ok(name.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// The call of the script that makes a change.
fn change(server: &Server, deployment: &str, replacement: &Replacement) -> Cmd {
    let Replacement { account, expected, due, .. } = replacement;
    let (user, keys) = (account.user(), &server.keys);
    let ids = account.token_ids().map(|id| format!("{id} ")).collect::<String>();
    let digests: Vec<_> = account.digests().map(|stored| *stored.digest.as_bytes()).collect();
    let mut change = of_account(&CHANGE, keys, user);
    change.arg(deployment).arg(&keys.digest).arg(&keys.channel).arg(user.as_str());
    change.arg(expected.map(|expected| expected.to_string()).unwrap_or_default());
    change.arg(account.revision().as_u64()).arg(encode(account)).arg(tokens(account));
    change.arg(digests.concat()).arg(account.least_number()).arg(format!(" {ids}"));
    change.arg(due.map(twenty_digits).unwrap_or_default());
    for entry in replacement.entries() {
        change.arg(entry.revision.as_u64()).arg(entry.at.unix_millis());
        change.arg(encode_actor(&entry.actor)).arg(encode_event(&entry.event));
    }
    change
}

/// A time as text that sorts as times do.
pub(super) fn twenty_digits(time: Timestamp) -> String {
    format!("{:020}", time.unix_millis())
}

/// The beginning of a call of a script that changes the account.
fn of_account(script: &Script, keys: &Keys, user: &UserId) -> Cmd {
    let mut change = call(script, 10);
    change.arg(&keys.marker).arg(keys.account(user)).arg(keys.history(user));
    change.arg(&keys.users).arg(&keys.tokens).arg(&keys.numbers).arg(keys.usage(user));
    change.arg(&keys.log).arg(&keys.log_users).arg(&keys.due);
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

pub(super) async fn erase(server: &Server, erasure: &Erasure) -> Result<(), StoreError> {
    let deployment = server.deployment(ERASING).await?;
    let (user, keys) = (erasure.user(), &server.keys);
    let stay = erasure.at.since(erasure.forgets_before()).as_millis() as u64;
    let mut erase = of_account(&ERASE, keys, user);
    erase.arg(deployment).arg(&keys.digest).arg(&keys.channel).arg(user.as_str());
    erase.arg(erasure.account.revision().as_u64()).arg(erasure.reached()).arg(stay.max(1));
    let erased = erasure.erased();
    erase.arg(erasure.change().revision.as_u64());
    erase.arg(erased.at.unix_millis()).arg(encode_actor(&erased.actor));
    outcome(ERASING, write_one(server, ERASING, &ERASE, erase).await)
}

/// Keeps the check value unless the version has one, and answers with that.
pub(super) async fn keep_pepper_check(
    server: &Server,
    version: PepperVersion,
    check: &PepperCheck,
) -> Result<PepperCheck, StoreError> {
    let deployment = server.deployment(KEEPING).await?;
    let mut keep = call(&KEEP_PEPPER_CHECK, 2);
    keep.arg(&server.keys.marker).arg(&server.keys.pepper_checks).arg(deployment);
    keep.arg(version.as_u16()).arg(&check.as_bytes()[..]);
    match write_one(server, KEEPING, &KEEP_PEPPER_CHECK, keep).await? {
        Value::BulkString(kept) => {
            let kept = kept.try_into().map_err(|_| corrupt(KEEPING))?;
            Ok(PepperCheck::from_bytes(kept))
        }
        _ => Err(corrupt(KEEPING)),
    }
}

pub(super) async fn replace(server: &Server, replacement: &Replacement) -> Result<(), StoreError> {
    let deployment = server.deployment(ONE).await?;
    let change = change(server, deployment, replacement);
    outcome(ONE, write_one(server, ONE, &CHANGE, change).await)
}

/// Makes the changes in transactions of a bounded size, one after the other.
pub(super) async fn replace_many(
    server: &Server,
    replacements: &[Replacement],
) -> Result<Vec<Result<(), StoreError>>, StoreError> {
    if replacements.is_empty() {
        return Ok(Vec::new());
    }
    let deployment = server.deployment(MANY).await?;
    let mut answers = Vec::with_capacity(replacements.len());
    for batch in replacements.chunks(CHANGES) {
        let calls = batch.iter().map(|replacement| change(server, deployment, replacement));
        match write(server, MANY, &CHANGE, calls.collect()).await {
            Ok(written) => {
                let outcomes = written.into_iter().map(|answer| outcome(MANY, answer.doing(MANY)));
                answers.extend(outcomes);
            }
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
pub(super) fn outcome(
    doing: &'static str,
    answer: Result<Value, StoreError>,
) -> Result<(), StoreError> {
    match text(&answer?) {
        Some(DONE) => Ok(()),
        Some(CONFLICT) => Err(StoreError::new(StoreErrorKind::Conflict, doing)),
        _ => Err(corrupt(doing)),
    }
}

/// The calls of the script that record these uses.
pub(super) struct Recording(Vec<Cmd>);

impl Recording {
    pub(super) async fn of(
        server: &Server,
        batch: &[(UserId, LastUse)],
    ) -> Result<Self, StoreError> {
        let deployment = server.deployment(USAGE).await?;
        let calls = batch.chunks(USES).map(|batch| {
            let mut record = call(&RECORD, 1);
            record.arg(&server.keys.marker).arg(deployment);
            record.arg(&server.keys.account).arg(&server.keys.usage);
            for (user, LastUse { id, at, client, .. }) in batch {
                let client = client.as_ref().map_or("", ClientLabel::as_str);
                record.arg(user.as_str()).arg(id.as_u64());
                record.arg(twenty_digits(*at)).arg(client);
            }
            record
        });
        Ok(Self(calls.collect()))
    }

    /// Waits for no replica: a use that is lost with its server will be
    /// recorded anew.
    pub(super) async fn make(self, server: &Server) -> Result<(), StoreError> {
        for record in &self.0 {
            outcome(USAGE, server.writing.script(&RECORD, record).await.doing(USAGE))?;
        }
        Ok(())
    }
}

/// Through the server's one order of scripts, whichever connection it takes.
pub(super) async fn heartbeat(server: &Server, id: u64) -> Result<(), StoreError> {
    let deployment = server.deployment(HEARTBEAT).await?;
    let mut send = call(&ONE_COMMAND, 1);
    send.arg(&server.keys.marker).arg(deployment);
    send.arg("SPUBLISH").arg(&server.keys.channel).arg(feed::heartbeat(id));
    server.ask(HEARTBEAT, &ONE_COMMAND, &send).await.map(drop)
}

/// What the server answers to this call of a script. Enough replicas have what it wrote.
pub(super) async fn write_one(
    server: &Server,
    doing: &'static str,
    script: &Script,
    call: Cmd,
) -> Result<Value, StoreError> {
    let mut answers = write(server, doing, script, vec![call]).await?;
    answers.pop().ok_or_else(|| corrupt(doing))?.doing(doing)
}

/// The same of a single command about the key.
pub(super) async fn write_command(
    server: &Server,
    doing: &'static str,
    key: &str,
    command: &[&str],
) -> Result<Value, StoreError> {
    let deployment = server.deployment(doing).await?;
    let (name, rest) = command.split_first().ok_or_else(|| corrupt(doing))?;
    let mut call = call(&ONE_COMMAND, 2);
    call.arg(&server.keys.marker).arg(key).arg(deployment).arg(*name).arg(key).arg(rest);
    write_one(server, doing, &ONE_COMMAND, call).await
}

/// What the server answers to each of these calls of a script, more than one of
/// which are a transaction. Enough replicas have what they wrote.
///
/// The question about the replicas follows on the same connection: it is about
/// what was written through that, and nothing was through another.
pub(super) async fn write(
    server: &Server,
    doing: &'static str,
    script: &Script,
    calls: Vec<Cmd>,
) -> Result<Vec<RedisResult<Value>>, StoreError> {
    let transaction = calls.len() > 1;
    let commands = commands(server.replication, transaction, calls);
    let mut answers = server.writing.commands(&commands).await.doing(doing);
    if answers.as_ref().is_ok_and(|answers| lack_script(answers)) {
        server.writing.load(script).await.doing(doing)?;
        answers = server.writing.commands(&commands).await.doing(doing);
    }
    let outcome = answers.and_then(|answers| read(server.replication, doing, transaction, answers));
    if outcome.is_err() && server.replication != Replication::None {
        server.unconfirmed.count();
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
    if let Replication::Received(enough) | Replication::Written(enough) = replication {
        let answer = answers.pop().ok_or_else(|| corrupt(doing))?;
        if let Replication::Written(_) = replication {
            answers.pop();
        }
        let reached = match answer.extract_error().doing(doing)? {
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
        Some(Value::ServerError(error)) if transaction => Err(store_error(doing, error.into())),
        Some(answer) if !transaction => Ok(vec![answer.extract_error()]),
        _ => Err(corrupt(doing)),
    }
}

/// Writes the marker again where it is, so that replicas which have that have
/// everything that was written before.
async fn fence(server: &Server, doing: &'static str) -> Result<(), StoreError> {
    let (deployment, marker) = (server.deployment(doing).await?, &server.keys.marker);
    let mut again = call(&ONE_COMMAND, 1);
    again.arg(marker).arg(deployment).arg("SET").arg(marker).arg(Marker::ready(deployment));
    write_one(server, doing, &ONE_COMMAND, again).await.map(drop)
}

/// Waits until enough replicas have whatever the primary has by now: what was read from
/// it cannot be lost then, whichever node has written it.
pub(super) async fn confirm_all(server: &Server, doing: &'static str) -> Result<(), StoreError> {
    match server.replication {
        Replication::None => Ok(()),
        _ => fence(server, doing).await,
    }
}

/// Waits until enough replicas have the changes of this node that are unconfirmed.
///
/// The primary shows a change that no replica has, and whoever reads it back to
/// find out whether it was made would take it for one that a failover cannot
/// lose.
pub(super) async fn confirm_changes(
    server: &Server,
    doing: &'static str,
) -> Result<(), StoreError> {
    if let Some(latest) = server.unconfirmed.latest() {
        fence(server, doing).await?;
        server.unconfirmed.confirm(latest);
    }
    Ok(())
}

/// Changes of this node of which nobody knows whether enough replicas have
/// them. The primary shows them all the same.
#[derive(Default)]
pub(super) struct Unconfirmed {
    /// How many there have been.
    counted: AtomicU64,
    confirmed: AtomicU64,
}

impl Unconfirmed {
    fn count(&self) {
        self.counted.fetch_add(1, Ordering::SeqCst);
    }

    /// The number of the latest, unless all are confirmed.
    fn latest(&self) -> Option<u64> {
        let confirmed = self.confirmed.load(Ordering::SeqCst);
        Some(self.counted.load(Ordering::SeqCst)).filter(|&counted| counted > confirmed)
    }

    /// All up to that number are confirmed.
    fn confirm(&self, number: u64) {
        self.confirmed.fetch_max(number, Ordering::SeqCst);
    }
}
