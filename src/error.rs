//! The errors of values: what a host configures, and what it is handed.

use std::time::Duration;

/// The limits that messages name. Each is public at the value that it bounds.
pub(crate) mod limit {
    pub(crate) const NAME: usize = 255;
    pub(crate) const CLIENT_LABEL: usize = 64;
    pub(crate) const METHOD: usize = 32;
    pub(crate) const EXTENSION_METHODS: usize = 32;
    pub(crate) const TOKEN: usize = 512;
    pub(crate) const LINK: usize = 900;
}

/// Why something cannot be configured so: a mistake of whoever writes or runs
/// the program, found at its start.
///
/// Each variant begins with what is wrong, and its message says what would be
/// right. One function that starts a program needs no other type for them:
///
/// ```
/// use std::time::Duration;
///
/// use tower_api_token::ConfigError;
/// use tower_api_token::notify::LinkBase;
/// use tower_api_token::rotation::Policy;
/// use tower_api_token::token::{Pepper, TokenScheme};
///
/// fn configured(key: &[u8]) -> Result<(TokenScheme, Policy, LinkBase), ConfigError> {
///     Ok((
///         TokenScheme::default().pepper(Pepper::new(1, key)?)?,
///         Policy::default().token_lifetime(Duration::from_secs(90 * 24 * 3600))?,
///         LinkBase::new("https://api.example/tokens/verify")?,
///     ))
/// }
///
/// assert_eq!(configured(b"short").unwrap_err(), ConfigError::PepperKeyTooShort);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A time of a [`Policy`](crate::rotation::Policy) is shorter than it may be.
    #[error("this time must be at least {}", words(*.shortest))]
    TimeTooShort {
        /// The shortest that it may be.
        shortest: Duration,
    },
    /// A time of a [`Policy`](crate::rotation::Policy) is longer than a hundred
    /// years.
    #[error("this time must not be longer than a hundred years")]
    TimeTooLong,
    /// A pepper has version 0, which stands for "no pepper".
    #[error("a pepper's version must be 1 or greater")]
    PepperVersionZero,
    /// A pepper's key is shorter than 32 bytes.
    #[error("a pepper's key must be at least 32 bytes long")]
    PepperKeyTooShort,
    /// Two peppers have the same version, no pepper being a version of its own.
    #[error("the current and the former peppers must all have different versions")]
    SamePepperVersion,
    /// Two peppers have the same key, so that the later one replaces nothing.
    #[error("two versions of the pepper have the same key: a new version must have a new key")]
    SamePepperKey,
    /// A scheme has a current pepper already.
    #[error("there can be one current pepper: name the other as a former one")]
    SecondPepper,
    /// A token prefix is empty or longer than 8 bytes.
    #[error("a token prefix must be 1 to 8 characters long")]
    PrefixLength,
    /// A token prefix holds something else than `a` to `z` and `0` to `9`.
    #[error("a token prefix must consist of a to z and 0 to 9")]
    PrefixCharacter,
    /// A token prefix is `tac`, the prefix of confirmation codes.
    #[error("the prefix tac is reserved for confirmation codes")]
    PrefixReserved,
    /// A text names no [`CredentialSource`](crate::credentials::CredentialSource).
    #[error("a source is bearer, tok, basic or header:NAME, where NAME is the name of a header")]
    CredentialSource,
    /// A sealing key is shorter or longer than 32 bytes.
    #[error("a sealing key must be exactly 32 bytes long")]
    SealingKeyLength,
    /// Every byte of a sealing key is the same, so it comes from no generator.
    #[error("a sealing key of one repeated byte is a placeholder")]
    SealingKeyPlaceholder,
    /// A realm is empty.
    #[error("a realm must not be empty")]
    RealmEmpty,
    /// A realm is longer than 100 bytes.
    #[error("a realm must not be longer than 100 bytes")]
    RealmTooLong,
    /// A realm holds something else than printable ASCII, or a quotation mark or
    /// backslash.
    #[error("a realm must be printable ASCII without quotation marks and backslashes")]
    RealmCharacter,
    /// The identity headers of the user and of the slot are the same.
    #[error("the headers of the user and of the slot must differ")]
    SameIdentityHeaders,
    /// An identity header means something else to HTTP or to a gateway.
    #[error("an identity header must not be one that HTTP or a gateway gives another meaning")]
    IdentityHeaderReserved,
    /// A cache has no room for any account, or for any negative entry.
    #[error("a cache must have room for at least one account and one negative entry")]
    CacheNoRoom,
    /// A cache has room for more than 2³⁰ accounts or negative entries.
    #[error("a cache has room for at most 2^30 accounts and as many negative entries")]
    CacheTooMuchRoom,
    /// No look-up would be possible while a cache is not trusted.
    #[error("at least one look-up must be possible while a cache is not trusted")]
    CacheNoBypassLoads,
    /// A staleness bound is under 20 ms; without a cache it is zero.
    #[error("a staleness bound must be at least 20 ms")]
    CacheShortBound,
    /// A staleness bound is over one minute.
    #[error("a staleness bound must be at most one minute")]
    CacheLongBound,
    /// A margin is over half the staleness bound.
    #[error("a margin must be at most half the staleness bound")]
    CacheGreatMargin,
    /// A cache is not started within a tokio runtime, whose tasks follow the feed.
    #[error("a cache must be started within a tokio runtime")]
    CacheNoRuntime,
    /// A link's address is longer than [`LinkBase::MAX_LENGTH`](crate::notify::LinkBase::MAX_LENGTH) bytes.
    #[error("a link's address must not be longer than {} bytes", limit::LINK)]
    LinkTooLong,
    /// A link's address does not begin with `https://` or `http://`.
    #[error("a link's address must begin with https:// or http://")]
    LinkScheme,
    /// A link would carry the code in the clear over a network.
    #[error("a link's address must be https, unless it leads to this machine itself")]
    LinkNotEncrypted,
    /// A link's address holds a user name or a password.
    #[error("a link's address must not hold a user name or a password")]
    LinkCredentials,
    /// The host of a link's address is neither a name (a non-ASCII one in its
    /// ASCII form) nor an address.
    #[error("a link's address must hold the name or the address of a host")]
    LinkHost,
    /// What follows the host of a link's address is no port.
    #[error("a port must be a number from 1 to 65535")]
    LinkPort,
    /// The path of a link's address holds something else than letters, digits,
    /// `-._~/` and percent-encoded bytes.
    #[error("a link's path must be of letters, digits, -._~/ and percent-encoded bytes")]
    LinkPath,
    /// A link's address has a query, which is the code's place.
    #[error("a link's address must not have a query")]
    LinkQuery,
    /// A link's address has a fragment, which would swallow the code.
    #[error("a link's address must not have a fragment")]
    LinkFragment,
    /// A mail server is not the name or the address of a host.
    #[error("a mail server must be the name or the address of a host")]
    MailServerHost,
    /// There is no certificate in a mail server's authorities, or one that cannot be read.
    #[error("the certificates cannot be read")]
    MailServerCertificate,
    /// A public key is no ECDSA P-256 key in the PEM form of RFC 7468 section 13.
    #[error("a public key must be one for ECDSA P-256, in PEM (BEGIN PUBLIC KEY)")]
    PublicKey,
    /// A text is no list of public keys as GitHub's API gives it, or an empty one.
    #[error(
        "the keys must be a JSON document with `public_keys`, each with a `key_identifier` and a \
         `key`"
    )]
    PublicKeys,
    /// A portal's path cannot be served, or not be linked to.
    #[error(
        "a portal's path must be / or segments of letters, digits and -._~, each after a slash"
    )]
    PortalPath,
    /// An address that a portal leads to cannot be linked to, or not be redirected to.
    #[error("an address must begin with /, https:// or http://, and fit where it is used")]
    PortalAddress,
    /// A portal's logo is no image of a kind that it serves.
    #[error("a logo must be an image: SVG, PNG, JPEG or WebP")]
    PortalLogo,
    /// A portal's form key is too short to keep anybody from finding it.
    #[error("a form key must have at least 32 bytes")]
    FormKeyTooShort,
    /// A manager's scheme lacks a pepper under which tokens are in use: they would
    /// all be refused. Version 0 stands for tokens without a pepper.
    #[error(
        "{tokens} {} in use under pepper version {version}, which the scheme lacks",
        if *.tokens == 1 { "token is" } else { "tokens are" }
    )]
    UnknownPepper {
        /// The version that is missing.
        version: u16,
        /// How many tokens are in use under it.
        tokens: u64,
    },
    /// The pepper of that version in a manager's scheme is not the one that tokens
    /// were made with, or were to be: they would all be refused. If none is in use
    /// under the version, the right key can have another one instead.
    #[error(
        "the pepper of version {version} is not the one that the store has seen by that version: \
         it must be that one, or have a version that was never used"
    )]
    WrongPepper {
        /// The version whose key is another.
        version: u16,
    },
    /// The current pepper's key in a manager's scheme is shorter than 32 bytes, and
    /// no token is in use under it yet.
    #[error(
        "the key of pepper version {version} must be at least 32 bytes long, since no token is in \
         use under it yet"
    )]
    ShortPepper {
        /// The version whose key is too short.
        version: u16,
    },
    /// A manager is to send codes, and has nobody who sends them.
    #[error(
        "nobody sends confirmation codes: give the builder a `notifier`, or say \
         `.confirmation(Confirmation::ByCaller)` to be handed each code"
    )]
    NoNotifier,
    /// The address of a webhook is not what `Webhook::new` asks for.
    #[error(
        "a webhook's address is https://, or http:// of this machine itself, with a host and \
         without a user name or a password"
    )]
    WebhookAddress,
    /// The secret of a webhook is none.
    #[error("a webhook's secret is `whsec_` and the base64 of 24 to 64 bytes")]
    WebhookSecret,
    /// Receivers of the audit log share a name, or one has a name that no cursor may
    /// have.
    #[error("each receiver of the audit log has a name of its own, of 1 to 255 bytes")]
    ReceiverName,
    /// There is a receiver of the audit log, and the store keeps none.
    #[error("the store keeps no audit log that could be delivered")]
    NoAuditLog,
    /// A value among what is configured is none.
    #[error(transparent)]
    Value(#[from] ValueError),
}

/// Why something is not what it would be made into: a text that is no name, no
/// method, no token, no label or no address, a token that cannot be imported, or
/// parts that are no account.
///
/// It is about a value that comes from outside, so whoever sent it can be told:
/// no message repeats the value.
///
/// ```
/// use tower_api_token::ValueError;
/// use tower_api_token::user::UserId;
/// use tower_api_token::method::MethodSet;
///
/// fn asked_for(user: &str, methods: &[&str]) -> Result<(UserId, MethodSet), ValueError> {
///     Ok((UserId::new(user)?, MethodSet::new(methods)?))
/// }
///
/// assert_eq!(asked_for("alice", &["get"]).unwrap_err(), ValueError::MethodCase);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ValueError {
    /// The name of a user, an administrator or a program is empty.
    #[error("a name must not be empty")]
    NameEmpty,
    /// A name is longer than [`UserId::MAX_LENGTH`](crate::user::UserId::MAX_LENGTH) bytes.
    #[error("a name must not be longer than {} bytes", limit::NAME)]
    NameTooLong,
    /// A name holds a control character (Unicode category Cc).
    #[error("a name must not hold control characters")]
    NameControlCharacter,
    /// A method is empty.
    #[error("a method must not be empty")]
    MethodEmpty,
    /// A method is longer than [`MAX_METHOD_LENGTH`](crate::method::MAX_METHOD_LENGTH) bytes.
    #[error("a method must not be longer than {} bytes", limit::METHOD)]
    MethodTooLong,
    /// A method is not a `token` of RFC 9110 section 5.6.2.
    #[error("a method must be a token of RFC 9110 section 5.6.2")]
    MethodSyntax,
    /// TRACE and CONNECT can never be granted.
    #[error("TRACE and CONNECT can never be granted")]
    MethodNeverGranted,
    /// A method is that of a standard method but for its case, so the grant
    /// would not mean what it says.
    #[error("methods are case-sensitive: a standard method is written in capitals")]
    MethodCase,
    /// `*` would read as "all" but mean a method of that name.
    #[error("there is no wildcard: name each method")]
    MethodWildcard,
    /// A set has more than [`MAX_EXTENSION_METHODS`](crate::method::MAX_EXTENSION_METHODS) extension methods.
    #[error("a set must not hold more than {} extension methods", limit::EXTENSION_METHODS)]
    TooManyMethods,
    /// A token is empty.
    #[error("a token must not be empty")]
    TokenEmpty,
    /// A token is longer than [`MAX_TOKEN_LENGTH`](crate::token::MAX_TOKEN_LENGTH) bytes.
    #[error("a token must not be longer than {} bytes", limit::TOKEN)]
    TokenTooLong,
    /// A token is not a `b64token` of RFC 6750 section 2.1.
    #[error("a token must be letters, digits and -._~+/ followed by any number of =")]
    TokenSyntax,
    /// A token to import has the shape of a generated one but not its check sum, so
    /// every request with it would be refused.
    #[error("the token has the form of a generated one, but its check sum is wrong")]
    TokenDamaged,
    /// A token to import is of no listed prefix, and the scheme does not accept
    /// others, so every request with it would be refused.
    #[error("the token is of a foreign form, and foreign tokens are not accepted")]
    TokenForeign,
    /// Of a token to import only the digest is known, and the scheme does not accept
    /// foreign tokens, so requests with it might be refused; see
    /// [`accept_foreign_tokens`](crate::token::TokenScheme::accept_foreign_tokens).
    #[error(
        "the form of the token behind a SHA-256 cannot be known, so requests with it might be \
         refused: accept foreign tokens, by accept_foreign_tokens(true) or in the program \
         tokens.accept-foreign = true, here and where it is served"
    )]
    TokenFormUnknown,
    /// A token to import could be guessed; see
    /// [`Token::looks_random`](crate::token::Token::looks_random).
    #[error(
        "the token is too weak: it must have 20 bytes, 10 different ones and no run longer than 7"
    )]
    TokenWeak,
    /// A client label is empty.
    #[error("a client label must not be empty")]
    ClientLabelEmpty,
    /// A client label is longer than [`ClientLabel::MAX_CHARACTERS`](crate::user::ClientLabel::MAX_CHARACTERS).
    #[error("a client label must not be longer than {} characters", limit::CLIENT_LABEL)]
    ClientLabelTooLong,
    /// A client label holds a character that prints nothing or turns the text
    /// around.
    #[error("a client label must be printable")]
    ClientLabelUnprintable,
    /// A mail address is not one address.
    #[error("a mail address must be one plain address such as alice@example.com, in ASCII")]
    MailAddress,
    /// The name or the domain of a mail address is not ASCII.
    #[error(
        "not supported: only ASCII addresses; a domain can be written in its ASCII form (xn--...)"
    )]
    MailAddressNotAscii,
    /// A mail address, or the name beside it, is too long.
    #[error("a mail address and its name must not be longer than 254 bytes")]
    MailAddressTooLong,
    /// The name beside a mail address holds a control character, such as the end of a line.
    #[error("a name beside a mail address must not hold control characters")]
    MailNameControlCharacter,
    /// An account has revision 0, that of an account that does not exist.
    #[error("an account's revision must be 1 or greater")]
    AccountRevisionZero,
    /// An account has a backup and no primary.
    #[error("an account with a backup must have a primary")]
    BackupWithoutPrimary,
    /// Two tokens of an account have one id.
    #[error("every token of an account must have an id of its own")]
    RepeatedTokenId,
    /// The next token of an account would have an id that was given out.
    #[error("an account's next token number must be greater than every id in it")]
    UsedTokenId,
    /// A number of an account is so great that it could not count on.
    #[error("an account's numbers must leave room for more")]
    AccountExhausted,
    /// Two places of an account name one digest.
    #[error("an account must name a digest once only")]
    RepeatedDigest,
}

/// A time in the greatest unit that it is whole in: `90d`, `1s`.
fn words(time: Duration) -> String {
    let seconds = time.as_secs();
    if seconds >= 86_400 && seconds.is_multiple_of(86_400) {
        format!("{}d", seconds / 86_400)
    } else {
        format!("{seconds}s")
    }
}
