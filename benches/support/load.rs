//! A client that costs its processor less than a server costs another.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// Requests under way at any time, each on a connection of its own.
const CONNECTIONS: usize = 32;

/// How long a response may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Open connections to one server, and what to send over them.
pub(crate) struct Load {
    connections: Vec<TcpStream>,
    requests: Vec<Vec<u8>>,
    next: usize,
    /// As long as every response.
    response: Vec<u8>,
    /// What else the thread of this client does, over and over.
    beside: Box<dyn FnMut()>,
}

impl Load {
    pub(crate) fn new(
        address: SocketAddr,
        tokens: impl Iterator<Item = String>,
        beside: impl FnMut() + 'static,
    ) -> Self {
        let connect = |_| {
            let stream = TcpStream::connect(address).expect("the server listens");
            stream.set_nodelay(true).expect("a TCP stream");
            stream.set_nonblocking(true).expect("a TCP stream");
            stream
        };
        let mut load = Self {
            connections: (0..CONNECTIONS).map(connect).collect(),
            requests: tokens.map(|token| request(&token)).collect(),
            next: 0,
            response: Vec::new(),
            beside: Box::new(beside),
        };
        load.response = vec![0; load.first_response()];
        load
    }

    /// Sends one request and reads its response to learn how long they are.
    fn first_response(&mut self) -> usize {
        self.send(0);
        let (begun, mut response, mut length) = (Instant::now(), vec![0; 4_096], 0);
        while !is_complete(&response[..length]) {
            assert!(begun.elapsed() < PATIENCE, "no response");
            (self.beside)();
            length += read(&mut self.connections[0], &mut response[length..]);
        }
        length
    }

    /// Keeps every connection busy for so long; requests per second.
    pub(crate) fn run(&mut self, time: Duration) -> f64 {
        for place in 0..CONNECTIONS {
            self.send(place);
        }
        let (start, mut done) = (Instant::now(), 0);
        while start.elapsed() < time {
            (self.beside)();
            for place in 0..CONNECTIONS {
                if self.receive(place) {
                    self.send(place);
                    done += 1;
                }
            }
        }
        let rate = f64::from(done) / start.elapsed().as_secs_f64();
        for place in 0..CONNECTIONS {
            while !self.receive(place) {
                assert!(start.elapsed() < time + PATIENCE, "no response");
                (self.beside)();
            }
        }
        rate
    }

    fn send(&mut self, place: usize) {
        self.next = (self.next + 1) % self.requests.len();
        self.connections[place].write_all(&self.requests[self.next]).expect("an open connection");
    }

    /// Whether a response is there. It never sleeps: the server would pay for
    /// waking it, and the more often the slower it is.
    fn receive(&mut self, place: usize) -> bool {
        let length = read(&mut self.connections[place], &mut self.response);
        if length > 0 {
            assert_eq!(length, self.response.len(), "every response is as long");
            assert!(self.response.starts_with(b"HTTP/1.1 200 "), "a request was refused");
        }
        length > 0
    }
}

/// What is there, if anything is.
fn read(connection: &mut TcpStream, into: &mut [u8]) -> usize {
    match connection.read(into) {
        Ok(0) => panic!("the server has closed the connection"),
        Ok(length) => length,
        Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
        Err(error) => panic!("{error}"),
    }
}

fn is_complete(response: &[u8]) -> bool {
    let text = String::from_utf8_lossy(response);
    text.split_once("\r\n\r\n").is_some_and(|(_, body)| body.ends_with('}'))
}

/// Eight headers, as a program behind a proxy sends them.
fn request(token: &str) -> Vec<u8> {
    let headers = [
        "host: api.example.com",
        "user-agent: reqwest/0.12.9",
        "accept: application/json",
        "accept-encoding: gzip, br",
        &format!("authorization: Bearer {token}"),
        "content-type: application/json",
        "x-request-id: 5f2b8c1e-9d7a-4650-b1c2-d3e4f5a69788",
        "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    ];
    format!("GET /items HTTP/1.1\r\n{}\r\n\r\n", headers.join("\r\n")).into_bytes()
}
