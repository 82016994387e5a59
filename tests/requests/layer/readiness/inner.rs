//! An inner service that insists on the contract: an instance that was not
//! polled ready since its last call must not be called.

use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use http::{Request, Response};
use tower::Service;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Failed;

/// What all clones share.
pub(crate) struct Log {
    readiness: Mutex<Poll<Result<(), Failed>>>,
    answer: Mutex<Poll<Result<(), Failed>>>,
    called: Mutex<Vec<usize>>,
    clones: AtomicUsize,
    running: AtomicUsize,
}

impl Log {
    pub(crate) fn set_readiness(&self, readiness: Poll<Result<(), Failed>>) {
        *self.readiness.lock().unwrap() = readiness;
    }

    /// Lets every call answer from now on.
    pub(crate) fn finish(&self) {
        *self.answer.lock().unwrap() = Poll::Ready(Ok(()));
    }

    /// Lets every call fail from now on.
    pub(crate) fn fail(&self) {
        *self.answer.lock().unwrap() = Poll::Ready(Err(Failed));
    }

    /// Which instances were called; the first is 0, its clones count up.
    pub(crate) fn called(&self) -> Vec<usize> {
        self.called.lock().unwrap().clone()
    }

    pub(crate) fn clones(&self) -> usize {
        self.clones.load(Ordering::SeqCst)
    }

    /// How many calls have neither answered nor been dropped.
    pub(crate) fn running(&self) -> usize {
        self.running.load(Ordering::SeqCst)
    }
}

pub(crate) struct Inner {
    number: usize,
    ready: bool,
    log: Arc<Log>,
}

impl Inner {
    pub(crate) fn new() -> (Self, Arc<Log>) {
        let log = Arc::new(Log {
            readiness: Mutex::new(Poll::Ready(Ok(()))),
            answer: Mutex::new(Poll::Pending),
            called: Mutex::default(),
            clones: AtomicUsize::new(0),
            running: AtomicUsize::new(0),
        });
        (Self { number: 0, ready: false, log: Arc::clone(&log) }, log)
    }
}

impl Clone for Inner {
    fn clone(&self) -> Self {
        let number = self.log.clones.fetch_add(1, Ordering::SeqCst) + 1;
        Self { number, ready: false, log: Arc::clone(&self.log) }
    }
}

impl Service<Request<String>> for Inner {
    type Response = Response<String>;
    type Error = Failed;
    type Future = Running;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Failed>> {
        let readiness = *self.log.readiness.lock().unwrap();
        self.ready = readiness == Poll::Ready(Ok(()));
        readiness
    }

    fn call(&mut self, _: Request<String>) -> Running {
        assert!(std::mem::take(&mut self.ready), "instance {} was not ready", self.number);
        self.log.called.lock().unwrap().push(self.number);
        self.log.running.fetch_add(1, Ordering::SeqCst);
        Running(Arc::clone(&self.log))
    }
}

pub(crate) struct Running(Arc<Log>);

impl Future for Running {
    type Output = Result<Response<String>, Failed>;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.answer.lock().unwrap().map_ok(|()| Response::default())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::SeqCst);
    }
}
