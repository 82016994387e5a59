//! `user grant | suspend | resume | revoke | erase | list | show`.

use std::io::{self, BufRead, IsTerminal, Read, Write};
use std::str::FromStr;
use std::time::Duration;

use clap::Subcommand;
use tower_api_token::account::{Lifetimes, Revision};
use tower_api_token::manage::ManageError;
use tower_api_token::method::MethodSet;
use tower_api_token::notify::visible;
use tower_api_token::rotation::RotationError;
use tower_api_token::store::AccountStore;
use tower_api_token::user::UserId;

use super::list::{self, ListArguments};
use super::show;
use crate::failure::Failure;
use crate::secret::SecretError;
use crate::settings::Time;
use crate::world::{World, user};

/// What can be done about users.
#[derive(Debug, Subcommand)]
pub(crate) enum UserCommand {
    /// Let a user perform exactly these methods from now on.
    ///
    /// GET covers HEAD. A user whose name begins with - stands behind --.
    #[command(after_help = "Example:\n  tower-api-token user grant alice GET POST")]
    Grant {
        /// The user: 1 to 255 bytes, no control characters.
        user: String,
        /// The methods, in capitals.
        #[arg(required = true, value_name = "METHOD", value_delimiter = ',')]
        methods: Vec<String>,
        /// How long each token works from when it becomes active, such as 30d; at
        /// most what `policy.token-lifetime` says. `policy` lets that decide again.
        /// Without it, as it was. A live token that would work longer ends then.
        #[arg(long, value_name = "TIME")]
        token_lifetime: Option<Lifetime>,
        /// How long a token works from when it becomes the backup; as above.
        #[arg(long, value_name = "TIME")]
        backup_lifetime: Option<Lifetime>,
    },
    /// Refuse every request of a user until the access is resumed.
    ///
    /// Methods and tokens stay as they are. The user may end tokens, and neither
    /// make nor confirm any.
    #[command(after_help = "Example:\n  tower-api-token user suspend alice")]
    Suspend {
        /// The user.
        user: String,
    },
    /// Accept the requests of a suspended user again.
    #[command(after_help = "Example:\n  tower-api-token user resume alice")]
    Resume {
        /// The user.
        user: String,
    },
    /// End a user's access and every token at once.
    ///
    /// For a token that has leaked, `token revoke-all` leaves the methods granted.
    #[command(after_help = "Example:\n  tower-api-token user revoke alice")]
    Revoke {
        /// The user.
        user: String,
    },
    /// Erase a user for good: account, tokens, history and last uses.
    ///
    /// Asks on a terminal, and wants --yes elsewhere. Nothing brings the account
    /// back. A later grant makes a new one, and none of the former tokens can be
    /// imported for 90 days. The user gets no mail, and neither the log nor the
    /// audit file names them in what they say of it; what those and backups hold
    /// of before is not touched.
    #[command(after_help = "Example:\n  tower-api-token user erase alice --yes")]
    Erase {
        /// The user.
        user: String,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
    List(ListArguments),
    /// Show a user's methods and tokens; never a token itself.
    #[command(after_help = "Example:\n  tower-api-token user show alice")]
    Show {
        /// The user.
        user: String,
    },
}

pub(crate) async fn run(command: UserCommand, world: &World) -> Result<(), Failure> {
    match command {
        UserCommand::Grant { user: name, methods, token_lifetime, backup_lifetime } => {
            let (user, methods) = (user(&name)?, MethodSet::new(&methods)?);
            grant(&user, methods, [token_lifetime, backup_lifetime], world).await
        }
        UserCommand::Suspend { user: name } => {
            let user = known(&name, world).await?;
            world.changed(&world.manager.suspend(&world.actor, &user).await?)
        }
        UserCommand::Resume { user: name } => {
            let user = known(&name, world).await?;
            world.changed(&world.manager.resume(&world.actor, &user).await?)
        }
        UserCommand::Revoke { user: name } => {
            let user = known(&name, world).await?;
            world.changed(&world.manager.revoke_access(&world.actor, &user).await?)
        }
        UserCommand::Erase { user: name, yes } => erase(&user(&name)?, yes, world).await,
        UserCommand::List(arguments) => list::run(&arguments, world).await,
        UserCommand::Show { user: name } => show(&user(&name)?, world).await,
    }
}

/// The user of that name, who has an account: a mistake in a name must not look like a
/// user without access.
async fn known(name: &str, world: &World) -> Result<UserId, Failure> {
    let user = user(name)?;
    if world.store_has_no(&user).await? { Err(Failure::NoSuchUser) } else { Ok(user) }
}

/// A lifetime of one user, or that the policy decides.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lifetime(Option<Duration>);

impl FromStr for Lifetime {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match Time::parse(text) {
            _ if text == "policy" => Ok(Self(None)),
            Some(Time(time)) if !time.is_zero() => Ok(Self(Some(time))),
            _ => Err("a lifetime is a whole number and s, m, h or d, such as 30d, or `policy`"),
        }
    }
}

/// Grants the methods, and the lifetimes that are said: others stay as they are.
async fn grant(
    user: &UserId,
    methods: MethodSet,
    lifetimes: [Option<Lifetime>; 2],
    world: &World,
) -> Result<(), Failure> {
    if lifetimes.iter().all(Option::is_none) {
        return world.changed(&world.manager.grant(&world.actor, user, methods).await?);
    }
    let loaded = world.store.load(user).await?;
    let revision = loaded.revision().unwrap_or(Revision::ABSENT);
    let before = loaded.account_or_absent(user).lifetimes();
    let [token, backup] = lifetimes;
    let lifetimes = Lifetimes {
        token: token.map_or(before.token, |Lifetime(time)| time),
        backup: backup.map_or(before.backup, |Lifetime(time)| time),
    };
    let manager = world.manager.at_revision(revision);
    world.changed(&manager.grant_with_lifetimes(&world.actor, user, methods, lifetimes).await?)
}

async fn erase(user: &UserId, yes: bool, world: &World) -> Result<(), Failure> {
    if world.store_has_no(user).await? {
        return Err(Failure::NoSuchUser);
    }
    let name = visible(user);
    if !yes {
        agreed(&format!("Erase {name}, with every token and the history? Type yes: "))?;
    }
    let erased = match world.manager.erase(&world.actor, user).await {
        // Somebody else was faster.
        Err(error) if error.refusal() == Some(RotationError::AlreadyDone) => {
            return Err(Failure::NoSuchUser);
        }
        erased => erased?,
    };
    world.output.done(format_args!("{name}: erased"), &show::erased_value(&erased))
}

/// Asks on the terminal; without one, nobody has agreed.
fn agreed(question: &str) -> Result<(), Failure> {
    if !io::stdin().is_terminal() {
        return Err(Failure::NotAgreed("--yes"));
    }
    let mut answer = String::new();
    // Longer answers than the right one are wrong.
    let asked = write!(io::stderr(), "{question}")
        .and_then(|()| io::stdin().lock().take(16).read_line(&mut answer));
    asked.map_err(SecretError::Terminal)?;
    if answer.trim() == "yes" { Ok(()) } else { Err(Failure::Declined) }
}

async fn show(user: &UserId, world: &World) -> Result<(), Failure> {
    match world.manager.view(user).await {
        Ok(view) => world.output.value(&show::account(&view), &show::account_value(&view)),
        Err(ManageError::Refused(RotationError::NoAccess)) => {
            if world.store_has_no(user).await? {
                return Err(Failure::NoSuchUser);
            }
            let text = format!("user      {}\nmethods   none\nno tokens\n", visible(user));
            let nothing = serde_json::json!({
                "user": user.as_str(), "methods": [], "primary": null, "backup": null, "pending": null,
                "expired": [],
            });
            world.output.value(&text, &nothing)
        }
        Err(error) => Err(error.into()),
    }
}
