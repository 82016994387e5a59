//! What may be shown of an account: never a token or a digest.

use std::borrow::Cow;

use super::change::may_end_unused;
use super::{AccountFilter, Inner, ManageError, TokenManager};
use crate::account::{Account, LastUse, Lifetimes, Pending, Revision, TokenRecord};
use crate::audit::{AuditEntry, Event};
use crate::method::MethodSet;
use crate::rotation::{self, Command, Facts, RotationError};
use crate::store::{AuditItem, AuditPosition, Loaded, Page, PageSize, StoreError};
use crate::time::Timestamp;
use crate::token::{PepperVersion, TokenHint, TokenId};
use crate::user::{ClientLabel, UserId};

impl TokenManager {
    /// What a user with API access may see of their tokens.
    ///
    /// ```
    /// # use tower_api_token::user::{Actor, UserId};
    /// # use tower_api_token::manage::{Confirmation, TokenManager};
    /// # use tower_api_token::method::MethodSet;
    /// # use tower_api_token::store::MemoryStore;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let store = MemoryStore::new();
    /// # let builder = TokenManager::builder(store).confirmation(Confirmation::ByCaller);
    /// # let manager = builder.build().await?;
    /// # let alice = UserId::new("alice")?;
    /// # manager.grant(&Actor::User, &alice, MethodSet::new(["GET"])?).await?;
    /// # manager.issue(&Actor::User, &alice).await?;
    /// let view = manager.view(&alice).await?;
    /// for token in view.primary.iter().chain(&view.backup) {
    ///     println!("token {} ({}), last used {:?}", token.id, token.hint, token.last_used_at);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`NoAccess`](RotationError::NoAccess) if the user has none, or no
    /// account; [`ManageError::Store`] if it could not be read.
    pub async fn view(&self, user: &UserId) -> Result<AccountView, ManageError> {
        let loaded = self.inner.store.load(user).await?;
        let account = loaded.account.filter(|account| !account.methods().is_empty());
        let account = account.ok_or(RotationError::NoAccess)?;
        let usage = self.inner.uses(user).await?;
        Ok(self.inner.seen(&account, &usage, loaded.now))
    }

    /// The user's account, with access or without, in short; `None` if there is
    /// none: for administrators.
    ///
    /// # Errors
    ///
    /// [`ManageError::Store`] if it could not be read.
    pub async fn summary(&self, user: &UserId) -> Result<Option<AccountSummary>, ManageError> {
        let loaded = self.inner.store.load(user).await?;
        let Some(account) = loaded.account else { return Ok(None) };
        Ok(Some(self.inner.summarized(&account, loaded.now).await?))
    }

    /// The accounts after that of user `after` in the byte order of user ids,
    /// those without access included: for administrators.
    ///
    /// # Errors
    ///
    /// [`ManageError::Store`] if they could not be read.
    pub async fn list(
        &self,
        after: Option<&UserId>,
        size: PageSize,
    ) -> Result<Page<AccountSummary>, ManageError> {
        self.list_where(&AccountFilter::default(), after, size).await
    }

    /// What has happened to the user's account, the latest first: entries with
    /// a revision below `before`.
    ///
    /// # Errors
    ///
    /// [`ManageError::Store`] if it could not be read.
    pub async fn history(
        &self,
        user: &UserId,
        before: Option<Revision>,
        size: PageSize,
    ) -> Result<Page<AuditEntry, Revision>, ManageError> {
        Ok(self.inner.store.history(user, before, size).await?)
    }

    /// What has happened to all accounts, in the order in which the store keeps it: the
    /// entries behind `after`, each with its position, at most `size` of them.
    ///
    /// # Errors
    ///
    /// [`ManageError::Store`] if it could not be read, of kind
    /// [`Unsupported`](crate::store::StoreErrorKind::Unsupported) if the store keeps no
    /// [log](crate::store::AuditLog).
    pub async fn audit(
        &self,
        after: AuditPosition,
        size: PageSize,
    ) -> Result<Vec<(AuditPosition, AuditItem)>, ManageError> {
        let log = self.inner.store.audit_log();
        let log = log.ok_or_else(|| StoreError::unsupported("an audit log"))?;
        Ok(log.audit(after, size).await?)
    }

    /// What would come of a change, which is not made: for a page that says
    /// what its button will do. By the time that the button is pressed it may
    /// be otherwise.
    ///
    /// Of last uses those count that are in the store.
    ///
    /// ```
    /// # use tower_api_token::user::{Actor, UserId};
    /// # use tower_api_token::manage::{Confirmation, TokenManager};
    /// # use tower_api_token::method::MethodSet;
    /// # use tower_api_token::store::MemoryStore;
    /// use tower_api_token::rotation::Command;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let store = MemoryStore::new();
    /// # let builder = TokenManager::builder(store).confirmation(Confirmation::ByCaller);
    /// # let manager = builder.build().await?;
    /// # let alice = UserId::new("alice")?;
    /// # manager.grant(&Actor::User, &alice, MethodSet::new(["GET"])?).await?;
    /// # manager.issue(&Actor::User, &alice).await?;
    /// assert!(manager.preview(&alice, Command::RevokeAll).await.is_ok());
    /// assert!(manager.view(&alice).await?.primary.is_some(), "nothing has changed");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ManageError::Refused`] as the change itself would be refused;
    /// [`ManageError::Store`] if the account could not be read.
    pub async fn preview(&self, user: &UserId, command: Command) -> Result<Event, ManageError> {
        let Loaded { account, now, .. } = self.inner.store.load(user).await?;
        let usage = self.inner.uses(user).await?;
        let absent = Account::absent(user.clone());
        let account = account.as_deref().unwrap_or(&absent);
        let facts = self.inner.facts_by(&usage, account, now);
        Ok(rotation::apply(account, command, &facts)?.event)
    }
}

/// A user's tokens, as their owner may see them: as the next change will find
/// them, so one that has expired is in no slot.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AccountView {
    /// Whose they are.
    pub user: UserId,
    /// The methods that the user may perform.
    pub methods: MethodSet,
    /// The token to use: the primary, or the backup of one that has expired.
    pub primary: Option<TokenView>,
    /// The former primary.
    pub backup: Option<TokenView>,
    /// Those that have expired since the account's last change: they are refused,
    /// and the next change retires them.
    pub expired: Vec<TokenView>,
    /// The token that waits for its confirmation, its time run out or not.
    pub pending: Option<PendingView>,
    /// How long the user's tokens live, where that is shorter than the policy says.
    pub lifetimes: Lifetimes,
    /// Since when the user's access is suspended, if it is.
    pub suspended_since: Option<Timestamp>,
    /// The number of the account's last change.
    pub revision: Revision,
    /// The store's time at which this was so: what to measure expiries by.
    pub now: Timestamp,
}

fn last_use(usage: &[LastUse], token: Option<&TokenRecord>) -> Option<Timestamp> {
    let id = token?.id;
    usage.iter().find(|usage| usage.id == id).map(|usage| usage.at)
}

impl Inner {
    /// The account as its owner may see it at that time.
    fn seen(&self, account: &Account, usage: &[LastUse], now: Timestamp) -> AccountView {
        let token = |token: &TokenRecord| self.seen_token(token, usage, now);
        let (rest, expired) = self.without_expired(account, usage, now);
        let backup = rest.backup().map(|backup| backup.id);
        AccountView {
            user: account.user().clone(),
            methods: account.methods().clone(),
            primary: rest.primary().map(token),
            backup: rest.backup().map(token),
            expired: expired.filter_map(|id| account.token(id)).map(token).collect(),
            pending: rest.pending().map(|it| self.seen_pending(it, backup)),
            lifetimes: account.lifetimes(),
            suspended_since: account.suspended_since(),
            revision: account.revision(),
            now,
        }
    }

    /// The account as the next change will find it, and what has expired.
    fn without_expired<'a>(
        &self,
        account: &'a Account,
        usage: &[LastUse],
        now: Timestamp,
    ) -> (Cow<'a, Account>, impl Iterator<Item = TokenId> + use<>) {
        let (rest, events) = rotation::retire_expired(account, &self.facts_by(usage, account, now));
        let expired = events.into_iter().filter_map(|event| match event {
            Event::TokenExpired { id, .. } => Some(id),
            _ => None,
        });
        (rest, expired)
    }

    /// What the rules know, with those uses.
    fn facts_by(&self, usage: &[LastUse], account: &Account, now: Timestamp) -> Facts<'_> {
        Facts {
            primary_used: last_use(usage, account.primary()),
            backup_used: last_use(usage, account.backup()),
            uses_are_kept: self.store.last_uses().is_some(),
            ..Facts::new(now, &self.policy)
        }
    }

    pub(super) async fn summarized(
        &self,
        account: &Account,
        now: Timestamp,
    ) -> Result<AccountSummary, StoreError> {
        let usage = match may_end_unused(account, now) {
            true => self.uses(account.user()).await?,
            false => Vec::new(),
        };
        let (rest, expired) = self.without_expired(account, &usage, now);
        let (late, waiting) = match rest.pending() {
            Some(pending) if pending.is_expired(now) => (Some(pending), None),
            waiting => (None, waiting),
        };
        Ok(AccountSummary {
            user: account.user().clone(),
            methods: account.methods().clone(),
            primary: rest.primary().map(|token| token.id),
            backup: rest.backup().map(|token| token.id),
            pending: waiting.map(|pending| pending.token.id),
            expired: expired.chain(late.map(|pending| pending.token.id)).collect(),
            expires_at: rest.live_tokens().filter_map(|token| token.expires_at).min(),
            suspended_since: account.suspended_since(),
            pepper_versions: rest.pepper_versions_in_use().collect(),
            revision: account.revision(),
        })
    }

    fn seen_token(&self, token: &TokenRecord, usage: &[LastUse], now: Timestamp) -> TokenView {
        let usage = usage.iter().find(|usage| usage.id == token.id);
        let used = usage.map(|usage| usage.at);
        let is_live = !token.is_expired(now);
        TokenView {
            id: token.id,
            hint: token.hint.clone(),
            made_at: token.made_at,
            active_since: token.active_since,
            expires_at: token.expires_at,
            ends_unless_used: token.ends_unless_used(),
            last_used_at: used,
            client: usage.and_then(|usage| usage.client.clone()),
            in_use: is_live && self.may_be_in_use(token, used, now),
            revealable: is_live && self.is_revealable(token),
        }
    }

    pub(super) fn seen_pending(&self, pending: &Pending, backup: Option<TokenId>) -> PendingView {
        PendingView {
            id: pending.token.id,
            hint: pending.token.hint.clone(),
            made_at: pending.token.made_at,
            expires_at: pending.expires_at,
            code_expires_at: pending.code_expires_at,
            replacing_backup: pending.replacing_backup.filter(|id| backup == Some(*id)),
            revealable: self.is_revealable(&pending.token),
        }
    }

    fn may_be_in_use(&self, token: &TokenRecord, used: Option<Timestamp>, now: Timestamp) -> bool {
        let kept = self.store.last_uses().is_some();
        !kept || self.policy.is_in_use(token.active_since, used, now)
    }
}

/// A token that is in a slot, or was until it expired.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TokenView {
    /// Its public name.
    pub id: TokenId,
    /// What its owner may recognise it by.
    pub hint: TokenHint,
    /// When it was generated, or the time that its importer gave.
    pub made_at: Timestamp,
    /// When it became usable.
    pub active_since: Timestamp,
    /// From when on it is refused; `None` for never.
    pub expires_at: Option<Timestamp>,
    /// Whether it ends then only if nobody uses it before.
    pub ends_unless_used: bool,
    /// When it was last used, if a use of it is recorded.
    pub last_used_at: Option<Timestamp>,
    /// By which client, as far as the host could tell.
    pub client: Option<ClientLabel>,
    /// Whether it was used within the guard window, or is so new that nobody can
    /// tell yet, or the store keeps no last uses: to end it then needs
    /// [`Guard::EvenIfInUse`](super::Guard::EvenIfInUse). Of last uses those
    /// count that are in the store. Never of a token that has expired.
    pub in_use: bool,
    /// Whether the token is kept sealed, and the manager's sealer has the key, so
    /// that it can be revealed.
    pub revealable: bool,
}

/// A token that waits for its confirmation.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PendingView {
    /// Its public name.
    pub id: TokenId,
    /// What its owner may recognise it by.
    pub hint: TokenHint,
    /// When it was generated.
    pub made_at: Timestamp,
    /// From when on no code can activate it.
    pub expires_at: Timestamp,
    /// From when on its present code is dead.
    pub code_expires_at: Timestamp,
    /// The backup that its confirmation will end; `None` if that has expired.
    pub replacing_backup: Option<TokenId>,
    /// As [`TokenView::revealable`].
    pub revealable: bool,
}

/// An account in a list, as the next change will find it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AccountSummary {
    /// Whose it is.
    pub user: UserId,
    /// The methods that the user may perform; none means no access.
    pub methods: MethodSet,
    /// The primary.
    pub primary: Option<TokenId>,
    /// The backup.
    pub backup: Option<TokenId>,
    /// The pending token, while it can be confirmed.
    pub pending: Option<TokenId>,
    /// Those that have expired since the account's last change (see
    /// [`AccountView::expired`]), and a pending token whose time has run out.
    pub expired: Vec<TokenId>,
    /// When the first of the tokens in the slots ends, if one does.
    pub expires_at: Option<Timestamp>,
    /// Since when the user's access is suspended, if it is.
    pub suspended_since: Option<Timestamp>,
    /// The pepper version of each token in use: primary, backup, pending.
    pub pepper_versions: Vec<PepperVersion>,
    /// The number of its last change.
    pub revision: Revision,
}
