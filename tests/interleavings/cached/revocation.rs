//! Look-ups beside a change.

use std::sync::Arc;

use shuttle::future::block_on;
use shuttle::sync::atomic::{AtomicBool, Ordering};
use shuttle::thread;

use crate::cached::explore::{Node, explore};

/// Three requests beside a revocation on this node: none that comes after the
/// revocation has returned is accepted.
fn a_revocation_of_its_own(broken: bool) {
    let node = Node::new(broken);
    let revoked = Arc::new(AtomicBool::new(false));
    let requests: Vec<_> = (0..3)
        .map(|_| {
            let (node, revoked) = (node.clone(), Arc::clone(&revoked));
            thread::spawn(move || {
                let late = revoked.load(Ordering::SeqCst);
                let accepted = block_on(node.auth());
                assert!(!(late && accepted), "a revoked token was accepted");
            })
        })
        .collect();
    let change = node.commit(false);
    node.cache.invalidate_own(&[change]);
    revoked.store(true, Ordering::SeqCst);
    assert!(!block_on(node.auth()), "a revoked token was accepted");
    for request in requests {
        request.join().unwrap();
    }
    assert!(!node.remembers(), "a revoked token is remembered");
}

#[test]
fn a_revoked_token_is_refused_on_the_node_that_revoked_it() {
    explore(|| a_revocation_of_its_own(false));
}

#[test]
#[should_panic(expected = "a revoked token")]
fn a_twin_that_remembers_what_is_not_current_is_caught() {
    explore(|| a_revocation_of_its_own(true));
}

/// The same where the change comes through the feed.
#[test]
fn a_revoked_token_is_refused_once_the_feed_has_told() {
    explore(|| {
        let node = Node::new(false);
        let reader = node.clone();
        let requests = thread::spawn(move || {
            for _ in 0..3 {
                block_on(reader.auth());
            }
        });
        let change = node.commit(false);
        node.cache.invalidate(&change);
        assert!(!block_on(node.auth()), "a revoked token was accepted");
        requests.join().unwrap();
        assert!(!node.remembers(), "a revoked token is remembered");
    });
}

#[test]
fn a_confirmed_token_is_accepted_although_it_was_tried_before() {
    explore(|| {
        let node = Node::new(false);
        let absent = node.commit(false);
        node.cache.invalidate_own(&[absent]);
        let reader = node.clone();
        let early = thread::spawn(move || block_on(reader.auth()));
        let change = node.commit(true);
        node.cache.invalidate_own(&[change]);
        assert!(block_on(node.auth()), "a confirmed token was refused");
        early.join().unwrap();
        assert!(block_on(node.auth()), "a confirmed token was refused");
    });
}

#[test]
fn requests_at_once_read_the_row_once() {
    explore(|| {
        let node = Node::new(false);
        let requests: Vec<_> = (0..3)
            .map(|_| {
                let node = node.clone();
                thread::spawn(move || assert!(block_on(node.auth())))
            })
            .collect();
        for request in requests {
            request.join().unwrap();
        }
        assert_eq!(node.reads(), 1);
    });
}

/// One request hangs up at any point; the others have their answer, and none
/// joins what nobody drives.
#[test]
fn a_request_that_hangs_up_leaves_the_others_their_answer() {
    explore(|| {
        let node = Node::new(false);
        let leaving = node.clone();
        let left = thread::spawn(move || {
            block_on(async {
                let mut auth = Box::pin(leaving.auth());
                let polled = std::future::poll_fn(|cx| {
                    let _ = auth.as_mut().poll(cx);
                    std::task::Poll::Ready(())
                });
                polled.await;
            });
        });
        let stays: Vec<_> = (0..2)
            .map(|_| {
                let node = node.clone();
                thread::spawn(move || assert!(block_on(node.auth())))
            })
            .collect();
        left.join().unwrap();
        for request in stays {
            request.join().unwrap();
        }
        assert!(block_on(node.auth()));
    });
}
