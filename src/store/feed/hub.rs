//! The in-process end of a feed: one sender, any number of subscribers.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};

use futures_core::Stream;

use super::{Feed, FeedItem};

/// How many bytes of items wait for one subscriber; one that falls further
/// behind has lost them, and is told so. It is enough for the changes of a
/// hundred thousand accounts with a token or two, so for a batch of them.
const QUEUE: usize = 16 << 20;

/// Hands every item to every feed that was subscribed before it.
#[derive(Default)]
pub(crate) struct FeedHub(Mutex<Vec<Weak<Subscriber>>>);

impl FeedHub {
    pub(crate) fn subscribe(&self) -> Feed {
        let subscriber = Arc::new(Subscriber::default());
        self.subscribers();
        lock(&self.0).push(Arc::downgrade(&subscriber));
        Feed::new(Subscription(subscriber))
    }

    /// How many feeds there are. Those that were dropped are forgotten.
    pub(crate) fn subscribers(&self) -> usize {
        let mut subscribers = lock(&self.0);
        subscribers.retain(|subscriber| subscriber.strong_count() > 0);
        subscribers.len()
    }

    /// Never waits for a subscriber. Those who wait for an item are woken when
    /// what is returned is dropped, which a caller who holds a lock does after it.
    pub(crate) fn send(&self, item: &FeedItem) -> Sleepers {
        let mut sleepers = Vec::new();
        lock(&self.0).retain(|subscriber| match subscriber.upgrade() {
            Some(subscriber) => {
                subscriber.push(item.clone());
                sleepers.push(subscriber);
                true
            }
            None => false,
        });
        Sleepers(sleepers)
    }
}

impl Drop for FeedHub {
    fn drop(&mut self) {
        let subscribers = self.0.get_mut().unwrap_or_else(PoisonError::into_inner);
        let subscribers: Vec<_> = subscribers.iter().filter_map(Weak::upgrade).collect();
        subscribers.iter().for_each(|subscriber| lock(&subscriber.0).ended = true);
        drop(Sleepers(subscribers));
    }
}

/// Subscribers to be woken: outside every lock, since a waker may run anything.
pub(crate) struct Sleepers(Vec<Arc<Subscriber>>);

impl Drop for Sleepers {
    fn drop(&mut self) {
        self.0.iter().for_each(|subscriber| subscriber.wake());
    }
}

#[derive(Default)]
pub(crate) struct Subscriber(Mutex<Queue>);

#[derive(Default)]
struct Queue {
    items: VecDeque<FeedItem>,
    /// What they take up.
    bytes: usize,
    ended: bool,
    waker: Option<Waker>,
}

impl Queue {
    fn push(&mut self, item: FeedItem) {
        self.bytes += bytes_of(&item);
        self.items.push_back(item);
    }

    fn pop(&mut self) -> Option<FeedItem> {
        let item = self.items.pop_front()?;
        self.bytes -= bytes_of(&item);
        Some(item)
    }
}

fn bytes_of(item: &FeedItem) -> usize {
    let more = match item {
        FeedItem::Change(change) => change.user.as_str().len() + size_of_val(&*change.digests),
        FeedItem::Heartbeat(_) | FeedItem::Lost => 0,
    };
    size_of_val(item) + more
}

impl Subscriber {
    fn push(&self, item: FeedItem) {
        let mut queue = lock(&self.0);
        if queue.bytes + bytes_of(&item) > QUEUE {
            (queue.items, queue.bytes) = (VecDeque::new(), 0);
            queue.push(FeedItem::Lost);
        }
        queue.push(item);
    }

    fn wake(&self) {
        let waker = lock(&self.0).waker.take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

struct Subscription(Arc<Subscriber>);

impl Stream for Subscription {
    type Item = FeedItem;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<FeedItem>> {
        let mut queue = lock(&self.0.0);
        if let Some(item) = queue.pop() {
            return Poll::Ready(Some(item));
        }
        if queue.ended {
            return Poll::Ready(None);
        }
        let former = queue.waker.replace(cx.waker().clone());
        drop(queue);
        // The end of a waker may run anything, too.
        drop(former);
        Poll::Pending
    }
}

/// No code that holds these locks can panic half-way through a change.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::HeartbeatId;

    fn beat(number: u64) -> FeedItem {
        FeedItem::Heartbeat(HeartbeatId::from_u64(number))
    }

    fn next(feed: &mut Feed) -> Poll<Option<FeedItem>> {
        Pin::new(feed).poll_next(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn every_subscriber_gets_every_later_item_in_order() {
        let hub = FeedHub::default();
        let mut early = hub.subscribe();
        hub.send(&beat(1));
        let mut late = hub.subscribe();
        hub.send(&beat(2));
        assert_eq!(next(&mut early), Poll::Ready(Some(beat(1))));
        assert_eq!(next(&mut early), Poll::Ready(Some(beat(2))));
        assert_eq!(next(&mut early), Poll::Pending);
        assert_eq!(next(&mut late), Poll::Ready(Some(beat(2))));
        drop(hub);
        assert_eq!(next(&mut late), Poll::Ready(None));
    }

    #[test]
    fn a_dropped_feed_leaves_nothing_behind() {
        let hub = FeedHub::default();
        let kept = hub.subscribe();
        for _ in 0..3 {
            assert_eq!(hub.subscribers(), 1);
            drop(hub.subscribe());
        }
        assert_eq!(lock(&hub.0).len(), 2);
        drop(kept);
        assert_eq!(hub.subscribers(), 0);
    }

    #[test]
    fn a_subscriber_that_falls_behind_is_told_that_it_lost_items() {
        let hub = FeedHub::default();
        let mut feed = hub.subscribe();
        let fit = (QUEUE / bytes_of(&beat(0))) as u64;
        for number in 0..=fit {
            hub.send(&beat(number));
        }
        assert_eq!(next(&mut feed), Poll::Ready(Some(FeedItem::Lost)));
        assert_eq!(next(&mut feed), Poll::Ready(Some(beat(fit))));
    }

    #[test]
    fn a_batch_of_changes_does_not_overrun_a_queue_that_was_emptied_before() {
        let hub = FeedHub::default();
        let mut feed = hub.subscribe();
        let user = crate::user::UserId::new("a user with a name of some length").unwrap();
        let digests = vec![crate::token::TokenDigest::from_bytes([7; 32]); 2];
        for _ in 0..3 {
            for revision in 1..=50_000 {
                let revision = crate::account::Revision::from_u64(revision);
                let change = crate::store::Change::new(user.clone(), revision, digests.clone());
                hub.send(&FeedItem::Change(change));
            }
            for _ in 0..50_000 {
                assert!(matches!(next(&mut feed), Poll::Ready(Some(FeedItem::Change(_)))));
            }
        }
        assert_eq!(next(&mut feed), Poll::Pending);
    }

    /// A waker that uses the hub, as one that runs its task at once may.
    #[test]
    fn whoever_is_woken_may_use_the_feed_at_once() {
        struct Subscribes(Arc<FeedHub>);
        impl std::task::Wake for Subscribes {
            fn wake(self: Arc<Self>) {
                drop(self.0.subscribe());
                self.0.send(&beat(2));
            }
        }
        let hub = Arc::new(FeedHub::default());
        let mut feed = hub.subscribe();
        let waker = Waker::from(Arc::new(Subscribes(Arc::clone(&hub))));
        let waiting = Pin::new(&mut feed).poll_next(&mut Context::from_waker(&waker));
        assert_eq!(waiting, Poll::Pending);
        let (done, is_done) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            hub.send(&beat(1));
            done.send(()).unwrap();
        });
        let patience = std::time::Duration::from_secs(60);
        is_done.recv_timeout(patience).expect("the sender holds no lock when it wakes");
        assert_eq!(next(&mut feed), Poll::Ready(Some(beat(1))));
        assert_eq!(next(&mut feed), Poll::Ready(Some(beat(2))));
    }
}
