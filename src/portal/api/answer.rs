//! What the operations answer: each type is the JSON on the wire and its schema
//! in the description at once. Every member is always there.

use serde::Serialize;
use utoipa::ToSchema;

use crate::account::{Lifetimes as Granted, Revision};
use crate::audit::AuditEntry;
use crate::manage::{
    AccountSummary, AccountView, Delivery, GeneratedPrimary, PendingView, TokenView,
};
use crate::method::MethodSet;
use crate::store::Page;
use crate::time::Timestamp;
use crate::token::{Token as Secret, TokenId};

/// What there is of a user's tokens.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Tokens {
    user: String,
    methods: Vec<String>,
    #[schema(required)]
    primary: Option<Token>,
    #[schema(required)]
    backup: Option<Token>,
    #[schema(required)]
    pending: Option<Pending>,
    /// Tokens that have expired since the account's last change: they are refused,
    /// and the next change retires them.
    expired: Vec<Token>,
    /// How long tokens live, where the user's grant says so.
    lifetimes: Lifetimes,
    /// Since when the user's access is suspended.
    #[schema(required)]
    suspended_since: Option<Time>,
    revision: u64,
    now: Time,
}

/// How long the tokens of one user live, in seconds, where that is shorter than the
/// policy says.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Lifetimes {
    #[schema(required)]
    token: Option<u64>,
    #[schema(required)]
    backup: Option<u64>,
}

/// A point in time: UTC, to the millisecond.
#[derive(Serialize, ToSchema)]
#[serde(transparent)]
#[schema(value_type = String, format = DateTime)]
pub(super) struct Time(pub(super) Timestamp);

/// A token that is in a slot, or was until it expired.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Token {
    id: u64,
    hint: String,
    made_at: Time,
    active_since: Time,
    #[schema(required)]
    expires_at: Option<Time>,
    /// Whether it ends then only if nobody uses it before.
    ends_unless_used: bool,
    #[schema(required)]
    last_used_at: Option<Time>,
    #[schema(required)]
    client: Option<String>,
    in_use: bool,
    revealable: bool,
}

/// A token that waits for its confirmation.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Pending {
    id: u64,
    hint: String,
    made_at: Time,
    expires_at: Time,
    code_expires_at: Time,
    #[schema(required)]
    replacing_backup: Option<u64>,
    revealable: bool,
}

/// An account in short.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Account {
    user: String,
    methods: Vec<String>,
    #[schema(required)]
    primary: Option<u64>,
    #[schema(required)]
    backup: Option<u64>,
    #[schema(required)]
    pending: Option<u64>,
    /// Tokens that have expired since the account's last change, and a pending one
    /// whose time has run out.
    expired: Vec<u64>,
    /// When the first of the tokens in the slots ends.
    #[schema(required)]
    expires_at: Option<Time>,
    /// Since when the user's access is suspended.
    #[schema(required)]
    suspended_since: Option<Time>,
    revision: u64,
}

/// A page of accounts.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Accounts {
    users: Vec<Account>,
    /// The user after whom to go on, also where none of this page was asked for.
    #[schema(required)]
    next: Option<String>,
}

/// One account with its history.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AccountWithHistory {
    pub(super) account: Account,
    #[schema(required)]
    pub(super) tokens: Option<Tokens>,
    pub(super) history: History,
}

/// A page of entries, the latest first.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct History {
    entries: Vec<Entry>,
    /// The revision to go on before.
    #[schema(required)]
    next: Option<u64>,
}

/// Something that has happened to an account.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Entry {
    revision: u64,
    at: Time,
    actor: String,
    event: &'static str,
    #[schema(required)]
    token: Option<u64>,
}

/// A new primary that waits for its confirmation.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Generated {
    /// Shown once.
    token: String,
    id: u64,
    expires_at: Time,
    code_expires_at: Time,
    delivery: Delivered,
    /// Only with `to_caller`.
    #[schema(required)]
    code: Option<String>,
}

/// What became of a pending token's new code.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Resent {
    id: u64,
    expires_at: Time,
    code_expires_at: Time,
    delivery: Delivered,
    /// Only with `to_caller`.
    #[schema(required)]
    code: Option<String>,
}

/// What became of a confirmation code.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Delivered {
    Sent,
    NotSent,
    ToCaller,
}

/// A token, shown once more.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Revealed {
    id: u64,
    token: String,
}

impl Tokens {
    pub(super) fn of(view: &AccountView) -> Self {
        Self {
            user: view.user.to_string(),
            methods: methods(&view.methods),
            primary: view.primary.as_ref().map(Token::of),
            backup: view.backup.as_ref().map(Token::of),
            pending: view.pending.as_ref().map(Pending::of),
            expired: view.expired.iter().map(Token::of).collect(),
            lifetimes: Lifetimes::of(view.lifetimes),
            suspended_since: view.suspended_since.map(Time),
            revision: view.revision.as_u64(),
            now: Time(view.now),
        }
    }
}

impl Lifetimes {
    fn of(lifetimes: Granted) -> Self {
        let [token, backup] =
            [lifetimes.token, lifetimes.backup].map(|it| it.map(|it| it.as_secs()));
        Self { token, backup }
    }
}

impl Token {
    fn of(token: &TokenView) -> Self {
        Self {
            id: token.id.as_u64(),
            hint: token.hint.to_string(),
            made_at: Time(token.made_at),
            active_since: Time(token.active_since),
            expires_at: token.expires_at.map(Time),
            ends_unless_used: token.ends_unless_used,
            last_used_at: token.last_used_at.map(Time),
            client: token.client.as_ref().map(ToString::to_string),
            in_use: token.in_use,
            revealable: token.revealable,
        }
    }
}

impl Pending {
    fn of(pending: &PendingView) -> Self {
        Self {
            id: pending.id.as_u64(),
            hint: pending.hint.to_string(),
            made_at: Time(pending.made_at),
            expires_at: Time(pending.expires_at),
            code_expires_at: Time(pending.code_expires_at),
            replacing_backup: pending.replacing_backup.map(TokenId::as_u64),
            revealable: pending.revealable,
        }
    }
}

impl Account {
    pub(super) fn of(account: &AccountSummary) -> Self {
        Self {
            user: account.user.to_string(),
            methods: methods(&account.methods),
            primary: account.primary.map(TokenId::as_u64),
            backup: account.backup.map(TokenId::as_u64),
            pending: account.pending.map(TokenId::as_u64),
            expired: account.expired.iter().map(|id| id.as_u64()).collect(),
            expires_at: account.expires_at.map(Time),
            suspended_since: account.suspended_since.map(Time),
            revision: account.revision.as_u64(),
        }
    }
}

impl Accounts {
    pub(super) fn of(page: &Page<AccountSummary>) -> Self {
        Self {
            users: page.items.iter().map(Account::of).collect(),
            next: page.next.as_ref().map(ToString::to_string),
        }
    }
}

impl History {
    pub(super) fn of(page: &Page<AuditEntry, Revision>) -> Self {
        Self {
            entries: page.items.iter().map(Entry::of).collect(),
            next: page.next.map(Revision::as_u64),
        }
    }
}

impl Entry {
    fn of(entry: &AuditEntry) -> Self {
        Self {
            revision: entry.revision.as_u64(),
            at: Time(entry.at),
            actor: entry.actor.to_string(),
            event: entry.event.name(),
            token: entry.event.token().map(TokenId::as_u64),
        }
    }
}

impl Generated {
    pub(super) fn of(generated: &GeneratedPrimary) -> Self {
        let (delivery, code) = Delivered::of(&generated.delivery);
        Self {
            token: generated.token.expose_secret().to_owned(),
            id: generated.id.as_u64(),
            expires_at: Time(generated.expires_at),
            code_expires_at: Time(generated.code_expires_at),
            delivery,
            code,
        }
    }
}

impl Resent {
    pub(super) fn of(pending: &PendingView, delivery: &Delivery) -> Self {
        let (delivery, code) = Delivered::of(delivery);
        Self {
            id: pending.id.as_u64(),
            expires_at: Time(pending.expires_at),
            code_expires_at: Time(pending.code_expires_at),
            delivery,
            code,
        }
    }
}

impl Delivered {
    /// With the code only where the host does not mail it.
    fn of(delivery: &Delivery) -> (Self, Option<String>) {
        match delivery {
            Delivery::Sent => (Self::Sent, None),
            Delivery::NotSent(_) => (Self::NotSent, None),
            Delivery::ToCaller(code) => (Self::ToCaller, Some(code.expose_secret().to_owned())),
        }
    }
}

impl Revealed {
    pub(super) fn of(id: u64, token: &Secret) -> Self {
        Self { id, token: token.expose_secret().to_owned() }
    }
}

fn methods(methods: &MethodSet) -> Vec<String> {
    methods.iter().map(str::to_owned).collect()
}
