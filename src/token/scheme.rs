//! How this host's tokens are made, recognised and hashed.

use std::io;

use super::digest::stored;
use super::form::has_check_sum;
use super::{
    Pepper, PepperCheck, PepperVersion, RandomSource, StoredDigest, Token, TokenForm, TokenHint,
    TokenPrefix,
};
use crate::ConfigError;

/// How this host's tokens are made, recognised and hashed: the one
/// configuration that the manager and the layer must share.
///
/// ```
/// use tower_api_token::token::{Pepper, TokenPrefix, TokenScheme};
///
/// let scheme = TokenScheme::new(TokenPrefix::new("acme")?)
///     .former_prefix(TokenPrefix::standard())
///     .pepper(Pepper::new(1, b"thirty-two bytes from a secret store")?)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct TokenScheme {
    prefix: TokenPrefix,
    former_prefixes: Vec<TokenPrefix>,
    accept_foreign: bool,
    /// What digests are made with, the current one first and never absent; `None`
    /// for plain SHA-256. The others are asked for in their order.
    peppers: Vec<Option<Pepper>>,
}

impl Default for TokenScheme {
    fn default() -> Self {
        Self::new(TokenPrefix::standard())
    }
}

impl TokenScheme {
    /// Tokens that begin with `prefix`, no pepper, no foreign tokens.
    #[must_use]
    pub fn new(prefix: TokenPrefix) -> Self {
        Self { prefix, former_prefixes: Vec::new(), accept_foreign: false, peppers: vec![None] }
    }

    /// Lists a prefix that this host has used before, so that its tokens go on
    /// working. Default: none.
    #[must_use]
    pub fn former_prefix(mut self, prefix: TokenPrefix) -> Self {
        self.former_prefixes.push(prefix);
        self
    }

    /// Whether a string that is no token of a listed prefix may be one that
    /// another system made, so that the store is asked for it. Default: no; it
    /// is refused at once, and so is its import.
    #[must_use]
    pub const fn accept_foreign_tokens(mut self, accept: bool) -> Self {
        self.accept_foreign = accept;
        self
    }

    /// Makes digests with this key from now on. Default: none, plain SHA-256.
    ///
    /// # Errors
    ///
    /// [`ConfigError::SecondPepper`] if the scheme has a current key already: of two
    /// one is a [former](Self::former_pepper) one. [`ConfigError::SamePepperVersion`] or
    /// [`ConfigError::SamePepperKey`] if a former one has the same version or the same key.
    pub fn pepper(mut self, pepper: Pepper) -> Result<Self, ConfigError> {
        match &mut self.peppers[0] {
            Some(_) => return Err(ConfigError::SecondPepper),
            current => *current = Some(pepper),
        }
        self.checked()
    }

    /// Still recognises tokens whose digest was made with this key, until the
    /// store counts none of them. Several add up. Default: none.
    ///
    /// ```
    /// use tower_api_token::token::{Pepper, TokenScheme};
    ///
    /// let scheme = TokenScheme::default()
    ///     .pepper(Pepper::new(3, b"the third thirty-two bytes or more")?)?
    ///     .former_pepper(Pepper::new(2, b"the second thirty-two bytes or more")?)?
    ///     .former_pepper(Pepper::new(1, b"the first thirty-two bytes or more")?)?
    ///     .formerly_without_pepper()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ConfigError::SamePepperVersion`] or [`ConfigError::SamePepperKey`] if another one has the
    /// same version or the same key.
    pub fn former_pepper(mut self, pepper: Pepper) -> Result<Self, ConfigError> {
        self.peppers.push(Some(pepper));
        self.checked()
    }

    /// Still recognises tokens whose digest was made without any key, from the
    /// time before the first pepper; beside all former peppers.
    ///
    /// # Errors
    ///
    /// [`ConfigError::SamePepperVersion`] if there is no current pepper, or if it has been
    /// said before.
    pub fn formerly_without_pepper(mut self) -> Result<Self, ConfigError> {
        self.peppers.push(None);
        self.checked()
    }

    fn checked(self) -> Result<Self, ConfigError> {
        let versions: Vec<_> = self.versions().collect();
        let twice = |(place, version): (usize, _)| versions[..place].contains(version);
        if versions.iter().enumerate().any(twice) {
            Err(ConfigError::SamePepperVersion)
        } else if self.has_one_key_twice() {
            Err(ConfigError::SamePepperKey)
        } else {
            Ok(self)
        }
    }

    fn has_one_key_twice(&self) -> bool {
        // One key makes one digest of the same bytes, whatever its version.
        let digests: Vec<_> = self.peppers().map(|pepper| pepper.apply(&[0; 32])).collect();
        (1..digests.len()).any(|place| digests[..place].contains(&digests[place]))
    }

    /// The version of each key, the current one first.
    fn versions(&self) -> impl Iterator<Item = PepperVersion> {
        self.peppers
            .iter()
            .map(|pepper| pepper.as_ref().map_or(PepperVersion::NONE, Pepper::version))
    }

    /// The check value of each pepper, that of the current one first.
    pub fn pepper_checks(&self) -> impl Iterator<Item = (PepperVersion, PepperCheck)> {
        self.peppers().map(|pepper| (pepper.version(), pepper.check_value()))
    }

    /// Each pepper, the current one first.
    pub(crate) fn peppers(&self) -> impl Iterator<Item = &Pepper> {
        self.peppers.iter().flatten()
    }

    /// The pepper that new digests are made with.
    pub(crate) fn current_pepper(&self) -> Option<&Pepper> {
        self.peppers[0].as_ref()
    }

    /// Whether requests with tokens of this prefix are sent to the store; `None` for
    /// tokens of another form.
    #[must_use]
    pub fn recognises(&self, prefix: Option<&TokenPrefix>) -> bool {
        let listed =
            |prefix: &TokenPrefix| self.prefix == *prefix || self.former_prefixes.contains(prefix);
        self.accept_foreign || prefix.is_some_and(listed)
    }

    /// Whether a token of a form that this host does not generate may be asked for.
    pub(crate) const fn accepts_foreign(&self) -> bool {
        self.accept_foreign
    }

    /// Generates a token: 36 characters (214 bits) from `source`.
    pub(crate) fn generate(&self, source: &dyn RandomSource) -> io::Result<Token> {
        self.prefix.generate(source)
    }

    /// What a view may show of `token`.
    pub(crate) fn hint(&self, token: &Token) -> TokenHint {
        TokenHint::of(token, self.prefix_of(token.expose_secret().as_bytes()))
    }

    #[inline]
    fn prefix_of(&self, text: &[u8]) -> Option<&TokenPrefix> {
        let former = || self.former_prefixes.iter().find(|prefix| prefix.has_shape(text));
        if self.prefix.has_shape(text) { Some(&self.prefix) } else { former() }
    }

    /// What the form of `text` says about it. Costs one CRC-32; whether a
    /// foreign token is accepted is not its business.
    pub(crate) fn form(&self, text: &[u8]) -> TokenForm {
        match self.prefix_of(text) {
            None => TokenForm::Foreign,
            Some(_) if has_check_sum(text) => TokenForm::Generated,
            Some(_) => TokenForm::Damaged,
        }
    }

    /// Whether `text` is as long as the tokens that this scheme generates.
    #[inline]
    pub(crate) fn has_generated_length(&self, text: &[u8]) -> bool {
        self.prefix.has_length(text)
    }

    /// Whether a store may be asked for `text` after memory did not know it.
    #[must_use]
    pub fn admits(&self, text: &[u8]) -> bool {
        match self.form(text) {
            TokenForm::Generated => true,
            TokenForm::Damaged => false,
            TokenForm::Foreign => self.accept_foreign,
        }
    }

    /// The digest under which a new token is stored.
    #[must_use]
    pub fn digest(&self, token: &Token) -> StoredDigest {
        self.digest_of_sha256(&token.sha256())
    }

    /// The digest under which a token whose plain SHA-256 is `sha256` is
    /// stored.
    #[must_use]
    #[inline]
    pub fn digest_of_sha256(&self, sha256: &[u8; 32]) -> StoredDigest {
        stored(sha256, self.current_pepper())
    }

    /// The digests that a token with this plain SHA-256 may be stored under: that
    /// under the current pepper, and then those under the former ones.
    #[inline]
    pub(crate) fn digests(&self, sha256: &[u8; 32]) -> impl Iterator<Item = StoredDigest> {
        self.peppers.iter().map(|pepper| stored(sha256, pepper.as_ref()))
    }

    /// Whether tokens whose digest was made under `version` are recognised.
    #[must_use]
    pub fn knows(&self, version: PepperVersion) -> bool {
        self.versions().any(|known| known == version)
    }
}

#[cfg(test)]
mod tests {
    use super::super::digest::sha256;
    use super::super::form::SystemRandom;
    use super::*;

    fn pepper(version: u16) -> Pepper {
        Pepper::new(version, &[version as u8; 32]).unwrap()
    }

    #[test]
    fn a_listed_prefix_is_recognised_and_another_is_foreign() {
        let old = TokenScheme::default();
        let new = TokenScheme::new(TokenPrefix::new("acme").unwrap());
        let token = old.generate(&SystemRandom).unwrap();
        let text = token.expose_secret().as_bytes();
        assert_eq!(old.form(text), TokenForm::Generated);
        assert_eq!(new.form(text), TokenForm::Foreign);
        assert!(!new.admits(text) && new.form(text) == TokenForm::Foreign);
        assert!(!new.has_generated_length(&text[1..]));
        let both = new.clone().former_prefix(TokenPrefix::standard());
        assert_eq!(both.form(text), TokenForm::Generated);
        assert!(new.accept_foreign_tokens(true).admits(text));
    }

    #[test]
    fn a_damaged_token_is_refused_even_where_foreign_ones_are_accepted() {
        let scheme = TokenScheme::default().accept_foreign_tokens(true);
        let mut text = scheme.generate(&SystemRandom).unwrap().expose_secret().as_bytes().to_vec();
        text[10] ^= 1;
        assert_eq!(scheme.form(&text), TokenForm::Damaged);
        assert!(!scheme.admits(&text));
        assert_eq!(scheme.form(&text[..20]), TokenForm::Foreign);
    }

    #[test]
    fn two_versions_give_two_digests_and_never_the_same_one() {
        let scheme = TokenScheme::default().pepper(pepper(2)).unwrap();
        assert_eq!(scheme.digests(&sha256(b"x")).count(), 1);
        let scheme = scheme.former_pepper(pepper(1)).unwrap();
        let [current, former] =
            scheme.digests(&sha256(b"x")).collect::<Vec<_>>().try_into().unwrap();
        assert_ne!(current.digest, former.digest);
        assert_eq!([current.pepper.as_u16(), former.pepper.as_u16()], [2, 1]);
        assert!(scheme.knows(former.pepper) && !scheme.knows(PepperVersion::NONE));
        assert!(scheme.former_pepper(pepper(2)).is_err());
    }

    #[test]
    fn former_peppers_add_up_in_their_order() {
        let scheme = TokenScheme::default().pepper(pepper(3)).unwrap();
        let scheme = scheme.former_pepper(pepper(2)).unwrap().former_pepper(pepper(1)).unwrap();
        let scheme = scheme.formerly_without_pepper().unwrap();
        let versions: Vec<_> =
            scheme.digests(&[0; 32]).skip(1).map(|former| former.pepper.as_u16()).collect();
        assert_eq!(versions, [2, 1, 0]);
        for version in [0, 1, 2, 3] {
            assert!(scheme.knows(PepperVersion::from_u16(version)), "{version}");
        }
    }

    #[test]
    fn no_version_is_named_twice() {
        let scheme = || TokenScheme::default().pepper(pepper(2)).unwrap();
        let former = || scheme().former_pepper(pepper(1)).unwrap();
        assert_eq!(former().former_pepper(pepper(1)).unwrap_err(), ConfigError::SamePepperVersion);
        let before = || former().formerly_without_pepper().unwrap();
        assert_eq!(before().formerly_without_pepper().unwrap_err(), ConfigError::SamePepperVersion);
        assert_eq!(scheme().pepper(pepper(3)).unwrap_err(), ConfigError::SecondPepper);
    }

    #[test]
    fn no_key_has_two_versions() {
        let one_key = |version| Pepper::new(version, &[7; 32]).unwrap();
        let scheme = || TokenScheme::default().pepper(one_key(3)).unwrap();
        assert_eq!(scheme().former_pepper(one_key(1)).unwrap_err(), ConfigError::SamePepperKey);
        let former = || scheme().former_pepper(pepper(2)).unwrap();
        assert_eq!(former().former_pepper(one_key(1)).unwrap_err(), ConfigError::SamePepperKey);
        assert!(former().former_pepper(pepper(1)).is_ok());
        let later = TokenScheme::default().former_pepper(one_key(1)).unwrap();
        assert_eq!(later.pepper(one_key(2)).unwrap_err(), ConfigError::SamePepperKey);
    }

    #[test]
    fn the_time_before_the_first_pepper_is_a_version_too() {
        assert!(TokenScheme::default().formerly_without_pepper().is_err());
        let scheme = TokenScheme::default().pepper(pepper(1)).unwrap();
        let scheme = scheme.formerly_without_pepper().unwrap();
        let plain = TokenScheme::default().digests(&sha256(b"x")).next();
        assert!(plain.is_some() && scheme.digests(&sha256(b"x")).nth(1) == plain);
        assert!(scheme.knows(PepperVersion::NONE));
    }
}
