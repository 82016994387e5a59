//! The decision on one request, in one direction: headers, credential, digest,
//! account, slot, method. Every rendering of it (the layer's HTTP and gRPC, the
//! forward-auth services) asks here, so that no rule stands twice.

mod anonymous;
mod as_sent;
mod refusal;
mod settings;

use std::mem;
use std::sync::Arc;

use compact_str::CompactString;
use http::HeaderMap;
use http::request::Parts;

pub(crate) use self::as_sent::as_sent;
use self::refusal::{failed, faulty, invalid, not_granted, refusal};
pub use self::settings::Authenticator;
use crate::account::{Account, Slot, TokenRecord};
use crate::credentials::{Carrier, KeptOverrides, Overrides, Seen};
use crate::denial::{Denial, DenialKind, Reason};
use crate::events::{denied, passed};
use crate::identity::Identity;
use crate::method::{MethodSet, Needed};
use crate::store::StoreError;
use crate::token::{TokenDigest, TokenForm};

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
    /// The method that the host has named in place of the request's own.
    counts_as: Option<CompactString>,
    overrides: Option<KeptOverrides>,
    /// What memory knows of the token already, that it is not live.
    known: Option<Box<Denial>>,
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
                    Step::Done(self.without_credential(method.sent, headers, overrides, misplaced))
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
                    Step::Done(Err(invalid(Reason::Foreign)))
                }
            }
            (Err(fault), _) | (_, Err(fault)) => Step::Done(Err(faulty(fault))),
        })
    }

    /// Asks memory, under the current pepper and then under the former ones. The
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
            (known, ended) => {
                let unasked = (!known).then_some(digest);
                self.look_further(text, unasked, ended, &claim(), identity)
            }
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
        ended: Option<Result<Pass, Box<Denial>>>,
        claim: &Claim<'_>,
        identity: &mut Option<Identity>,
    ) -> Step {
        let mut ended = ended.and_then(Result::err);
        let mut digests = Vec::from_iter(current);
        for former in self.scheme.former_digests(text) {
            match self.peek(&former.digest, || *claim, identity) {
                (_, Some(decision)) if decides(&decision) => return Step::Done(decision),
                (known, decision) => {
                    ended = ended.or_else(|| decision.and_then(Result::err));
                    digests.extend((!known).then_some(former.digest));
                }
            }
        }
        if digests.is_empty() || !self.scheme.admits(text) {
            let reason = match self.scheme.form(text) {
                TokenForm::Damaged => Reason::Damaged,
                TokenForm::Foreign if !self.scheme.admits(text) => Reason::Foreign,
                TokenForm::Foreign | TokenForm::Generated => Reason::Unknown,
            };
            return Step::Done(Err(ended.unwrap_or_else(|| invalid(reason))));
        }
        let &Claim { method, carrier, user, overrides } = claim;
        let counts_as = (method.name != method.sent).then(|| method.name.into());
        let (user, overrides) = (user.map(Into::into), overrides.map(Overrides::keep));
        let question = Question { digests, carrier, user, counts_as, overrides, known: ended };
        Step::Ask(Box::new(question))
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
                let Question { carrier, user, counts_as, overrides, .. } = question;
                let counts_as = counts_as.as_deref().map(Needed::named);
                let method = counts_as.as_ref().unwrap_or(method);
                let overrides = overrides.as_ref().map(KeptOverrides::lend);
                let (user, overrides) = (user.as_deref(), overrides.as_ref());
                let claim = Claim { method, overrides, user, carrier: *carrier };
                let first_use = self.judge(&account, &digest, &claim, identity)?;
                Ok(Pass { carrier: *carrier, first_use })
            }
            Ok(None) => Err(question.known.clone().unwrap_or_else(|| invalid(Reason::Unknown))),
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
            return Err(self.not_live(account, digest, claim.user));
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
