//! Whether what the tasks left behind is what a plain model makes of it.

use std::future::poll_fn;
use std::pin::Pin;
use std::time::Duration;

use futures_core::Stream;
use tower_api_token::audit::AuditEntry;
use tower_api_token::store::{AccountStore, Feed, FeedItem, PageSize};
use tower_api_token::user::UserId;

use crate::model::{User, token_digest};
use crate::store_model::users;
use crate::store_model::worker::{Log, Written};

impl Log {
    /// Holds that each user's acts, in the order of the revisions that they
    /// made, lead the model to the store's state, and that the history is
    /// exactly that order.
    pub(crate) async fn judge(&self, store: &impl AccountStore) {
        for user in users() {
            let written = self.written_for(&user);
            let model = self.replayed(&user, &written);
            let account = store.load(&user).await.unwrap().account.expect("somebody was granted");
            model.assert_is(&account);
            let expected: Vec<_> = written.iter().rev().map(|it| it.entry.clone()).collect();
            assert_eq!(history(store, &user).await, expected);
            for digest in model.named() {
                let found = store.find(&token_digest(digest)).await.unwrap();
                assert_eq!(found.as_ref(), Some(&account), "digest {digest}");
            }
        }
        self.is_unique(store).await;
    }

    /// What was written for a user, by revision: without a gap, and none twice.
    pub(crate) fn written_for(&self, user: &UserId) -> Vec<&Written> {
        let mut written: Vec<_> =
            self.written.iter().filter(|written| written.entry.user == *user).collect();
        written.sort_by_key(|written| written.entry.revision);
        let revisions = written.iter().map(|written| written.entry.revision.as_u64());
        assert!(revisions.eq(1..=written.len() as u64), "of {user}");
        written
    }

    /// The model after all that was written; what was refused at a revision is
    /// what the model refuses at it.
    fn replayed(&self, user: &UserId, written: &[&Written]) -> User {
        let mut model = User::default();
        self.refused_at(user, &model);
        for written in written {
            let answer = model.act(&written.act, written.world);
            assert_eq!(answer, Ok(()), "{:?} at revision {}", written.act, model.changes);
            self.refused_at(user, &model);
        }
        model
    }

    fn refused_at(&self, user: &UserId, model: &User) {
        let refused = self.refused.iter().filter(|refused| refused.user == *user);
        for refused in refused.filter(|refused| refused.revision == model.changes) {
            let answer = model.clone().act(&refused.act, refused.world);
            assert_eq!(answer, Err(refused.refusal), "{:?} of {model:?}", refused.act);
        }
    }

    /// Holds that no digest is named twice over all accounts.
    async fn is_unique(&self, store: &impl AccountStore) {
        let page = store.list(None, PageSize::MAX).await.unwrap();
        assert_eq!(page.items.len(), users().len());
        let digests = page.items.iter().flat_map(|account| account.digests());
        let mut digests: Vec<_> = digests.map(|stored| *stored.digest.as_bytes()).collect();
        let all = digests.len();
        digests.sort_unstable();
        digests.dedup();
        assert_eq!(digests.len(), all);
    }
}

/// The whole history, by small pages.
async fn history(store: &impl AccountStore, user: &UserId) -> Vec<AuditEntry> {
    let (mut entries, mut before) = (Vec::new(), None);
    loop {
        let page = store.history(user, before, PageSize::clamped(7)).await.unwrap();
        assert!(page.next.is_none() || before.is_none() || page.next < before);
        entries.extend(page.items);
        before = page.next;
        if before.is_none() {
            return entries;
        }
    }
}

/// A feed that was open all the time.
pub(crate) struct Watch(Feed);

impl Watch {
    pub(crate) async fn open(store: &impl AccountStore) -> Self {
        Self(store.feed().unwrap().changes().await.unwrap())
    }

    /// Holds that every change has come through the feed, in its user's order.
    pub(crate) async fn judge(mut self, store: &impl AccountStore, log: &Log) {
        let last = 7;
        store.feed().unwrap().heartbeat(last).await.unwrap();
        let mut changes = Vec::new();
        loop {
            match self.next().await {
                FeedItem::Change(change) => changes.push(change),
                FeedItem::Heartbeat(id) if id == last => break,
                item => panic!("{item:?}"),
            }
        }
        assert_eq!(changes.len(), log.written.len());
        for user in users() {
            let own = changes.iter().filter(|change| change.user == user);
            let written = log.written_for(&user).into_iter();
            assert!(own.map(|it| it.revision).eq(written.map(|it| it.entry.revision)));
        }
    }

    async fn next(&mut self) -> FeedItem {
        let next = poll_fn(|cx| Pin::new(&mut self.0).poll_next(cx));
        let next = tokio::time::timeout(Duration::from_secs(60), next).await;
        next.expect("an item in time").expect("the feed goes on")
    }
}
