//! A client that asks for the token of the round, over and over.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::node::Node;
use tower_api_token::token::Token;

/// How soon a reader asks again.
#[derive(Clone, Copy)]
pub(crate) enum Pace {
    Every(Duration),
    Saturating,
}

impl Pace {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Every(_) => "paced",
            Self::Saturating => "saturating",
        }
    }

    fn wait(self, asked: Instant) {
        if let Self::Every(pause) = self {
            std::thread::sleep(pause.saturating_sub(asked.elapsed()));
        }
    }
}

/// What one reader has seen of one token.
pub(crate) struct Seen {
    credential: String,
    start: Instant,
    pub(crate) accepted: AtomicU64,
    pub(crate) refused: AtomicU64,
    /// Nanoseconds from the round's start to the answer that accepted last, and
    /// to the moment at which it was asked for.
    last: AtomicU64,
    last_asked: AtomicU64,
}

impl Seen {
    pub(crate) fn new(token: &Token, start: Instant) -> Arc<Self> {
        let credential = format!("Bearer {}", token.expose_secret());
        let none = || AtomicU64::new(0);
        let (accepted, refused, last, last_asked) = (none(), none(), none(), none());
        Arc::new(Self { credential, start, accepted, refused, last, last_asked })
    }

    /// When the token was accepted last, since the start.
    pub(crate) fn last_accepted(&self) -> Duration {
        Duration::from_nanos(self.last.load(Ordering::SeqCst))
    }

    /// When the request was sent that was accepted last.
    pub(crate) fn last_asked(&self) -> Duration {
        Duration::from_nanos(self.last_asked.load(Ordering::SeqCst))
    }

    fn ask(&self, node: &Node) {
        let request = http::Request::get("/").header("authorization", &self.credential);
        let mut request = request.body(()).expect("a request").into_parts().0;
        let asked = self.start.elapsed().as_nanos() as u64;
        if node.accepts(&mut request) {
            let refused = self.refused.load(Ordering::SeqCst);
            assert_eq!(refused, 0, "a token was accepted after it was refused");
            self.last_asked.store(asked, Ordering::SeqCst);
            self.last.store(self.start.elapsed().as_nanos() as u64, Ordering::SeqCst);
            self.accepted.fetch_add(1, Ordering::SeqCst);
        } else {
            self.refused.fetch_add(1, Ordering::SeqCst);
        }
    }
}

/// What the reader of a node is to ask for.
#[derive(Default)]
pub(crate) struct Task {
    seen: Mutex<Option<Arc<Seen>>>,
    ended: AtomicBool,
}

impl Task {
    pub(crate) fn set(&self, seen: &Arc<Seen>) {
        *self.seen.lock().expect("no panic") = Some(Arc::clone(seen));
    }

    pub(crate) fn end(&self) {
        self.ended.store(true, Ordering::SeqCst);
    }

    /// Asks until the end.
    pub(crate) fn read(&self, node: &Node, pace: Pace) {
        while !self.ended.load(Ordering::SeqCst) {
            let asked = Instant::now();
            let seen = self.seen.lock().expect("no panic").clone();
            if let Some(seen) = seen {
                seen.ask(node);
            }
            pace.wait(asked);
        }
    }
}

/// Ends the readers, also where a round panics.
pub(crate) struct Readers<'a>(pub(crate) &'a [Task; 2]);

impl Drop for Readers<'_> {
    fn drop(&mut self) {
        self.0.iter().for_each(Task::end);
    }
}
