//! What the services for gateways share: the decision of
//! [`authenticate`](crate::authenticate), and what may be told of it.

use std::iter::{self, Chain, Once};
use std::option;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response};

use super::IdentityHeaders;
use crate::authenticate::{Authenticator, Pass, Question, Step};
use crate::denial::{Denial, DenialKind, Realm, Reason, Renderer, keep_the_head};
use crate::events;
use crate::identity::Identity;
use crate::method::Needed;

/// Stands for a method that is in doubt. No set of methods holds the empty
/// name, so the doubt is told, as 403, to the holder of a live token only.
const DOUBT: &str = "";

/// Whom the gateway may let through, as headers: the user and the slot of the
/// token, or that it is a preflight, which has no user.
pub(crate) struct Admission {
    pub(crate) user: Option<(HeaderName, HeaderValue)>,
    pub(crate) slot: (HeaderName, HeaderValue),
}

impl IntoIterator for Admission {
    type Item = (HeaderName, HeaderValue);
    type IntoIter = Chain<option::IntoIter<Self::Item>, Once<Self::Item>>;

    fn into_iter(self) -> Self::IntoIter {
        self.user.into_iter().chain(iter::once(self.slot))
    }
}

/// How far a decision has come without waiting.
pub(crate) enum GateStep {
    /// To its end.
    Done(Decided),
    /// A store has to be asked.
    Ask(Box<Question>),
}

/// A decision, and whose request it is about.
pub(crate) struct Decided {
    decision: Result<Pass, Box<Denial>>,
    identity: Option<Identity>,
}

/// Decides for a gateway.
#[derive(Clone, Debug)]
pub(crate) struct Gate {
    pub(crate) authenticator: Authenticator,
    renderer: Renderer,
    pub(crate) identity_headers: IdentityHeaders,
    /// Whether the gateway hands 400 on to its client.
    pub(crate) knows_400: bool,
}

impl Gate {
    pub(crate) fn new(authenticator: Authenticator) -> Self {
        // Then a pass without a user is a preflight's, and no other.
        let authenticator = authenticator.optional(false);
        let renderer = Renderer::new(&Realm::default(), authenticator.enabled_sources());
        let identity_headers = IdentityHeaders::default();
        Self { authenticator, renderer, identity_headers, knows_400: true }
    }

    pub(crate) fn set_realm(&mut self, realm: &Realm) {
        self.renderer = Renderer::new(realm, self.authenticator.enabled_sources());
    }

    /// Decides as far as that is possible without waiting. `method` is the
    /// client's, or `None` where it is in doubt.
    pub(crate) fn begin(&self, method: Option<&str>, headers: &mut HeaderMap) -> GateStep {
        let mut identity = None;
        let method = &Needed::named(method.unwrap_or(DOUBT));
        match self.authenticator.begin(method, headers, &mut identity) {
            Step::Settled(carrier) => {
                GateStep::Done(Decided { decision: Ok(Pass::settled(carrier)), identity })
            }
            Step::Done(decision) => GateStep::Done(Decided { decision, identity }),
            Step::Ask(question) => GateStep::Ask(question),
        }
    }

    /// Asks the store and decides by its answer.
    pub(crate) async fn ask(&self, question: Box<Question>, method: Option<&str>) -> Decided {
        let mut identity = None;
        let method = &Needed::named(method.unwrap_or(DOUBT));
        let found = self.authenticator.ask(&question).await;
        let decision = self.authenticator.conclude(&question, found, method, &mut identity);
        Decided { decision, identity }
    }

    /// Does what needs the whole request, and names who may pass.
    ///
    /// # Errors
    ///
    /// [`Denial`], also for an anonymous request that is no preflight: a gateway
    /// that is told no user may keep the one that the client claims to be. It
    /// repeats nothing of the request.
    pub(crate) fn settle(
        &self,
        decided: Decided,
        request: &mut Parts,
    ) -> Result<Admission, Denial> {
        let Decided { decision, identity } = decided;
        let settled = self.authenticator.settle(decision, identity.as_ref(), request);
        settled
            .map_err(|denial| self.told(&denial))
            .and_then(|_| self.admission(identity.as_ref()))
            .inspect(|_| events::passed(identity.as_ref().map(Identity::slot)))
            .inspect_err(events::denied)
    }

    fn admission(&self, identity: Option<&Identity>) -> Result<Admission, Denial> {
        match identity {
            Some(identity) => self.identity_headers.of(identity),
            None if self.authenticator.allow_preflight => Ok(self.identity_headers.of_preflight()),
            None => Err(Denial::because(DenialKind::MissingCredential, Reason::NoCredential)),
        }
    }

    /// The denial as the gateway can be told of it.
    fn told(&self, denial: &Denial) -> Denial {
        match denial.kind() {
            DenialKind::InvalidRequest(fault) if !self.knows_400 => {
                let reason = Some(fault.text());
                Denial { kind: DenialKind::InvalidToken, method: None, reason }
            }
            // An answer to a gateway repeats nothing of the request.
            _ => Denial { method: None, ..denial.clone() },
        }
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
