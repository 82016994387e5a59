//! Who may ask an endpoint at all: on a private listener everybody who reaches
//! it, and else who knows the secret that it shares with the gateway.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use http::{HeaderMap, HeaderName, StatusCode};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::ServeError;
use crate::failure::Failure;
use crate::secret;
use crate::settings::{ListenAddress, SettingsError};

/// The header with the secret.
const SECRET: HeaderName = HeaderName::from_static("x-gateway-secret");

/// A secret must have so many bytes.
pub(super) const SHORTEST: usize = 16;

/// So many wrong secrets are answered in a second; further ones are sent away
/// without a look.
const WRONG_PER_SECOND: u32 = 10;

/// Lets a gateway in. Clones are one.
#[derive(Clone)]
pub(super) struct Door {
    secret: Option<Arc<Zeroizing<String>>>,
    wrong: Arc<Mutex<Wrong>>,
}

/// The wrong secrets of the present second.
struct Wrong {
    since: Instant,
    count: u32,
}

impl Door {
    /// The door of a listener.
    pub(super) fn of(
        name: &'static str,
        address: &ListenAddress,
        secret_file: Option<&Path>,
    ) -> Result<Self, Failure> {
        let secret = match secret_file {
            Some(path) => {
                let secret = secret::of_file(path).map_err(SettingsError::from)?;
                if secret.len() < SHORTEST {
                    return Err(ServeError::ShortSecret { path: path.to_owned() }.into());
                }
                Some(Arc::new(secret))
            }
            None if address.is_private() => None,
            None => return Err(ServeError::Public { name, address: address.clone() }.into()),
        };
        let wrong = Arc::new(Mutex::new(Wrong { since: Instant::now(), count: 0 }));
        Ok(Self { secret, wrong })
    }

    /// Takes the secret out of the headers, and says what to answer to a request
    /// that may not ask. Nothing of it depends on the request's token.
    pub(super) fn refusal(&self, headers: &mut HeaderMap) -> Option<StatusCode> {
        let secret = self.secret.as_ref()?;
        let mut sent = headers.get_all(SECRET).iter();
        let right = match (sent.next(), sent.next()) {
            (Some(sent), None) => bool::from(sent.as_bytes().ct_eq(secret.as_bytes())),
            _ => false,
        };
        headers.remove(SECRET);
        // The right one is let in however many wrong ones there are.
        if right { None } else { Some(self.count_wrong()) }
    }

    fn count_wrong(&self) -> StatusCode {
        let mut wrong = self.wrong.lock().unwrap_or_else(PoisonError::into_inner);
        if wrong.since.elapsed() >= Duration::from_secs(1) {
            *wrong = Wrong { since: Instant::now(), count: 0 };
        }
        wrong.count = wrong.count.saturating_add(1);
        if wrong.count == 1 {
            tracing::warn!("a request without the gateway's secret was refused");
        }
        if wrong.count > WRONG_PER_SECOND {
            StatusCode::TOO_MANY_REQUESTS
        } else {
            StatusCode::FORBIDDEN
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn door() -> Door {
        let wrong = Arc::new(Mutex::new(Wrong { since: Instant::now(), count: 0 }));
        let secret = Some(Arc::new(Zeroizing::new("0123456789abcdef".to_owned())));
        Door { secret, wrong }
    }

    fn headers(secrets: &[&str]) -> HeaderMap {
        secrets.iter().map(|secret| (SECRET, secret.parse().unwrap())).collect()
    }

    #[test]
    fn only_the_one_secret_sent_once_is_let_in_and_it_goes_no_further() {
        let mut right = headers(&["0123456789abcdef"]);
        assert_eq!(door().refusal(&mut right), None);
        assert!(right.is_empty());
        for wrong in [&[][..], &[""], &["0123456789abcdeF"], &["0123456789abcdef"; 2]] {
            assert_eq!(door().refusal(&mut headers(wrong)), Some(StatusCode::FORBIDDEN));
        }
    }

    #[test]
    fn guessing_at_speed_is_sent_away_and_does_not_shut_the_gateway_out() {
        let door = door();
        let answers: Vec<_> = (0..30).map(|_| door.refusal(&mut headers(&["x"]))).collect();
        assert!(answers.contains(&Some(StatusCode::TOO_MANY_REQUESTS)), "{answers:?}");
        assert_eq!(door.refusal(&mut headers(&["0123456789abcdef"])), None);
    }
}
