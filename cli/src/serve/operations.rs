//! What operators ask: whether the process lives, whether it can decide, and
//! its metrics. On a listener of its own, without authentication.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body::Body as _;
use http_body_util::Full;
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use tower_api_token::metrics as measure;

use super::ServeError;
use super::body::RequestBody;
use super::listener::Answers;
use super::readiness::Readiness;

/// How often old samples are thrown away.
const UPKEEP: Duration = Duration::from_secs(5);

/// The format that [`PrometheusHandle::render`] writes.
const EXPOSITION: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The buckets of a store's times, from a look-up in memory to the longest
/// time-out.
const SECONDS: [f64; 12] =
    [0.000_1, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2.0, 10.0];

/// The buckets of how many last uses are written at once.
const SIZES: [f64; 6] = [1.0, 10.0, 100.0, 1_000.0, 10_000.0, 100_000.0];

/// Has everything that is measured from now on collected.
pub(super) fn record() -> Result<PrometheusHandle, ServeError> {
    let failed = |error: BuildError| ServeError::Metrics(error.to_string());
    let builder = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Full("tower_api_token_store_seconds".into()), &SECONDS)
        .and_then(|builder| {
            let sizes = Matcher::Full("tower_api_token_usage_flush_size".into());
            builder.set_buckets_for_metric(sizes, &SIZES)
        });
    let handle = builder.and_then(PrometheusBuilder::install_recorder).map_err(failed)?;
    measure::describe();
    let kept = handle.clone();
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(UPKEEP).await;
            kept.run_upkeep();
        }
    });
    Ok(handle)
}

/// Answers operators.
pub(super) struct Operations {
    metrics: PrometheusHandle,
    readiness: Arc<Readiness>,
}

impl Operations {
    pub(super) fn new(metrics: PrometheusHandle, readiness: Arc<Readiness>) -> Self {
        Self { metrics, readiness }
    }

    async fn answer(&self, request: &Request<RequestBody>) -> Response<Full<Bytes>> {
        if request.method() != Method::GET && request.method() != Method::HEAD {
            let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "GET or HEAD\n");
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return response;
        }
        match request.uri().path() {
            "/health" => text(StatusCode::OK, "alive\n"),
            "/ready" => match self.readiness.ask().await {
                Ok(()) => text(StatusCode::OK, "ready\n"),
                Err(problem) => text(StatusCode::SERVICE_UNAVAILABLE, format!("{problem}\n")),
            },
            "/metrics" => {
                let mut response = {
                    // What requests have counted up to now.
                    measure::report();
                    text(StatusCode::OK, self.metrics.render())
                };
                let exposition = HeaderValue::from_static(EXPOSITION);
                response.headers_mut().insert(CONTENT_TYPE, exposition);
                response
            }
            _ => text(StatusCode::NOT_FOUND, "/health, /ready or /metrics\n"),
        }
    }
}

/// The service of the listener.
pub(super) fn service(operations: Operations) -> impl Answers<Full<Bytes>> {
    let operations = Arc::new(operations);
    hyper::service::service_fn(move |request: Request<RequestBody>| {
        let operations = Arc::clone(&operations);
        async move {
            let response = operations.answer(&request).await;
            let is_head = request.method() == Method::HEAD;
            Ok::<_, Infallible>(if is_head { without_body(response) } else { response })
        }
    })
}

/// Over HTTP/2 a body in the answer to HEAD would break the stream.
fn without_body(response: Response<Full<Bytes>>) -> Response<Full<Bytes>> {
    let length = response.size_hint().exact();
    let mut response = response.map(|_| Full::default());
    if let Some(length) = length {
        response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    response
}

fn text(status: StatusCode, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
