//! The decision on one request, in one direction: headers, credential, digest,
//! account, slot, method. Every rendering of it (the layer's HTTP and gRPC, the
//! forward-auth services) asks here, so that no rule stands twice.

mod settings;

use std::sync::Arc;

use compact_str::CompactString;
use http::header::{ACCESS_CONTROL_REQUEST_METHOD, ORIGIN};
use http::request::Parts;
use http::{HeaderMap, Method};

pub use self::settings::Authenticator;
use crate::account::{Account, Place};
use crate::credentials::{Carrier, Credential, Secret};
use crate::denial::{Denial, DenialKind, RequestFault};
use crate::events::store_failed;
use crate::identity::Identity;
use crate::store::{StoreError, StoreErrorKind, TokenStore};
use crate::token::TokenDigest;

/// A request that may pass.
#[derive(Debug)]
pub(crate) struct Pass {
    /// Who it comes from; `None` for a request that may be anonymous.
    pub(crate) identity: Option<Identity>,
    /// The header that carried the token.
    pub(crate) carrier: Carrier,
    /// Whether this is the token's first use in this interval.
    first_use: bool,
}

impl Pass {
    const ANONYMOUS: Self =
        Self { identity: None, carrier: Carrier::Authorization, first_use: false };
}

/// How far a decision has come without waiting.
pub(crate) enum Step {
    /// To its end.
    Done(Result<Pass, Denial>),
    /// A store has to be asked.
    Ask(Question),
}

/// What a store has to be asked, and what is decided by its answer.
pub(crate) struct Question {
    /// To be asked one after the other until one is found.
    digests: Vec<TokenDigest>,
    claim: Claim,
}

/// What a request claims and needs.
struct Claim {
    carrier: Carrier,
    /// The user named beside the token.
    user: Option<CompactString>,
    /// The methods that it asks for in place of its own.
    overrides: Vec<CompactString>,
}

/// The account that a store found, and the digest that it was found by.
pub(crate) type Found = Option<(Arc<Account>, TokenDigest)>;

impl Authenticator {
    /// Decides on a request: who it comes from, or `None` where
    /// [`optional`](Self::optional) or
    /// [`allow_preflight`](Self::allow_preflight) lets it through anonymously.
    ///
    /// The credential's header is marked as sensitive; nothing else is changed.
    /// The future may be dropped at any point.
    ///
    /// # Errors
    ///
    /// [`Denial`] says why the request must not pass.
    pub async fn authenticate(&self, request: &mut Parts) -> Result<Option<Identity>, Denial> {
        let decision = match self.begin(request.method.as_str(), &mut request.headers) {
            Step::Done(decision) => decision,
            Step::Ask(question) => {
                let found = question.ask(&**self.store()).await;
                self.conclude(&question, found, request.method.as_str())
            }
        };
        self.settle(decision, request).map(|pass| pass.identity)
    }

    /// Decides as far as that is possible without waiting. `method` is what
    /// shall be performed; a gateway names it in a header.
    #[inline]
    pub(crate) fn begin(&self, method: &str, headers: &mut HeaderMap) -> Step {
        self.examine(method, headers).unwrap_or_else(|denial| Step::Done(Err(denial)))
    }

    #[inline]
    fn examine(&self, method: &str, headers: &mut HeaderMap) -> Result<Step, Denial> {
        let seen = self.sources.read(headers);
        let Some(credential) = seen.credential(&self.sources).map_err(Denial::fault)? else {
            let overrides = seen.overrides.methods().map(Iterator::count);
            let pass = self.without_credential(method, headers, overrides)?;
            return Ok(Step::Done(Ok(pass)));
        };
        let overrides = seen.overrides.methods().map_err(Denial::fault)?;
        let Credential { carrier, secret } = credential;
        let overrides = overrides.map(CompactString::from).collect();
        let claim = Claim { carrier, user: secret.user(), overrides };
        self.look_up(&secret, claim, method)
    }

    /// A request that asks for another method than its own is no preflight: no
    /// browser makes one, and behind us it could be any method's request.
    fn without_credential(
        &self,
        method: &str,
        headers: &HeaderMap,
        overrides: Result<usize, RequestFault>,
    ) -> Result<Pass, Denial> {
        let preflight = self.allow_preflight && is_preflight(method, headers);
        if preflight && overrides == Ok(0) {
            Ok(Pass::ANONYMOUS)
        } else if self.optional {
            overrides.map(|_| Pass::ANONYMOUS).map_err(Denial::fault)
        } else {
            Err(Denial::new(DenialKind::MissingCredential))
        }
    }

    /// Asks memory, under the current pepper and then under the former one. The
    /// check sum is looked at after that only: a live token pays nothing for
    /// it, and garbage is still refused before any store is asked.
    #[inline]
    fn look_up(&self, secret: &Secret<'_>, claim: Claim, method: &str) -> Result<Step, Denial> {
        let text = secret.token();
        if !self.scheme.may_be_token(text) {
            return Err(Denial::new(DenialKind::InvalidToken));
        }
        let mut digests = Vec::new();
        let current = self.scheme.current_digest(text).digest;
        if let Some(decision) = self.peek(current, &mut digests, &claim, method) {
            return decision.map(|pass| Step::Done(Ok(pass)));
        }
        if let Some(former) = self.scheme.former_digest(text)
            && let Some(decision) = self.peek(former.digest, &mut digests, &claim, method)
        {
            return decision.map(|pass| Step::Done(Ok(pass)));
        }
        if digests.is_empty() || !self.scheme.admits(text) {
            return Err(Denial::new(DenialKind::InvalidToken));
        }
        Ok(Step::Ask(Question { digests, claim }))
    }

    /// Decides by what memory knows of the digest. If it does not know whether
    /// an account names it, the digest joins those to `ask`.
    #[inline]
    fn peek(
        &self,
        digest: TokenDigest,
        ask: &mut Vec<TokenDigest>,
        claim: &Claim,
        method: &str,
    ) -> Option<Result<Pass, Denial>> {
        let mut decision = None;
        let known = self.store().peek(&digest, &mut |account| {
            decision = account.map(|account| self.judge(account, &digest, claim, method));
        });
        if !known {
            ask.push(digest);
        }
        decision
    }

    /// Decides by what the store answered.
    pub(crate) fn conclude(
        &self,
        question: &Question,
        found: Result<Found, StoreError>,
        method: &str,
    ) -> Result<Pass, Denial> {
        match found {
            Ok(Some((account, digest))) => self.judge(&account, &digest, &question.claim, method),
            Ok(None) => Err(Denial::new(DenialKind::InvalidToken)),
            Err(error) => Err(Denial::new(failed(&error))),
        }
    }

    /// Decides by the account that names the digest. The method comes last: 403
    /// is told only to the holder of a live token.
    #[inline]
    fn judge(
        &self,
        account: &Account,
        digest: &TokenDigest,
        claim: &Claim,
        method: &str,
    ) -> Result<Pass, Denial> {
        let Some(slot) = account.slot_of(digest) else {
            return Err(self.not_live(account, digest));
        };
        let token = account.slot(slot).ok_or(Denial::new(DenialKind::InvalidToken))?;
        let expired = token.expires_at.is_some() && token.is_expired(self.clock.now());
        let user = account.user();
        let another_user = claim.user.as_ref().is_some_and(|named| named != user.as_str());
        if expired || another_user {
            return Err(Denial::new(DenialKind::InvalidToken));
        }
        let methods = account.methods();
        let overrides = claim.overrides.iter().map(CompactString::as_str);
        if let Some(refused) = std::iter::once(method).chain(overrides).find(|m| !methods.allows(m))
        {
            return Err(Denial::method_not_granted(refused));
        }
        let first_use = self.usage.as_ref().is_some_and(|usage| usage.mark(token));
        let identity = Identity::new(user.clone(), methods.clone(), token.id, slot);
        Ok(Pass { identity: Some(identity), carrier: claim.carrier, first_use })
    }

    /// The digest is known, but no live token's.
    #[cold]
    fn not_live(&self, account: &Account, digest: &TokenDigest) -> Denial {
        if let (Some(usage), Some(Place::Retired(id))) = (&self.usage, account.place_of(digest)) {
            usage.note_retired(account, id);
        }
        Denial::new(DenialKind::InvalidToken)
    }

    /// Does what needs the whole request: the host's own check, and noting the
    /// use.
    #[inline]
    pub(crate) fn settle(
        &self,
        decision: Result<Pass, Denial>,
        request: &Parts,
    ) -> Result<Pass, Denial> {
        let pass = decision?;
        if let Some(identity) = &pass.identity {
            if pass.first_use
                && let Some(usage) = &self.usage
            {
                usage.note(identity.user(), identity.token_id(), (self.client_of)(request));
            }
            if self.also_require.as_ref().is_some_and(|holds| !holds(identity, request)) {
                return Err(Denial::new(DenialKind::PrivilegeMissing));
            }
        }
        Ok(pass)
    }
}

impl Question {
    /// Asks for one digest after the other until one is found.
    pub(crate) async fn ask(&self, store: &dyn TokenStore) -> Result<Found, StoreError> {
        for digest in &self.digests {
            if let Some(account) = store.find(digest).await? {
                return Ok(Some((account, *digest)));
            }
        }
        Ok(None)
    }
}

/// What a store's failure is to the client; none is an approval, and none looks
/// like a bad token.
fn failed(error: &StoreError) -> DenialKind {
    store_failed(error);
    match error.kind() {
        StoreErrorKind::Corrupt => DenialKind::StoreCorrupt,
        StoreErrorKind::Conflict | StoreErrorKind::Unavailable => DenialKind::StoreUnavailable,
    }
}

/// A CORS preflight (Fetch standard, section "CORS-preflight fetch").
fn is_preflight(method: &str, headers: &HeaderMap) -> bool {
    method == Method::OPTIONS
        && headers.contains_key(ORIGIN)
        && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}
