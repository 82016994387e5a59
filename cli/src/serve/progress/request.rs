//! A request that is being answered, and for whom it waits.

use std::sync::Arc;

use tokio::time::Instant;

use super::Progress;

/// A request that is being answered.
#[derive(Debug)]
pub(super) struct Request {
    /// When its head was whole.
    pub(super) since: Instant,
    turn: Turn,
}

/// Who is waited for.
#[derive(Clone, Copy, Debug)]
enum Turn {
    Service,
    /// The peer, to send the rest of the body.
    Body,
    /// The peer, to take the response, since then.
    Response(Instant),
}

impl Request {
    pub(super) fn new() -> Self {
        Self { since: Instant::now(), turn: Turn::Service }
    }

    /// Since when it waits for its peer.
    pub(super) fn waits(&self) -> Option<Instant> {
        match self.turn {
            Turn::Service => None,
            // A peer that sends byte by byte is waited for all that time.
            Turn::Body => Some(self.since),
            Turn::Response(since) => Some(since),
        }
    }
}

/// One of the requests that are being answered.
#[derive(Clone, Debug)]
pub(in crate::serve) struct Answering {
    progress: Arc<Progress>,
    number: u64,
}

impl Answering {
    fn turn(&self, turn: impl FnOnce(Turn) -> Turn) {
        if let Some(request) = self.progress.state().responding.get_mut(&self.number) {
            request.turn = turn(request.turn);
        }
    }

    /// Notes that the rest of the body has not come yet.
    pub(in crate::serve) fn wants_body(&self) {
        self.turn(|turn| match turn {
            Turn::Service => Turn::Body,
            other => other,
        });
    }

    /// Notes that more of the body has come, or is not wanted any more.
    pub(in crate::serve) fn has_body(&self) {
        self.turn(|turn| match turn {
            Turn::Body => Turn::Service,
            other => other,
        });
    }
}

/// A request that is being answered, until this is dropped.
#[derive(Debug)]
pub(in crate::serve) struct Responding(Answering);

impl Responding {
    pub(super) fn new(progress: &Arc<Progress>, number: u64) -> Self {
        Self(Answering { progress: Arc::clone(progress), number })
    }

    pub(in crate::serve) fn request(&self) -> Answering {
        self.0.clone()
    }

    /// Notes that there is a response, which the peer has to take.
    pub(in crate::serve) fn answered(&self) {
        self.0.turn(|_| Turn::Response(Instant::now()));
    }
}

impl Drop for Responding {
    fn drop(&mut self) {
        self.0.progress.responded(self.0.number);
    }
}
