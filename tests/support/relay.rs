//! A TCP relay that a test can break in the ways in which networks break.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What the relay does with bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Mode {
    #[default]
    Open,
    /// Passes on what clients send, and keeps what they are answered.
    AnswersHeld,
    /// Keeps every connection and passes nothing on: a cut that neither end is
    /// told of.
    HalfOpen,
    /// Breaks every connection, and each new one at once.
    Cut,
}

pub(crate) struct Relay {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

/// What a client sends on a connection on which it waits for messages, to a
/// PostgreSQL and to a Redis server.
const LISTENING: [&[u8]; 2] = [b"LISTEN ", b"SSUBSCRIBE"];

#[derive(Clone, Copy, Debug, Default)]
struct Modes {
    all: Mode,
    listeners: Mode,
    others: Mode,
    /// Connections with a lower number are half open for ever.
    stranded: usize,
}

/// One connection.
struct Link {
    shared: Arc<Shared>,
    number: usize,
    listens: AtomicBool,
    /// The next answer is lost.
    doomed: AtomicBool,
}

impl Modes {
    fn of(self, link: &Link) -> Mode {
        let stranded = if link.number < self.stranded { Mode::HalfOpen } else { Mode::Open };
        let listens = link.listens.load(Ordering::Relaxed);
        self.all.max(stranded).max(if listens { self.listeners } else { self.others })
    }
}

struct Shared {
    server: SocketAddr,
    modes: watch::Sender<Modes>,
    /// How long bytes take.
    delay: Duration,
    /// Bytes of a client after which the server's answer is lost.
    fatal: Mutex<Option<&'static [u8]>>,
    /// What becomes of the server's bytes.
    filter: fn(&[u8]) -> Vec<u8>,
    /// How many connections there have been.
    connections: AtomicUsize,
    /// How many answers wait to be passed on.
    held: AtomicUsize,
}

impl Relay {
    pub(crate) async fn to(server: SocketAddr) -> Self {
        Self::with(server, Duration::ZERO, <[u8]>::to_vec).await
    }

    /// A relay through which bytes take that long, either way.
    pub(crate) async fn slow(server: SocketAddr, delay: Duration) -> Self {
        Self::with(server, delay, <[u8]>::to_vec).await
    }

    /// A relay that passes what `filter` makes of each of the server's
    /// messages, which it is given one or more at a time.
    pub(crate) async fn filtering(server: SocketAddr, filter: fn(&[u8]) -> Vec<u8>) -> Self {
        Self::with(server, Duration::ZERO, filter).await
    }

    async fn with(server: SocketAddr, delay: Duration, filter: fn(&[u8]) -> Vec<u8>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("its address");
        let (modes, fatal) = (watch::Sender::default(), Mutex::default());
        let (connections, held) = Default::default();
        let shared = Shared { server, modes, delay, fatal, filter, connections, held };
        let shared = Arc::new(shared);
        let accepting = tokio::spawn(accept(listener, Arc::clone(&shared)));
        Self { address, shared, accepting }
    }

    /// Does so with every connection.
    pub(crate) fn set(&self, mode: Mode) {
        self.shared.modes.send_modify(|modes| modes.all = mode);
    }

    /// Does so with the connections on which clients wait for messages.
    pub(crate) fn set_listeners(&self, mode: Mode) {
        self.shared.modes.send_modify(|modes| modes.listeners = mode);
    }

    /// Does so with the other connections.
    pub(crate) fn set_others(&self, mode: Mode) {
        self.shared.modes.send_modify(|modes| modes.others = mode);
    }

    /// Leaves all present connections half open for ever: neither end is told
    /// of the cut, and only a new connection works.
    pub(crate) fn strand(&self) {
        let present = self.shared.connections.load(Ordering::Relaxed);
        self.shared.modes.send_modify(|modes| modes.stranded = present);
    }

    /// How many answers are held.
    pub(crate) fn held(&self) -> usize {
        self.shared.held.load(Ordering::Relaxed)
    }

    /// Passes a client's next message that holds these bytes on to the server,
    /// and breaks the connection in place of the server's answer.
    pub(crate) fn lose_answer_to(&self, message: &'static [u8]) {
        *self.shared.fatal.lock().unwrap() = Some(message);
    }

    /// Whether the answer is still to be lost.
    pub(crate) fn is_armed(&self) -> bool {
        self.shared.fatal.lock().unwrap().is_some()
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.accepting.abort();
        self.set(Mode::Cut);
    }
}

impl Shared {
    /// Whether these are the bytes whose answer shall be lost.
    fn is_fatal(&self, bytes: &[u8]) -> bool {
        self.fatal.lock().unwrap().take_if(|fatal| holds(bytes, fatal)).is_some()
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    while let Ok((client, _)) = listener.accept().await {
        tokio::spawn(connect(client, Arc::clone(&shared)));
    }
}

async fn connect(client: TcpStream, shared: Arc<Shared>) {
    let number = shared.connections.fetch_add(1, Ordering::Relaxed);
    let mut modes = shared.modes.subscribe();
    let (listens, doomed) = Default::default();
    let link = Link { shared, number, listens, doomed };
    tokio::select! {
        () = link.pass(client) => {}
        _ = modes.wait_for(|modes| modes.of(&link) == Mode::Cut) => {}
    }
}

impl Link {
    /// Passes bytes both ways until an end is closed or the connection is
    /// broken.
    async fn pass(&self, client: TcpStream) {
        let Ok(server) = TcpStream::connect(self.shared.server).await else { return };
        // What is small must not wait: tests measure in milliseconds.
        let _ = (client.set_nodelay(true), server.set_nodelay(true));
        let (from_client, to_client) = client.into_split();
        let (from_server, to_server) = server.into_split();
        tokio::select! {
            () = self.pass_requests(from_client, to_server) => {}
            () = self.pass_answers(from_server, to_client) => {}
        }
    }

    async fn pass_requests(&self, mut from: OwnedReadHalf, mut to: OwnedWriteHalf) {
        while let Some(bytes) = self.read(&mut from).await {
            if LISTENING.iter().any(|listening| holds(&bytes, listening)) {
                self.listens.store(true, Ordering::Relaxed);
            }
            self.doomed.fetch_or(self.shared.is_fatal(&bytes), Ordering::Relaxed);
            if !self.is_open(Mode::AnswersHeld).await || to.write_all(&bytes).await.is_err() {
                return;
            }
        }
    }

    async fn pass_answers(&self, mut from: OwnedReadHalf, mut to: OwnedWriteHalf) {
        while let Some(bytes) = self.read(&mut from).await {
            if self.doomed.load(Ordering::Relaxed) {
                return;
            }
            let held = Held::counted(&self.shared.held);
            let is_open = self.is_open(Mode::Open).await;
            drop(held);
            if !is_open || to.write_all(&(self.shared.filter)(&bytes)).await.is_err() {
                return;
            }
        }
    }

    async fn read(&self, from: &mut OwnedReadHalf) -> Option<Vec<u8>> {
        let mut buffer = vec![0; 1 << 16];
        let length @ 1.. = from.read(&mut buffer).await.ok()? else { return None };
        buffer.truncate(length);
        if self.shared.delay > Duration::ZERO {
            tokio::time::sleep(self.shared.delay).await;
        }
        Some(buffer)
    }

    /// Waits until the mode is `most` at most; not so where the connection is
    /// cut.
    async fn is_open(&self, most: Mode) -> bool {
        let mut modes = self.shared.modes.subscribe();
        let decided = |modes: &Modes| modes.of(self) <= most || modes.of(self) == Mode::Cut;
        modes.wait_for(decided).await.is_ok_and(|modes| modes.of(self) != Mode::Cut)
    }
}

/// Counts an answer for as long as it is held.
struct Held<'a>(&'a AtomicUsize);

impl<'a> Held<'a> {
    fn counted(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn holds(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}
