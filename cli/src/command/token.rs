//! `token issue | generate | resend | confirm | cancel-pending | delete-backup |
//! roll-back | revoke-all`.

use std::error::Error;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::PathBuf;

use clap::Subcommand;
use serde_json::{Value, json};
use tower_api_token::manage::{Confirmation, Delivery, Guard};
use tower_api_token::notify::{SmtpError, SmtpErrorKind, visible};
use tower_api_token::time::Timestamp;
use tower_api_token::token::{ConfirmationCode, Token, TokenId};
use tower_api_token::user::UserId;

use crate::failure::Failure;
use crate::output;
use crate::secret;
use crate::text::shell_word;
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
        TokenCommand::Issue { user: name } => return issue(&user(&name)?, world).await,
        TokenCommand::Generate { user: name, replacing_backup, code } => {
            let replacing = replacing_backup.map(TokenId::from_u64);
            return generate(&user(&name)?, replacing, &code, world).await;
        }
        TokenCommand::Resend { user: name, id, code } => {
            return resend(&user(&name)?, TokenId::from_u64(id), &code, world).await;
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

async fn issue(user: &UserId, world: &World) -> Result<(), Failure> {
    let issued = world.manager.issue(&world.actor, user).await?;
    let ends = issued.expires_at.map(|at| format!(", until {at}")).unwrap_or_default();
    let value = json!({
        "user": user.as_str(),
        "id": issued.id.as_u64(),
        "token": issued.token.expose_secret(),
        "expires_at": issued.expires_at.map(|at| at.to_string()),
    });
    print_token(&issued.token, issued.id, &value, world)?;
    let (id, user) = (issued.id, visible(user));
    world.output.note(format!("token {id} of {user} works from now on{ends}"));
    Ok(())
}

async fn generate(
    user: &UserId,
    replacing: Option<TokenId>,
    code: &CodeFile,
    world: &World,
) -> Result<(), Failure> {
    let mut file = code.create()?;
    let manager = world.manager.with_confirmation(code.confirmation());
    let generated = match replacing {
        Some(id) => manager.generate_primary_replacing(&world.actor, user, id).await,
        None => manager.generate_primary(&world.actor, user).await,
    };
    let generated = generated.inspect_err(|_| code.remove())?;
    let text = code_text(&generated.delivery);
    let in_file = code.keep(&mut file, text, generated.id)?;
    let value = json!({
        "user": user.as_str(),
        "id": generated.id.as_u64(),
        "token": generated.token.expose_secret(),
        "code": text.filter(|_| !in_file),
        "code_expires_at": generated.code_expires_at.to_string(),
        "expires_at": generated.expires_at.to_string(),
    });
    print_token(&generated.token, generated.id, &value, world)?;
    let (id, name) = (generated.id, visible(user));
    world.output.note(format!("token {id} of {name} works when it is confirmed"));
    code.note(text, user, generated.code_expires_at, world);
    sent(&generated.delivery, world)
}

async fn resend(user: &UserId, id: TokenId, code: &CodeFile, world: &World) -> Result<(), Failure> {
    let mut file = code.create()?;
    let manager = world.manager.with_confirmation(code.confirmation());
    let resent = manager.resend_confirmation(&world.actor, user, id).await;
    let (pending, delivery) = resent.inspect_err(|_| code.remove())?;
    let text = code_text(&delivery);
    let in_file = code.keep(&mut file, text, id)?;
    if world.output.is_json() {
        let value = json!({
            "user": user.as_str(),
            "id": id.as_u64(),
            "code": text.filter(|_| !in_file),
            "code_expires_at": pending.code_expires_at.to_string(),
            "expires_at": pending.expires_at.to_string(),
        });
        world.output.value("", &value)?;
    }
    code.note(text, user, pending.code_expires_at, world);
    sent(&delivery, world)
}

/// The code is on its way; or it is not, and the pending token waits.
fn sent(delivery: &Delivery, world: &World) -> Result<(), Failure> {
    match delivery {
        Delivery::NotSent(error) => {
            let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
            let text = format!("{error}{cause}");
            let cause = error.source().and_then(|cause| cause.downcast_ref::<SmtpError>());
            // Another code would not get there either.
            Err(match cause.map(SmtpError::kind) {
                Some(SmtpErrorKind::NoAddress | SmtpErrorKind::Address) => {
                    Failure::CannotBeSent(text)
                }
                _ => Failure::NotSent(text),
            })
        }
        Delivery::Sent => {
            world.output.note("the code was sent to the user");
            Ok(())
        }
        _ => Ok(()),
    }
}

fn code_text(delivery: &Delivery) -> Option<&str> {
    match delivery {
        Delivery::ToCaller(code) => Some(code.expose_secret()),
        _ => None,
    }
}

/// Prints the token alone, or as JSON with the rest.
fn print_token(token: &Token, id: TokenId, value: &Value, world: &World) -> Result<(), Failure> {
    let line =
        if world.output.is_json() { value.to_string() } else { token.expose_secret().to_owned() };
    output::print(&line).map_err(|source| Failure::SecretLost { id: id.as_u64(), source })
}

impl CodeFile {
    const fn confirmation(&self) -> Confirmation {
        if self.send { Confirmation::ByNotifier } else { Confirmation::ByCaller }
    }

    /// The file, before there is a code: afterwards would be too late.
    fn create(&self) -> Result<Option<File>, Failure> {
        let Some(path) = &self.code_file else { return Ok(None) };
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let made = options.open(path);
        made.map(Some).map_err(|source| Failure::CodeFile { path: path.clone(), source })
    }

    /// Takes the empty file away again; there is no code.
    fn remove(&self) {
        if let Some(path) = &self.code_file {
            drop(std::fs::remove_file(path));
        }
    }

    /// Whether the code is in the file now.
    fn keep(
        &self,
        file: &mut Option<File>,
        code: Option<&str>,
        id: TokenId,
    ) -> Result<bool, Failure> {
        let (Some(file), Some(code)) = (file, code) else { return Ok(false) };
        let written = writeln!(file, "{code}").and_then(|()| file.sync_all());
        written.map_err(|source: io::Error| Failure::SecretLost { id: id.as_u64(), source })?;
        Ok(true)
    }

    fn note(&self, code: Option<&str>, user: &UserId, until: Timestamp, world: &World) {
        // Behind `--` a name that begins with `-` is no option.
        let dashes = if user.as_str().starts_with('-') { "-- " } else { "" };
        let user = format!("{dashes}{}", shell_word(user.as_str()));
        let confirm = format!("confirm before {until}: tower-api-token token confirm");
        match (&self.code_file, code) {
            (Some(path), _) => {
                let path = shell_word(&path.display().to_string());
                world.output.note(format!("{confirm} --code-file {path} {user}"));
            }
            (None, Some(code)) => {
                world.output.note(format!("{confirm} {user}\nwith this code: {code}"));
            }
            (None, None) => {}
        }
    }
}
