//! One account and its time.

use std::time::Duration;

use tower_api_token::account::{Account, Slot};
use tower_api_token::audit::Event;
use tower_api_token::method::MethodSet;
use tower_api_token::rotation::{Command, Facts, NewToken, Policy, RotationError, apply};
use tower_api_token::time::Timestamp;
use tower_api_token::token::{
    CodeDigest, PepperVersion, StoredDigest, TokenDigest, TokenHint, TokenId,
};
use tower_api_token::user::UserId;

pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const MILLISECOND: Duration = Duration::from_millis(1);
pub(crate) const MINUTE: Duration = Duration::from_secs(60);
pub(crate) const HOUR: Duration = Duration::from_secs(3_600);
pub(crate) const DAY: Duration = Duration::from_secs(86_400);
pub(crate) const START: Timestamp = Timestamp::from_unix_millis(1_767_323_045_678);

pub(crate) fn id(number: u64) -> TokenId {
    TokenId::from_u64(number)
}

pub(crate) fn methods(names: &[&str]) -> MethodSet {
    MethodSet::new(names).unwrap()
}

/// The digest of the token of that number.
pub(crate) fn digest(number: u64) -> TokenDigest {
    let mut bytes = [0xd1; 32];
    bytes[..8].copy_from_slice(&number.to_be_bytes());
    TokenDigest::from_bytes(bytes)
}

/// The digest of the code of that number.
pub(crate) fn code(number: u64) -> CodeDigest {
    let mut bytes = [0xc0; 32];
    bytes[..8].copy_from_slice(&number.to_be_bytes());
    CodeDigest::from_bytes(bytes)
}

pub(crate) fn new_token(number: u64) -> NewToken {
    let stored = StoredDigest::new(digest(number), PepperVersion::NONE);
    NewToken::new(stored, TokenHint::unknown())
}

/// An account of `alice`, the time, and what is known of the uses of its
/// tokens. A token and its code have the number that is its id.
#[derive(Clone)]
pub(crate) struct World {
    pub(crate) account: Account,
    pub(crate) policy: Policy,
    pub(crate) now: Timestamp,
    pub(crate) primary_used: Option<Timestamp>,
    pub(crate) backup_used: Option<Timestamp>,
    /// What the last command has retired first.
    pub(crate) expired: Vec<Event>,
}

impl World {
    /// Nobody has an account.
    pub(crate) fn absent() -> Self {
        let account = Account::absent(UserId::new("alice").unwrap());
        let policy = Policy::default();
        let (primary_used, backup_used, expired) = (None, None, Vec::new());
        Self { account, policy, now: START, primary_used, backup_used, expired }
    }

    /// GET may be performed; there is no token.
    pub(crate) fn granted() -> Self {
        let mut world = Self::absent();
        world.expect(Command::Grant { methods: methods(&["GET"]), lifetimes: None });
        world
    }

    /// Token 1 is the primary.
    pub(crate) fn active() -> Self {
        Self::active_under(Policy::default())
    }

    pub(crate) fn active_under(policy: Policy) -> Self {
        let mut world = Self { policy, ..Self::granted() };
        world.expect(Command::Issue { token: new_token(1) });
        world
    }

    /// Token 1 is the primary, and token 2 waits for code 2.
    pub(crate) fn pending() -> Self {
        let mut world = Self::active();
        world.generate().unwrap();
        world
    }

    /// Token 2 is the primary and token 1 the backup.
    pub(crate) fn dual() -> Self {
        Self::dual_under(Policy::default())
    }

    pub(crate) fn dual_under(policy: Policy) -> Self {
        let mut world = Self::active_under(policy);
        world.generate().unwrap();
        world.confirm(2).unwrap();
        world
    }

    pub(crate) fn wait(&mut self, time: Duration) {
        self.now = self.now + time;
    }

    /// Carries out a command; a refused one leaves the account as it is.
    pub(crate) fn apply(&mut self, command: Command) -> Result<Event, RotationError> {
        let mut facts = Facts::new(self.now, &self.policy);
        facts.primary_used = self.primary_used;
        facts.backup_used = self.backup_used;
        let transition = apply(&self.account, command, &facts)?;
        let (first, revision) =
            (self.account.revision().as_u64() + 1, transition.account.revision());
        let revisions: Vec<_> =
            transition.events().map(|(revision, _)| revision.as_u64()).collect();
        assert_eq!(revisions, (first..=revision.as_u64()).collect::<Vec<_>>());
        self.account = transition.account;
        self.expired = transition.expired;
        Ok(transition.event)
    }

    pub(crate) fn expect(&mut self, command: Command) -> Event {
        self.apply(command).unwrap()
    }

    /// Generates the next token, with the code of its number, beside any
    /// backup.
    pub(crate) fn generate(&mut self) -> Result<Event, RotationError> {
        self.generate_replacing(None)
    }

    pub(crate) fn generate_replacing(
        &mut self,
        replacing_backup: Option<TokenId>,
    ) -> Result<Event, RotationError> {
        let number = self.account.next_token();
        let (token, code) = (new_token(number), code(number));
        self.apply(Command::GeneratePrimary { token, code, replacing_backup })
    }

    pub(crate) fn confirm(&mut self, number: u64) -> Result<Event, RotationError> {
        self.apply(Command::Confirm { code: code(number) })
    }

    pub(crate) fn resend(&mut self, token: u64, number: u64) -> Result<Event, RotationError> {
        self.apply(Command::ResendConfirmation { id: id(token), code: code(number) })
    }

    pub(crate) fn cancel(&mut self, token: u64) -> Result<Event, RotationError> {
        self.apply(Command::CancelPending { id: id(token) })
    }

    /// Deletes the backup unless it is in use.
    pub(crate) fn delete(&mut self, token: u64) -> Result<Event, RotationError> {
        self.apply(Command::DeleteBackup { id: id(token), even_if_in_use: false })
    }

    /// Rolls back unless the primary is in use.
    pub(crate) fn roll_back(&mut self, token: u64) -> Result<Event, RotationError> {
        self.apply(Command::RollBack { give_up: id(token), even_if_in_use: false })
    }

    /// The slot in which the token of that number is accepted now, as a request
    /// is decided: by its digest and its lifetime.
    pub(crate) fn accepted(&self, number: u64) -> Option<Slot> {
        let slot = self.account.slot_of(&digest(number))?;
        let live = self.account.slot(slot).is_some_and(|token| !token.is_expired(self.now));
        live.then_some(slot)
    }

    /// The tokens in the primary slot, the backup slot and waiting, by id.
    pub(crate) fn tokens(&self) -> [Option<u64>; 3] {
        let pending = self.account.pending().map(|pending| &pending.token);
        [self.account.primary(), self.account.backup(), pending]
            .map(|token| token.map(|token| token.id.as_u64()))
    }
}
