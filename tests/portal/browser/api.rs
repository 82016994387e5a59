//! The REST API of the host, as a program calls it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

/// What the API says to a request with a token: its status, and the slot of the
/// token if it says so.
pub(crate) fn call(address: SocketAddr, method: &str, token: &str) -> (u16, String) {
    let request = format!(
        "{method} /api/items HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\n\
         User-Agent: fruit-client/1.0\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    );
    let answer = send(address, &request);
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    let slot = answer.lines().find_map(|line| line.strip_prefix("api-token-slot: "));
    (status.expect("a status"), slot.unwrap_or_default().to_owned())
}

/// Sends a request as it is written, and gives the whole answer.
pub(crate) fn send(address: SocketAddr, request: &str) -> String {
    let mut connection = TcpStream::connect(address).expect("a connection");
    connection.write_all(request.as_bytes()).expect("it is sent");
    let mut answer = String::new();
    connection.read_to_string(&mut answer).expect("an answer");
    answer
}

/// The status for a reading.
pub(crate) fn get(address: SocketAddr, token: &str) -> u16 {
    call(address, "GET", token).0
}
