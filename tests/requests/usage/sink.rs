//! A host's sink that blocks.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use futures_util::FutureExt;
use tower_api_token::TokenAuthLayer;
use tower_api_token::audit::{AuditEntry, EventSink};
use tower_api_token::usage::UsageRecorder;

use crate::usage::world::{World, get, send};

/// Says that it was called, and returns when it is told to.
struct Blocking {
    called: Mutex<Sender<()>>,
    go_on: Mutex<Receiver<()>>,
}

impl EventSink for Blocking {
    fn record(&self, _: &AuditEntry) {
        self.called.lock().unwrap().send(()).unwrap();
        self.go_on.lock().unwrap().recv().unwrap();
    }
}

#[test]
fn log_016_a_sink_that_blocks_holds_up_its_flush_and_no_request() {
    let world = World::new();
    let (called, was_called) = channel();
    let (let_go, go_on) = channel();
    let sink = Blocking { called: Mutex::new(called), go_on: Mutex::new(go_on) };
    let events = sink;
    let usage = UsageRecorder::with_sink(Arc::clone(&world.store), events);
    let layer = TokenAuthLayer::new(Arc::clone(&world.store)).usage(usage.clone());
    assert_eq!(send(&layer, get(&world.retired)), 401);
    std::thread::scope(|scope| {
        let flush = scope.spawn(|| usage.flush().now_or_never().expect("ready"));
        was_called.recv().unwrap();
        for _ in 0..10 {
            assert_eq!(send(&layer, get(&world.primary)), 200);
            assert_eq!(send(&layer, get(&world.retired)), 401);
        }
        assert!(!flush.is_finished());
        let_go.send(()).unwrap();
        flush.join().unwrap().unwrap();
    });
}
