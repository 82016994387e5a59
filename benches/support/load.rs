//! A client that costs its processor less than a server costs another.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// Requests under way at any time, each on a connection of its own.
const CONNECTIONS: usize = 32;

/// Open connections to one server, and what to send over them.
pub(crate) struct Load {
    connections: Vec<TcpStream>,
    requests: Vec<Vec<u8>>,
    next: usize,
    /// As long as every response.
    response: Vec<u8>,
}

impl Load {
    pub(crate) fn new(address: SocketAddr, tokens: impl Iterator<Item = String>) -> Self {
        let connect = |_| {
            let stream = TcpStream::connect(address).expect("the server listens");
            stream.set_nodelay(true).expect("a TCP stream");
            stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a TCP stream");
            stream
        };
        let mut load = Self {
            connections: (0..CONNECTIONS).map(connect).collect(),
            requests: tokens.map(|token| request(&token)).collect(),
            next: 0,
            response: Vec::new(),
        };
        load.response = vec![0; load.first_response()];
        for connection in &load.connections {
            connection.set_nonblocking(true).expect("a TCP stream");
        }
        load
    }

    /// Sends one request and reads its response to learn how long they are.
    fn first_response(&mut self) -> usize {
        let mut response = vec![0; 4_096];
        self.connections[0].write_all(&self.requests[0]).expect("an open connection");
        let mut length = 0;
        while !is_complete(&response[..length]) {
            length += self.connections[0].read(&mut response[length..]).expect("a response");
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
            for place in 0..CONNECTIONS {
                if self.receive(place) {
                    self.send(place);
                    done += 1;
                }
            }
        }
        let rate = f64::from(done) / start.elapsed().as_secs_f64();
        for place in 0..CONNECTIONS {
            while !self.receive(place) {}
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
        match self.connections[place].read(&mut self.response) {
            Ok(length) => {
                assert_eq!(length, self.response.len(), "every response is as long");
                assert!(self.response.starts_with(b"HTTP/1.1 200 "), "a request was refused");
                true
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => false,
            Err(error) => panic!("{error}"),
        }
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
