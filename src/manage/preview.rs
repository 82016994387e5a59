//! What a change would do.

use super::{ManageError, TokenManager};
use crate::account::{Account, LastUse, TokenRecord};
use crate::audit::Event;
use crate::rotation::{self, Command, Facts};
use crate::store::Loaded;
use crate::user::UserId;

impl TokenManager {
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
        let last_use = |token: Option<&TokenRecord>| {
            let of_it = |usage: &&LastUse| token.is_some_and(|token| token.id == usage.id);
            usage.iter().find(of_it).map(|usage| usage.at)
        };
        let mut facts = Facts::new(now, &self.inner.policy);
        facts.uses_are_kept = self.inner.store.last_uses().is_some();
        facts.primary_used = last_use(account.primary());
        facts.backup_used = last_use(account.backup());
        Ok(rotation::apply(account, command, &facts)?.event)
    }
}
