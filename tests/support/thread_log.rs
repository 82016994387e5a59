//! What is logged on one thread. The subscriber is that of the whole process:
//! with one of a thread alone, a call site that another thread meets first is
//! off for good.

use std::cell::RefCell;
use std::io::{self, Write};
use std::marker::PhantomData;
use std::sync::Once;

use tracing_subscriber::filter::dynamic_filter_fn;
use tracing_subscriber::layer::SubscriberExt;

thread_local! {
    static LINES: RefCell<Option<Vec<u8>>> = const { RefCell::new(None) };
}

/// Listens to what is logged on this thread, until it is dropped.
pub(crate) struct ThreadLog {
    _of_this_thread: PhantomData<*const ()>,
}

impl ThreadLog {
    pub(crate) fn begin() -> Self {
        static SUBSCRIBED: Once = Once::new();
        SUBSCRIBED.call_once(subscribe);
        // A record whose place in the code another thread has reached for the
        // first time while that began would be off for good.
        tracing::callsite::rebuild_interest_cache();
        LINES.set(Some(Vec::new()));
        Self { _of_this_thread: PhantomData }
    }

    /// All that was logged so far.
    pub(crate) fn so_far(&self) -> String {
        LINES.with_borrow(|lines| String::from_utf8(lines.clone().unwrap()).unwrap())
    }
}

impl Drop for ThreadLog {
    fn drop(&mut self) {
        LINES.set(None);
    }
}

fn subscribe() {
    let subscriber = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE);
    let subscriber = subscriber.with_ansi(false).with_writer(|| ThisThread).finish();
    // A thread that ends has nothing to listen with.
    let listening = || LINES.try_with(|lines| lines.borrow().is_some()).unwrap_or(false);
    let subscriber = subscriber.with(dynamic_filter_fn(move |_, _| listening()));
    tracing::subscriber::set_global_default(subscriber).unwrap();
}

struct ThisThread;

impl Write for ThisThread {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        LINES.with_borrow_mut(|lines| lines.as_mut().map_or(Ok(bytes.len()), |to| to.write(bytes)))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
