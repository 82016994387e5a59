//! What a child is asked to do, and how the parent brings it about that it can.

use tower_api_token::TokenManager;
use tower_api_token::account::Slot;
use tower_api_token::manage::{Delivery, Guard, ImportedToken, ManageError};
use tower_api_token::method::MethodSet;
use tower_api_token::token::{ConfirmationCode, TokenId};
use tower_api_token::user::{Actor, UserId};

use super::Parent;
use super::child::Answer;
use super::client::Client;

/// Every event in the life of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Generate,
    Confirm,
    DeleteBackup,
    Resend,
    Cancel,
    Grant,
    RevokeAccess,
    Issue,
    RevokeAll,
    RollBack,
    Import,
}

impl Kind {
    pub(crate) const ALL: [Self; 11] = [
        Self::Generate,
        Self::Confirm,
        Self::DeleteBackup,
        Self::Resend,
        Self::Cancel,
        Self::Grant,
        Self::RevokeAccess,
        Self::Issue,
        Self::RevokeAll,
        Self::RollBack,
        Self::Import,
    ];

    pub(crate) const fn event(self) -> &'static str {
        match self {
            Self::Generate => "primary_generated",
            Self::Confirm => "primary_confirmed",
            Self::DeleteBackup => "backup_deleted",
            Self::Resend => "confirmation_resent",
            Self::Cancel => "pending_cancelled",
            Self::Grant => "access_granted",
            Self::RevokeAccess => "access_revoked",
            Self::Issue => "token_issued",
            Self::RevokeAll => "all_revoked",
            Self::RollBack => "rolled_back",
            Self::Import => "token_imported",
        }
    }
}

/// One operation: its argument is an id, a code, a method or a token.
#[derive(Clone, Debug)]
pub(crate) struct Operation {
    pub(crate) kind: Kind,
    pub(crate) user: &'static str,
    argument: String,
}

impl Operation {
    pub(crate) const fn new(kind: Kind, user: &'static str) -> Self {
        Self { kind, user, argument: String::new() }
    }

    fn with(kind: Kind, user: &'static str, argument: impl std::fmt::Display) -> Self {
        Self { kind, user, argument: argument.to_string() }
    }

    pub(crate) fn grant(user: &'static str, method: &str) -> Self {
        Self::with(Kind::Grant, user, method)
    }

    pub(crate) fn line(&self) -> String {
        let kind = Kind::ALL.iter().position(|kind| *kind == self.kind).unwrap();
        format!("{kind} {} {}", self.user, self.argument)
    }

    pub(crate) fn parse(line: &str) -> Self {
        let mut words = line.splitn(3, ' ');
        let kind = Kind::ALL[words.next().unwrap().parse::<usize>().unwrap()];
        let name = words.next().unwrap();
        let user = ["alice", "bob", "mallory"].into_iter().find(|user| *user == name).unwrap();
        Self::with(kind, user, words.next().unwrap())
    }

    fn id(&self) -> TokenId {
        TokenId::from_u64(self.argument.parse().unwrap())
    }

    /// Does it; the secret that comes of it, or nothing.
    pub(crate) async fn run(&self, manager: &TokenManager) -> Result<String, ManageError> {
        let (actor, user) = (Actor::User, UserId::new(self.user).unwrap());
        let entry = match self.kind {
            Kind::Generate => {
                let generated = manager.generate_primary(&actor, &user).await?;
                let code = code(&generated.delivery);
                return Ok(format!("{} {code}", generated.token.expose_secret()));
            }
            Kind::Resend => {
                let (_, delivery) = manager.resend_confirmation(&actor, &user, self.id()).await?;
                return Ok(code(&delivery).to_owned());
            }
            Kind::Issue => {
                let issued = manager.issue(&actor, &user).await?;
                return Ok(issued.token.expose_secret().to_owned());
            }
            Kind::Confirm => {
                let code = ConfirmationCode::parse(&self.argument).unwrap();
                manager.confirm(&actor, &user, &code).await
            }
            Kind::DeleteBackup => {
                manager.delete_backup(&actor, &user, self.id(), Guard::EvenIfInUse).await
            }
            Kind::RollBack => manager.roll_back(&actor, &user, self.id(), Guard::EvenIfInUse).await,
            Kind::Cancel => manager.cancel_pending(&actor, &user, self.id()).await,
            Kind::Grant => {
                let methods = MethodSet::new(self.argument.split(',')).unwrap();
                manager.grant(&actor, &user, methods).await
            }
            Kind::RevokeAccess => manager.revoke_access(&actor, &user).await,
            Kind::RevokeAll => manager.revoke_all(&actor, &user).await,
            Kind::Import => {
                let digest = ImportedToken::Sha256(sha256_of(&self.argument));
                manager.import(&actor, &user, Slot::Primary, &digest, None).await
            }
        };
        entry.map(|_| String::new())
    }
}

fn code(delivery: &Delivery) -> &str {
    match delivery {
        Delivery::ToCaller(code) => code.expose_secret(),
        other => panic!("the code goes to its caller, not {other:?}"),
    }
}

/// A digest that stands for a token made elsewhere: any 32 bytes will do.
fn sha256_of(number: &str) -> [u8; 32] {
    let mut digest = [0x5a; 32];
    digest[..number.len()].copy_from_slice(number.as_bytes());
    digest
}

impl Parent {
    /// Brings a user into a state in which `kind` is possible, by operations
    /// that are not killed, and says what to do then. What the procedure of a
    /// rotation consists of happens to alice, whose client goes on working;
    /// what ends tokens on purpose happens to mallory.
    pub(crate) fn next_operation(&mut self, kind: Kind, client: &Client) -> Operation {
        match kind {
            Kind::Generate => {
                self.without_backup(client);
                Operation::new(kind, "alice")
            }
            Kind::Confirm => {
                self.without_backup(client);
                let (token, code) = self.generated("alice");
                client.learn(&token);
                Operation::with(kind, "alice", code)
            }
            Kind::DeleteBackup => {
                self.with_backup(client);
                let backup = self.account("alice").unwrap().backup().unwrap().id;
                Operation::with(kind, "alice", backup)
            }
            Kind::Resend | Kind::Cancel => {
                self.without_backup(client);
                self.generated("alice");
                let pending = self.account("alice").unwrap().pending().unwrap().token.id;
                Operation::with(kind, "alice", pending)
            }
            Kind::Grant => {
                let methods = self.account("alice").unwrap().methods().to_string();
                Operation::grant("alice", if methods == "GET" { "GET,PUT" } else { "GET" })
            }
            _ => self.next_for_mallory(kind),
        }
    }

    fn next_for_mallory(&mut self, kind: Kind) -> Operation {
        let user = "mallory";
        if self.account(user).is_none_or(|account| account.methods().is_empty()) {
            assert!(self.acknowledged(&Operation::grant(user, "GET")).is_done());
        }
        let has_primary = self.account(user).unwrap().primary().is_some();
        match kind {
            Kind::Issue | Kind::Import => {
                if has_primary {
                    assert!(self.acknowledged(&Operation::new(Kind::RevokeAll, user)).is_done());
                }
                Operation::with(kind, user, self.revision(user).as_u64())
            }
            Kind::RollBack => {
                if !has_primary {
                    assert!(self.acknowledged(&Operation::new(Kind::Issue, user)).is_done());
                }
                if self.account(user).unwrap().backup().is_none() {
                    let (_, code) = self.generated(user);
                    let confirm = Operation::with(Kind::Confirm, user, code);
                    assert!(self.acknowledged(&confirm).is_done());
                }
                Operation::with(kind, user, self.account(user).unwrap().primary().unwrap().id)
            }
            _ => {
                if !has_primary {
                    assert!(self.acknowledged(&Operation::new(Kind::Issue, user)).is_done());
                }
                Operation::new(kind, user)
            }
        }
    }

    /// A generated token and its code.
    fn generated(&mut self, user: &'static str) -> (String, String) {
        match self.acknowledged(&Operation::new(Kind::Generate, user)) {
            Answer::Done(secrets) => {
                let (token, code) = secrets.split_once(' ').unwrap();
                (token.to_owned(), code.to_owned())
            }
            Answer::Refused(why) => panic!("generating was refused: {why}"),
        }
    }

    pub(crate) fn first_token(&mut self, user: &'static str) -> String {
        let (token, code) = self.generated(user);
        assert!(self.acknowledged(&Operation::with(Kind::Confirm, user, code)).is_done());
        token
    }

    /// Follows the procedure to its end: the backup is deleted when the client
    /// no longer uses it.
    fn without_backup(&mut self, client: &Client) {
        client.switch();
        let account = self.account("alice").unwrap();
        if let Some(backup) = account.backup() {
            let delete = Operation::with(Kind::DeleteBackup, "alice", backup.id);
            assert!(self.acknowledged(&delete).is_done());
        }
    }

    fn with_backup(&mut self, client: &Client) {
        if self.account("alice").unwrap().backup().is_none() {
            let (token, code) = self.generated("alice");
            client.learn(&token);
            assert!(self.acknowledged(&Operation::with(Kind::Confirm, "alice", code)).is_done());
        }
        client.switch();
    }

    /// After a kill the client looks whether its newest token works by now.
    pub(crate) fn follow_up(&self, client: &Client) {
        client.try_newest();
    }
}
