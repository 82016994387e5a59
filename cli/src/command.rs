//! The commands.

mod backup;
mod check;
mod completions;
mod export;
mod health;
mod history;
mod import;
mod list;
mod man;
mod migrate;
mod prune;
mod receiver;
mod restore;
mod serve;
pub(crate) mod show;
mod token;
mod user;

use clap::Subcommand;

use crate::arguments::Arguments;
use crate::failure::Failure;
use crate::log;
use crate::output::Output;
use crate::world::World;

/// What the program can do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Grant and revoke users' access, and show who has what.
    #[command(subcommand)]
    User(user::UserCommand),
    /// Issue, rotate and revoke tokens.
    #[command(subcommand)]
    Token(token::TokenCommand),
    History(history::HistoryArguments),
    Prune(prune::PruneArguments),
    /// Show who is told what happens, and forget those who are told no more.
    #[command(subcommand)]
    Receiver(receiver::ReceiverCommand),
    Import(import::ImportArguments),
    Export(export::ExportArguments),
    Check(check::CheckArguments),
    Health(health::HealthArguments),
    Serve(serve::ServeArguments),
    Migrate(migrate::MigrateArguments),
    Backup(backup::BackupArguments),
    Restore(restore::RestoreArguments),
    Completions(completions::CompletionsArguments),
    Man(man::ManArguments),
}

pub(crate) fn run(arguments: Arguments, output: &Output) -> Result<(), Failure> {
    let Arguments { common, command } = arguments;
    match command {
        Command::Completions(arguments) => return completions::run(&arguments),
        Command::Man(arguments) => return man::run(&arguments),
        Command::Serve(arguments) => return serve::run(arguments, &common),
        _ => {}
    }
    log::of_command(common.json);
    // The commands that serve nobody need one thread.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(Failure::Runtime)?.block_on(async {
        let command = match command {
            Command::Migrate(_) => return migrate::run(&common, *output).await,
            Command::Check(_) => return check::run(&common, *output).await,
            Command::Health(arguments) => return health::run(&arguments, &common, *output).await,
            Command::Backup(arguments) => return backup::run(&arguments, &common, *output).await,
            Command::Restore(arguments) => return restore::run(&arguments, &common, *output).await,
            command => command,
        };
        let world = World::open(&common, *output).await?;
        let outcome = match command {
            Command::User(command) => user::run(command, &world).await,
            Command::Token(command) => token::run(command, &world).await,
            Command::Import(arguments) => import::run(&arguments, &world).await,
            Command::Export(arguments) => export::run(&arguments, &world).await,
            Command::History(arguments) => history::run(&arguments, &world).await,
            Command::Prune(arguments) => prune::run(&arguments, &world).await,
            Command::Receiver(command) => receiver::run(command, &world).await,
            // They have run.
            _ => Ok(()),
        };
        world.end().await;
        outcome
    })
}
