//! What a form or a query says, each field once.

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use axum::Form;
use axum::extract::rejection::FormRejection;
use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use http::StatusCode;
use http::request::Parts;

use super::Shared;
use super::length::Length;
use super::session::{PortalUser, SignedIn};
use crate::manage::{AccountFilter, Problem};
use crate::store::PageSize;
use crate::token::{ConfirmationCode, PepperVersion, TokenId};
use crate::user::UserId;

/// The field of the token that only our own pages have.
pub(super) const FORM_TOKEN: &str = "form_token";

/// The fields of a query.
pub(super) struct Fields(Vec<(String, String)>);

impl Fields {
    /// The one value of a field; `None` if it is not there.
    pub(super) fn text(&self, name: &str) -> Result<Option<&str>, Problem> {
        let mut values = self.all(name);
        match (values.next(), values.next()) {
            (value, None) => Ok(value),
            _ => Err(Problem::bad_request(format!("The field {name} is there twice."))),
        }
    }

    /// The one value of a field; an empty one is none.
    pub(super) fn given(&self, name: &str) -> Result<Option<&str>, Problem> {
        Ok(self.text(name)?.filter(|text| !text.is_empty()))
    }

    /// Every value of a field.
    pub(super) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        let values = self.0.iter().filter(move |(field, _)| field == name);
        values.map(|(_, value)| value.as_str())
    }

    /// Whether a box is ticked.
    pub(super) fn ticked(&self, name: &str) -> bool {
        self.all(name).any(|value| value == "yes")
    }

    /// A token's id; an empty field is none.
    pub(super) fn token(&self, name: &str) -> Result<Option<TokenId>, Problem> {
        Ok(self.number(name)?.map(TokenId::from_u64))
    }

    /// A number; an empty field is none.
    pub(super) fn number<T: FromStr>(&self, name: &str) -> Result<Option<T>, Problem> {
        let number = self.given(name)?.map(str::parse).transpose();
        number.map_err(|_| Problem::bad_request(format!("The field {name} must be a number.")))
    }

    /// How long a page shall be: 1 to 1 000, 100 if nobody says.
    pub(super) fn size(&self) -> Result<PageSize, Problem> {
        let Some(size) = self.number("size")? else { return Ok(PageSize::default()) };
        if (1..=PageSize::MAX.get()).contains(&size) {
            Ok(PageSize::clamped(size))
        } else {
            Err(Problem::bad_request("The field size must be a number from 1 to 1000."))
        }
    }

    /// Which accounts are looked for.
    pub(super) fn filter(&self) -> Result<AccountFilter, Problem> {
        Ok(AccountFilter {
            expiring_within: self.length("expiring_within")?,
            unused_for: self.length("unused_for")?,
            on_backup: self.flag("on_backup")?,
            pepper: self.number("pepper")?.map(PepperVersion::from_u16),
            suspended: self.flag("suspended")?,
        })
    }

    /// Whether something shall hold; it need not if the field is not there.
    fn flag(&self, name: &str) -> Result<bool, Problem> {
        match self.given(name)? {
            None | Some("no" | "false") => Ok(false),
            Some("yes" | "true") => Ok(true),
            Some(_) => Err(Problem::bad_request(format!("The field {name} must be yes or no."))),
        }
    }

    /// A length of time; an empty field is none.
    fn length(&self, name: &str) -> Result<Option<Duration>, Problem> {
        let read = self.given(name)?.map(str::parse).transpose();
        let read = read.map_err(|form| Problem::bad_request(format!("The field {name}: {form}.")));
        Ok(read?.map(|Length(time)| time))
    }

    /// The user that a field names, unless it looks like a secret.
    pub(super) fn user(&self, name: &str) -> Result<Option<UserId>, Problem> {
        self.text(name)?.map(user_id).transpose()
    }
}

/// A user's name, as it is: one with a space before it is another user's.
pub(super) fn user_id(text: &str) -> Result<UserId, Problem> {
    if looks_secret(text) {
        Err(Problem::LOOKS_SECRET)
    } else {
        UserId::new(text).map_err(Problem::no_such_user)
    }
}

/// A confirmation code that was clicked on or typed.
pub(super) fn code(text: &str) -> Result<ConfirmationCode, Problem> {
    ConfirmationCode::parse(text.trim()).ok_or(Problem::UNKNOWN_CODE)
}

/// Whether a text holds something of the form of a generated token, a code or the secret
/// of a webhook, or of what is left of one that was not copied as a whole: a short prefix,
/// and behind `_` so many letters and digits. Names such as `user_` and the digits of a
/// UUID or of a digest are longer or shorter.
fn looks_secret(text: &str) -> bool {
    let mut words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    text.contains("whsec_")
        || words.any(|word| match word.split_once('_') {
            Some((prefix, rest)) => {
                let (least, whole) = if prefix == "tac" { (20, 32) } else { (33, 42) };
                let is_part = (least..whole).contains(&rest.len()) && is_mixed(rest);
                let random = rest.bytes().all(|byte| byte.is_ascii_alphanumeric());
                (1..=8).contains(&prefix.len()) && random && (rest.len() == whole || is_part)
            }
            None => (36..=42).contains(&word.len()) && is_mixed(word),
        })
}

/// Whether there are digits, capitals and small letters in it, as in what is random and
/// in no digest.
fn is_mixed(word: &str) -> bool {
    let has = |is: fn(&u8) -> bool| word.as_bytes().iter().any(is);
    has(u8::is_ascii_digit) && has(u8::is_ascii_uppercase) && has(u8::is_ascii_lowercase)
}

impl<S: Send + Sync> FromRequestParts<S> for Fields {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        match Query::try_from_uri(&parts.uri) {
            Ok(Query(fields)) => Ok(Self(fields)),
            Err(_) => Err(Problem::bad_request("The address has fields that cannot be read.")),
        }
    }
}

/// A form that one of our own pages has sent for the user who is signed in.
pub(super) struct Sent {
    pub(super) user: PortalUser,
    pub(super) fields: Fields,
}

impl FromRequest<Arc<Shared>> for Sent {
    type Rejection = Problem;

    async fn from_request(request: Request, portal: &Arc<Shared>) -> Result<Self, Problem> {
        let (mut parts, body) = request.into_parts();
        let SignedIn(user) = SignedIn::from_request_parts(&mut parts, portal).await?;
        let request = Request::from_parts(parts, body);
        let form = Form::<Vec<(String, String)>>::from_request(request, portal).await;
        let fields = Fields(form.map_err(|rejection| unreadable(&rejection))?.0);
        let token = fields.text(FORM_TOKEN)?.unwrap_or_default();
        if portal.key.made(token, user.user()) {
            Ok(Self { user, fields })
        } else {
            Err(Problem::FORGED_FORM)
        }
    }
}

fn unreadable(rejection: &FormRejection) -> Problem {
    if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
        Problem::TOO_LARGE
    } else {
        Problem::bad_request("This is not a form of these pages. Nothing has changed.")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_that_is_there_twice_is_refused() {
        let fields = ["id", "id", "method", "method"].map(|name| (name.to_owned(), "7".to_owned()));
        let fields = Fields(fields.to_vec());
        assert!(fields.text("id").is_err() && fields.token("id").is_err());
        assert_eq!(fields.all("method").count(), 2);
        assert!(fields.text("none").unwrap().is_none());
    }

    #[test]
    fn what_looks_like_a_secret_is_no_name() {
        let random = "0123456789abcdefghijklmnopqrstuvwxyzABCDEF";
        for secret in [format!("tat_{random}"), format!(" x tac_{}.", &random[..32])] {
            assert!(looks_secret(&secret), "{secret}");
        }
        for part in [&format!("tat_{}", &random[6..]), &format!("tat_{}", &random[1..]), random] {
            assert!(looks_secret(part), "{part}");
        }
        assert!(looks_secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"));
        for name in ["alice", "alice_smith", "a_b_c", "build_agent_in_the_north_eastern_region_1"] {
            assert!(!looks_secret(name), "{name}");
        }
        for digits in [32, 40, 64] {
            assert!(!looks_secret(&format!("user_{}", "0".repeat(digits))), "{digits}");
        }
        assert!(!looks_secret("user_2NNEqL2nrIRdJ194ndJqAHwEfxC"), "of an identity provider");
        assert!(!looks_secret(&format!("prefix_longer_than_eight_{random}")));
    }
}
