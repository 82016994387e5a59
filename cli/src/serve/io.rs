//! A connection, whatever carries it.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, BufReader, ReadBuf};
use tokio::time::{Sleep, sleep};

use super::progress::Progress;

/// What carries bytes both ways.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// How many bytes are looked at before they are handed on.
const AHEAD: usize = 4 * 1_024;

/// How much is still taken when all is said, and for how long: more than gateways
/// send as one head.
const MOST_BYTES: usize = 2 << 20;
const LONGEST: Duration = Duration::from_secs(1);

/// A connection that notes when bytes have come in. No read goes beyond an empty
/// line or the end of a body: nobody gets the end of one thing and the beginning
/// of the next in the same read.
pub(super) struct Watched {
    stream: BufReader<Box<dyn Stream>>,
    line: Line,
    progress: Arc<Progress>,
    /// Runs once all is said.
    lingers: Option<Lingers>,
}

/// What is still taken of a peer that goes on to send, and thrown away: were the
/// connection closed at once, it might fail to send and never read its answer.
struct Lingers {
    end: Pin<Box<Sleep>>,
    bytes: usize,
}

impl Lingers {
    fn new() -> Self {
        Self { end: Box::pin(sleep(LONGEST)), bytes: MOST_BYTES }
    }

    /// Waits until the peer has closed the connection, too, or taken too long.
    fn poll(&mut self, stream: &mut BufReader<Box<dyn Stream>>, cx: &mut Context<'_>) -> Poll<()> {
        while let Poll::Ready(bytes) = Pin::new(&mut *stream).poll_fill_buf(cx) {
            let length = bytes.map_or(0, <[u8]>::len);
            if length == 0 || length > self.bytes {
                return Poll::Ready(());
            }
            self.bytes -= length;
            Pin::new(&mut *stream).consume(length);
        }
        self.end.as_mut().poll(cx)
    }
}

impl Watched {
    pub(super) fn new(stream: Box<dyn Stream>, progress: Arc<Progress>) -> Self {
        let stream = BufReader::with_capacity(AHEAD, stream);
        Self { stream, line: Line::default(), progress, lingers: None }
    }
}

/// Where in a line the bytes so far end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Line {
    #[default]
    Within,
    /// Nothing of the line is there, but perhaps a carriage return.
    Begins,
    /// It was empty.
    Empty,
}

impl Line {
    fn with(self, byte: u8) -> Self {
        match (self, byte) {
            (Self::Within, b'\n') => Self::Begins,
            (Self::Begins | Self::Empty, b'\n') => Self::Empty,
            (Self::Begins | Self::Empty, b'\r') => Self::Begins,
            _ => Self::Within,
        }
    }

    /// Goes on through the bytes to the end of an empty line: how many they are.
    fn advance(&mut self, bytes: &[u8]) -> usize {
        for (index, byte) in bytes.iter().enumerate() {
            *self = self.with(*byte);
            if *self == Self::Empty {
                return index + 1;
            }
        }
        bytes.len()
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Self { stream, line, progress, .. } = self.get_mut();
        let bytes = ready!(Pin::new(&mut *stream).poll_fill_buf(cx))?;
        let bytes = &bytes[..bytes.len().min(buffer.remaining())];
        let length = match progress.body() {
            Some(left) => bytes.len().min(left),
            None => line.advance(bytes),
        };
        if length > 0 {
            buffer.put_slice(&bytes[..length]);
            Pin::new(stream).consume(length);
            progress.received(length as u64, *line == Line::Empty);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { stream, lingers, .. } = self.get_mut();
        if lingers.is_none() {
            ready!(Pin::new(&mut *stream).poll_shutdown(cx))?;
        }
        lingers.get_or_insert_with(Lingers::new).poll(stream, cx).map(Ok)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::super::progress::Limits;
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn whoever_is_answered_before_all_is_sent_can_send_it_and_read_the_answer() {
        let limits = Limits { head: LONGEST, idle: LONGEST, response: LONGEST };
        let (mut peer, stream) = duplex(64);
        let mut watched = Watched::new(Box::new(stream), Arc::new(Progress::new(limits)));
        let answered = tokio::spawn(async move {
            watched.write_all(b"too long").await.unwrap();
            watched.shutdown().await
        });
        peer.write_all(&vec![b'a'; MOST_BYTES / 2]).await.expect("it is taken");
        let mut answer = String::new();
        peer.read_to_string(&mut answer).await.unwrap();
        assert_eq!(answer, "too long");
        assert!(!answered.is_finished(), "the peer may go on to send");
        peer.write_all(b"a").await.expect("it is taken");
        // Who neither sends nor closes is not waited for any longer.
        answered.await.unwrap().unwrap();
        assert!(peer.write_all(&[b'a'; 65]).await.is_err());
    }

    #[test]
    fn a_read_ends_with_an_empty_line() {
        let parts = |bytes: &[u8]| {
            let (mut line, mut rest, mut parts) = (Line::default(), bytes, Vec::new());
            while !rest.is_empty() {
                let (part, further) = rest.split_at(line.advance(rest));
                parts.push((part.len(), line == Line::Empty));
                rest = further;
            }
            parts
        };
        assert_eq!(parts(b"GET / HTTP/1.1\r\na: b\r\n\r\nGET"), [(24, true), (3, false)]);
        assert_eq!(parts(b"a\n\nb\n"), [(3, true), (2, false)]);
        assert_eq!(parts(b"a\r\n\r\n\r\n\n"), [(5, true), (2, true), (1, true)]);
        assert_eq!(parts(b"a\r\nb\r\n"), [(6, false)]);
    }
}
