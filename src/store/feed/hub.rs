//! The in-process end of a feed: one sender, any number of subscribers.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};

use futures_core::Stream;

use super::{Feed, FeedItem};

/// How many items wait for one subscriber; one that falls further behind has
/// lost them, and is told so.
const QUEUE: usize = 4_096;

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

    /// Never waits for a subscriber.
    pub(crate) fn send(&self, item: &FeedItem) {
        lock(&self.0).retain(|subscriber| match subscriber.upgrade() {
            Some(subscriber) => {
                subscriber.push(item.clone());
                true
            }
            None => false,
        });
    }
}

impl Drop for FeedHub {
    fn drop(&mut self) {
        for subscriber in lock(&self.0).iter().filter_map(Weak::upgrade) {
            subscriber.end();
        }
    }
}

#[derive(Default)]
struct Subscriber(Mutex<Queue>);

#[derive(Default)]
struct Queue {
    items: VecDeque<FeedItem>,
    ended: bool,
    waker: Option<Waker>,
}

impl Subscriber {
    fn push(&self, item: FeedItem) {
        let mut queue = lock(&self.0);
        if queue.items.len() >= QUEUE {
            queue.items.clear();
            queue.items.push_back(FeedItem::Lost);
        }
        queue.items.push_back(item);
        wake(queue);
    }

    fn end(&self) {
        let mut queue = lock(&self.0);
        queue.ended = true;
        wake(queue);
    }
}

/// Wakes outside the lock: a waker may run anything.
fn wake(mut queue: MutexGuard<'_, Queue>) {
    let waker = queue.waker.take();
    drop(queue);
    if let Some(waker) = waker {
        waker.wake();
    }
}

struct Subscription(Arc<Subscriber>);

impl Stream for Subscription {
    type Item = FeedItem;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<FeedItem>> {
        let mut queue = lock(&self.0.0);
        match queue.items.pop_front() {
            Some(item) => Poll::Ready(Some(item)),
            None if queue.ended => Poll::Ready(None),
            None => {
                queue.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
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
        for number in 0..=QUEUE as u64 {
            hub.send(&beat(number));
        }
        assert_eq!(next(&mut feed), Poll::Ready(Some(FeedItem::Lost)));
        assert_eq!(next(&mut feed), Poll::Ready(Some(beat(QUEUE as u64))));
    }
}
