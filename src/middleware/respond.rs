//! What the layer does to responses: renders denials, and marks what was
//! answered to a token.

use std::sync::Arc;
use std::{fmt, mem};

use bytes::Bytes;
use http::header::{CACHE_CONTROL, VARY, X_CONTENT_TYPE_OPTIONS};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response};

use crate::account::Slot;
use crate::authenticate::{Pass, as_sent, notices};
use crate::credentials::Sources;
use crate::denial::{Denial, Realm, Renderer, is_grpc, keep_the_head, render_grpc};
use crate::telemetry;
use crate::time::Timestamp;

/// A host's own rendering of denials.
type OnDenied = dyn Fn(&Denial, &Parts) -> Response<Bytes> + Send + Sync;

/// How responses are made, as the host has set it.
#[derive(Clone)]
pub(super) struct Responder {
    pub(super) realm: Realm,
    pub(super) grpc: bool,
    pub(super) backup_notice: bool,
    pub(super) on_denied: Option<(Arc<OnDenied>, Statuses)>,
}

/// Which statuses a host's own rendering may have.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Statuses {
    /// Those that cannot be taken for an approval: 300 to 599.
    NoApproval,
    Any,
}

impl Default for Responder {
    fn default() -> Self {
        Self { realm: Realm::default(), grpc: false, backup_notice: true, on_denied: None }
    }
}

impl Responder {
    /// The response to a denied request.
    pub(super) fn deny(
        &self,
        denial: Denial,
        request: &mut Parts,
        sources: &Sources,
    ) -> Response<Bytes> {
        telemetry::denied(&denial);
        let own = self.on_denied.as_ref().and_then(|(render, statuses)| {
            let response = as_sent(request, |request| render(&denial, request));
            let approval = !matches!(response.status().as_u16(), 300..=599);
            (*statuses == Statuses::Any || !approval).then_some(response)
        });
        let mut response = own.unwrap_or_else(|| self.render(&denial, request, sources));
        // A cache may keep a 404 or 410 of the host's own for every client.
        let headers = response.headers_mut();
        headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
        // Nor may a browser take the body of a denial for a page or a script.
        headers.entry(X_CONTENT_TYPE_OPTIONS).or_insert(HeaderValue::from_static("nosniff"));
        if request.method == Method::HEAD {
            keep_the_head(&mut response);
        }
        response.extensions_mut().insert(denial);
        response
    }

    fn render(&self, denial: &Denial, request: &Parts, sources: &Sources) -> Response<Bytes> {
        if self.grpc && is_grpc(&request.method, &request.headers) {
            return render_grpc(denial);
        }
        Renderer::new(&self.realm, sources).render(denial)
    }

    /// What is to be done to the response to a request that passed.
    #[inline(always)]
    pub(super) fn after(&self, pass: &Pass, sources: &Sources) -> After {
        let is_backup = self.backup_notice && pass.slot() == Some(Slot::Backup);
        let expires = pass.announced_end();
        match sources.host_header(pass.carrier) {
            None if expires.is_none() && !is_backup => After::Nothing,
            vary => After::Mark(Box::new(Marks { is_backup, expires, vary: vary.cloned() })),
        }
    }
}

impl fmt::Debug for Responder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Responder")
            .field("realm", &self.realm)
            .field("grpc", &self.grpc)
            .field("backup_notice", &self.backup_notice)
            .finish_non_exhaustive()
    }
}

/// What is to be done to the inner service's response.
#[derive(Debug, Default)]
pub(super) enum After {
    #[default]
    Nothing,
    /// Boxed, since few requests have one and each future is moved.
    Mark(Box<Marks>),
}

/// What a response says of the token of its request.
#[derive(Debug)]
pub(super) struct Marks {
    /// That it was the backup.
    is_backup: bool,
    /// When it is going to end.
    expires: Option<Timestamp>,
    /// The header that carried it, if that is one which caches do not know: RFC 9111
    /// section 3.5 protects `Authorization` alone.
    vary: Option<HeaderName>,
}

impl After {
    /// Does it.
    #[inline(always)]
    pub(super) fn apply<B>(&mut self, response: &mut Response<B>) {
        if let Self::Mark(_) = self {
            self.mark(response.headers_mut());
        }
    }

    #[cold]
    fn mark(&mut self, headers: &mut HeaderMap) {
        let Self::Mark(marks) = mem::take(self) else { return };
        let Marks { is_backup, expires, vary } = *marks;
        // Over what the handler says under these names.
        for (name, value) in notices(is_backup, expires) {
            headers.insert(name, value);
        }
        if let Some(header) = vary {
            keep_from_shared_caches(headers, header);
        }
    }
}

/// Says that the response is for this client alone, unless the handler has said
/// otherwise, and that it depends on the header `name`.
fn keep_from_shared_caches(headers: &mut HeaderMap, name: HeaderName) {
    if !headers.contains_key(CACHE_CONTROL) {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("private"));
    }
    if !headers.get_all(VARY).iter().any(|value| names(value, &name)) {
        headers.append(VARY, HeaderValue::from(name));
    }
}

/// Whether a `Vary` line names the header, or all of them (RFC 9110 section
/// 12.5.5).
fn names(vary: &HeaderValue, name: &HeaderName) -> bool {
    let mut members = vary.as_bytes().split(|&byte| byte == b',').map(<[u8]>::trim_ascii);
    members.any(|member| member == b"*" || member.eq_ignore_ascii_case(name.as_str().as_bytes()))
}
