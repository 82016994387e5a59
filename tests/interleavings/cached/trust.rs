//! Look-ups beside the lease: losses, echoes and time.

use shuttle::future::block_on;
use shuttle::thread;

use crate::cached::explore::{Node, TERM, explore};

/// A change passes while the feed is broken, and nobody hears of it. Once a
/// heartbeat sent after the loss has come back, the old state is gone.
#[test]
fn a_change_that_was_missed_is_seen_once_the_loss_is_over() {
    explore(|| {
        let node = Node::new(false);
        let reader = node.clone();
        let requests = thread::spawn(move || {
            for _ in 0..2 {
                block_on(reader.auth());
            }
        });
        let _lost = node.commit(false);
        node.cache.lose();
        assert!(!block_on(node.auth()), "a revoked token was accepted past the cache");
        node.renew();
        assert!(node.cache.is_trusted());
        assert!(!block_on(node.auth()), "a revoked token was accepted");
        requests.join().unwrap();
        assert!(!node.remembers(), "a revoked token is remembered");
    });
}

/// One task sends heartbeats while another hears of a loss: the echo of one
/// that was sent before the loss proves nothing after it.
#[test]
fn an_echo_of_what_was_sent_before_a_loss_proves_nothing() {
    explore(|| {
        let node = Node::new(false);
        let id = node.cache.heartbeat();
        let listener = node.clone();
        let lost = thread::spawn(move || listener.cache.lose());
        let sender = node.clone();
        let echoed = thread::spawn(move || sender.cache.echo(id));
        lost.join().unwrap();
        echoed.join().unwrap();
        assert!(!node.cache.is_trusted());
    });
}

/// The feed brings heartbeats but swallows the change; time passes in between.
/// No request that begins a term after the change is accepted.
#[test]
fn an_entry_ends_with_its_term_whatever_the_feed_says() {
    explore(|| {
        let node = Node::new(false);
        let reader = node.clone();
        let requests = thread::spawn(move || {
            for _ in 0..4 {
                let begun = reader.clock.nanos();
                let accepted = block_on(reader.auth());
                let late = reader.changed().is_some_and(|changed| begun >= changed + TERM);
                assert!(!(accepted && late), "a token was accepted a term after its end");
            }
        });
        let time = node.clone();
        let time = thread::spawn(move || {
            for _ in 0..4 {
                time.clock.advance(TERM / 2);
                time.renew();
            }
        });
        let _swallowed = node.commit(false);
        requests.join().unwrap();
        time.join().unwrap();
        assert!(
            !block_on(node.auth())
                || node.changed().is_none_or(|at| { node.clock.nanos() < at + TERM })
        );
    });
}

/// No heartbeat comes back any more, and the machine may sleep at any point.
#[test]
fn without_echoes_nothing_is_believed_after_a_term() {
    explore(|| {
        let node = Node::new(false);
        let reader = node.clone();
        let requests = thread::spawn(move || {
            for _ in 0..3 {
                let begun = reader.clock.nanos();
                let accepted = block_on(reader.auth());
                let late = reader.changed().is_some_and(|changed| begun >= changed + TERM);
                assert!(!(accepted && late), "a token was accepted a term after its end");
            }
        });
        let _unheard = node.commit(false);
        node.clock.advance(TERM * 10);
        assert!(!node.remembers(), "a lease outlived a sleep");
        assert!(!block_on(node.auth()), "a revoked token was accepted");
        requests.join().unwrap();
    });
}
