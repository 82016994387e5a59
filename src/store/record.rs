//! How an account and its history are written where a database keeps them.
//!
//! An account is a leading version byte and then the compact binary form of
//! [`postcard`], so that a look-up reads it in a few hundred nanoseconds. The
//! types here mirror those of the vocabulary: the stored form changes only when
//! this file does, and what is read back passes the checks of an account's
//! structure that [`Account::builder`] makes.

mod history;
mod terms;

use serde::{Deserialize, Serialize};

#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub(crate) use self::history::ERASED_EVENT;
pub(crate) use self::history::{decode_actor, decode_event, encode_actor, encode_event};
use self::terms::TermsForm;
use super::{StoreError, StoreErrorKind};
use crate::ValueError;
use crate::account::{
    Account, Confirmed, Ending, Extension, Pending, Retired, Revision, Terms, TokenRecord,
};
use crate::method::MethodSet;
use crate::time::Timestamp;
use crate::token::{
    CodeDigest, PepperVersion, SealedToken, StoredDigest, TokenDigest, TokenHint, TokenId,
};
use crate::user::UserId;

/// An account of which no token is kept sealed.
const PLAIN: u8 = 1;

/// The same, and behind it the sealed tokens. Written only where there are any,
/// so that programs which know nothing of them share a database for as long as
/// nobody uses them, and so that they cost nothing then.
const SEALED: u8 = 2;

/// The same, with a token among the retired ones that has expired: programs
/// which do not know that ending say which version they lack.
const EXPIRED: u8 = 3;

/// The same, and behind it what is said of ends and of suspension; or with a token
/// that its holder has ended.
const TERMS: u8 = 4;

/// Longer than most records, so that writing one allocates once.
const USUAL_LENGTH: usize = 256;

/// The account in its stored form.
pub(crate) fn encode(account: &Account) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(USUAL_LENGTH);
    let (sealed, terms) = (SealedForm::of(account), TermsForm::of(account));
    let version = version(account, &sealed, &terms);
    bytes.push(version);
    let bytes = written(&AccountForm::of(account), bytes);
    let bytes = if version == PLAIN { bytes } else { written(&sealed, bytes) };
    if version == TERMS { written(&terms, bytes) } else { bytes }
}

/// The least version that can say all of it.
fn version(account: &Account, sealed: &SealedForm<'_>, terms: &TermsForm) -> u8 {
    let has_ended = |ending| account.retired.iter().any(|retired| retired.ending == ending);
    if *terms != TermsForm::default() || has_ended(Ending::Ended) {
        TERMS
    } else if has_ended(Ending::Expired) {
        EXPIRED
    } else if sealed.is_empty() {
        PLAIN
    } else {
        SEALED
    }
}

fn written(form: &impl Serialize, to: Vec<u8>) -> Vec<u8> {
    postcard::to_extend(form, to).expect("a vector grows, and every sequence here knows its length")
}

/// The account that has this stored form.
///
/// # Errors
///
/// [`StoreErrorKind::Corrupt`] with its cause as source. The bytes themselves
/// are no part of it.
pub(crate) fn decode(bytes: &[u8]) -> Result<Account, StoreError> {
    read(bytes).map_err(|cause| corrupt("reading an account", cause))
}

fn corrupt(doing: &'static str, cause: RecordError) -> StoreError {
    StoreError::new(StoreErrorKind::Corrupt, doing).with_source(cause)
}

fn read(bytes: &[u8]) -> Result<Account, RecordError> {
    let (&version, body) = bytes.split_first().ok_or(RecordError::Empty)?;
    if !(PLAIN..=TERMS).contains(&version) {
        return Err(RecordError::Version { version });
    }
    let (form, rest) = postcard::take_from_bytes::<AccountForm<'_>>(body)?;
    let mut account = form.account()?;
    let rest = if version == PLAIN {
        rest
    } else {
        let (sealed, rest) = postcard::take_from_bytes::<SealedForm<'_>>(rest)?;
        sealed.put_into(&mut account)?;
        rest
    };
    let rest = if version == TERMS {
        let (terms, rest) = postcard::take_from_bytes::<TermsForm>(rest)?;
        terms.put_into(&mut account)?;
        rest
    } else {
        rest
    };
    if rest.is_empty() { Ok(account) } else { Err(RecordError::TrailingBytes) }
}

/// Why a record cannot be read. Says nothing of what it holds.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RecordError {
    #[error("the record is empty")]
    Empty,
    #[error("the record has version {version}, and this program reads {PLAIN} to {TERMS}")]
    Version { version: u8 },
    #[error("the record is cut short or malformed")]
    Malformed(#[from] postcard::Error),
    #[error("the record goes on after its end")]
    TrailingBytes,
    #[error("the record holds a sealed token in an empty place")]
    SealedNothing,
    #[error("the record holds the end of a token in an empty place")]
    EndOfNothing,
    #[error("the record holds a digest that is not 32 bytes long")]
    DigestLength,
    #[error("the record names no user")]
    User(#[source] ValueError),
    #[error("the record grants a method that cannot be granted")]
    Method(#[source] ValueError),
    #[error("the record is no account")]
    Account(#[source] ValueError),
    #[error("the history holds an event that cannot be read")]
    Event(#[from] serde_json::Error),
    #[error("the history names no actor")]
    Actor,
}

#[derive(Serialize, Deserialize)]
struct AccountForm<'a> {
    #[serde(borrow)]
    user: &'a str,
    revision: u64,
    #[serde(borrow)]
    methods: MethodsForm<'a>,
    #[serde(borrow)]
    primary: Option<TokenForm<'a>>,
    #[serde(borrow)]
    backup: Option<TokenForm<'a>>,
    #[serde(borrow)]
    pending: Option<PendingForm<'a>>,
    #[serde(borrow)]
    retired: Vec<RetiredForm<'a>>,
    #[serde(borrow)]
    confirmed: Option<ConfirmedForm<'a>>,
    next_token: u64,
}

impl<'a> AccountForm<'a> {
    fn of(account: &'a Account) -> Self {
        Self {
            user: account.user.as_str(),
            revision: account.revision.as_u64(),
            methods: MethodsForm::of(&account.methods),
            primary: account.primary().map(TokenForm::of),
            backup: account.backup().map(TokenForm::of),
            pending: account.pending().map(PendingForm::of),
            retired: account.retired.iter().map(RetiredForm::of).collect(),
            confirmed: account.confirmed().map(ConfirmedForm::of),
            next_token: account.next_token,
        }
    }

    fn account(self) -> Result<Account, RecordError> {
        let retired: Result<_, _> = self.retired.iter().map(RetiredForm::retired).collect();
        let account = Account {
            user: UserId::new(self.user).map_err(RecordError::User)?,
            revision: Revision::from_u64(self.revision),
            methods: self.methods.methods().map_err(RecordError::Method)?,
            terms: Terms::NONE,
            extension: Extension::NONE,
            primary: self.primary.map(|primary| primary.record()).transpose()?,
            backup: self.backup.map(|backup| backup.record().map(Box::new)).transpose()?,
            pending: self.pending.map(|pending| pending.pending()).transpose()?,
            retired: retired?,
            confirmed: self.confirmed.map(|confirmed| confirmed.confirmed()).transpose()?,
            next_token: self.next_token,
        };
        account.check().map_err(RecordError::Account)?;
        Ok(account)
    }
}

/// The methods that nearly all sets consist of: each is one bit, the first the
/// lowest. Their order never changes.
const USUAL_METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"];

#[derive(Serialize, Deserialize)]
struct MethodsForm<'a> {
    usual: u8,
    #[serde(borrow)]
    others: Vec<&'a str>,
}

impl<'a> MethodsForm<'a> {
    fn of(methods: &'a MethodSet) -> Self {
        let mut form = Self { usual: 0, others: Vec::new() };
        for method in methods.iter() {
            match USUAL_METHODS.iter().position(|usual| *usual == method) {
                Some(place) => form.usual |= 1 << place,
                None => form.others.push(method),
            }
        }
        form
    }

    fn methods(&self) -> Result<MethodSet, ValueError> {
        let usual = USUAL_METHODS.iter().enumerate();
        let usual = usual.filter(|(place, _)| self.usual & (1 << place) != 0);
        MethodSet::new(usual.map(|(_, method)| method).chain(&self.others))
    }
}

#[derive(Serialize, Deserialize)]
struct TokenForm<'a> {
    id: u64,
    #[serde(borrow)]
    digest: DigestForm<'a>,
    hint: &'a str,
    made_at: u64,
    /// Milliseconds from `made_at` on, nearly always few.
    active_after: u64,
    expires_at: Option<u64>,
}

impl<'a> TokenForm<'a> {
    fn of(token: &'a TokenRecord) -> Self {
        let made_at = token.made_at.unix_millis();
        Self {
            id: token.id.as_u64(),
            digest: DigestForm::of(&token.digest),
            hint: token.hint.as_str(),
            made_at,
            active_after: token.active_since.unix_millis().wrapping_sub(made_at),
            expires_at: token.expires_at.map(Timestamp::unix_millis),
        }
    }

    fn record(&self) -> Result<TokenRecord, RecordError> {
        let (id, digest) = (TokenId::from_u64(self.id), self.digest.stored()?);
        let (hint, made_at) = (TokenHint::from_stored(self.hint), time(self.made_at));
        Ok(TokenRecord {
            active_since: time(self.made_at.wrapping_add(self.active_after)),
            expires_at: self.expires_at.map(time),
            ..TokenRecord::new(id, digest, hint, made_at)
        })
    }
}

/// A digest is borrowed as one slice: that reads many times faster than an
/// array, which is read byte by byte.
#[derive(Serialize, Deserialize)]
struct DigestForm<'a> {
    digest: &'a [u8],
    pepper: u16,
}

impl<'a> DigestForm<'a> {
    fn of(stored: &'a StoredDigest) -> Self {
        Self { digest: stored.digest.as_bytes(), pepper: stored.pepper.as_u16() }
    }

    fn stored(&self) -> Result<StoredDigest, RecordError> {
        let digest = TokenDigest::from_bytes(digest_bytes(self.digest)?);
        Ok(StoredDigest::new(digest, PepperVersion::from_u16(self.pepper)))
    }
}

#[derive(Serialize, Deserialize)]
struct PendingForm<'a> {
    #[serde(borrow)]
    token: TokenForm<'a>,
    expires_at: u64,
    code: &'a [u8],
    code_made_at: u64,
    code_expires_at: u64,
    replacing_backup: Option<u64>,
}

impl<'a> PendingForm<'a> {
    fn of(pending: &'a Pending) -> Self {
        Self {
            token: TokenForm::of(&pending.token),
            expires_at: pending.expires_at.unix_millis(),
            code: pending.code.as_bytes(),
            code_made_at: pending.code_made_at.unix_millis(),
            code_expires_at: pending.code_expires_at.unix_millis(),
            replacing_backup: pending.replacing_backup.map(TokenId::as_u64),
        }
    }

    fn pending(&self) -> Result<Box<Pending>, RecordError> {
        Ok(Box::new(Pending {
            token: self.token.record()?,
            expires_at: time(self.expires_at),
            code: CodeDigest::from_bytes(digest_bytes(self.code)?),
            code_made_at: time(self.code_made_at),
            code_expires_at: time(self.code_expires_at),
            replacing_backup: self.replacing_backup.map(TokenId::from_u64),
        }))
    }
}

#[derive(Serialize, Deserialize)]
struct RetiredForm<'a> {
    id: u64,
    #[serde(borrow)]
    digest: DigestForm<'a>,
    at: u64,
    ending: EndingForm,
}

impl<'a> RetiredForm<'a> {
    fn of(retired: &'a Retired) -> Self {
        Self {
            id: retired.id.as_u64(),
            digest: DigestForm::of(&retired.digest),
            at: retired.at.unix_millis(),
            ending: EndingForm::of(retired.ending),
        }
    }

    fn retired(&self) -> Result<Retired, RecordError> {
        let (id, digest) = (TokenId::from_u64(self.id), self.digest.stored()?);
        Ok(Retired::new(id, digest, time(self.at), self.ending.ending()))
    }
}

#[derive(Serialize, Deserialize)]
struct ConfirmedForm<'a> {
    id: u64,
    code: &'a [u8],
}

impl<'a> ConfirmedForm<'a> {
    fn of(confirmed: &'a Confirmed) -> Self {
        Self { id: confirmed.id.as_u64(), code: confirmed.code.as_bytes() }
    }

    fn confirmed(&self) -> Result<Box<Confirmed>, RecordError> {
        let code = CodeDigest::from_bytes(digest_bytes(self.code)?);
        Ok(Box::new(Confirmed::new(TokenId::from_u64(self.id), code)))
    }
}

/// Stored as the number of its place here: new ones go to the end.
#[derive(Clone, Copy, Serialize, Deserialize)]
enum EndingForm {
    Superseded,
    Cancelled,
    Replaced,
    Deleted,
    RolledBack,
    Revoked,
    AccessRevoked,
    Expired,
    Ended,
}

impl EndingForm {
    const fn of(ending: Ending) -> Self {
        match ending {
            Ending::Superseded => Self::Superseded,
            Ending::Cancelled => Self::Cancelled,
            Ending::Replaced => Self::Replaced,
            Ending::Deleted => Self::Deleted,
            Ending::RolledBack => Self::RolledBack,
            Ending::Revoked => Self::Revoked,
            Ending::AccessRevoked => Self::AccessRevoked,
            Ending::Expired => Self::Expired,
            Ending::Ended => Self::Ended,
        }
    }

    const fn ending(self) -> Ending {
        match self {
            Self::Superseded => Ending::Superseded,
            Self::Cancelled => Ending::Cancelled,
            Self::Replaced => Ending::Replaced,
            Self::Deleted => Ending::Deleted,
            Self::RolledBack => Ending::RolledBack,
            Self::Revoked => Ending::Revoked,
            Self::AccessRevoked => Ending::AccessRevoked,
            Self::Expired => Ending::Expired,
            Self::Ended => Ending::Ended,
        }
    }
}

/// The sealed tokens of an account, behind all else: those of the primary, the backup
/// and the pending token.
#[derive(Serialize, Deserialize)]
struct SealedForm<'a> {
    #[serde(borrow)]
    primary: Option<&'a [u8]>,
    #[serde(borrow)]
    backup: Option<&'a [u8]>,
    #[serde(borrow)]
    pending: Option<&'a [u8]>,
}

impl<'a> SealedForm<'a> {
    fn of(account: &'a Account) -> Self {
        Self {
            primary: account.primary().and_then(sealed_bytes),
            backup: account.backup().and_then(sealed_bytes),
            pending: account.pending().and_then(|pending| sealed_bytes(&pending.token)),
        }
    }

    const fn is_empty(&self) -> bool {
        self.primary.is_none() && self.backup.is_none() && self.pending.is_none()
    }

    fn put_into(&self, account: &mut Account) -> Result<(), RecordError> {
        put_sealed(self.primary, account.primary.as_mut())?;
        put_sealed(self.backup, account.backup.as_deref_mut())?;
        put_sealed(self.pending, account.pending.as_deref_mut().map(|pending| &mut pending.token))
    }
}

fn sealed_bytes(token: &TokenRecord) -> Option<&[u8]> {
    token.sealed.as_ref().map(SealedToken::as_bytes)
}

fn put_sealed(sealed: Option<&[u8]>, token: Option<&mut TokenRecord>) -> Result<(), RecordError> {
    match (sealed, token) {
        (None, _) => Ok(()),
        (Some(_), None) => Err(RecordError::SealedNothing),
        (Some(sealed_bytes), Some(token)) => {
            token.sealed = Some(SealedToken::from_bytes(sealed_bytes));
            Ok(())
        }
    }
}

const fn time(millis: u64) -> Timestamp {
    Timestamp::from_unix_millis(millis)
}

fn digest_bytes(bytes: &[u8]) -> Result<[u8; 32], RecordError> {
    bytes.try_into().map_err(|_| RecordError::DigestLength)
}

#[cfg(test)]
mod tests;
