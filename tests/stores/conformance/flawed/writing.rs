//! How a flawed store writes.

use std::sync::Arc;

use tower_api_token::account::{Account, LastUse, Place, Revision, TokenRecord};
use tower_api_token::audit::{AuditEntry, Event};
use tower_api_token::method::MethodSet;
use tower_api_token::store::{Change, FeedItem, Replacement, StoreError, StoreErrorKind};
use tower_api_token::token::{TokenDigest, TokenId};
use tower_api_token::user::{Actor, UserId};

use super::place::State;
use super::{Flaw, Flawed};

impl Flawed {
    /// What an account is kept under.
    pub(crate) fn key(&self, user: &UserId) -> String {
        let name = user.as_str();
        match self.flaw {
            Flaw::NamesFolded => name.to_lowercase(),
            Flaw::NamesTrimmed => name.trim_end().to_owned(),
            Flaw::NamesCutShort => cut(name, 254).to_owned(),
            _ => name.to_owned(),
        }
    }

    /// What uses are kept under.
    pub(crate) fn usage_key(&self, user: &UserId) -> String {
        let name = self.key(user);
        if self.has(Flaw::UsesFolded) { name.to_lowercase() } else { name }
    }

    /// Checks a change and makes it.
    pub(crate) fn write(
        &self,
        state: &mut State,
        replacement: &Replacement,
    ) -> Result<(), StoreError> {
        let checked = self.check(state, replacement);
        if checked.is_ok() {
            return self.keep(state, replacement);
        }
        if self.has(Flaw::FeedReportsConflicts) {
            self.send(FeedItem::Change(Change::between(None, &replacement.account)))?;
        }
        if self.has(Flaw::HistoryOfConflicts) {
            self.note(state, replacement);
        }
        if self.has(Flaw::DueOfConflicts) {
            self.schedule(state, replacement);
        }
        if self.has(Flaw::RefusedClaimTakes) {
            for stored in replacement.account.digests() {
                state.index.remove(&stored.digest);
            }
        }
        checked
    }

    pub(crate) fn check(&self, state: &State, replacement: &Replacement) -> Result<(), StoreError> {
        let account = &replacement.account;
        let current = state.accounts.get(&self.key(account.user()));
        let current = current.map(|account| account.revision());
        let taken = |digest| self.is_taken(state, account, digest);
        let taken = account.digests().any(|stored| taken(&stored.digest));
        let begins = current.is_some() || self.may_begin(state, account);
        if taken || !begins || !self.fits(current, replacement.expected) {
            return Err(StoreError::new(StoreErrorKind::Conflict, "replacing an account"));
        }
        Ok(())
    }

    fn fits(&self, current: Option<Revision>, expected: Option<Revision>) -> bool {
        let as_float = |revision: Option<Revision>| revision.map(|one| one.as_u64() as f64);
        let both = current.is_some() == expected.is_some();
        match self.flaw {
            Flaw::LostUpdate => both,
            Flaw::LaterRevisionsAccepted => both && current <= expected,
            Flaw::Upsert => current == expected || expected.is_none(),
            Flaw::MissingCreated => current == expected || current.is_none(),
            Flaw::RevisionsAsFloats => as_float(current) == as_float(expected),
            _ => current == expected,
        }
    }

    fn is_taken(&self, state: &State, account: &Account, digest: &TokenDigest) -> bool {
        let Some(owner) = state.owner(digest) else {
            let name = state.ever.get(digest).filter(|_| self.has(Flaw::ReleasedStaysTaken));
            let stays = name.is_some_and(|name| *name != self.key(account.user()));
            return stays || state.erased.contains(digest);
        };
        let other = self.key(owner.user()) != self.key(account.user());
        match (self.flaw, owner.place_of(digest)) {
            (Flaw::UniquenessOff, _) => false,
            (Flaw::OnlyLiveUnique, place) => other && matches!(place, Some(Place::Live(_))),
            (Flaw::RetiredNotUnique, place) => other && !matches!(place, Some(Place::Retired(_))),
            (Flaw::NoMoveWithinAccount, place) => other || place != account.place_of(digest),
            _ => other,
        }
    }

    /// Makes a change that was checked.
    pub(crate) fn keep(
        &self,
        state: &mut State,
        replacement: &Replacement,
    ) -> Result<(), StoreError> {
        let account = Arc::new(self.rebuilt(&replacement.account, state.in_a_batch));
        let name = self.key(account.user());
        let before = state.accounts.get(&name).cloned();
        let emptied = before.is_some() && account.digests().next().is_none();
        if emptied && self.has(Flaw::EmptiedNotWritten) {
            return Ok(());
        }
        if self.has(Flaw::NeighboursDropped) {
            state.accounts.retain(|other, _| !other.starts_with(&name));
        }
        if self.has(Flaw::ChangeForgetsUses) {
            state.uses.retain(|(user, _), _| *user != name);
        }
        if !self.has(Flaw::ForgottenUsesStay) {
            let user = self.usage_key(account.user());
            state.uses.retain(|(name, id), _| *name != user || *id == 0 || names(&account, *id));
        }
        self.index(state, before.as_deref(), &account);
        state.created.entry(name.clone()).or_insert_with(|| Arc::clone(&account));
        state.accounts.insert(name, Arc::clone(&account));
        self.note(state, replacement);
        self.schedule(state, replacement);
        if self.has(Flaw::FeedBeforeCommit) && !state.in_a_batch {
            return Ok(());
        }
        self.report(state, before.as_deref(), &account, &replacement.entry.event)
    }

    /// Tells of a change that is not made yet.
    pub(crate) fn tell_beforehand(&self, replacement: &Replacement) -> Result<(), StoreError> {
        let account = &replacement.account;
        let state = self.place.state();
        let before = state.accounts.get(&self.key(account.user()));
        self.report(&state, before.map(|before| &**before), account, &replacement.entry.event)
    }

    fn index(&self, state: &mut State, before: Option<&Account>, account: &Arc<Account>) {
        let mut index = state.index.clone();
        let old = before.into_iter().filter(|_| !self.has(Flaw::OldDigestsStay));
        for stored in old.flat_map(Account::digests) {
            index.remove(&stored.digest);
        }
        for stored in account.digests() {
            state.ever.entry(stored.digest).or_insert_with(|| self.key(account.user()));
            if self.is_indexed(account, &stored.digest) {
                index.insert(stored.digest, Arc::clone(account));
            }
        }
        if self.has(Flaw::IndexLate) {
            state.index_to_come = Some(index);
        } else {
            state.index_before = std::mem::replace(&mut state.index, index);
        }
    }

    fn is_indexed(&self, account: &Account, digest: &TokenDigest) -> bool {
        let at = account.place_of(digest);
        let primary = account.primary().map(|token| token.digest.digest);
        let backup = account.backup().map(|token| token.digest.digest);
        let recent = account.retired().iter().rev().take(8);
        match self.flaw {
            Flaw::PrimaryNotFound => primary != Some(*digest),
            Flaw::BackupNotFound => backup != Some(*digest),
            Flaw::PendingNotFound => at != Some(Place::Pending),
            Flaw::RetiredNotFound => !matches!(at, Some(Place::Retired(_))),
            Flaw::RetiredForgottenEarly => {
                let recent = recent.into_iter().any(|retired| retired.digest.digest == *digest);
                recent || !matches!(at, Some(Place::Retired(_)))
            }
            _ => true,
        }
    }

    fn note(&self, state: &mut State, replacement: &Replacement) {
        let forgotten = if self.has(Flaw::OnlyLastEntry) { replacement.earlier.len() } else { 0 };
        let entries = replacement.entries().skip(forgotten).cloned();
        let entries: Vec<_> = entries.map(|entry| self.noted(entry)).collect();
        let history = state.history.entry(self.key(&replacement.entry.user)).or_default();
        history.extend(entries.iter().cloned());
        self.log(state, entries);
    }

    /// An entry as it is kept.
    fn noted(&self, mut entry: AuditEntry) -> AuditEntry {
        match (self.flaw, &mut entry.event, &mut entry.actor) {
            (Flaw::EventLosesPart, Event::PrimaryGenerated { superseded, .. }, _) => {
                *superseded = None;
            }
            (Flaw::ActorsConflated, _, Actor::Program(name)) => {
                entry.actor = Actor::Administrator(name.clone());
            }
            _ => {}
        }
        entry
    }

    fn report(
        &self,
        state: &State,
        before: Option<&Account>,
        account: &Account,
        event: &Event,
    ) -> Result<(), StoreError> {
        let before = before.filter(|_| !self.has(Flaw::FeedOmitsOldDigests));
        let mut change = Change::between(before, account);
        let confirmed = matches!(event, Event::PrimaryConfirmed { .. });
        match self.flaw {
            Flaw::FeedSkipsConfirmations if confirmed => return Ok(()),
            Flaw::FeedSkipsBatches if state.in_a_batch => return Ok(()),
            Flaw::FeedCutsDigests => {
                change.digests = change.digests.iter().take(64).copied().collect();
            }
            Flaw::FeedCutsNames => {
                change.user = UserId::new(cut(change.user.as_str(), 100)).unwrap();
            }
            _ => {}
        }
        self.send(FeedItem::Change(change))
    }

    /// The account as it is read back.
    fn rebuilt(&self, account: &Account, in_a_batch: bool) -> Account {
        let mut parts = Account::builder(account.user().clone()).revision(account.revision());
        parts = parts.methods(match self.flaw {
            Flaw::LosesExtensions => {
                let standard = ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"];
                let kept = account.methods().iter().filter(|method| standard.contains(method));
                MethodSet::new(kept).unwrap()
            }
            _ => account.methods().clone(),
        });
        parts = parts.retired(account.retired().iter().copied()).lifetimes(account.lifetimes());
        if let Some(since) = account.suspended_since() {
            parts = parts.suspended_since(since);
        }
        if let Some(primary) = account.primary() {
            parts = parts.primary(self.unsealed(primary.clone(), Flaw::LosesSealed));
        }
        if let Some(backup) = account.backup() {
            parts = parts.backup(self.unsealed(backup.clone(), Flaw::LosesSealed));
        }
        if let Some(mut pending) = account.pending().cloned() {
            pending.replacing_backup =
                pending.replacing_backup.filter(|_| !self.has(Flaw::LosesReplacedBackup));
            pending.token = self.unsealed(pending.token, Flaw::LosesSealedPending);
            if !(in_a_batch && self.has(Flaw::BatchLosesPending)) {
                parts = parts.pending(pending);
            }
        }
        if let Some(confirmed) = account.confirmed().filter(|_| !self.has(Flaw::LosesConfirmation))
        {
            parts = parts.confirmed(*confirmed);
        }
        if !self.has(Flaw::LosesNextToken) {
            parts = parts.next_token(account.next_token());
        }
        parts.build().unwrap()
    }

    fn unsealed(&self, mut token: TokenRecord, flaw: Flaw) -> TokenRecord {
        token.sealed = token.sealed.filter(|_| !self.has(flaw));
        token
    }

    pub(crate) fn write_batch(&self, batch: Vec<Replacement>) -> Vec<Result<(), StoreError>> {
        let mut state = self.place.state();
        let conflict = || Err(StoreError::new(StoreErrorKind::Conflict, "writing a batch"));
        let all_fit = batch.iter().all(|replacement| self.check(&state, replacement).is_ok());
        if self.has(Flaw::BatchAllOrNothing) && !all_fit {
            return batch.iter().map(|_| conflict()).collect();
        }
        state.in_a_batch = true;
        let mut answers = Vec::new();
        let mut batch = batch;
        if self.has(Flaw::BatchReversed) {
            batch.reverse();
        }
        for replacement in batch {
            let ended = answers.iter().any(Result::is_err) && self.has(Flaw::BatchEndsAtConflict);
            let cut = answers.len() >= 100 && self.has(Flaw::BatchCutShort);
            answers.push(if ended {
                conflict()
            } else if cut {
                Ok(())
            } else {
                self.write(&mut state, &replacement)
            });
        }
        state.in_a_batch = false;
        match self.flaw {
            Flaw::BatchReversed => answers.reverse(),
            Flaw::BatchAnswersSorted => answers.sort_by_key(Result::is_err),
            _ => {}
        }
        answers
    }

    pub(crate) fn record(
        &self,
        state: &mut State,
        token_use: &(UserId, LastUse),
    ) -> Result<(), StoreError> {
        let (user, usage) = token_use;
        let name = self.key(user);
        let known = state.accounts.get(&name).cloned();
        if known.is_none() && state.erased_up_to > 0 && !self.has(Flaw::LateUsesKept) {
            return Ok(());
        }
        match (self.flaw, &known) {
            (Flaw::UnknownUseFails, None) => {
                return Err(StoreError::new(StoreErrorKind::Conflict, "recording a use"));
            }
            (Flaw::UnknownUseCreates, None) => {
                let account = Account::builder(user.clone()).build().unwrap();
                state.accounts.insert(name.clone(), Arc::new(account));
            }
            (Flaw::UsageOverwritesAccount, Some(_)) => {
                state.accounts.insert(name.clone(), Arc::clone(&state.created[&name]));
            }
            (Flaw::UsageReachesFeed, Some(account)) => {
                self.send(FeedItem::Change(Change::between(None, account)))?;
            }
            _ => {}
        }
        let id = if self.has(Flaw::UsagePerUser) { 0 } else { usage.id.as_u64() };
        let mut usage = usage.clone();
        let key = (self.usage_key(user), id);
        if let Some(kept) = state.uses.get(&key) {
            if kept.at >= usage.at && !self.has(Flaw::LastRecordedUseKept) {
                return Ok(());
            }
            if self.has(Flaw::EarlierClientKept) {
                usage.client = kept.client.clone().or(usage.client);
            }
        }
        state.uses.insert(key, usage);
        Ok(())
    }
}

/// Whether the account names the token of that number.
fn names(account: &Account, id: u64) -> bool {
    let id = TokenId::from_u64(id);
    account.token(id).is_some() || account.retired().iter().any(|retired| retired.id == id)
}

/// The beginning of a text, at most `length` bytes.
fn cut(text: &str, length: usize) -> &str {
    let fits = |end: &usize| *end <= length && text.is_char_boundary(*end);
    &text[..(0..=text.len()).rev().find(fits).unwrap_or(0)]
}
