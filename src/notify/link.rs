//! The link that a confirmation code travels in.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU16;

use http::uri::Authority;
use zeroize::Zeroizing;

use crate::error::{ConfigError, limit};
use crate::token::ConfirmationCode;

/// Where confirmation links lead: the address of the host's page that asks for
/// the confirmation, from the host's configuration.
///
/// It never comes from a request: a `Host` header that somebody else has
/// chosen would send the user's code to them.
///
/// ```
/// use tower_api_token::ConfigError;
/// use tower_api_token::notify::LinkBase;
///
/// let base = LinkBase::new("https://example.com/profile/verify")?;
/// assert_eq!(base.as_str(), "https://example.com/profile/verify");
/// assert!(LinkBase::new("http://[::1]:8080/verify").is_ok());
/// let error = LinkBase::new("http://example.com/verify").unwrap_err();
/// assert_eq!(error, ConfigError::LinkNotEncrypted);
/// # Ok::<(), ConfigError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkBase(String);

impl LinkBase {
    /// The name of the query parameter that holds the code.
    pub const PARAMETER: &'static str = "code";

    /// The greatest length in bytes: a link stays within one line of a message
    /// (RFC 5322 section 2.1.1).
    pub const MAX_LENGTH: usize = limit::LINK;

    /// Links to the page at this address: `https`, or `http` to this machine
    /// itself (`localhost`, 127.0.0.0/8, `[::1]`), a host and perhaps a port
    /// and a path.
    ///
    /// A path may hold letters, digits, `-._~/` and percent-encoded bytes, so
    /// that neither HTML nor a mail program nor a shell takes any of a link for
    /// something else. A path that is left out is `/`.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] names the rule that the address breaks.
    pub fn new(address: &str) -> Result<Self, ConfigError> {
        if address.len() > Self::MAX_LENGTH {
            return Err(ConfigError::LinkTooLong);
        }
        let (encrypted, rest) = scheme(address).ok_or(ConfigError::LinkScheme)?;
        let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        if authority.contains('@') {
            return Err(ConfigError::LinkCredentials);
        }
        let authority: Authority = authority.parse().map_err(|_| ConfigError::LinkHost)?;
        let is_loopback = is_loopback(authority.host())?;
        check_port(&authority.as_str()[authority.host().len()..])?;
        check_path(path)?;
        if !encrypted && !is_loopback {
            return Err(ConfigError::LinkNotEncrypted);
        }
        let path_left_out = if path.is_empty() { "/" } else { "" };
        Ok(Self(format!("{address}{path_left_out}")))
    }

    /// The address, without a code.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The link with this code, such as `https://example.com/verify?code=tac_…`.
    #[must_use]
    pub fn link(&self, code: &ConfirmationCode) -> ConfirmationLink {
        let parts = [&self.0, "?", Self::PARAMETER, "=", code.expose_secret()];
        // At once as long as it will be: growing would leave copies behind.
        let length = parts.iter().map(|part| part.len()).sum();
        let mut text = Zeroizing::new(String::with_capacity(length));
        parts.iter().for_each(|part| text.push_str(part));
        ConfirmationLink(text)
    }
}

impl fmt::Display for LinkBase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::str::FromStr for LinkBase {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::new(text)
    }
}

/// A link that holds a confirmation code, and so is as secret as the code.
///
/// Its memory is wiped when it is dropped, and `Debug` shows nothing of it.
#[derive(Clone)]
pub struct ConfirmationLink(Zeroizing<String>);

impl ConfirmationLink {
    /// The link's text, for the one message to the user and nowhere else.
    #[must_use]
    pub fn expose_secret(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ConfirmationLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ConfirmationLink(..)")
    }
}

/// Whether the address is encrypted, and what is behind its scheme.
fn scheme(address: &str) -> Option<(bool, &str)> {
    let (scheme, rest) = address.split_once("://")?;
    match scheme {
        _ if scheme.eq_ignore_ascii_case("https") => Some((true, rest)),
        _ if scheme.eq_ignore_ascii_case("http") => Some((false, rest)),
        _ => None,
    }
}

/// Whether the host is this machine itself; an error if it is none.
fn is_loopback(host: &str) -> Result<bool, ConfigError> {
    if let Some(address) = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        let address: Ipv6Addr = address.parse().map_err(|_| ConfigError::LinkHost)?;
        return Ok(address.is_loopback());
    }
    match host.parse::<Ipv4Addr>() {
        Ok(address) => Ok(address.is_loopback()),
        Err(_) if is_host_name(host) => Ok(host.eq_ignore_ascii_case("localhost")),
        Err(_) => Err(ConfigError::LinkHost),
    }
}

/// Whether this is the name of a host: labels of letters, digits and inner
/// hyphens.
pub(super) fn is_host_name(text: &str) -> bool {
    // Browsers take `127.1` and `0x7f.1` for addresses; no name ends so.
    let last = text.rsplit('.').next().unwrap_or_default();
    text.split('.').all(is_label) && !last.starts_with(|first: char| first.is_ascii_digit())
}

fn is_label(label: &str) -> bool {
    let is_edge = u8::is_ascii_alphanumeric;
    let bytes = label.as_bytes();
    bytes.first().is_some_and(is_edge)
        && bytes.last().is_some_and(is_edge)
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-')
}

/// Checks what is behind the host: nothing, or a colon and a number.
fn check_port(text: &str) -> Result<(), ConfigError> {
    match text.strip_prefix(':') {
        None if text.is_empty() => Ok(()),
        // A sign is no digit, although it can be parsed.
        Some(port) if port.starts_with(|first: char| first.is_ascii_digit()) => {
            port.parse::<NonZeroU16>().map(drop).map_err(|_| ConfigError::LinkPort)
        }
        _ => Err(ConfigError::LinkPort),
    }
}

fn check_path(path: &str) -> Result<(), ConfigError> {
    let mut rest = path.as_bytes();
    while let Some((&byte, behind)) = rest.split_first() {
        rest = match (byte, behind) {
            (b'?', _) => return Err(ConfigError::LinkQuery),
            (b'#', _) => return Err(ConfigError::LinkFragment),
            (b'-' | b'.' | b'_' | b'~' | b'/', _) => behind,
            (b'%', [a, b, behind @ ..]) if a.is_ascii_hexdigit() && b.is_ascii_hexdigit() => behind,
            _ if byte.is_ascii_alphanumeric() => behind,
            _ => return Err(ConfigError::LinkPath),
        };
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::token::SystemRandom;

    #[test]
    fn an_address_names_the_rule_it_breaks() {
        let long = format!("https://a.example/{}", "a".repeat(LinkBase::MAX_LENGTH));
        let cases = [
            (&*long, ConfigError::LinkTooLong),
            ("", ConfigError::LinkScheme),
            ("//a.example/", ConfigError::LinkScheme),
            ("ftp://a.example/", ConfigError::LinkScheme),
            ("javascript://a.example/%0aalert(1)", ConfigError::LinkScheme),
            ("http://a.example/", ConfigError::LinkNotEncrypted),
            ("http://localhost.a.example/", ConfigError::LinkNotEncrypted),
            ("http://127.0.0.1.a.example/", ConfigError::LinkNotEncrypted),
            ("http://128.0.0.1/", ConfigError::LinkNotEncrypted),
            ("http://0.0.0.0/", ConfigError::LinkNotEncrypted),
            ("http://[::]/", ConfigError::LinkNotEncrypted),
            ("https://alice@a.example/", ConfigError::LinkCredentials),
            ("http://localhost:pass@a.example/", ConfigError::LinkCredentials),
            ("https://", ConfigError::LinkHost),
            ("https:///verify", ConfigError::LinkHost),
            ("https://a..example/", ConfigError::LinkHost),
            ("https://-a.example/", ConfigError::LinkHost),
            ("https://a.example./", ConfigError::LinkHost),
            ("https://a b/", ConfigError::LinkHost),
            ("https://ä.example/", ConfigError::LinkHost),
            ("https://a.example\\@b.example/", ConfigError::LinkCredentials),
            ("https://a.example\\b.example/", ConfigError::LinkHost),
            ("https://a.example\r\nBcc: x/", ConfigError::LinkHost),
            ("https://[::1/", ConfigError::LinkHost),
            ("https://[fe80::1%25eth0]/", ConfigError::LinkHost),
            ("http://127.1/", ConfigError::LinkHost),
            ("http://0x7f000001/", ConfigError::LinkHost),
            ("http://0x7f.1/", ConfigError::LinkHost),
            ("https://a.example:/", ConfigError::LinkPort),
            ("https://a.example:0/", ConfigError::LinkPort),
            ("https://a.example:65536/", ConfigError::LinkPort),
            ("https://a.example:+443/", ConfigError::LinkPort),
            ("https://[::1]443/", ConfigError::LinkPort),
            ("https://a.example/a b", ConfigError::LinkPath),
            ("https://a.example/\"onclick=x", ConfigError::LinkPath),
            ("https://a.example/<b>", ConfigError::LinkPath),
            ("https://a.example/%2", ConfigError::LinkPath),
            ("https://a.example/%zz", ConfigError::LinkPath),
            ("https://a.example/é", ConfigError::LinkPath),
            ("https://a.example/\n", ConfigError::LinkPath),
            ("https://a.example?", ConfigError::LinkQuery),
            ("https://a.example/?code=x", ConfigError::LinkQuery),
            ("https://a.example#", ConfigError::LinkFragment),
            ("https://a.example/#/verify", ConfigError::LinkFragment),
        ];
        for (address, error) in cases {
            assert_eq!(LinkBase::new(address).unwrap_err(), error, "{address}");
        }
    }

    proptest! {
        /// Another parser sees the same host, and nothing that hides it.
        #[test]
        fn an_accepted_address_means_the_same_to_another_parser(
            address in "(https?://)?[a-c0-9.:@/?#%\\[\\]\\\\ -]{0,20}",
        ) {
            if let Ok(base) = LinkBase::new(&address) {
                let uri: http::Uri = base.as_str().parse().expect("a URI");
                let authority = uri.authority().expect("an authority").as_str();
                let behind = address.split_once("://").expect("a scheme").1;
                prop_assert!(behind.starts_with(authority), "{} and {}", address, authority);
                prop_assert!(!authority.contains('@'));
                prop_assert_eq!(uri.query(), None);
                let is_local = matches!(uri.host(), Some("[::1]" | "localhost"))
                    || uri.host().is_some_and(|host| host.starts_with("127."));
                prop_assert!(is_local || uri.scheme_str() == Some("https"));
            }
        }
    }

    #[test]
    fn a_link_is_the_address_and_the_code() {
        let code = ConfirmationCode::generate(&SystemRandom).unwrap();
        for (address, before) in [
            ("https://a.example", "https://a.example/"),
            ("HTTPS://A.example:8443/x/verify", "HTTPS://A.example:8443/x/verify"),
            ("https://192.0.2.7/%C3%A9", "https://192.0.2.7/%C3%A9"),
            ("http://localhost:3000/verify", "http://localhost:3000/verify"),
            ("http://127.0.0.2/verify", "http://127.0.0.2/verify"),
            ("http://[::1]:80/~a", "http://[::1]:80/~a"),
        ] {
            let base = LinkBase::new(address).unwrap();
            let link = base.link(&code);
            let expected = format!("{before}?code={}", code.expose_secret());
            assert_eq!(link.expose_secret(), expected);
            assert!(link.expose_secret().parse::<http::Uri>().is_ok(), "{address}");
            assert_eq!(format!("{link:?}"), "ConfirmationLink(..)");
        }
    }
}
