//! Tokens that their owner can see again: kept encrypted beside their digest,
//! by what the host has for it and no store sees.
//!
//! Without a [`Sealer`] nothing is kept, and a lost token can only be replaced:
//! that is the safer way, and the default. With one, whoever holds both the
//! store's data and the sealer's key holds every token, so the key belongs into a
//! place of its own. `SealingKey` (feature `reveal`) seals with a key in this
//! process; a key management service is a [`Sealer`] of the host's own.
//!
//! # What is kept
//!
//! Every token that the manager generates, issues or imports as a plain text
//! while it has a sealer. The sealed bytes are dropped in the change that retires
//! the token. A token of the time before the sealer, or imported by its digest, is
//! not kept and cannot be shown.

#[cfg(feature = "reveal")]
mod key;

use std::error::Error;

use async_trait::async_trait;

#[cfg(feature = "reveal")]
pub use self::key::SealingKey;
use crate::token::{SealedToken, Token, TokenId};
use crate::user::UserId;

/// Encrypts tokens for the store, and opens them for their owner.
///
/// The user and the token's id belong to what is authenticated, so that sealed
/// bytes open in the place that they were made for and nowhere else. A sealer
/// bounds its own time, and neither its errors nor its log show anything of a
/// token.
///
/// ```
/// # struct Answer { key: String, bytes: Vec<u8> }
/// # #[derive(Debug, thiserror::Error)]
/// # #[error("the service does not answer")]
/// # struct Failure;
/// # struct Service;
/// # impl Service {
/// #     async fn encrypt(&self, text: &[u8], context: &str) -> Result<Vec<u8>, Failure> {
/// #         Ok([context.as_bytes(), text].concat())
/// #     }
/// #     async fn decrypt(&self, bytes: &[u8], context: &str) -> Result<Option<Vec<u8>>, Failure> {
/// #         Ok(bytes.strip_prefix(context.as_bytes()).map(<[u8]>::to_vec))
/// #     }
/// # }
/// use async_trait::async_trait;
/// use tower_api_token::user::UserId;
/// use tower_api_token::sealing::{Sealer, SealerError};
/// use tower_api_token::token::{SealedToken, Token, TokenId};
///
/// /// Seals with a service that holds the keys and names them in what it answers.
/// struct KeyManagement(Service);
///
/// /// What the service authenticates beside the text.
/// fn context(user: &UserId, id: TokenId) -> String {
///     format!("api-token {id} of {user}")
/// }
///
/// #[async_trait]
/// impl Sealer for KeyManagement {
///     async fn seal(
///         &self,
///         token: &Token,
///         user: &UserId,
///         id: TokenId,
///     ) -> Result<SealedToken, SealerError> {
///         let text = token.expose_secret().as_bytes();
///         let sealed = self.0.encrypt(text, &context(user, id)).await;
///         sealed.map(SealedToken::from_bytes).map_err(SealerError::unavailable)
///     }
///
///     async fn open(
///         &self,
///         sealed: &SealedToken,
///         user: &UserId,
///         id: TokenId,
///     ) -> Result<Token, SealerError> {
///         let opened = self.0.decrypt(sealed.as_bytes(), &context(user, id)).await;
///         let text = opened.map_err(SealerError::unavailable)?;
///         let text = text.and_then(|text| String::from_utf8(text).ok());
///         text.and_then(|text| Token::parse(text).ok()).ok_or(SealerError::Unreadable)
///     }
///
///     fn can_open(&self, _: &SealedToken) -> bool {
///         true
///     }
/// }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// #     let (alice, bob) = (UserId::new("alice").unwrap(), UserId::new("bob").unwrap());
/// #     let (token, id) = (Token::parse("a-token").unwrap(), TokenId::from_u64(1));
/// #     let sealer: Box<dyn Sealer> = Box::new(KeyManagement(Service));
/// #     let sealed = sealer.seal(&token, &alice, id).await.unwrap();
/// #     assert_eq!(sealer.open(&sealed, &alice, id).await.unwrap().expose_secret(), "a-token");
/// #     assert!(matches!(sealer.open(&sealed, &bob, id).await, Err(SealerError::Unreadable)));
/// # }
/// ```
#[async_trait]
pub trait Sealer: Send + Sync + 'static {
    /// Encrypts the token `id` of that user, in at most
    /// [`SealedToken::MAX_LENGTH`] bytes.
    ///
    /// # Errors
    ///
    /// [`SealerError::Unavailable`] if it cannot be done; the token is not made
    /// then.
    async fn seal(
        &self,
        token: &Token,
        user: &UserId,
        id: TokenId,
    ) -> Result<SealedToken, SealerError>;

    /// Decrypts what [`seal`](Self::seal) has made of the token `id` of that user.
    ///
    /// # Errors
    ///
    /// [`SealerError`] says why it cannot be done.
    async fn open(
        &self,
        sealed: &SealedToken,
        user: &UserId,
        id: TokenId,
    ) -> Result<Token, SealerError>;

    /// Whether [`open`](Self::open) has the key for these bytes, as far as can be
    /// told without waiting: a view says by it whether a token can be revealed.
    fn can_open(&self, sealed: &SealedToken) -> bool;
}

/// Why a [`Sealer`] has not sealed or opened a token.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SealerError {
    /// The token is sealed with another key than the present one.
    #[error("the token is sealed with key {id}, which is not the present one")]
    OtherKey {
        /// The key that would open it.
        id: String,
    },
    /// What is kept cannot be opened in this place, or is not this token: it was
    /// damaged, or the key's name belongs to another key.
    #[error("what is kept of the token cannot be opened")]
    Unreadable,
    /// The sealer cannot do it for the time being.
    #[error("tokens cannot be sealed or opened at present")]
    Unavailable(#[source] Box<dyn Error + Send + Sync>),
    /// What the sealer has made of the token is longer than a store has to keep.
    #[error("a sealed token has at most {} bytes", SealedToken::MAX_LENGTH)]
    TooLong,
}

impl SealerError {
    /// The sealer cannot do it for the time being, for a reason that shows nothing
    /// of a token.
    #[must_use]
    pub fn unavailable(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Unavailable(source.into())
    }
}
