//! The API behind the gateway: it records what reaches it, and answers as it is
//! told.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, Uri};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

/// A request that reached the API.
#[derive(Debug)]
pub(crate) struct Reached {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Reached {
    /// The values of every header whose name reads as `name` once underscores
    /// and dots count as hyphens.
    pub(crate) fn read_as(&self, name: &str) -> Vec<&str> {
        let folded = |own: &str| own.replace(['_', '.'], "-");
        let headers = self.headers.iter().filter(|(own, _)| folded(own.as_str()) == name);
        headers.map(|(_, value)| value.to_str().unwrap()).collect()
    }
}

/// The API.
#[derive(Clone)]
pub(crate) struct Api {
    pub(crate) address: SocketAddr,
    reached: Arc<Mutex<Vec<Reached>>>,
    answers: Arc<Mutex<Answers>>,
}

/// How it answers.
#[derive(Clone)]
struct Answers {
    status: u16,
    headers: HeaderMap,
}

impl Api {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let answers = Answers { status: 200, headers: HeaderMap::new() };
        let (reached, answers) = (Arc::default(), Arc::new(Mutex::new(answers)));
        let api = Self { address, reached, answers };
        let serving = api.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let api = serving.clone();
                let service = service_fn(move |request| api.clone().answer(request));
                let mut http = hyper::server::conn::http1::Builder::new();
                http.max_headers(10_000);
                tokio::spawn(http.serve_connection(TokioIo::new(stream), service));
            }
        });
        api
    }

    async fn answer(self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
        let (head, body) = request.into_parts();
        let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
        let body = String::from_utf8(body.to_vec()).unwrap();
        let reached = Reached { method: head.method, uri: head.uri, headers: head.headers, body };
        self.reached.lock().unwrap().push(reached);
        let Answers { status, headers } = self.answers.lock().unwrap().clone();
        let mut response = Response::builder().status(status).header("x-reached", "1");
        response.headers_mut().unwrap().extend(headers);
        Ok(response.body(Full::from("from the api")).unwrap())
    }

    /// It answers with this status and these headers from now on.
    pub(crate) fn answer_with(&self, status: u16, headers: &[(&'static str, &'static str)]) {
        let line =
            |&(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value));
        let headers = headers.iter().map(line).collect();
        *self.answers.lock().unwrap() = Answers { status, headers };
    }

    /// What has reached the API since the last call.
    pub(crate) fn reached(&self) -> Vec<Reached> {
        std::mem::take(&mut self.reached.lock().unwrap())
    }
}
