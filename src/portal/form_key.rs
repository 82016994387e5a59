//! The token that a form of this portal carries, and a form of another site
//! cannot.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::token::{RandomSource, SystemRandom};
use crate::user::UserId;

const NONCE: usize = 16;

/// Makes form tokens: a random part, and the HMAC-SHA-256 of it and the user.
/// The random part keeps a token from being told by how a page compresses.
///
/// `None` where there was no randomness for a key: no form is taken then.
pub(super) struct FormKey(Option<Zeroizing<Vec<u8>>>);

impl FormKey {
    pub(super) fn random() -> Self {
        let mut key = Zeroizing::new(vec![0; 32]);
        Self(SystemRandom.fill(&mut key).is_ok().then_some(key))
    }

    pub(super) fn new(key: &[u8]) -> Option<Self> {
        (key.len() >= 32).then(|| Self(Some(Zeroizing::new(key.to_vec()))))
    }

    /// A token for a form of this user; empty, which is never taken, if there
    /// is no randomness.
    pub(super) fn token(&self, user: &UserId) -> String {
        let mut nonce = [0; NONCE];
        let random = SystemRandom.fill(&mut nonce);
        let Some(mac) = self.mac(&nonce, user).filter(|_| random.is_ok()) else {
            return String::new();
        };
        let mut token = nonce.to_vec();
        token.extend_from_slice(&mac.finalize().into_bytes());
        URL_SAFE_NO_PAD.encode(token)
    }

    /// Whether this portal gave the token to this user.
    pub(super) fn made(&self, token: &str, user: &UserId) -> bool {
        let Ok(token) = URL_SAFE_NO_PAD.decode(token) else { return false };
        let Some((nonce, tag)) = token.split_at_checked(NONCE) else { return false };
        self.mac(nonce, user).is_some_and(|mac| mac.verify_slice(tag).is_ok())
    }

    fn mac(&self, nonce: &[u8], user: &UserId) -> Option<Hmac<Sha256>> {
        let key = self.0.as_ref()?;
        let mut mac = Hmac::<Sha256>::new_from_slice(key).ok()?;
        mac.update(b"form\0");
        mac.update(nonce);
        mac.update(user.as_str().as_bytes());
        Some(mac)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_token_is_its_users_and_its_portals_alone() {
        let [alice, bob] = ["alice", "bob"].map(|user| UserId::new(user).unwrap());
        let (key, other) = (FormKey::random(), FormKey::random());
        let token = key.token(&alice);
        assert!(key.made(&token, &alice));
        assert!(!key.made(&token, &bob) && !other.made(&token, &alice));
        assert_ne!(token, key.token(&alice), "it is masked");
        for bad in ["", "AAAA", &token[1..], &format!("{token}A"), "é"] {
            assert!(!key.made(bad, &alice), "{bad}");
        }
    }

    #[test]
    fn without_randomness_no_form_is_taken() {
        let alice = UserId::new("alice").unwrap();
        let none = FormKey(None);
        assert!(!none.made(&none.token(&alice), &alice));
        assert!(FormKey::new(&[7; 31]).is_none() && FormKey::new(&[7; 32]).is_some());
    }
}
