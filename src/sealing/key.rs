//! Tokens sealed with a key in this process: XChaCha20-Poly1305 under a random
//! nonce, with the key's id, the user and the token's id as associated data.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use chacha20poly1305::aead::inout::InOutBuf;
use chacha20poly1305::{AeadInOut, KeyInit, Tag, XChaCha20Poly1305, XNonce};
use zeroize::Zeroizing;

use super::{Sealer, SealerError};
use crate::ConfigError;
use crate::token::{RandomSource, SealedToken, SystemRandom, Token, TokenId};
use crate::user::UserId;

/// The layout of sealed bytes: this number, the key's id (4 bytes, most
/// significant first), the nonce, the tag, the encrypted text.
const LAYOUT: u8 = 1;

const KEY_ID_LENGTH: usize = 4;
const NONCE_LENGTH: usize = 24;
const TAG_LENGTH: usize = 16;

/// What associated data begins with, so that a key which the host uses for
/// something else, too, opens nothing of it here.
const PURPOSE: &[u8] = b"tower-api-token sealed token\0";

/// The key that tokens are kept encrypted with.
///
/// A token is sealed by XChaCha20-Poly1305 under a random nonce of 24 bytes, with
/// the key's id, the user and the token's id as associated data. The key's memory
/// is wiped when its last clone is dropped, and `Debug` shows its id only.
///
/// ```
/// use tower_api_token::user::{Actor, UserId};
/// use tower_api_token::manage::{Confirmation, TokenManager};
/// # use tower_api_token::method::MethodSet;
/// use tower_api_token::sealing::SealingKey;
/// use tower_api_token::store::MemoryStore;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let key = std::array::from_fn::<u8, 32, _>(|place| place as u8);
/// let manager = TokenManager::builder(MemoryStore::new())
///     .sealer(SealingKey::new(1, &key)?)
/// #   .confirmation(Confirmation::ByCaller)
///     .build()
///     .await?;
/// # let root = Actor::administrator("root")?;
/// # let alice = UserId::new("alice")?;
/// # manager.grant(&root, &alice, MethodSet::new(["GET"])?).await?;
/// let issued = manager.issue(&Actor::User, &alice).await?;
/// // Later, when alice asks for it. The history keeps that she did.
/// let token = manager.reveal(&Actor::User, &alice, issued.id).await?;
/// assert_eq!(token.expose_secret(), issued.token.expose_secret());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct SealingKey {
    id: u32,
    cipher: Arc<XChaCha20Poly1305>,
}

impl SealingKey {
    /// The length of a key in bytes.
    pub const LENGTH: usize = 32;

    /// The key called `id`: exactly [`LENGTH`](Self::LENGTH) bytes from a
    /// random generator.
    ///
    /// Another key needs another id. Tokens that are sealed with a former key
    /// go on working, but cannot be shown any more.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] names the rule that the key breaks.
    ///
    /// ```
    /// use tower_api_token::ConfigError;
    /// use tower_api_token::sealing::SealingKey;
    ///
    /// assert_eq!(SealingKey::new(1, b"too short").unwrap_err(), ConfigError::SealingKeyLength);
    /// ```
    pub fn new(id: u32, key: &[u8]) -> Result<Self, ConfigError> {
        let cipher =
            XChaCha20Poly1305::new_from_slice(key).map_err(|_| ConfigError::SealingKeyLength)?;
        if key.iter().all(|byte| *byte == key[0]) {
            return Err(ConfigError::SealingKeyPlaceholder);
        }
        Ok(Self { id, cipher: Arc::new(cipher) })
    }

    /// The number that every sealed token names its key by.
    #[must_use]
    pub const fn id(&self) -> u32 {
        self.id
    }

    fn encrypt(
        &self,
        token: &Token,
        user: &UserId,
        id: TokenId,
    ) -> Result<SealedToken, SealerError> {
        let mut nonce = XNonce::default();
        SystemRandom.fill(&mut nonce).map_err(SealerError::unavailable)?;
        let mut text = Zeroizing::new(token.expose_secret().as_bytes().to_vec());
        let data = associated_data(self.id, user, id);
        let tag = self
            .cipher
            .encrypt_inout_detached(&nonce, &data, InOutBuf::from(text.as_mut_slice()))
            .expect("a token is shorter than what one nonce can encrypt");
        let key_id = self.id.to_be_bytes();
        Ok(SealedToken::from_bytes([&[LAYOUT], &key_id[..], &nonce, &tag, &text].concat()))
    }

    fn decrypt(
        &self,
        sealed: &SealedToken,
        user: &UserId,
        id: TokenId,
    ) -> Result<Token, SealerError> {
        let Parts { key_id, nonce, tag, text } =
            Parts::of(sealed).ok_or(SealerError::Unreadable)?;
        if key_id != self.id {
            return Err(SealerError::OtherKey { id: key_id.to_string() });
        }
        let mut text = Zeroizing::new(text.to_vec());
        let data = associated_data(key_id, user, id);
        self.cipher
            .decrypt_inout_detached(&nonce, &data, InOutBuf::from(text.as_mut_slice()), &tag)
            .map_err(|_| SealerError::Unreadable)?;
        let text = std::str::from_utf8(&text).map_err(|_| SealerError::Unreadable)?;
        Token::parse(text).map_err(|_| SealerError::Unreadable)
    }
}

#[async_trait]
impl Sealer for SealingKey {
    async fn seal(
        &self,
        token: &Token,
        user: &UserId,
        id: TokenId,
    ) -> Result<SealedToken, SealerError> {
        self.encrypt(token, user, id)
    }

    async fn open(
        &self,
        sealed: &SealedToken,
        user: &UserId,
        id: TokenId,
    ) -> Result<Token, SealerError> {
        self.decrypt(sealed, user, id)
    }

    /// Whether these bytes say that they were sealed with this key.
    fn can_open(&self, sealed: &SealedToken) -> bool {
        Parts::of(sealed).is_some_and(|parts| parts.key_id == self.id)
    }
}

impl fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealingKey").field("id", &self.id).finish_non_exhaustive()
    }
}

struct Parts<'a> {
    key_id: u32,
    nonce: XNonce,
    tag: Tag,
    text: &'a [u8],
}

impl<'a> Parts<'a> {
    fn of(sealed: &'a SealedToken) -> Option<Self> {
        let bytes = sealed.as_bytes().strip_prefix(&[LAYOUT])?;
        let (key_id, bytes) = bytes.split_first_chunk::<KEY_ID_LENGTH>()?;
        let (nonce, bytes) = bytes.split_first_chunk::<NONCE_LENGTH>()?;
        let (tag, text) = bytes.split_first_chunk::<TAG_LENGTH>()?;
        let key_id = u32::from_be_bytes(*key_id);
        Some(Self { key_id, nonce: (*nonce).into(), tag: (*tag).into(), text })
    }
}

/// All but the last part have a fixed length, so that no two places have the
/// same.
fn associated_data(key: u32, user: &UserId, id: TokenId) -> Vec<u8> {
    let (key, id) = (key.to_be_bytes(), id.as_u64().to_be_bytes());
    [PURPOSE, &[LAYOUT], &key, &id, user.as_str().as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(id: u32, first: u8) -> SealingKey {
        let mut bytes = [7; SealingKey::LENGTH];
        bytes[0] = first;
        SealingKey::new(id, &bytes).unwrap()
    }

    fn user(name: &str) -> UserId {
        UserId::new(name).unwrap()
    }

    fn sealed(key: &SealingKey, token: &Token) -> SealedToken {
        key.encrypt(token, &user("alice"), TokenId::from_u64(1)).unwrap()
    }

    const fn is_unreadable(opened: &Result<Token, SealerError>) -> bool {
        matches!(opened, Err(SealerError::Unreadable))
    }

    #[test]
    fn a_key_names_the_rule_it_breaks() {
        for length in [0, 16, 31, 33, 64] {
            let bytes = vec![1; length];
            assert_eq!(SealingKey::new(1, &bytes).unwrap_err(), ConfigError::SealingKeyLength);
        }
        let said = ConfigError::SealingKeyLength.to_string();
        assert!(said.contains(&format!(" {} bytes", SealingKey::LENGTH)), "{said}");
        for byte in [0, b'x'] {
            let error = SealingKey::new(1, &[byte; 32]).unwrap_err();
            assert_eq!(error, ConfigError::SealingKeyPlaceholder);
        }
        assert_eq!(format!("{:?}", key(5, 0)), "SealingKey { id: 5, .. }");
    }

    #[test]
    fn a_token_opens_in_its_own_place_only() {
        let key = key(1, 0);
        for length in [1, 42, crate::token::MAX_TOKEN_LENGTH] {
            let token = Token::parse("a".repeat(length)).unwrap();
            let sealed = sealed(&key, &token);
            let open = |name: &str, id| key.decrypt(&sealed, &user(name), TokenId::from_u64(id));
            assert_eq!(open("alice", 1).unwrap().expose_secret(), token.expose_secret());
            assert!(is_unreadable(&open("alice", 2)));
            assert!(is_unreadable(&open("alice\u{301}", 1)));
            assert!(is_unreadable(&open("bob", 1)));
        }
    }

    #[test]
    fn another_key_opens_nothing() {
        let token = Token::parse("a-token").unwrap();
        let (user, id) = (user("alice"), TokenId::from_u64(1));
        let sealed = sealed(&key(1, 0), &token);
        let renamed = key(2, 0).decrypt(&sealed, &user, id);
        assert!(matches!(renamed, Err(SealerError::OtherKey { id }) if id == "1"));
        let same_id = key(1, 1).decrypt(&sealed, &user, id);
        assert!(is_unreadable(&same_id));
    }

    #[test]
    fn no_changed_or_missing_byte_goes_unnoticed() {
        let (key, token) = (key(1, 0), Token::parse("a-token").unwrap());
        let bytes = sealed(&key, &token).as_bytes().to_vec();
        let open = |bytes: &[u8]| {
            key.decrypt(&SealedToken::from_bytes(bytes), &user("alice"), TokenId::from_u64(1))
        };
        assert!(open(&bytes).is_ok());
        for place in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[place] ^= 1;
            assert!(open(&changed).is_err(), "byte {place}");
            assert!(open(&bytes[..place]).is_err(), "{place} bytes");
        }
        assert!(open(&[&bytes[..], &[0]].concat()).is_err());
    }

    proptest! {
        #[test]
        fn garbage_never_opens_and_never_panics(
            mut bytes in proptest::collection::vec(any::<u8>(), 0..120),
            ours: bool,
        ) {
            if ours && bytes.len() > 4 {
                bytes[..5].copy_from_slice(&[LAYOUT, 0, 0, 0, 1]);
            }
            let sealed = SealedToken::from_bytes(bytes);
            let opened = key(1, 0).decrypt(&sealed, &user("alice"), TokenId::from_u64(1));
            prop_assert!(opened.is_err());
        }
    }

    #[test]
    fn the_same_token_is_never_sealed_twice_alike_nor_in_the_clear() {
        let (key, token) = (key(1, 0), Token::parse("a-token").unwrap());
        let (one, other) = (sealed(&key, &token), sealed(&key, &token));
        assert!(one != other);
        let clear = one.as_bytes().windows(7).any(|window| window == b"a-token");
        assert!(!clear);
    }
}
