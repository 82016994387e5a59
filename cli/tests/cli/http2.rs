//! HTTP/2 in bytes, whole or not.

use std::io::Read;
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// A connection, whose reads have a limit.
pub(crate) trait Silent: Read {
    fn wait_at_most(&self, limit: Duration);
}

impl Silent for TcpStream {
    fn wait_at_most(&self, limit: Duration) {
        self.set_read_timeout(Some(limit)).unwrap();
    }
}

impl Silent for UnixStream {
    fn wait_at_most(&self, limit: Duration) {
        self.set_read_timeout(Some(limit)).unwrap();
    }
}

pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A frame of HTTP/2.
pub(crate) fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags, 0, 0, 0, stream], payload].concat()
}

pub(crate) const HEADERS: u8 = 1;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const CONTINUATION: u8 = 9;
pub(crate) const END_HEADERS: u8 = 4;
pub(crate) const END_STREAM: u8 = 1;

fn literal(name: &str, value: &str) -> Vec<u8> {
    let text = |text: &str| [&[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
    [vec![0], text(name), text(value)].concat()
}

/// The head of a check by gRPC.
pub(crate) fn check_head() -> Vec<u8> {
    let path = "/envoy.service.auth.v3.Authorization/Check";
    [
        // POST over http.
        vec![0x83, 0x86],
        literal(":path", path),
        literal(":authority", "localhost"),
        literal("content-type", "application/grpc"),
        literal("te", "trailers"),
    ]
    .concat()
}

/// A whole request over HTTP/2, whose peer takes no byte of the body of its
/// response.
pub(crate) fn request_without_window() -> Vec<u8> {
    let no_window = frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]);
    let head = [vec![0x82, 0x86], literal(":path", "/health"), literal(":authority", "localhost")];
    let ends = END_HEADERS | END_STREAM;
    [PREFACE, &no_window, &frame(HEADERS, ends, 1, &head.concat())].concat()
}

/// Waits until the answer on the first stream has begun.
pub(crate) fn answer_begins(stream: &mut impl Silent) {
    stream.wait_at_most(Duration::from_secs(20));
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).expect("an answer on the stream");
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        std::io::copy(&mut stream.take(length.into()), &mut std::io::sink()).unwrap();
        // HEADERS or RST_STREAM.
        if head[8] == 1 && [1, 3].contains(&head[3]) {
            return;
        }
    }
}
