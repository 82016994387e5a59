//! `token issue | generate | resend | confirm | cancel-pending | delete-backup |
//! roll-back | revoke-all`.

mod made;

use std::path::PathBuf;

use clap::Subcommand;
use tower_api_token::manage::Guard;
use tower_api_token::token::{ConfirmationCode, TokenId};

use crate::failure::Failure;
use crate::secret;
use crate::world::{World, user};

/// What can be done about tokens.
#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Issue the first token of a user who has none; it works at once.
    ///
    /// The token is printed alone on the standard output, and never again.
    #[command(
        after_help = "Example:\n  (umask 077; tower-api-token token issue alice > alice.token)"
    )]
    Issue {
        /// The user.
        user: String,
    },
    /// Generate a new primary; it works when it is confirmed.
    ///
    /// The token is printed alone on the standard output, and its confirmation
    /// code on the standard error, or into a file. The present primary goes on
    /// working, and is the backup after the confirmation.
    #[command(after_help = "Example:\n  \
        (umask 077; tower-api-token token generate alice --code-file alice.code > alice.token)")]
    Generate {
        /// The user.
        user: String,
        /// Agree that the confirmation ends this backup.
        #[arg(long, value_name = "ID")]
        replacing_backup: Option<u64>,
        #[command(flatten)]
        code: CodeFile,
    },
    /// Make a new code for the pending token; the old one is dead.
    #[command(after_help = "Example:\n  tower-api-token token resend alice 2")]
    Resend {
        /// The user.
        user: String,
        /// The pending token's id.
        id: u64,
        #[command(flatten)]
        code: CodeFile,
    },
    /// Confirm the pending token: it becomes the primary, and that the backup.
    ///
    /// The code is read from the file, a prompt, or the standard input.
    #[command(
        after_help = "Example:\n  tower-api-token token confirm alice --code-file alice.code"
    )]
    Confirm {
        /// The user.
        user: String,
        /// Where the code is.
        #[arg(long, value_name = "FILE")]
        code_file: Option<PathBuf>,
    },
    /// Give up the pending token.
    #[command(after_help = "Example:\n  tower-api-token token cancel-pending alice 2")]
    CancelPending {
        /// The user.
        user: String,
        /// The pending token's id.
        id: u64,
    },
    /// End the backup.
    #[command(after_help = "Example:\n  tower-api-token token delete-backup alice 1")]
    DeleteBackup {
        /// The user.
        user: String,
        /// The backup's id.
        id: u64,
        /// Even if it was used lately.
        #[arg(long)]
        even_if_in_use: bool,
    },
    /// Give up the primary, and make the backup the primary again.
    #[command(after_help = "Example:\n  tower-api-token token roll-back alice 2")]
    RollBack {
        /// The user.
        user: String,
        /// The id of the primary to give up.
        id: u64,
        /// Even if it was used lately.
        #[arg(long)]
        even_if_in_use: bool,
    },
    /// End every token of a user at once; the methods stay granted.
    #[command(after_help = "Example:\n  tower-api-token token revoke-all alice")]
    RevokeAll {
        /// The user.
        user: String,
    },
}

/// Where a code goes.
#[derive(clap::Args, Debug)]
pub(crate) struct CodeFile {
    /// Have the code sent to the user, as the settings say, and print it nowhere.
    #[arg(long, conflicts_with = "code_file")]
    send: bool,
    /// Write the code into this file, which must not exist, for its owner alone.
    #[arg(long, value_name = "FILE")]
    code_file: Option<PathBuf>,
}

pub(crate) async fn run(command: TokenCommand, world: &World) -> Result<(), Failure> {
    let (manager, actor) = (&world.manager, &world.actor);
    let guard = |waived| if waived { Guard::EvenIfInUse } else { Guard::UnlessInUse };
    let entry = match command {
        TokenCommand::Issue { user: name } => return made::issue(&user(&name)?, world).await,
        TokenCommand::Generate { user: name, replacing_backup, code } => {
            let replacing = replacing_backup.map(TokenId::from_u64);
            return made::generate(&user(&name)?, replacing, &code, world).await;
        }
        TokenCommand::Resend { user: name, id, code } => {
            return made::resend(&user(&name)?, TokenId::from_u64(id), &code, world).await;
        }
        TokenCommand::Confirm { user: name, code_file } => {
            let user = user(&name)?;
            let code = secret::read("confirmation code", "--code-file", code_file.as_deref())?;
            let code = ConfirmationCode::parse(code.trim()).ok_or(Failure::NotACode)?;
            manager.confirm(actor, &user, &code).await?
        }
        TokenCommand::CancelPending { user: name, id } => {
            manager.cancel_pending(actor, &user(&name)?, TokenId::from_u64(id)).await?
        }
        TokenCommand::DeleteBackup { user: name, id, even_if_in_use } => {
            let (user, id) = (user(&name)?, TokenId::from_u64(id));
            manager.delete_backup(actor, &user, id, guard(even_if_in_use)).await?
        }
        TokenCommand::RollBack { user: name, id, even_if_in_use } => {
            let (user, id) = (user(&name)?, TokenId::from_u64(id));
            manager.roll_back(actor, &user, id, guard(even_if_in_use)).await?
        }
        TokenCommand::RevokeAll { user: name } => manager.revoke_all(actor, &user(&name)?).await?,
    };
    world.changed(&entry)
}
