//! What is judged when everything has come: the store's log, against what both receivers
//! have taken.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use tower_api_token::audit::{AuditEntry, Event};
use tower_api_token::store::{AccountStore, AuditItem, AuditPosition, PageSize};

use super::hook::{Arrival, Fate};
use super::users;

/// The most messages that a process has under way to one receiver.
const UNDER_WAY: usize = 8;

/// What the log says of the simulated days.
pub(crate) struct Book {
    entries: Vec<AuditEntry>,
    place_of: HashMap<(String, u64), usize>,
}

fn key(entry: &AuditEntry) -> (String, u64) {
    (entry.user.as_str().to_owned(), entry.revision.as_u64())
}

impl Book {
    pub(crate) async fn read(store: &dyn AccountStore, mut after: AuditPosition) -> Self {
        let (log, mut entries) = (store.audit_log().unwrap(), Vec::new());
        loop {
            let page = log.audit(after, PageSize::MAX).await.unwrap();
            let Some((last, _)) = page.last() else { break };
            after = *last;
            entries.extend(page.into_iter().map(|(_, item)| match item {
                AuditItem::Entry(entry) => entry,
                other => panic!("nobody was erased: {other:?}"),
            }));
        }
        let place_of = entries.iter().enumerate().map(|(place, entry)| (key(entry), place));
        Self { place_of: place_of.collect(), entries }
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// That each user was told of what is due, once, and in order.
    pub(crate) fn assert_everything_was_due_once(&self) {
        let mut told: HashMap<&str, (Vec<Duration>, bool)> = HashMap::new();
        for entry in &self.entries {
            let (notices, ended) = told.entry(entry.user.as_str()).or_default();
            assert!(!*ended, "{}: {:?} after its end", entry.user, entry.event);
            match entry.event {
                Event::ExpiryAnnounced { notice, .. } => notices.push(notice),
                Event::TokenExpired { .. } => *ended = true,
                ref other => panic!("{}: {other:?} was not due", entry.user),
            }
        }
        for number in 0..users::USERS {
            let name = users::name(number);
            assert_eq!(told.get(&*name), Some(&users::expected(number)), "{name}");
        }
    }

    /// That the receiver has taken every entry, that no entry came before that of its
    /// user before it was taken, and that none came again but after a failure or a kill.
    pub(crate) fn assert_delivered(&self, receiver: &str, arrivals: &[Arrival], kills: usize) {
        let (mut taken, mut ids) = (HashSet::new(), HashMap::new());
        let (mut failures, mut repeats) = (0, 0);
        for Arrival { id, entry, fate } in arrivals {
            let (user, revision) = key(entry);
            let place = self.place_of.get(&(user.clone(), revision));
            assert_eq!(place.map(|place| &self.entries[*place]), Some(entry), "{receiver}");
            let before = revision == 2 || taken.contains(&(user.clone(), revision - 1));
            assert!(before, "{receiver}: {user} {revision} came before the one before it");
            let known = ids.insert((user.clone(), revision), id);
            assert!(known.is_none_or(|known| known == id), "{receiver}: another id, {id}");
            repeats += usize::from(known.is_some());
            if *fate == Fate::Taken {
                taken.insert((user, revision));
            } else {
                failures += 1;
            }
        }
        println!(
            "{receiver}: {} messages of {} entries; {failures} failed, {repeats} came again",
            arrivals.len(),
            self.entries.len(),
        );
        assert_eq!(taken.len(), self.entries.len(), "{receiver} has not taken all");
        assert!(repeats <= failures + UNDER_WAY * kills, "{receiver}: {repeats} came again");
    }
}
