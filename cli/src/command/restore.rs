//! `restore`.

mod step;
mod told;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;
use tower_api_token::account::Account;
use tower_api_token::manage::ManageError;
use tower_api_token::rotation::{Facts, RotationError, retire_expired};
use tower_api_token::store::{AccountStore, PageSize, SqliteError, SqliteStore};
use tower_api_token::user::UserId;

use self::step::Step;
use self::told::Told;
use crate::arguments::Common;
use crate::failure::Failure;
use crate::output::Output;
use crate::settings::{Hidden, Settings};
use crate::store::{Opened, StoreAddress};
use crate::world::{self, World};

/// How often an account is looked at; three changes at most are to be made.
const ATTEMPTS: u32 = 10;

/// End the tokens that a restored store has brought back to life.
///
/// A store that was put back knows nothing of what was revoked after its backup
/// was made. Say how those tokens end, or that they may go on. A SQLite file
/// that is marked as a backup serves again only after this; the tokens of any
/// other store are ended where it is.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  tower-api-token restore --audit audit.jsonl")]
pub(crate) struct RestoreArguments {
    #[command(flatten)]
    how: How,
    /// End every token of a user of whom the files do not tell all; without it,
    /// nothing is restored then.
    #[arg(long, requires = "audit", conflicts_with_all = ["end_all", "accept_revived"])]
    end_incomplete: bool,
}

#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
struct How {
    /// End each token whose end these files tell of, take away each method and
    /// access that they tell was taken away, shorten lifetimes and suspend as
    /// they tell. They hold the lines of the audit file, or of `history --json`.
    #[arg(long, value_name = "FILE", num_args = 1..)]
    audit: Vec<PathBuf>,
    /// End every token of every user.
    #[arg(long)]
    end_all: bool,
    /// Let every token go on that was revoked after the backup was made.
    #[arg(long)]
    accept_revived: bool,
}

/// What is to become of the tokens.
enum Plan {
    Told { told: Told, end_incomplete: bool },
    EndAll,
    Accept,
}

pub(crate) async fn run(
    arguments: &RestoreArguments,
    common: &Common,
    output: Output,
) -> Result<(), Failure> {
    let settings = world::settings(common)?;
    let how = &arguments.how;
    let plan = match (how.end_all, how.accept_revived) {
        (true, _) => Plan::EndAll,
        (_, true) => Plan::Accept,
        _ => {
            let end_incomplete = arguments.end_incomplete;
            Plan::Told { told: Told::read(&how.audit)?, end_incomplete }
        }
    };
    let changed = match StoreAddress::of(&settings)? {
        StoreAddress::Sqlite(path) => restore_file(&path, settings, common, output, &plan).await?,
        _ => carry_out(&plan, World::of(&settings, common, output).await?).await?,
    };
    output.done(
        format!("restored; {changed} users have less than in the backup"),
        &json!({ "restored": true, "users_changed": changed }),
    )
}

/// Works on a copy that takes the file's place when all is done: a file that is
/// marked stays so until then.
async fn restore_file(
    path: &Path,
    mut settings: Settings,
    common: &Common,
    output: Output,
    plan: &Plan,
) -> Result<u64, Failure> {
    let copy = beside(path, ".restoring");
    for leftover in [&copy, &beside(&copy, "-wal"), &beside(&copy, "-shm")] {
        drop(std::fs::remove_file(leftover));
    }
    match SqliteStore::copy_of_backup(path, &copy) {
        Ok(()) => {}
        Err(SqliteError::NotABackup) => {
            return carry_out(plan, World::of(&settings, common, output).await?).await;
        }
        Err(error) => return Err(error.into()),
    }
    settings.store = Some(Hidden(format!("sqlite:{}", copy.display())));
    drop(Opened::migrate(&settings).await??);
    let changed = carry_out(plan, World::of(&settings, common, output).await?).await?;
    let in_place =
        |cause: std::io::Error| Failure::InPlace { path: path.to_owned(), source: cause };
    if beside(&copy, "-wal").exists() {
        let cause = "another program has the copy open";
        return Err(in_place(std::io::Error::other(cause)));
    }
    std::fs::rename(&copy, path).map_err(in_place)?;
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let directory = std::fs::File::open(directory.unwrap_or(Path::new(".")));
    directory.and_then(|directory| directory.sync_all()).map_err(in_place)?;
    Ok(changed)
}

fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name: OsString = path.as_os_str().to_owned();
    name.push(end);
    name.into()
}

/// Ends what is to end: how many users it concerned.
async fn carry_out(plan: &Plan, world: World) -> Result<u64, Failure> {
    let changed = end_in(&world, plan).await;
    world.end().await;
    changed
}

async fn end_in(world: &World, plan: &Plan) -> Result<u64, Failure> {
    if let Plan::Told { told, end_incomplete: false } = plan {
        require_complete(world, told).await?;
    }
    let mut changed = 0;
    let mut after: Option<UserId> = None;
    loop {
        let page = world.store.list(after.as_ref(), PageSize::MAX).await?;
        for account in &page.items {
            let done = match plan {
                Plan::Accept => false,
                Plan::EndAll => end_all(world, account).await?,
                Plan::Told { told, .. } => end_told(world, account, told).await?,
            };
            changed += u64::from(done);
        }
        after = page.next;
        if after.is_none() {
            return Ok(changed);
        }
    }
}

/// Refuses an audit that does not tell all of a user, before anything is done.
async fn require_complete(world: &World, told: &Told) -> Result<(), Failure> {
    let mut incomplete = Vec::new();
    let mut after: Option<UserId> = None;
    loop {
        let page = world.store.list(after.as_ref(), PageSize::MAX).await?;
        for account in &page.items {
            let missing = told.missing(account);
            if !missing.is_empty() {
                incomplete.push((account.user().clone(), missing));
            }
        }
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    if incomplete.is_empty() { Ok(()) } else { Err(Failure::AuditIncomplete(incomplete)) }
}

async fn end_all(world: &World, account: &Account) -> Result<bool, Failure> {
    let none = account.primary().is_none() && account.pending().is_none();
    if none {
        return Ok(false);
    }
    revoke_all(world, account).await
}

/// `false` where the last of them had expired.
async fn revoke_all(world: &World, account: &Account) -> Result<bool, Failure> {
    match world.manager.revoke_all(&world.actor, account.user()).await {
        Ok(_) => Ok(true),
        Err(ManageError::Refused(RotationError::AlreadyDone)) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

async fn end_told(world: &World, account: &Account, told: &Told) -> Result<bool, Failure> {
    let Some(take) = told.of(account) else { return Ok(false) };
    let user = account.user();
    let mut changed = false;
    for _ in 0..ATTEMPTS {
        let loaded = world.store.load(user).await?;
        let Some(account) = loaded.account else { return Ok(changed) };
        let facts = Facts::new(loaded.now, &world.policy);
        let (live, _) = retire_expired(&account, &facts);
        let Some(step) = Step::next(&live, &take) else { return Ok(changed) };
        match step.make(world, user).await {
            Ok(_) => changed = true,
            // A token has expired meanwhile, or the account was changed.
            Err(ManageError::Refused(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(ManageError::Contended.into())
}
