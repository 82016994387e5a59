//! A TCP relay that a test can break in the ways in which networks break.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
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
}

impl Modes {
    fn of(self, listens: &AtomicBool) -> Mode {
        if listens.load(Ordering::Relaxed) { self.all.max(self.listeners) } else { self.all }
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
        let shared = Arc::new(Shared { server, modes, delay, fatal, filter });
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

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    while let Ok((client, _)) = listener.accept().await {
        tokio::spawn(connect(client, Arc::clone(&shared)));
    }
}

async fn connect(client: TcpStream, shared: Arc<Shared>) {
    let (mut modes, listens) = (shared.modes.subscribe(), AtomicBool::new(false));
    let passing = async {
        let Ok(server) = TcpStream::connect(shared.server).await else { return };
        // What is small must not wait: tests measure in milliseconds.
        let _ = (client.set_nodelay(true), server.set_nodelay(true));
        let (from_client, to_client) = client.into_split();
        let (from_server, to_server) = server.into_split();
        let doomed = watch::Sender::new(false);
        let requests =
            pass(from_client, to_server, &shared, &listens, Mode::AnswersHeld, |bytes| {
                if LISTENING.iter().any(|listening| holds(&bytes, listening)) {
                    listens.store(true, Ordering::Relaxed);
                }
                let mut fatal = shared.fatal.lock().unwrap();
                if fatal.is_some_and(|fatal| holds(&bytes, fatal)) {
                    *fatal = None;
                    doomed.send_replace(true);
                }
                Some(bytes)
            });
        let answers = pass(from_server, to_client, &shared, &listens, Mode::Open, |bytes| {
            (!*doomed.borrow()).then(|| (shared.filter)(&bytes))
        });
        tokio::select! { () = requests => {}, () = answers => {} }
    };
    tokio::select! {
        () = passing => {}
        _ = modes.wait_for(|modes| modes.of(&listens) == Mode::Cut) => {}
    }
}

fn holds(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

/// Passes bytes on while the mode is `most` at most, until an end is closed, the
/// connection is cut or `change` says so.
async fn pass(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    shared: &Shared,
    listens: &AtomicBool,
    most: Mode,
    change: impl Fn(Vec<u8>) -> Option<Vec<u8>>,
) {
    let mut modes = shared.modes.subscribe();
    let mut buffer = vec![0; 1 << 16];
    loop {
        let Ok(length @ 1..) = from.read(&mut buffer).await else { return };
        let Some(bytes) = change(buffer[..length].to_vec()) else { return };
        if shared.delay > Duration::ZERO {
            tokio::time::sleep(shared.delay).await;
        }
        let go_on = |modes: &Modes| modes.of(listens) <= most || modes.of(listens) == Mode::Cut;
        if !modes.wait_for(go_on).await.is_ok_and(|modes| modes.of(listens) != Mode::Cut) {
            return;
        }
        if to.write_all(&bytes).await.is_err() {
            return;
        }
    }
}
