//! What a change that makes a secret gives back: the secret, once.

use super::change::Changed;
use crate::notify::NotifyError;
use crate::time::Timestamp;
use crate::token::{ConfirmationCode, Token, TokenId};

/// What became of a confirmation code.
#[derive(Debug)]
#[non_exhaustive]
#[must_use]
pub enum Delivery {
    /// The notifier has taken it.
    Sent,
    /// The notifier has failed. The pending token waits; another code can be
    /// sent for it, or the token be generated anew.
    NotSent(NotifyError),
    /// Here it is: nothing was sent.
    ToCaller(ConfirmationCode),
}

/// A new primary that waits for its confirmation. `Debug` shows no secret.
#[derive(Debug)]
#[non_exhaustive]
pub struct GeneratedPrimary {
    /// The token: shown here and never again.
    pub token: Token,
    /// Its public name.
    pub id: TokenId,
    /// From when on no code can activate it, by the store's clock.
    pub expires_at: Timestamp,
    /// From when on its present code is dead, by the store's clock.
    pub code_expires_at: Timestamp,
    /// What became of that code.
    pub delivery: Delivery,
}

/// A pending token's new code. `Debug` shows no secret.
#[derive(Debug)]
#[non_exhaustive]
pub struct ResentConfirmation {
    /// The pending token.
    pub id: TokenId,
    /// From when on no code can activate it, by the store's clock.
    pub expires_at: Timestamp,
    /// From when on the new code is dead, by the store's clock.
    pub code_expires_at: Timestamp,
    /// What became of the code.
    pub delivery: Delivery,
}

impl ResentConfirmation {
    pub(super) fn new(changed: Changed, code: ConfirmationCode) -> Self {
        let Changed { account, delivery, .. } = changed;
        let pending = account.pending.expect("the rules have just given it this code");
        let (id, expires_at) = (pending.token.id, pending.expires_at);
        let delivery = delivery.unwrap_or(Delivery::ToCaller(code));
        Self { id, expires_at, code_expires_at: pending.code_expires_at, delivery }
    }
}

/// A first token. `Debug` does not show it.
#[derive(Debug)]
#[non_exhaustive]
pub struct IssuedToken {
    /// The token: shown here and never again.
    pub token: Token,
    /// Its public name.
    pub id: TokenId,
    /// From when on it is refused; `None` for never.
    pub expires_at: Option<Timestamp>,
}

impl IssuedToken {
    pub(super) fn new(token: Token, changed: Changed) -> Self {
        let primary = changed.account.primary.expect("the rules put an issued token there");
        Self { token, id: primary.id, expires_at: primary.expires_at }
    }
}
