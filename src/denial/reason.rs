//! Why a request is denied, for whoever runs the server.

/// What an answer does not tell: it is for the log alone.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Reason {
    /// No enabled source carries a credential.
    NoCredential,
    /// `Authorization` is empty, or holds no scheme.
    NoScheme,
    /// `Authorization` holds another scheme's credential.
    OtherScheme,
    /// The request is a CORS preflight, which carries no credential.
    Preflight,
    /// The request passed as anonymous, and its handler serves no such one.
    Anonymous,
    /// The string is not of a form that the store is asked for.
    Foreign,
    /// The string has the form of a generated token and a wrong check sum.
    Damaged,
    /// No account names the token.
    Unknown,
    /// The token has been retired.
    Retired,
    /// The token waits for its confirmation.
    Pending,
    /// The token's lifetime is over.
    Expired,
    /// The user named beside the token is not its user.
    OtherUser,
    /// The gateway does not say which method its client used, or says it twice.
    NoMethod,
}

impl Reason {
    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::NoCredential => "no enabled source carries a credential",
            Self::NoScheme => "Authorization has no scheme before the credential, such as Bearer",
            Self::OtherScheme => "the scheme in Authorization is not an enabled one",
            Self::Preflight => {
                "a CORS preflight carries no credential, and passes only with allow_preflight (in \
                 the program requests.allow-preflight)"
            }
            Self::Anonymous => "the request is anonymous, and its handler needs an identity",
            Self::Foreign => {
                "the token has not the form of a generated one with a listed prefix, and a \
                 store is asked for others only with accept_foreign_tokens (in the program \
                 tokens.accept-foreign)"
            }
            Self::Damaged => "the token's check sum is wrong, so no store is asked for it",
            Self::Unknown => "no account has this token",
            Self::Retired => "the token has been retired",
            Self::Pending => "the token is not confirmed yet",
            Self::Expired => "the token has expired",
            Self::OtherUser => "the user named beside the token is not its user",
            Self::NoMethod => {
                "the gateway does not say its client's method once, in the way of the profile"
            }
        }
    }
}
