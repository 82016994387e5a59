//! The decision on one request, in one direction: headers, credential, digest,
//! account, slot, method. Every rendering of it (the layer's HTTP and gRPC, the
//! forward-auth services) asks here, so that no rule stands twice.

mod anonymous;
mod as_sent;
mod identity;
mod refusal;
mod settings;

use compact_str::CompactString;
use http::request::Parts;
use http::{HeaderMap, Method};

pub(crate) use self::as_sent::as_sent;
pub use self::identity::Identity;
pub(crate) use self::identity::notices;
#[cfg(feature = "ext-authz")]
pub(crate) use self::identity::{EXPIRES, SLOT};
use self::refusal::{failed, faulty, invalid, not_granted, refusal};
pub use self::settings::Authenticator;
use crate::account::{Account, Slot, TokenRecord};
use crate::credentials::{Carrier, KeptOverrides, Overrides};
use crate::denial::{Denial, DenialKind, Reason, RequestFault};
use crate::method::MethodSet;
use crate::telemetry::{Deciding, Trace, denied, passed};
use crate::time::Timestamp;
use crate::token::{TokenDigest, TokenForm, is_b64token, sha256};

/// Whether a request may pass. A denial is boxed, since few requests have one.
pub(crate) type Decision = Result<Pass, Box<Denial>>;

/// A request that may pass.
#[derive(Debug)]
pub(crate) struct Pass {
    /// Who it comes from; `None` for an anonymous one.
    pub(crate) identity: Option<Identity>,
    /// The header that carried the token.
    pub(crate) carrier: Carrier,
    /// What is to be noted of this use.
    note: Note,
}

/// What is to be noted of the use of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Note {
    /// Nothing: it is noted in this interval.
    Nothing,
    /// That it was used.
    Use,
    /// That it was used, at once: it was to end unless it is.
    UseAtOnce,
}

impl Pass {
    const ANONYMOUS: Self =
        Self { identity: None, carrier: Carrier::Authorization, note: Note::Nothing };

    /// The slot of the token; `None` for an anonymous request.
    pub(crate) fn slot(&self) -> Option<Slot> {
        self.identity.as_ref().map(Identity::slot)
    }

    /// When the token ends, if its user has been told.
    pub(crate) fn announced_end(&self) -> Option<Timestamp> {
        self.identity.as_ref().and_then(Identity::announced_end)
    }
}

/// How far a decision has come without waiting.
pub(crate) enum Step {
    /// To its end.
    Decided(Decision),
    /// A store has to be asked.
    Ask(Box<Question>),
}

/// What a request claims to be: whose, and to perform which methods.
#[derive(Clone, Copy)]
struct Claim<'r> {
    /// The method that shall be performed; `None` where that is in doubt.
    method: Option<&'r Method>,
    /// The methods that it asks for in place of its own.
    overrides: Option<&'r Overrides<'r>>,
    /// The user named beside the token.
    user: Option<&'r str>,
    carrier: Carrier,
}

/// What a store has to be asked, and the [`Claim`] that is judged by its answer.
pub(crate) struct Question {
    /// To be asked for one after the other.
    digests: Vec<TokenDigest>,
    /// What memory knows of the token already, that it is not live.
    known: Option<Box<Denial>>,
    method: Option<Method>,
    overrides: Option<KeptOverrides>,
    user: Option<CompactString>,
    carrier: Carrier,
}

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
        let (decision, trace) = self.decide(Some(&request.method), &mut request.headers).await;
        let _deciding = trace.enter();
        let pass = decision.and_then(|pass| self.finish(pass, request)).map_err(|denial| *denial);
        let pass = pass.inspect(|pass| passed(pass.slot())).inspect_err(denied)?;
        Ok(pass.identity)
    }

    /// Decides on everything that does not need the whole request, and gives the trace
    /// that the rest belongs to.
    pub(crate) async fn decide(
        &self,
        sent: Option<&Method>,
        headers: &mut HeaderMap,
    ) -> (Decision, Trace) {
        let deciding = Deciding::on(headers);
        let step = self.begin(sent, None, headers);
        let trace = deciding.leave();
        match step {
            Step::Decided(decision) => (decision, trace),
            Step::Ask(question) => {
                let trace = trace.while_asking(headers);
                (trace.around(self.ask(*question)).await, trace)
            }
        }
    }

    /// Decides as far as that is possible without waiting. `sent` is the client's
    /// method, which a gateway names in a header, or `None` where it is in doubt;
    /// `counts_as` the one that the host names in its place.
    #[inline(always)]
    pub(crate) fn begin(
        &self,
        sent: Option<&Method>,
        counts_as: Option<&Method>,
        headers: &mut HeaderMap,
    ) -> Step {
        let presented = self.sources.read(headers);
        match (presented.credential(&self.sources), presented.overrides()) {
            (Ok(Some(secret)), Ok(overrides)) => {
                let (method, user) = (counts_as.or(sent), secret.user());
                let carrier = presented.carrier();
                self.look_up(secret.token(), &Claim { method, overrides, user, carrier })
            }
            (Ok(None), overrides) => {
                let no_override = overrides.map(|overrides| overrides.is_none());
                let misplaced = presented.misplaced(&self.sources);
                let decision = self.without_credential(sent, headers, no_override, misplaced);
                Step::Decided(decision)
            }
            (Err(fault), _) | (_, Err(fault)) => Step::Decided(Err(faulty(fault))),
        }
    }

    /// Decides by what memory knows of a token, if that is enough.
    ///
    /// A string as long as a generated token is looked up in memory first, so that a
    /// live token pays nothing for its check sum. The form of any other is asked
    /// first: garbage reaches no store either way. A token that has
    /// ended goes the way of one that never was: nobody learns which it is from what
    /// is asked.
    #[inline(always)]
    fn look_up(&self, text: &[u8], claim: &Claim<'_>) -> Step {
        if !self.scheme.has_generated_length(text)
            && let Some(denial) = self.refusal_by_form(text)
        {
            return Step::Decided(Err(denial));
        }
        let (mut unknown, mut known) = (Vec::new(), None);
        for stored in self.scheme.digests(&sha256(text)) {
            let (digest, mut decision) = (&stored.digest, None);
            let is_known = self.store().peek(digest, &mut |account| {
                decision = account.map(|account| self.judge(account, digest, claim));
            });
            match decision {
                Some(Err(denial)) if denial.kind() == DenialKind::InvalidToken => {
                    known = known.or(Some(denial));
                }
                Some(decision) => return Step::Decided(decision),
                None if is_known => {}
                None => unknown.push(*digest),
            }
        }
        match self.refusal_by_form(text) {
            Some(denial) => Step::Decided(Err(known.unwrap_or(denial))),
            None if unknown.is_empty() => {
                Step::Decided(Err(known.unwrap_or_else(|| invalid(Reason::Unknown))))
            }
            None => Step::Ask(Box::new(claim.question(unknown, known))),
        }
    }

    /// What the form of a string alone says against its being a token.
    #[cold]
    fn refusal_by_form(&self, text: &[u8]) -> Option<Box<Denial>> {
        if !is_b64token(text) {
            return Some(faulty(RequestFault::MalformedCredential));
        }
        match self.scheme.form(text) {
            TokenForm::Damaged => Some(invalid(Reason::Damaged)),
            TokenForm::Foreign if !self.scheme.accepts_foreign() => Some(invalid(Reason::Foreign)),
            TokenForm::Foreign | TokenForm::Generated => None,
        }
    }

    /// Asks the store for one digest after the other, until one is a live
    /// token's.
    pub(crate) async fn ask(&self, question: Question) -> Decision {
        let method = question.method.as_ref();
        let overrides = question.overrides.as_ref().map(KeptOverrides::lend);
        let (overrides, user) = (overrides.as_ref(), question.user.as_deref());
        let claim = Claim { method, overrides, user, carrier: question.carrier };
        let mut known = question.known;
        for digest in &question.digests {
            match self.store().find(digest).await.map_err(|error| refusal(failed(&error)))? {
                None => {}
                Some(account) => match self.judge(&account, digest, &claim) {
                    Err(denial) if denial.kind() == DenialKind::InvalidToken => {
                        known = Some(denial);
                    }
                    decision => return decision,
                },
            }
        }
        Err(known.unwrap_or_else(|| invalid(Reason::Unknown)))
    }

    /// Decides by the account that names the digest. The method comes last: 403
    /// is told only to the holder of a live token, and to one whose user is suspended
    /// before anything else.
    #[inline(always)]
    fn judge(&self, account: &Account, digest: &TokenDigest, claim: &Claim<'_>) -> Decision {
        let Some((slot, token)) = self.live(account, digest, claim.user) else {
            return Err(self.not_live(account, digest, claim.user));
        };
        if account.suspended_since().is_some() {
            return Err(refusal(DenialKind::AccessSuspended));
        }
        let methods = account.methods();
        if !claim.method.is_some_and(|method| methods.grants(method)) {
            return Err(not_granted(claim.method.map(Method::as_str)));
        } else if let Some(overrides) = claim.overrides {
            all_granted(overrides, methods)?;
        }
        let note = match &self.usage {
            Some(usage) if usage.mark(token) => first_use(token),
            _ => Note::Nothing,
        };
        let identity = Identity {
            user: account.user().clone(),
            methods: methods.clone(),
            token: token.id,
            slot,
            announced_end: token.announced_end(),
            extension: account.extension.clone(),
        };
        Ok(Pass { identity: Some(identity), carrier: claim.carrier, note })
    }

    /// The live token with that digest, if the account is that of the user named
    /// beside it. A pending token is no token yet: it is in neither slot.
    #[inline]
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

    /// Whether [`finish`](Self::finish) has anything to do.
    pub(crate) const fn is_unfinished(&self, pass: &Pass) -> bool {
        !matches!(pass.note, Note::Nothing) || self.also_require.is_some()
    }

    /// Does what needs the whole request: notes the use, and asks the host's own
    /// check.
    pub(crate) fn finish(&self, pass: Pass, request: &mut Parts) -> Decision {
        let Some(identity) = &pass.identity else { return Ok(pass) };
        if pass.note != Note::Nothing
            && let Some(usage) = &self.usage
        {
            let client = as_sent(request, |request| (self.client_of)(request));
            let at_once = pass.note == Note::UseAtOnce;
            usage.note(identity.user(), identity.token_id(), client, at_once);
        }
        match &self.also_require {
            Some(holds) if !as_sent(request, |request| holds(identity, request)) => {
                Err(refusal(DenialKind::PrivilegeMissing))
            }
            _ => Ok(pass),
        }
    }
}

impl Claim<'_> {
    /// The question to the store about tokens with these digests.
    #[cold]
    fn question(&self, digests: Vec<TokenDigest>, known: Option<Box<Denial>>) -> Question {
        Question {
            digests,
            known,
            method: self.method.cloned(),
            overrides: self.overrides.map(Overrides::keep),
            user: self.user.map(Into::into),
            carrier: self.carrier,
        }
    }
}

#[cold]
fn first_use(token: &TokenRecord) -> Note {
    if token.ends_unless_used() { Note::UseAtOnce } else { Note::Use }
}

#[cold]
fn all_granted(overrides: &Overrides<'_>, methods: &MethodSet) -> Result<(), Box<Denial>> {
    let refused = overrides.methods().find(|method| !methods.allows(method));
    refused.map_or(Ok(()), |method| Err(not_granted(Some(method))))
}
