//! An address that mail can be sent to, and who has which.

use std::error::Error;
use std::fmt;

use async_trait::async_trait;
use lettre::Address;

use crate::ValueError;
use crate::user::UserId;

/// An address for mail, and perhaps a name to show beside it.
///
/// Stricter than RFC 5321: one `@`, a dot-atom before it and the name of a host
/// behind it, all in ASCII; no quoted part, no comment, no address literal. So
/// no text is one address to one program and two to another. A domain that is
/// not ASCII is written in its ASCII form.
///
/// ```
/// use tower_api_token::ValueError;
/// use tower_api_token::notify::Mailbox;
///
/// let mailbox = Mailbox::new("alice@example.com")?.name("Alice \"Al\" Smith")?;
/// assert_eq!(mailbox.address(), "alice@example.com");
/// assert_eq!(Mailbox::new("a@b,c@d").unwrap_err(), ValueError::MailAddress);
/// # Ok::<(), ValueError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mailbox {
    address: Address,
    name: Option<String>,
}

impl Mailbox {
    /// The greatest length of an address in bytes (RFC 5321 section 4.5.3.1.3,
    /// without the angle brackets), and of a name.
    pub const MAX_LENGTH: usize = 254;

    const MAX_LOCAL_LENGTH: usize = 64;

    /// The mailbox at this address, without a name.
    ///
    /// # Errors
    ///
    /// [`ValueError`] names the rule that the address breaks.
    pub fn new(address: &str) -> Result<Self, ValueError> {
        if address.len() > Self::MAX_LENGTH {
            return Err(ValueError::MailAddressTooLong);
        }
        let (local, domain) = address.split_once('@').ok_or(ValueError::MailAddress)?;
        if is_one_of_others(local, domain) {
            return Err(ValueError::MailAddressNotAscii);
        }
        if !is_dot_atom(local) || !is_domain(domain) || local.len() > Self::MAX_LOCAL_LENGTH {
            return Err(ValueError::MailAddress);
        }
        let address = Address::new(local, domain).map_err(|_| ValueError::MailAddress)?;
        Ok(Self { address, name: None })
    }

    /// Shows `name` beside the address, unless it is empty. Default: no name.
    ///
    /// # Errors
    ///
    /// [`ValueError`] names the rule that the name breaks.
    pub fn name(mut self, name: &str) -> Result<Self, ValueError> {
        if name.len() > Self::MAX_LENGTH {
            return Err(ValueError::MailAddressTooLong);
        }
        if name.chars().any(char::is_control) {
            return Err(ValueError::MailNameControlCharacter);
        }
        self.name = (!name.is_empty()).then(|| name.to_owned());
        Ok(self)
    }

    /// The address, such as `alice@example.com`.
    #[must_use]
    pub fn address(&self) -> &str {
        self.address.as_ref()
    }

    pub(super) fn domain(&self) -> &str {
        self.address.domain()
    }

    /// Who a message is from or to, in its envelope.
    pub(super) fn envelope(&self) -> Address {
        self.address.clone()
    }

    /// The same in its header.
    pub(super) fn header(&self) -> lettre::message::Mailbox {
        lettre::message::Mailbox::new(self.name.clone(), self.address.clone())
    }
}

impl fmt::Display for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address.fmt(f)
    }
}

impl std::str::FromStr for Mailbox {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::new(text)
    }
}

/// Whether the address would be one, were it not for letters that are not ASCII
/// (RFC 6531).
fn is_one_of_others(local: &str, domain: &str) -> bool {
    let in_ascii = |text: &str| {
        let letter = |c: char| if !c.is_ascii() && c.is_alphanumeric() { 'a' } else { c };
        text.chars().map(letter).collect::<String>()
    };
    !(local.is_ascii() && domain.is_ascii())
        && is_dot_atom(&in_ascii(local))
        && is_domain(&in_ascii(domain))
}

/// RFC 5322 section 3.2.3.
fn is_dot_atom(text: &str) -> bool {
    let is_atext =
        |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&byte);
    text.split('.').all(|atom| !atom.is_empty() && atom.bytes().all(is_atext))
}

fn is_domain(text: &str) -> bool {
    let is_label = |label: &str| (1..=63).contains(&label.len());
    text.split('.').all(is_label) && crate::notify::link::is_host_name(text)
}

/// Where users read their mail: the host's own table of addresses.
///
/// It is asked when a message is sent, so that it knows of no address longer
/// than the host does, and none ever comes from a request. An asynchronous
/// closure is one.
///
/// ```
/// use async_trait::async_trait;
/// use tower_api_token::user::UserId;
/// use tower_api_token::notify::{Mailbox, MailDirectory};
///
/// /// Users are called like their mailboxes.
/// struct SameName;
///
/// #[async_trait]
/// impl MailDirectory for SameName {
///     async fn address(
///         &self,
///         user: &UserId,
///     ) -> Result<Option<Mailbox>, Box<dyn std::error::Error + Send + Sync>> {
///         Ok(Some(Mailbox::new(&format!("{user}@example.com"))?))
///     }
/// }
/// ```
#[async_trait]
pub trait MailDirectory: Send + Sync + 'static {
    /// The user's address; `None` if they have none, or none that they have
    /// confirmed.
    ///
    /// # Errors
    ///
    /// Whatever made it impossible to tell.
    async fn address(&self, user: &UserId)
    -> Result<Option<Mailbox>, Box<dyn Error + Send + Sync>>;
}

#[async_trait]
impl<F, R> MailDirectory for F
where
    F: Fn(UserId) -> R + Send + Sync + 'static,
    R: Future<Output = Result<Option<Mailbox>, Box<dyn Error + Send + Sync>>> + Send,
{
    async fn address(
        &self,
        user: &UserId,
    ) -> Result<Option<Mailbox>, Box<dyn Error + Send + Sync>> {
        self(user.clone()).await
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn web_014_one_validated_address_or_refusal() {
        for good in ["a@b", "alice@example.com", "a.b+c@x-y.example", "o'neil@example.com"] {
            let mailbox = Mailbox::new(good).unwrap();
            assert_eq!(mailbox.address(), good);
            assert_eq!(mailbox.envelope().to_string(), good);
        }
        let long = format!("{}@example.com", "a".repeat(10_000));
        let error = Mailbox::new(&long).unwrap_err();
        assert_eq!(error, ValueError::MailAddressTooLong);
        assert!(error.to_string().contains(&format!(" {} bytes", Mailbox::MAX_LENGTH)), "{error}");
        for bad in [
            "",
            "@",
            "a",
            "a@",
            "@b",
            "\"a b\"@c",
            "\"a@x\"@c",
            "a@b,c@d",
            "a@b;c@d",
            "a@b@c",
            "a@b c@d",
            "<a@b>",
            "Alice <a@b>",
            "a@b\r\nRCPT TO:<x@y>",
            "a@b\nBcc: x@y",
            "a\0@b",
            "a(comment)@b",
            "a..b@c",
            ".a@c",
            "a@c.",
            "a@-c",
            "a@c_d",
            "a@[127.0.0.1]",
            "a@1.2",
            "a@b\u{ff0c}c@d",
            "a\u{202e}@example.com",
            &format!("{}@b", "a".repeat(65)),
            &format!("a@{}.example", "b".repeat(64)),
        ] {
            assert_eq!(Mailbox::new(bad).unwrap_err(), ValueError::MailAddress, "{bad:?}");
        }
    }

    #[test]
    fn an_address_that_is_not_ascii_is_told_apart_from_none() {
        for other in ["user@m\u{fc}ller.de", "\u{fc}ser@example.com", "\u{7528}@\u{4f8b}.test"] {
            assert_eq!(
                Mailbox::new(other).unwrap_err(),
                ValueError::MailAddressNotAscii,
                "{other}"
            );
        }
        assert!(Mailbox::new("user@xn--mller-kva.de").is_ok());
    }

    proptest! {
        #[test]
        fn web_014_whatever_is_accepted_is_one_plain_address(
            text in "[a-c@.,;:<>\"( \\r\\n\\\\\u{e4}\u{ff20}-]{0,12}",
        ) {
            if let Ok(mailbox) = Mailbox::new(&text) {
                prop_assert_eq!(mailbox.envelope().to_string(), text.clone());
                prop_assert_eq!(mailbox.header().to_string(), text.clone());
                prop_assert_eq!(text.matches('@').count(), 1);
                let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"@.-".contains(&byte);
                prop_assert!(text.bytes().all(plain), "{}", text);
            }
        }
    }

    #[test]
    fn web_013_no_name_ends_its_line() {
        let mailbox = Mailbox::new("a@b").unwrap();
        for bad in ["x\r\nBcc: y@z", "x\ny", "x\0"] {
            let error = mailbox.clone().name(bad).unwrap_err();
            assert_eq!(error, ValueError::MailNameControlCharacter);
        }
        let error = mailbox.clone().name(&"x".repeat(255)).unwrap_err();
        assert_eq!(error, ValueError::MailAddressTooLong);
        assert!(mailbox.name("\"Bob\" <x@y>, evil@z").is_ok());
    }
}
