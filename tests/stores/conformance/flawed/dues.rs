//! How a flawed store keeps what is due.

use std::sync::Arc;

use async_trait::async_trait;
use tower_api_token::account::{Account, Revision};
use tower_api_token::store::{Due, DueAccounts, FeedItem, Page, PageSize, Replacement, StoreError};
use tower_api_token::time::Timestamp;
use tower_api_token::user::UserId;

use super::place::State;
use super::{Flaw, Flawed};

impl Flawed {
    /// Keeps when the account of a change is due.
    pub(crate) fn schedule(&self, state: &mut State, replacement: &Replacement) {
        let in_a_batch = state.in_a_batch && self.has(Flaw::DueOfBatchesLost);
        let keeps = replacement.due.is_none() && self.has(Flaw::DueForEver);
        if !in_a_batch && !keeps {
            set_due(state, replacement.account.user(), replacement.due);
        }
    }
}

fn set_due(state: &mut State, user: &UserId, due: Option<Timestamp>) {
    let name = user.as_str().to_owned();
    match due {
        Some(at) => drop(state.log.due.insert(name, (user.clone(), at))),
        None => drop(state.log.due.remove(&name)),
    }
}

#[async_trait]
impl DueAccounts for Flawed {
    async fn due(
        &self,
        until: Timestamp,
        after: Option<&Due>,
        size: PageSize,
    ) -> Result<Page<Due, Due>, StoreError> {
        self.outage()?;
        let state = self.place.state();
        let due = state.log.due.values().map(|(user, at)| Due::new(*at, user.clone()));
        let comes = |due: &Due| match self.flaw {
            Flaw::DueTooLate => due.at < until,
            _ => due.at <= until,
        };
        let follows = |due: &Due| match self.flaw {
            Flaw::DueRepeats => after.is_none_or(|after| due.at >= after.at),
            Flaw::DueSkipsEqualTimes => after.is_none_or(|after| due.at > after.at),
            Flaw::DueByUser => after.is_none_or(|after| due.user > after.user),
            _ => after.is_none_or(|after| due > after),
        };
        let mut due: Vec<_> = due.filter(comes).filter(follows).collect();
        if !self.has(Flaw::DueByUser) {
            due.sort();
        }
        due.truncate(size.get() + 1);
        Ok(Page::of_due(due, size))
    }

    async fn put_off(
        &self,
        user: &UserId,
        revision: Revision,
        due: Option<Timestamp>,
    ) -> Result<(), StoreError> {
        self.outage()?;
        let mut state = self.place.state();
        let name = self.key(user);
        let account = state.accounts.get(&name).cloned();
        let found = account.as_ref().map(|account| account.revision());
        let fits = found == Some(revision) || self.has(Flaw::PutOffAnyRevision);
        if !fits || (due.is_none() && self.has(Flaw::PutOffNeedsTime)) {
            return Ok(());
        }
        set_due(&mut state, user, due);
        match (self.flaw, account) {
            (Flaw::PutOffReachesFeed, Some(account)) => {
                let change = tower_api_token::store::Change::between(None, &account);
                self.send(FeedItem::Change(change))
            }
            (Flaw::PutOffRaisesRevision, Some(account)) => {
                let raised = Revision::from_u64(revision.as_u64() + 1);
                let raised = Account::builder(user.clone()).revision(raised);
                let parts = raised.methods(account.methods().clone()).next_token(1 << 20);
                let parts = parts.primary(account.primary().unwrap().clone());
                state.accounts.insert(name, Arc::new(parts.build().unwrap()));
                Ok(())
            }
            _ => Ok(()),
        }
    }

    async fn put_off_many(
        &self,
        accounts: &[(UserId, Revision, Option<Timestamp>)],
    ) -> Result<(), StoreError> {
        let length = if self.has(Flaw::PutOffCutShort) { 1_000 } else { usize::MAX };
        for (user, revision, due) in accounts.iter().take(length) {
            self.put_off(user, *revision, *due).await?;
        }
        Ok(())
    }

    async fn schedule(&self) -> Result<u64, StoreError> {
        self.outage()?;
        Ok(self.place.state().log.schedule)
    }

    async fn keep_schedule(&self, schedule: u64) -> Result<(), StoreError> {
        self.outage()?;
        let kept = match self.flaw {
            Flaw::ScheduleAsFloat => schedule as f64 as u64,
            _ => schedule,
        };
        self.place.state().log.schedule = kept;
        Ok(())
    }
}
