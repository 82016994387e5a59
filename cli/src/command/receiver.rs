//! `receiver list | remove`.

use std::time::Duration;

use clap::Subcommand;
use serde_json::{Value, json};
use tower_api_token::notify::visible;
use tower_api_token::store::{AccountStore, AuditLog, StoreError, StoreErrorKind};

use crate::failure::Failure;
use crate::output::table;
use crate::world::World;

/// What can be done about those that are told what happens.
#[derive(Debug, Subcommand)]
pub(crate) enum ReceiverCommand {
    /// List who is told what happens, and how far each has come.
    ///
    /// `notices` are the messages to users, `webhook` is the one of the settings. What
    /// a receiver has not come past is kept from being pruned.
    #[command(after_help = "Example:\n  tower-api-token receiver list")]
    List,
    /// Forget how far a receiver has come, so that nothing is kept for it.
    ///
    /// Take it out of the settings, or stop every `serve`, before: one that is being
    /// delivered to is not removed. If it is delivered to again it begins anew, with
    /// what happens from then on.
    #[command(after_help = "Example:\n  tower-api-token receiver remove webhook")]
    Remove {
        /// The receiver.
        name: String,
    },
}

pub(crate) async fn run(command: ReceiverCommand, world: &World) -> Result<(), Failure> {
    let log = audit_log(world)?;
    match command {
        ReceiverCommand::List => list(log, world).await,
        ReceiverCommand::Remove { name } => {
            let cursors = log.audit_cursors().await?;
            if !cursors.iter().any(|cursor| cursor.name == name) {
                return Err(Failure::NoSuchReceiver);
            }
            // Who leases it for no time changes nothing, and is refused while another has it.
            if log.lease_cursor(&name, nobody(), Duration::ZERO).await?.is_none() {
                return Err(Failure::ReceiverInUse);
            }
            log.remove_cursor(&name).await?;
            let shown = visible(&name);
            let text = format_args!("{shown}: forgotten");
            world.output.done(text, &json!({ "receiver": name, "removed": true }))
        }
    }
}

/// A number that no process that delivers has chosen.
fn nobody() -> u64 {
    let time = std::time::UNIX_EPOCH.elapsed().unwrap_or_default();
    (time.as_nanos() as u64) << 22 | u64::from(std::process::id())
}

/// The store's audit log.
pub(super) fn audit_log(world: &World) -> Result<&dyn AuditLog, StoreError> {
    world
        .store
        .audit_log()
        .ok_or_else(|| StoreError::new(StoreErrorKind::Unsupported, "reading the audit log"))
}

async fn list(log: &dyn AuditLog, world: &World) -> Result<(), Failure> {
    let cursors = log.audit_cursors().await?;
    let end = log.audit_end().await?.as_u64();
    if world.output.is_json() {
        return cursors.iter().try_for_each(|cursor| {
            let position = cursor.position.as_u64();
            let value = json!({ "receiver": cursor.name, "position": position, "end": end });
            world.output.value("", &value)
        });
    }
    let rows: Vec<_> = cursors
        .iter()
        .map(|cursor| {
            let (name, position) = (visible(&cursor.name), cursor.position.as_u64());
            vec![name.to_string(), position.to_string(), end.to_string()]
        })
        .collect();
    world.output.value(&table(&["RECEIVER", "POSITION", "END OF THE LOG"], &rows), &Value::Null)
}
