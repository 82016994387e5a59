//! What the services for gateways share: the decision of
//! [`authenticate`](crate::authenticate), and what may be told of it.

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response};

use super::IdentityHeaders;
use crate::authenticate::{Authenticator, Pass, Question, Step};
use crate::denial::{Denial, DenialKind, Realm, Renderer, keep_the_head};
use crate::events;

/// Stands for a method that is in doubt. No set of methods holds the empty
/// name, so the doubt is told, as 403, to the holder of a live token only.
const DOUBT: &str = "";

/// A user that the gateway may let through, as headers.
pub(crate) type Admission = [(HeaderName, HeaderValue); 2];

/// Decides for a gateway.
#[derive(Clone, Debug)]
pub(crate) struct Gate {
    pub(crate) authenticator: Authenticator,
    renderer: Renderer,
    pub(crate) identity_headers: IdentityHeaders,
}

impl Gate {
    pub(crate) fn new(authenticator: Authenticator) -> Self {
        let renderer = Renderer::new(&Realm::default(), authenticator.enabled_sources());
        Self { authenticator, renderer, identity_headers: IdentityHeaders::default() }
    }

    pub(crate) fn set_realm(&mut self, realm: &Realm) {
        self.renderer = Renderer::new(realm, self.authenticator.enabled_sources());
    }

    /// Decides as far as that is possible without waiting. `method` is the
    /// client's, or `None` where it is in doubt.
    pub(crate) fn begin(&self, method: Option<&str>, headers: &mut HeaderMap) -> Step {
        self.authenticator.begin(method.unwrap_or(DOUBT), headers)
    }

    /// Asks the store and decides by its answer.
    pub(crate) async fn ask(
        &self,
        question: Question,
        method: Option<&str>,
    ) -> Result<Pass, Denial> {
        let found = question.ask(&**self.authenticator.store()).await;
        self.authenticator.conclude(&question, found, method.unwrap_or(DOUBT))
    }

    /// Does what needs the whole request, and names who may pass.
    ///
    /// # Errors
    ///
    /// [`Denial`], also for an anonymous request: a gateway that is told no
    /// user may keep the one that the client claims to be. It repeats nothing
    /// of the request.
    pub(crate) fn settle(
        &self,
        decision: Result<Pass, Denial>,
        request: &Parts,
    ) -> Result<Admission, Denial> {
        let pass = self.authenticator.settle(decision, request);
        let identity = pass
            .and_then(|pass| pass.identity.ok_or(Denial::new(DenialKind::MissingCredential)))
            .map_err(|denial| Denial::new(denial.kind()));
        identity
            .and_then(|identity| self.identity_headers.of(&identity))
            .inspect_err(events::denied)
    }

    /// The denial as HTTP says it, to a request with that method.
    pub(crate) fn render(&self, denial: &Denial, method: &Method) -> Response<Bytes> {
        let mut response = self.renderer.render(denial);
        if method == Method::HEAD {
            keep_the_head(&mut response);
        }
        response
    }
}
