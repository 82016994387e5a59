//! The API behind nginx, on the thread of the client: there it takes no turn
//! that the client would need, so that nothing but nginx and the endpoint holds
//! a request up.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\
    content-length: 26\r\n\r\n{\"items\":[\"apple\",\"pear\"]}";

pub(crate) struct Api {
    listener: TcpListener,
    connections: Vec<TcpStream>,
}

impl Api {
    pub(crate) fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.set_nonblocking(true).expect("a TCP listener");
        Self { listener, connections: Vec::new() }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.listener.local_addr().expect("an address")
    }

    /// Answers every request that is there, and waits for none.
    pub(crate) fn answer(&mut self) {
        if let Ok((stream, _)) = self.listener.accept() {
            stream.set_nonblocking(true).expect("a TCP stream");
            stream.set_nodelay(true).expect("a TCP stream");
            self.connections.push(stream);
        }
        self.connections.retain_mut(is_open);
    }
}

/// Answers the request that came over a connection, if one did.
fn is_open(connection: &mut TcpStream) -> bool {
    let mut request = [0; 2_048];
    match connection.read(&mut request) {
        Ok(0) => false,
        Ok(length) => {
            assert!(request[..length].ends_with(b"\r\n\r\n"), "a request comes in one piece");
            connection.write_all(ANSWER).expect("an open connection");
            true
        }
        Err(error) => error.kind() == ErrorKind::WouldBlock,
    }
}
