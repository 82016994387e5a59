//! What Envoy is told. A [`Verdict`] has no default, and only one is ever
//! encoded: an empty `CheckResponse` would be an approval.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{BufMut, Bytes, BytesMut};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use http_body::{Body, Frame};
use prost::Message;
use tonic::Status;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};

use super::message::{
    CheckRequest, CheckResponse, DeniedHttpResponse, HeaderLine, HeaderValueOption, HttpResponse,
    HttpStatus, OkHttpResponse, Status as RpcStatus,
};
use crate::denial::{Denial, grpc};
use crate::forward_auth::gateway::Admission;

/// The gRPC status code that lets a request pass.
const OK: u16 = 0;

/// Those of a check that is refused without a decision.
const INVALID_ARGUMENT: u16 = 3;
const PERMISSION_DENIED: u16 = 7;
const UNAVAILABLE: u16 = 14;
const UNAUTHENTICATED: u16 = 16;

/// The outcome of a check.
pub(super) enum Verdict {
    Allowed {
        admission: Admission,
        /// Headers that the upstream must not see.
        remove: Vec<String>,
    },
    Denied {
        denial: Denial,
        /// What the client shall see.
        response: Response<Bytes>,
    },
}

impl From<Verdict> for CheckResponse {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Allowed { mut admission, remove } => {
                let notices = std::mem::take(&mut admission.notices).into_iter().collect();
                let headers = admission.into_iter().collect();
                let ok = OkHttpResponse {
                    headers: options(&headers),
                    headers_to_remove: remove,
                    response_headers_to_add: options(&notices),
                };
                Self::of(OK, "", HttpResponse::Ok(ok))
            }
            Verdict::Denied { denial, response } => {
                let denied = HttpResponse::Denied(denied(&response));
                Self::of(grpc::status(denial.kind()), denial.detail(), denied)
            }
        }
    }
}

impl CheckResponse {
    fn of(code: u16, message: &str, response: HttpResponse) -> Self {
        let status = RpcStatus { code: code.into(), message: message.to_owned() };
        Self { status: Some(status), http_response: Some(response) }
    }
}

/// The gRPC answer that has Envoy show the client this response.
pub(super) fn denied_by(mut response: Response<Bytes>) -> Response<tonic::body::Body> {
    if !matches!(response.status().as_u16(), 300..=599) {
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    }
    let code = match response.status() {
        StatusCode::BAD_REQUEST => INVALID_ARGUMENT,
        StatusCode::UNAUTHORIZED => UNAUTHENTICATED,
        status if status.is_server_error() => UNAVAILABLE,
        _ => PERMISSION_DENIED,
    };
    let denied = HttpResponse::Denied(denied(&response));
    let check = CheckResponse::of(code, "the check was refused", denied);
    let mut answer = Response::new(tonic::body::Body::new(OneMessage::new(&check)));
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    answer
}

fn denied(response: &Response<Bytes>) -> DeniedHttpResponse {
    let status = HttpStatus { code: response.status().as_u16().into() };
    DeniedHttpResponse {
        status: Some(status),
        headers: options(response.headers()),
        body: String::from_utf8_lossy(response.body()).into_owned(),
    }
}

/// One option for each name, which replaces what is there: lines of one name
/// are joined by commas, as RFC 9110 section 5.3 allows.
fn options(headers: &HeaderMap) -> Vec<HeaderValueOption> {
    let option = |name: &str| {
        let lines = headers.get_all(name).iter().map(http::HeaderValue::as_bytes);
        let value = lines.collect::<Vec<_>>().join(&b", "[..]);
        let value = String::from_utf8_lossy(&value).into_owned().into_bytes();
        let header = HeaderLine { key: name.into(), value, raw_value: Vec::new() };
        HeaderValueOption { header: Some(header), append: Some(false) }
    };
    headers.keys().map(|name| option(name.as_str())).collect()
}

/// Reads checks and writes verdicts.
pub(super) struct CheckCodec;

impl Codec for CheckCodec {
    type Encode = Verdict;
    type Decode = CheckRequest;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for CheckCodec {
    type Item = Verdict;
    type Error = Status;

    fn encode(&mut self, verdict: Verdict, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        let encoded = CheckResponse::from(verdict).encode(buffer);
        encoded.map_err(|_| Status::internal("the answer could not be written"))
    }
}

impl Decoder for CheckCodec {
    type Item = CheckRequest;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<CheckRequest>, Status> {
        let check = CheckRequest::decode(buffer);
        check.map(Some).map_err(|_| Status::invalid_argument("the check cannot be read"))
    }
}

/// One message that is not compressed, and the trailers that say all is well.
struct OneMessage {
    message: Option<Bytes>,
    trailers: Option<HeaderMap>,
}

impl OneMessage {
    fn new(message: &impl Message) -> Self {
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
