//! Tokens that another system made, and that go on working.

mod many;

use std::fmt;
use std::sync::Arc;

pub use self::many::ImportItem;
use super::{Inner, ManageError, TokenManager};
use crate::ValueError;
use crate::account::{Account, Slot};
use crate::audit::AuditEntry;
use crate::rotation::{Command, NewToken, RotationError};
use crate::store::StoreError;
use crate::time::Timestamp;
use crate::token::{StoredDigest, Token, TokenForm, TokenHint, TokenScheme};
use crate::user::{Actor, UserId};

impl TokenManager {
    /// Puts a token that exists already into an empty slot, where it works at
    /// once. `made_at` is when it was made, if that is known.
    ///
    /// ```
    /// # use tower_api_token::user::{Actor, UserId};
    /// use tower_api_token::account::Slot;
    /// use tower_api_token::manage::{Confirmation, ImportedToken, TokenManager};
    /// use tower_api_token::token::{Token, TokenScheme};
    /// # use tower_api_token::method::MethodSet;
    /// # use tower_api_token::store::MemoryStore;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let manager = TokenManager::builder(MemoryStore::new())
    ///     .scheme(TokenScheme::default().accept_foreign_tokens(true))
    /// #   .confirmation(Confirmation::ByCaller)
    ///     .build()
    ///     .await?;
    /// # let root = Actor::administrator("root")?;
    /// # let alice = UserId::new("alice")?;
    /// # manager.grant(&root, &alice, MethodSet::new(["GET"])?).await?;
    /// let token = Token::parse("3f2b8c1e-9d7a-4650-b1c2-d3e4f5a69788")?;
    /// let token = ImportedToken::Token(token);
    /// manager.import(&root, &alice, Slot::Primary, &token, None).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ManageError::Import`] if the token could not be accepted or is too
    /// weak, [`NoAccess`](RotationError::NoAccess),
    /// [`SlotTaken`](RotationError::SlotTaken),
    /// [`NoLivePrimary`](RotationError::NoLivePrimary) for a backup without a
    /// primary, [`AlreadyDone`](RotationError::AlreadyDone) if it is in that
    /// slot and works, [`DigestInUse`](RotationError::DigestInUse) if any account
    /// names it elsewhere, tokens that are retired or have expired included; [`ManageError`] if it could not
    /// be done.
    pub async fn import(
        &self,
        actor: &Actor,
        user: &UserId,
        slot: Slot,
        token: &ImportedToken,
        made_at: Option<Timestamp>,
    ) -> Result<AuditEntry, ManageError> {
        let (actor, user, token) = (actor.clone(), user.clone(), token.clone());
        let expected = self.expected;
        self.run(|inner| async move {
            let new = inner.importable(&user, slot, &token).await?;
            let command = Command::Import { slot, token: new, made_at };
            let change = inner.change(expected, &actor, &user, &command, token.plain(), None);
            Ok(change.await?.entry)
        })
        .await
    }
}

/// A token to import, or what is known of it.
///
/// `Debug` shows neither.
#[derive(Clone)]
#[non_exhaustive]
pub enum ImportedToken {
    /// The token itself.
    Token(Token),
    /// Its SHA-256, which only a [`TokenScheme`] that
    /// [accepts foreign tokens](TokenScheme::accept_foreign_tokens) takes: the
    /// form of the token behind it cannot be known. The caller vouches that no one
    /// can guess that token; nothing of it can be shown.
    Sha256([u8; 32]),
}

impl ImportedToken {
    /// The SHA-256 of the token: two are the same token if theirs are equal.
    #[must_use]
    pub fn sha256(&self) -> [u8; 32] {
        match self {
            Self::Token(token) => token.sha256(),
            Self::Sha256(sha256) => *sha256,
        }
    }

    /// The token itself, if it is known.
    const fn plain(&self) -> Option<&Token> {
        match self {
            Self::Token(token) => Some(token),
            Self::Sha256(_) => None,
        }
    }

    /// What may be known of it, once it is sure that it could be accepted.
    fn checked(&self, scheme: &TokenScheme) -> Result<(Digests, TokenHint), ValueError> {
        match self {
            Self::Token(token) => {
                check(token, scheme)?;
                Ok((scheme.digests_of(token), scheme.hint(token)))
            }
            Self::Sha256(_) if !scheme.accepts_foreign() => Err(ValueError::TokenFormUnknown),
            Self::Sha256(sha256) => Ok((scheme.digests_of_sha256(sha256), TokenHint::unknown())),
        }
    }
}

impl fmt::Debug for ImportedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Token(_) => "Token(..)",
            Self::Sha256(_) => "Sha256(..)",
        })
    }
}

fn check(token: &Token, scheme: &TokenScheme) -> Result<(), ValueError> {
    let text = token.expose_secret().as_bytes();
    match scheme.form(text) {
        TokenForm::Damaged => Err(ValueError::TokenDamaged),
        TokenForm::Foreign if !scheme.admits(text) => Err(ValueError::TokenForeign),
        _ if !token.looks_random() => Err(ValueError::TokenWeak),
        _ => Ok(()),
    }
}

/// Every digest under which a token may be known.
pub(super) struct Digests {
    /// The one to store.
    pub(super) stored: StoredDigest,
    /// Those under the former keys.
    former: Vec<StoredDigest>,
}

impl Digests {
    pub(super) fn all(&self) -> impl Iterator<Item = StoredDigest> + use<> {
        std::iter::once(self.stored).chain(self.former.clone())
    }
}

impl TokenScheme {
    pub(super) fn digests_of(&self, token: &Token) -> Digests {
        self.digests_of_sha256(&token.sha256())
    }

    fn digests_of_sha256(&self, sha256: &[u8; 32]) -> Digests {
        let former = self.digests(sha256).skip(1).collect();
        Digests { stored: self.digest_of_sha256(sha256), former }
    }
}

impl Inner {
    /// The account that names the token under any configured key, and the
    /// digest by which it does.
    pub(super) async fn named_by(
        &self,
        digests: &Digests,
    ) -> Result<Option<(Arc<Account>, StoredDigest)>, StoreError> {
        for digest in digests.all() {
            if let Some(account) = self.store.find(&digest.digest).await? {
                return Ok(Some((account, digest)));
            }
        }
        Ok(None)
    }

    /// The token as the rules take it, if it is acceptable and new.
    async fn importable(
        &self,
        user: &UserId,
        slot: Slot,
        token: &ImportedToken,
    ) -> Result<NewToken, ManageError> {
        let (digests, hint) = token.checked(&self.scheme).map_err(ManageError::Import)?;
        match self.named_by(&digests).await? {
            None => Ok(NewToken::new(digests.stored, hint)),
            Some((account, found))
                if account.user() == user
                    && account.slot_of(&found.digest) == Some(slot)
                    && self.is_live(&account, slot).await? =>
            {
                Err(RotationError::AlreadyDone.into())
            }
            Some(_) => Err(RotationError::DigestInUse.into()),
        }
    }

    async fn is_live(&self, account: &Account, slot: Slot) -> Result<bool, StoreError> {
        match account.slot(slot) {
            Some(token) if token.expires_at.is_some() => {
                let now = self.store.load(account.user()).await?.now;
                Ok(!token.is_expired(now))
            }
            token => Ok(token.is_some()),
        }
    }
}
