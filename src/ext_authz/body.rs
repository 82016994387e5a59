//! A gRPC answer of one message that is known at once.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue};
use http_body::{Body, Frame};
use prost::Message;

/// One message that is not compressed, and the trailers that say all is well.
pub(super) struct OneMessage {
    message: Option<Bytes>,
    trailers: Option<HeaderMap>,
}

impl OneMessage {
    pub(super) fn new(message: &impl Message) -> Self {
        let encoded = message.encode_to_vec();
        let mut framed = BytesMut::with_capacity(encoded.len() + 5);
        framed.put_u8(0);
        framed.put_u32(u32::try_from(encoded.len()).unwrap_or(u32::MAX));
        framed.put_slice(&encoded);
        let status = HeaderName::from_static("grpc-status");
        let trailers = HeaderMap::from_iter([(status, HeaderValue::from_static("0"))]);
        Self { message: Some(framed.freeze()), trailers: Some(trailers) }
    }
}

impl Body for OneMessage {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let message = self.message.take().map(Frame::data);
        Poll::Ready(message.or_else(|| self.trailers.take().map(Frame::trailers)).map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        self.trailers.is_none()
    }
}
