//! Where the nodes of a flawed store keep their data.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tower_api_token::account::{Account, LastUse, Revision};
use tower_api_token::audit::AuditEntry;
use tower_api_token::store::{Feed, FeedItem, StoreError, StoreErrorKind};
use tower_api_token::token::{PepperCheck, PepperVersion, TokenDigest};

use super::logging::Log;
use super::{Flaw, Flawed};

#[derive(Default)]
pub(crate) struct Place {
    state: Mutex<State>,
    feeds: Mutex<Feeds>,
}

#[derive(Default)]
pub(crate) struct State {
    pub(crate) accounts: BTreeMap<String, Arc<Account>>,
    /// Accounts at their first revision.
    pub(crate) created: BTreeMap<String, Arc<Account>>,
    pub(crate) index: HashMap<TokenDigest, Arc<Account>>,
    /// The index before the last change.
    pub(crate) index_before: HashMap<TokenDigest, Arc<Account>>,
    /// An index that is to take the other's place.
    pub(crate) index_to_come: Option<HashMap<TokenDigest, Arc<Account>>>,
    /// Who named a digest first.
    pub(crate) ever: HashMap<TokenDigest, String>,
    pub(crate) history: HashMap<String, Vec<AuditEntry>>,
    pub(crate) log: Log,
    pub(crate) uses: BTreeMap<(String, u64), LastUse>,
    /// The digests of erased accounts, and what these have reached.
    pub(crate) erased: HashSet<TokenDigest>,
    pub(crate) erased_up_to: u64,
    pub(crate) checks: BTreeMap<PepperVersion, PepperCheck>,
    pub(crate) in_a_batch: bool,
    /// How often somebody has looked.
    pub(crate) touched: u64,
    busy: bool,
}

impl State {
    pub(crate) fn owner(&self, digest: &TokenDigest) -> Option<&Arc<Account>> {
        self.accounts.values().find(|account| account.place_of(digest).is_some())
    }

    pub(crate) fn forget_digests(&mut self, name: &str) {
        self.index.retain(|_, account| account.user().as_str() != name);
    }

    /// Lets every digest of the account's user lead to `account`.
    pub(crate) fn mislead(&mut self, account: &Arc<Account>) {
        for found in self.index.values_mut().filter(|found| found.user() == account.user()) {
            *found = Arc::clone(account);
        }
    }

    pub(crate) fn catch_up(&mut self) {
        if let Some(index) = self.index_to_come.take() {
            self.index = index;
        }
    }
}

#[derive(Default)]
struct Feeds {
    open: Vec<Subscription>,
    held: Vec<FeedItem>,
}

struct Subscription {
    node: u64,
    live: bool,
    cut_off: bool,
    sender: UnboundedSender<FeedItem>,
}

impl Place {
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Gives others the time to look twice at what is half done; ends in any
    /// case.
    pub(crate) async fn pause(&self) {
        let enough = self.state().touched + 2;
        self.wait_until(|state| state.touched >= enough).await;
    }

    /// Waits until something holds, a tenth of a second at most.
    pub(crate) async fn wait_until(&self, holds: impl Fn(&State) -> bool) {
        let start = Instant::now();
        while !holds(&self.state()) && start.elapsed() < Duration::from_millis(100) {
            std::thread::yield_now();
            tokio::task::yield_now().await;
        }
    }

    /// Makes the place busy for one change.
    pub(crate) fn take(&self) -> Result<(), StoreError> {
        let mut state = self.state();
        if std::mem::replace(&mut state.busy, true) {
            return Err(StoreError::new(StoreErrorKind::Unavailable, "waiting for another change"));
        }
        Ok(())
    }

    pub(crate) fn release(&self) {
        self.state().busy = false;
    }

    pub(crate) fn subscribe(&self, store: &Flawed) -> Feed {
        let (sender, mut receiver) = unbounded_channel();
        let live = !store.has(Flaw::FeedOpensLate);
        lock(&self.feeds).open.push(Subscription {
            node: store.node,
            live,
            cut_off: false,
            sender,
        });
        Feed::new(futures_util::stream::poll_fn(move |cx| receiver.poll_recv(cx)))
    }
}

impl Place {
    /// Nothing reaches the feeds of that node.
    pub(crate) fn cut_off(&self, node: u64) {
        for feed in lock(&self.feeds).open.iter_mut().filter(|feed| feed.node == node) {
            feed.cut_off = true;
        }
    }

    /// What is sent reaches the feeds of that node again.
    pub(crate) fn reconnect(&self, node: u64, silent: bool) {
        for feed in lock(&self.feeds).open.iter_mut().filter(|feed| feed.node == node) {
            feed.cut_off = false;
            if !silent {
                // Whether anybody is left who hears it makes no difference.
                let _ = feed.sender.send(FeedItem::Lost);
            }
        }
    }
}

impl Flawed {
    /// Sends an item to every feed, or keeps it back for a while.
    pub(crate) fn send(&self, item: FeedItem) -> Result<(), StoreError> {
        let mut feeds = lock(&self.place.feeds);
        let is_change = matches!(item, FeedItem::Change(_));
        match self.flaw {
            Flaw::FeedLatestFirst | Flaw::HeartbeatOvertakes | Flaw::FeedAfterLock if is_change => {
                feeds.held.push(item);
                Ok(())
            }
            Flaw::FeedLatestFirst => {
                let held = std::mem::take(&mut feeds.held);
                held.into_iter().rev().try_for_each(|held| feeds.deliver(self, &held))?;
                feeds.deliver(self, &item)
            }
            Flaw::HeartbeatOvertakes => {
                feeds.deliver(self, &item)?;
                let held = std::mem::take(&mut feeds.held);
                held.iter().try_for_each(|held| feeds.deliver(self, held))
            }
            _ => feeds.deliver(self, &item),
        }
    }

    /// Sends the changes of that revision that were kept back.
    pub(crate) fn flush(&self, revision: Revision) {
        let mut feeds = lock(&self.place.feeds);
        let ready = |item: &mut FeedItem| match item {
            FeedItem::Change(change) => change.revision == revision,
            _ => true,
        };
        let ready: Vec<_> = feeds.held.extract_if(.., ready).collect();
        for item in ready {
            feeds.deliver(self, &item).expect("no feed refuses an item with this flaw");
        }
    }
}

impl Feeds {
    fn deliver(&mut self, store: &Flawed, item: &FeedItem) -> Result<(), StoreError> {
        let beat = matches!(item, FeedItem::Heartbeat(_));
        let last = self.open.len().saturating_sub(1);
        let mut dropped = false;
        for (place, feed) in self.open.iter_mut().enumerate() {
            feed.live |= beat;
            let foreign = !beat && store.has(Flaw::FeedOfOwnNode) && feed.node != store.node;
            let shut_out = store.has(Flaw::OneFeedOnly) && place < last;
            if feed.live && !foreign && !shut_out && !feed.cut_off {
                dropped |= feed.sender.send(item.clone()).is_err();
            }
        }
        self.open.retain(|feed| !feed.sender.is_closed());
        if dropped && store.has(Flaw::DroppedFeedFails) {
            return Err(StoreError::new(StoreErrorKind::Unavailable, "sending to a feed"));
        }
        Ok(())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
