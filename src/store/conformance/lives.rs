//! An account on its way through its life, as the manager leads it.

use std::time::Duration;

use super::sample::{NOW, code, stored, user};
use crate::account::{Account, Revision};
use crate::audit::AuditEntry;
use crate::method::MethodSet;
use crate::rotation::{Command, Facts, NewToken, Policy, Transition, apply};
use crate::store::Replacement;
use crate::time::Timestamp;
use crate::token::{TokenDigest, TokenHint, TokenId};
use crate::user::Actor;

/// One account, its time, and the number of its next token's digest.
pub(super) struct Life {
    account: Account,
    now: Timestamp,
    next: u64,
}

impl Life {
    /// The life of `name`'s account, whose tokens have the digests of `first`
    /// and the numbers after it.
    pub(super) fn of(name: &str, first: u64) -> Self {
        Self { account: Account::absent(user(name)), now: NOW, next: first }
    }

    pub(super) const fn account(&self) -> &Account {
        &self.account
    }

    pub(super) fn wait(&mut self, time: Duration) {
        self.now = self.now + time;
    }

    pub(super) fn grant(&mut self) -> Replacement {
        let methods = MethodSet::new(["GET"]).expect("GET can be granted");
        self.step(Command::Grant { methods })
    }

    pub(super) fn issue(&mut self) -> Replacement {
        let token = self.token();
        self.step(Command::Issue { token })
    }

    /// Generates a primary that takes the backup's place, if there is one.
    pub(super) fn generate(&mut self) -> Replacement {
        let replacing_backup = self.account.backup().map(|backup| backup.id);
        let code = code(self.next);
        let token = self.token();
        self.step(Command::GeneratePrimary { token, code, replacing_backup })
    }

    pub(super) fn confirm(&mut self) -> Replacement {
        self.step(Command::Confirm { code: code(self.next - 1) })
    }

    pub(super) fn cancel(&mut self) -> Replacement {
        let id = self.account.pending().expect("there is a pending token").token.id;
        self.step(Command::CancelPending { id })
    }

    pub(super) fn delete_backup(&mut self) -> Replacement {
        let id = self.account.backup().expect("there is a backup").id;
        self.step(Command::DeleteBackup { id, even_if_in_use: true })
    }

    pub(super) fn roll_back(&mut self) -> Replacement {
        let give_up: TokenId = self.account.primary().expect("there is a primary").id;
        self.step(Command::RollBack { give_up, even_if_in_use: true })
    }

    pub(super) fn revoke_all(&mut self) -> Replacement {
        self.step(Command::RevokeAll)
    }

    /// Every digest that the account names now.
    pub(super) fn digests(&self) -> Vec<TokenDigest> {
        self.account.digests().map(|stored| stored.digest).collect()
    }

    fn token(&mut self) -> NewToken {
        let token = NewToken::new(stored(self.next, 0), TokenHint::unknown());
        self.next += 1;
        token
    }

    fn step(&mut self, command: Command) -> Replacement {
        let policy = Policy::default();
        let facts = Facts::new(self.now, &policy);
        let step = apply(&self.account, command, &facts);
        let Transition { account, event, .. } =
            step.expect("the steps of the suite obey the rules");
        let before = self.account.revision();
        let expected = (before != Revision::ABSENT).then_some(before);
        let (user, revision) = (account.user().clone(), account.revision());
        let entry = AuditEntry::new(user, revision, self.now, Actor::User, event);
        self.account = account.clone();
        Replacement::new(account, expected, entry)
    }
}
