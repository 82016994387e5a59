//! Ending a token that somebody presents: its holder, or who has found it where it is
//! not secret.

use std::sync::Arc;

use percent_encoding::percent_decode;

use super::{Inner, ManageError, TokenManager};
use crate::account::{Account, Place, Slot};
use crate::audit::{AuditEntry, Event};
use crate::rotation::{Command, RotationError};
use crate::store::{PageSize, StoreError};
use crate::time::Timestamp;
use crate::token::{TokenId, is_b64token, sha256};
use crate::usage::UsageRecorder;
use crate::user::{Actor, UserId};

/// The longest token that anybody presents.
const LONGEST: usize = 512;

/// How much is kept of where a token was found, in bytes.
const FOUND_LENGTH: usize = 512;

/// How often a token in an address is encoded, one in another.
const ENCODED_AT_MOST: usize = 3;

/// What is done about a token that was found where it is not secret.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum LeakResponse {
    /// Its user is told, and it goes on working.
    Tell,
    /// It ends, and its user is told.
    #[default]
    EndToken,
    /// Every token of its user ends, and they are told.
    EndAll,
}

impl TokenManager {
    /// Ends the token that is presented, as whoever holds it may. If it was the primary
    /// and there is a backup, that becomes the primary; a pending one is cancelled. Its
    /// user is told.
    ///
    /// `None` if it is no token that could end, because it has ended already or never
    /// was: finding out which costs the store the same.
    ///
    /// ```
    /// # use tower_api_token::user::{Actor, UserId};
    /// # use tower_api_token::manage::{Confirmation, TokenManager};
    /// # use tower_api_token::method::MethodSet;
    /// # use tower_api_token::store::MemoryStore;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let builder = TokenManager::builder(MemoryStore::new());
    /// # let manager = builder.confirmation(Confirmation::ByCaller).build().await?;
    /// # let (root, alice) = (Actor::administrator("root")?, UserId::new("alice")?);
    /// # manager.grant(&root, &alice, MethodSet::new(["GET"])?).await?;
    /// # let token = manager.issue(&root, &alice).await?.token;
    /// let holder = Actor::program("revocation")?;
    /// assert!(manager.end_token(&holder, token.expose_secret()).await?.is_some());
    /// assert!(manager.end_token(&holder, token.expose_secret()).await?.is_none());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ManageError`] if it could not be done.
    pub async fn end_token(
        &self,
        actor: &Actor,
        token: &str,
    ) -> Result<Option<AuditEntry>, ManageError> {
        match self.inner.presented(token).await? {
            Some(Presented { account, id, is_in_use: true, .. }) => {
                let ended =
                    self.change_without_secret(actor, account.user(), Command::EndToken { id });
                unless_gone(ended.await)
            }
            _ => Ok(None),
        }
    }

    /// Keeps that a token was found where it is not secret, tells its user, and ends it
    /// as `response` says. `found` is where: a kind of place or an address, of which the
    /// printable ASCII characters are kept, 512 at most, unless the token itself is
    /// among them.
    ///
    /// Where it only tells, a report that repeats one of the user's last hundred entries
    /// changes nothing.
    ///
    /// Whether it is a token of this system, or was one that has ended.
    ///
    /// # Errors
    ///
    /// [`ManageError`] if it could not be done.
    pub async fn report_leak(
        &self,
        actor: &Actor,
        token: &str,
        found: &str,
        response: LeakResponse,
    ) -> Result<bool, ManageError> {
        let Some(presented) = self.inner.presented(token).await? else { return Ok(false) };
        let Presented { account, id, is_in_use, .. } = presented;
        if !is_in_use {
            return Ok(true);
        }
        let found = shown(found, token);
        let is_told_alone = response == LeakResponse::Tell;
        if is_told_alone && self.is_reported(account.user(), id, &found).await? {
            return Ok(true);
        }
        let mut commands = vec![Command::ReportLeak { id, found }];
        commands.extend(match response {
            LeakResponse::Tell => None,
            LeakResponse::EndToken => Some(Command::EndToken { id }),
            LeakResponse::EndAll => Some(Command::RevokeAll),
        });
        let (actor, user, expected) = (actor.clone(), account.user().clone(), self.expected);
        let reported = self.run(|inner| async move {
            Ok(inner.changes(expected, &actor, &user, &commands, None, None).await?.entry)
        });
        unless_gone(reported.await).map(|_| true)
    }

    /// Whether the user was told of late that this token was found there: a scanner that
    /// reports a place again says nothing new.
    async fn is_reported(
        &self,
        user: &UserId,
        id: TokenId,
        found: &str,
    ) -> Result<bool, StoreError> {
        let latest = self.inner.store.history(user, None, PageSize::default()).await?;
        Ok(latest.items.iter().any(|entry| match &entry.event {
            Event::LeakReported { id: of, found: at } => *of == id && at == found,
            _ => false,
        }))
    }
}

/// A change of a token that has gone meanwhile is none.
fn unless_gone(
    changed: Result<AuditEntry, ManageError>,
) -> Result<Option<AuditEntry>, ManageError> {
    match changed {
        Err(error) => match error.refusal() {
            Some(RotationError::AlreadyDone | RotationError::Stale) => Ok(None),
            _ => Err(error),
        },
        Ok(entry) => Ok(Some(entry)),
    }
}

/// Where a token was found, in characters that hide nothing; a text that holds the
/// token, percent-encoded perhaps, is kept from everybody.
fn shown(found: &str, token: &str) -> String {
    let mut shown = printable(found.bytes());
    let mut text = shown.clone();
    for _ in 0..=ENCODED_AT_MOST {
        if text.contains(token) {
            return "a place whose address holds the token".to_owned();
        }
        text = printable(percent_decode(text.as_bytes()));
    }
    shown.truncate(FOUND_LENGTH);
    shown
}

/// What of a text is printable ASCII.
fn printable(text: impl IntoIterator<Item = u8>) -> String {
    text.into_iter().filter(|byte| matches!(byte, b' '..=b'~')).map(char::from).collect()
}

/// A token of this system, in use or ended.
pub(super) struct Presented {
    pub(super) account: Arc<Account>,
    pub(super) id: TokenId,
    /// In a slot or pending, and its end has not come.
    is_in_use: bool,
    /// The slot that it is in, if it is in use.
    pub(super) slot: Option<Slot>,
}

impl Presented {
    /// A token whose end has come has ended, also where nobody has retired it yet. One
    /// that was to end unless it is used may have been: that the change finds out.
    fn at(account: Arc<Account>, place: Place, now: Timestamp) -> Option<Self> {
        let (slot, id, is_in_use) = match place {
            Place::Live(slot) => {
                let token = account.slot(slot)?;
                (Some(slot), token.id, !token.is_expired(now) || token.ends_unless_used())
            }
            Place::Pending => {
                let pending = account.pending()?;
                (None, pending.token.id, !pending.is_expired(now))
            }
            Place::Retired(id) => (None, id, false),
        };
        Some(Self { account, id, is_in_use, slot: slot.filter(|_| is_in_use) })
    }
}

impl Inner {
    /// What is known of the token that somebody presents. One that has ended goes the
    /// way of one that never was: under several peppers the store is asked for all.
    pub(super) async fn presented(&self, token: &str) -> Result<Option<Presented>, StoreError> {
        let text = token.as_bytes();
        if text.len() > LONGEST || !is_b64token(text) || !self.scheme.admits(text) {
            return Ok(None);
        }
        let mut ended = None;
        for digest in self.scheme.digests(&sha256(text)).map(|stored| stored.digest) {
            let Some(account) = self.store.find(&digest).await? else { continue };
            let Some(place) = account.place_of(&digest) else { continue };
            match Presented::at(account, place, self.time_of_this_node()) {
                Some(presented) if presented.is_in_use => return Ok(Some(presented)),
                presented => ended = presented,
            }
        }
        Ok(ended)
    }

    /// By the clock that requests are decided by.
    fn time_of_this_node(&self) -> Timestamp {
        self.usage.as_ref().map_or_else(Timestamp::now, UsageRecorder::now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_a_token_was_found_is_told_without_the_token() {
        assert_eq!(shown("commit https://example.com/a", "tat_x"), "commit https://example.com/a");
        assert!(!shown("https://example.com/?q=tat_x", "tat_x").contains("tat_x"));
        for hidden in [
            "https://example.com/?q=ta\u{200b}t_x",
            "?q=tat\u{e9}_x",
            "?q=tat%5fx",
            "?q=%74at_x",
            "?q=tat%255Fx",
            "?q=tat_%E2%80%8Bx",
            "%zz%?q=tat%5\u{200b}fx",
        ] {
            assert_eq!(shown(hidden, "tat_x"), shown("tat_x", "tat_x"), "{hidden}");
        }
        assert_eq!(shown("100%, %zz and %2", "tat_x"), "100%, %zz and %2");
        assert_eq!(shown("a\u{202e}b\n\"c", "tat_x"), "ab\"c");
        assert_eq!(shown(&"a".repeat(2_000), "tat_x").len(), FOUND_LENGTH);
    }
}
