//! The decision on one request, in one direction: headers, credential, digest,
//! account, slot, method. Every rendering of it (the layer's HTTP and gRPC, the
//! forward-auth services) asks here, so that no rule stands twice.

mod as_sent;
mod settings;

use std::mem;
use std::sync::Arc;

use compact_str::CompactString;
use http::header::{ACCESS_CONTROL_REQUEST_METHOD, ORIGIN};
use http::request::Parts;
use http::{HeaderMap, Method};

pub(crate) use self::as_sent::as_sent;
pub use self::settings::Authenticator;
use crate::account::{Account, Place, Slot, TokenRecord};
use crate::credentials::{Carrier, KeptOverrides, Overrides, Seen};
use crate::denial::{Denial, DenialKind, RequestFault};
use crate::events::{denied, passed, store_failed};
use crate::identity::Identity;
use crate::method::{MethodSet, Needed};
use crate::store::{StoreError, StoreErrorKind};
use crate::token::TokenDigest;

/// A request that may pass; whose it is stands beside it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pass {
    /// The header that carried the token.
    pub(crate) carrier: Carrier,
    /// Whether this is the token's first use in this interval.
    first_use: bool,
}

impl Pass {
    const ANONYMOUS: Self = Self::settled(Carrier::Authorization);

    /// For which nothing is left to be done.
    pub(crate) const fn settled(carrier: Carrier) -> Self {
        Self { carrier, first_use: false }
    }
}

/// How far a decision has come without waiting.
pub(crate) enum Step {
    /// To its end: the request passes, and nothing is left to be done with the
    /// whole of it. The header that carried the token.
    Settled(Carrier),
    /// To its end but for that.
    Done(Result<Pass, Box<Denial>>),
    /// A store has to be asked.
    Ask(Box<Question>),
}

/// What a store has to be asked, and what is decided by its answer.
pub(crate) struct Question {
    /// To be asked for one after the other.
    digests: Vec<TokenDigest>,
    carrier: Carrier,
    user: Option<CompactString>,
    overrides: Option<KeptOverrides>,
}

/// What a request claims and needs.
#[derive(Clone, Copy)]
struct Claim<'r> {
    /// The method that shall be performed.
    method: &'r Needed<'r>,
    /// The methods that it asks for in place of its own.
    overrides: Option<&'r Overrides<'r>>,
    /// The user named beside the token.
    user: Option<&'r str>,
    carrier: Carrier,
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
        let mut identity = None;
        let method = &Needed::named(request.method.as_str());
        let decision = match self.begin(method, &mut request.headers, &mut identity) {
            Step::Settled(carrier) => Ok(Pass::settled(carrier)),
            Step::Done(decision) => decision,
            Step::Ask(question) => {
                let found = self.ask(&question).await;
                self.conclude(&question, found, method, &mut identity)
            }
        };
        let settled = self.settle(decision, identity.as_ref(), request).map_err(|denial| *denial);
        settled.inspect(|_| passed(identity.as_ref().map(Identity::slot))).inspect_err(denied)?;
        Ok(identity)
    }

    /// Decides as far as that is possible without waiting. `method` is what
    /// shall be performed; a gateway names it in a header. Who the request
    /// comes from is written to `identity`, which is `None` before: it is too
    /// large to be handed up from call to call.
    pub(crate) fn begin(
        &self,
        method: &Needed<'_>,
        headers: &mut HeaderMap,
        identity: &mut Option<Identity>,
    ) -> Step {
        let mut seen = Seen::default();
        self.sources.read(headers, &mut seen);
        match seen.plain_token(&self.sources, &self.scheme) {
            Some(token) => self.look_up(token, || Claim::plain(method), identity),
            None => {
                let overrides = seen.overrides().map(|overrides| overrides.is_none());
                let misplaced = seen.misplaced(&self.sources);
                let step = self.look_closely(&seen, method, identity);
                step.unwrap_or_else(|| {
                    Step::Done(self.without_credential(method.name, headers, overrides, misplaced))
                })
            }
        }
    }

    /// Sorts out what the request carries; `None` if that is no credential.
    #[cold]
    fn look_closely(
        &self,
        seen: &Seen<'_>,
        method: &Needed<'_>,
        identity: &mut Option<Identity>,
    ) -> Option<Step> {
        Some(match (seen.credential(&self.sources), seen.overrides()) {
            (Ok(None), _) => return None,
            (Ok(Some(secret)), Ok(overrides)) => {
                let (user, carrier) = (secret.user(), seen.carrier());
                let claim = Claim { method, overrides, user, carrier };
                if self.scheme.may_be_token(secret.token()) {
                    self.look_up(secret.token(), || claim, identity)
                } else {
                    Step::Done(Err(refusal(DenialKind::InvalidToken)))
                }
            }
            (Err(fault), _) | (_, Err(fault)) => Step::Done(Err(faulty(fault))),
        })
    }

    /// A request that asks for another method than its own is no preflight: no
    /// browser makes one, and behind us it could be any method's request. And
    /// who tried to present a token is nobody's anonymous client.
    #[cold]
    fn without_credential(
        &self,
        method: &str,
        headers: &HeaderMap,
        no_override: Result<bool, RequestFault>,
        misplaced: Option<RequestFault>,
    ) -> Result<Pass, Box<Denial>> {
        let no_override = misplaced.map_or(no_override, Err);
        let preflight = self.allow_preflight && is_preflight(method, headers);
        if preflight && no_override == Ok(true) {
            Ok(Pass::ANONYMOUS)
        } else if self.optional {
            no_override.map(|_| Pass::ANONYMOUS).map_err(faulty)
        } else {
            Err(refusal(DenialKind::MissingCredential))
        }
    }

    /// Asks memory, under the current pepper and then under the former one. The
    /// check sum is looked at after that only: a live token pays nothing for
    /// it, and garbage is still refused before any store is asked.
    ///
    /// `claim` makes the claim where it is needed: a plain one is known there
    /// and costs nothing.
    #[inline(always)]
    fn look_up<'r>(
        &self,
        text: &[u8],
        claim: impl Fn() -> Claim<'r>,
        identity: &mut Option<Identity>,
    ) -> Step {
        let digest = self.scheme.current_digest(text);
        match self.peek(&digest, &claim, identity) {
            (_, Some(Ok(pass))) if self.is_settled(pass) => Step::Settled(pass.carrier),
            (_, Some(decision)) if decides(&decision) => Step::Done(decision),
            (known, _) => self.look_further(text, (!known).then_some(digest), &claim(), identity),
        }
    }

    /// Memory knows of no live token with the current digest. A token that has
    /// ended goes the way of one that never was: nobody learns which it is from
    /// what is asked.
    #[cold]
    fn look_further(
        &self,
        text: &[u8],
        current: Option<TokenDigest>,
        claim: &Claim<'_>,
        identity: &mut Option<Identity>,
    ) -> Step {
        let mut digests = Vec::from_iter(current);
        if let Some(former) = self.scheme.former_digest(text) {
            match self.peek(&former.digest, || *claim, identity) {
                (_, Some(decision)) if decides(&decision) => return Step::Done(decision),
                (known, _) => digests.extend((!known).then_some(former.digest)),
            }
        }
        if digests.is_empty() || !self.scheme.admits(text) {
            return Step::Done(Err(refusal(DenialKind::InvalidToken)));
        }
        let Claim { carrier, user, overrides, .. } = claim;
        let (user, overrides) = (user.map(Into::into), overrides.map(Overrides::keep));
        Step::Ask(Box::new(Question { digests, carrier: *carrier, user, overrides }))
    }

    /// Whether memory knows which account names the digest, if any does, and
    /// what follows from that account.
    #[inline(always)]
    fn peek<'r>(
        &self,
        digest: &TokenDigest,
        claim: impl Fn() -> Claim<'r>,
        identity: &mut Option<Identity>,
    ) -> (bool, Option<Result<Pass, Box<Denial>>>) {
        let mut decision = None;
        let known = self.store().peek(digest, &mut |account| {
            if let Some(account) = account {
                let judged = self.judge(account, digest, &claim(), identity);
                // Nothing is lost: a store lends one account.
                mem::forget(decision.replace(judged));
            }
        });
        let carrier = claim().carrier;
        (known, decision.map(|judged| judged.map(|first_use| Pass { carrier, first_use })))
    }

    /// Asks the store for one digest after the other, until one is a live
    /// token's.
    pub(crate) async fn ask(&self, question: &Question) -> Result<Found, StoreError> {
        let mut found = None;
        for digest in &question.digests {
            if let Some(account) = self.store().find(digest).await? {
                let live = self.live(&account, digest, question.user.as_deref()).is_some();
                found = Some((account, *digest));
                if live {
                    break;
                }
            }
        }
        Ok(found)
    }

    /// Decides by what the store answered.
    pub(crate) fn conclude(
        &self,
        question: &Question,
        found: Result<Found, StoreError>,
        method: &Needed<'_>,
        identity: &mut Option<Identity>,
    ) -> Result<Pass, Box<Denial>> {
        match found {
            Ok(Some((account, digest))) => {
                let Question { carrier, user, overrides, .. } = question;
                let overrides = overrides.as_ref().map(KeptOverrides::lend);
                let (user, overrides) = (user.as_deref(), overrides.as_ref());
                let claim = Claim { method, overrides, user, carrier: *carrier };
                let first_use = self.judge(&account, &digest, &claim, identity)?;
                Ok(Pass { carrier: *carrier, first_use })
            }
            Ok(None) => Err(refusal(DenialKind::InvalidToken)),
            Err(error) => Err(refusal(failed(&error))),
        }
    }

    /// Decides by the account that names the digest; whether this is the token's
    /// first use in this interval. The method comes last: 403 is told only to
    /// the holder of a live token.
    #[inline(always)]
    fn judge(
        &self,
        account: &Account,
        digest: &TokenDigest,
        claim: &Claim<'_>,
        identity: &mut Option<Identity>,
    ) -> Result<bool, Box<Denial>> {
        let Some((slot, token)) = self.live(account, digest, claim.user) else {
            return Err(self.not_live(account, digest));
        };
        let methods = account.methods();
        if !methods.grants(claim.method) {
            return Err(not_granted(claim.method.name));
        } else if let Some(overrides) = claim.overrides {
            all_granted(overrides, methods)?;
        }
        let first_use = self.usage.as_ref().is_some_and(|usage| usage.mark(token));
        let user = account.user().clone();
        let nobody = identity.replace(Identity::new(user, methods.clone(), token.id, slot));
        // Looking whether there is something to drop would cost more than this.
        mem::forget(nobody);
        Ok(first_use)
    }

    /// The live token with that digest, if the account is that of the user named
    /// beside it.
    #[inline(always)]
    fn live<'a>(
        &self,
        account: &'a Account,
        digest: &TokenDigest,
        user: Option<&str>,
    ) -> Option<(Slot, &'a TokenRecord)> {
        let (slot, token) = account.token_of(digest)?;
        let expired = token.expires_at.is_some() && token.is_expired(self.clock.now());
        let of_another = user.is_some_and(|named| named != account.user().as_str());
        (!expired && !of_another).then_some((slot, token))
    }

    /// The digest is known, but no live token's, or not of the user named
    /// beside it.
    #[cold]
    fn not_live(&self, account: &Account, digest: &TokenDigest) -> Box<Denial> {
        if let (Some(usage), Some(Place::Retired(id))) = (&self.usage, account.place_of(digest)) {
            usage.note_retired(account, id);
        }
        refusal(DenialKind::InvalidToken)
    }

    /// Whether nothing is left to be done for this pass with the whole request.
    #[inline]
    const fn is_settled(&self, pass: Pass) -> bool {
        !pass.first_use && self.also_require.is_none()
    }

    /// Does what needs the whole request: the host's own check, and noting the
    /// use.
    pub(crate) fn settle(
        &self,
        decision: Result<Pass, Box<Denial>>,
        identity: Option<&Identity>,
        request: &mut Parts,
    ) -> Result<Pass, Box<Denial>> {
        let pass = decision?;
        if let Some(identity) = identity {
            if pass.first_use
                && let Some(usage) = &self.usage
            {
                let client = as_sent(request, |request| (self.client_of)(request));
                usage.note(identity.user(), identity.token_id(), client);
            }
            if let Some(holds) = &self.also_require
                && !as_sent(request, |request| holds(identity, request))
            {
                return Err(refusal(DenialKind::PrivilegeMissing));
            }
        }
        Ok(pass)
    }
}

/// Whether nothing can follow but this decision.
#[inline]
fn decides(decision: &Result<Pass, Box<Denial>>) -> bool {
    decision.as_ref().err().is_none_or(|denial| denial.kind() != DenialKind::InvalidToken)
}

impl<'r> Claim<'r> {
    /// With a Bearer token, and nothing else of interest.
    #[inline]
    const fn plain(method: &'r Needed<'r>) -> Self {
        Self { method, overrides: None, user: None, carrier: Carrier::Authorization }
    }
}

#[cold]
fn all_granted(overrides: &Overrides<'_>, methods: &MethodSet) -> Result<(), Box<Denial>> {
    let refused = overrides.methods().find(|method| !methods.allows(method));
    refused.map_or(Ok(()), |method| Err(not_granted(method)))
}

/// A denial as it is handed up: boxed, since the other outcome is small.
#[cold]
fn refusal(kind: DenialKind) -> Box<Denial> {
    Box::new(Denial::new(kind))
}

#[cold]
fn faulty(fault: RequestFault) -> Box<Denial> {
    Box::new(Denial::fault(fault))
}

#[cold]
fn not_granted(method: &str) -> Box<Denial> {
    Box::new(Denial::method_not_granted(method))
}

/// What a store's failure is to the client; none is an approval, and none looks
/// like a bad token.
fn failed(error: &StoreError) -> DenialKind {
    store_failed(error);
    match error.kind() {
        StoreErrorKind::Corrupt => DenialKind::StoreCorrupt,
        StoreErrorKind::Conflict
        | StoreErrorKind::Unavailable
        | StoreErrorKind::NotSetUp
        | StoreErrorKind::NewerSchema
        | StoreErrorKind::Refused => DenialKind::StoreUnavailable,
    }
}

/// A CORS preflight (Fetch standard, section "CORS-preflight fetch").
fn is_preflight(method: &str, headers: &HeaderMap) -> bool {
    method == Method::OPTIONS
        && headers.contains_key(ORIGIN)
        && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}
