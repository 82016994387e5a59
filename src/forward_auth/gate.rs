//! What the services for gateways share: the decision of
//! [`authenticate`](crate::authenticate), and what may be told of it.

use std::iter::{self, Chain, Once};
use std::option;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderName, HeaderValue, Method, Response};

use super::IdentityHeaders;
use crate::authenticate::Identity;
use crate::authenticate::{Authenticator, Decision};
use crate::denial::{Denial, DenialKind, Realm, Reason, Renderer, keep_the_head};
use crate::telemetry;

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

    /// Does what needs the whole request, and names who may pass.
    ///
    /// # Errors
    ///
    /// [`Denial`], also for an anonymous request that is no preflight: a gateway
    /// that is told no user may keep the one that the client claims to be. It
    /// repeats nothing of the request.
    pub(crate) fn finish(
        &self,
        decision: Decision,
        request: &mut Parts,
    ) -> Result<Admission, Denial> {
        let decision = decision.and_then(|pass| self.authenticator.finish(pass, request));
        let admitted = decision.map_err(|denial| self.told(&denial)).and_then(|pass| {
            let admission = self.admission(pass.identity.as_ref())?;
            Ok((admission, pass.slot()))
        });
        let admitted = admitted.inspect(|(_, slot)| telemetry::passed(*slot));
        admitted.map(|(admission, _)| admission).inspect_err(telemetry::denied)
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
