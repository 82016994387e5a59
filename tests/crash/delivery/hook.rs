//! A webhook's receiver, which keeps the book of what comes.

use std::collections::HashSet;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tower_api_token::audit::AuditEntry;

use crate::random::Random;

/// How long a moody receiver is in the same mood.
const TURN: Duration = Duration::from_secs(2);

/// What becomes of one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Taken,
    /// Answered with 500.
    Refused,
    /// The connection is closed without an answer.
    HungUp,
    /// There is no answer as long as the connection lasts.
    Hung,
}

/// One message that has come.
pub(crate) struct Arrival {
    pub(crate) id: String,
    pub(crate) entry: AuditEntry,
    pub(crate) fate: Fate,
}

pub(crate) struct Hook {
    pub(crate) address: SocketAddr,
    arrivals: Mutex<Vec<Arrival>>,
    moods: AtomicBool,
    start: Instant,
    random: Mutex<Random>,
}

impl Hook {
    /// One that takes everything, or by turns refuses a third, hangs up on a third and
    /// lets a tenth hang.
    pub(crate) async fn start(moods: bool, seed: u64) -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let hook = Arc::new(Self {
            address: listener.local_addr().unwrap(),
            arrivals: Mutex::default(),
            moods: moods.into(),
            start: Instant::now(),
            random: Mutex::new(Random::new(seed)),
        });
        let this = Arc::clone(&hook);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let this = Arc::clone(&this);
                // A sender that is killed breaks its connection anywhere.
                tokio::spawn(async move { this.receive(stream).await });
            }
        });
        hook
    }

    /// Takes everything from now on.
    pub(crate) fn calm_down(&self) {
        self.moods.store(false, Ordering::SeqCst);
    }

    /// How many entries it has taken.
    pub(crate) fn has_taken(&self) -> usize {
        let arrivals = self.arrivals.lock().unwrap();
        let taken = arrivals.iter().filter(|arrival| arrival.fate == Fate::Taken);
        taken.map(|arrival| arrival.id.as_str()).collect::<HashSet<_>>().len()
    }

    pub(crate) fn with_arrivals<T>(&self, look: impl FnOnce(&[Arrival]) -> T) -> T {
        look(&self.arrivals.lock().unwrap())
    }

    async fn receive(&self, stream: TcpStream) -> io::Result<()> {
        let mut stream = BufReader::new(stream);
        let (id, body) = read(&mut stream).await?;
        let document: serde_json::Value = serde_json::from_slice(&body).unwrap();
        let entry = serde_json::from_value(document["data"].clone()).unwrap();
        let fate = self.fate();
        self.arrivals.lock().unwrap().push(Arrival { id, entry, fate });
        let status = match fate {
            Fate::Taken => "204 No Content",
            Fate::Refused => "500 Internal Server Error",
            Fate::HungUp => return Ok(()),
            Fate::Hung => return stream.read_to_end(&mut Vec::new()).await.map(drop),
        };
        let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        stream.write_all(answer.as_bytes()).await?;
        stream.shutdown().await
    }

    fn fate(&self) -> Fate {
        if !self.moods.load(Ordering::SeqCst) {
            return Fate::Taken;
        }
        let turn = self.start.elapsed().as_millis() / TURN.as_millis();
        let (fate, part) = match turn % 4 {
            1 => (Fate::Refused, 1.0 / 3.0),
            2 => (Fate::HungUp, 1.0 / 3.0),
            3 => (Fate::Hung, 0.1),
            _ => return Fate::Taken,
        };
        if self.random.lock().unwrap().part() < part { fate } else { Fate::Taken }
    }
}

/// The id of a message, and its body.
async fn read(stream: &mut BufReader<TcpStream>) -> io::Result<(String, Vec<u8>)> {
    let (mut id, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        match line.trim_end().split_once(": ") {
            Some(("webhook-id", value)) => id = value.to_owned(),
            Some(("content-length", value)) => length = value.parse().unwrap(),
            _ if line == "\r\n" => break,
            _ => {}
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    Ok((id, body))
}
