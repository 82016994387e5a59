//! What the portal refuses by itself, and what pages and JSON operations say of a problem.

use std::borrow::Cow;
use std::time::Duration;

use http::StatusCode;

use crate::ValueError;
use crate::manage::Problem;

impl Problem {
    pub(super) const NOT_SIGNED_IN: Self = Self::new(
        StatusCode::UNAUTHORIZED,
        "not_signed_in",
        "Please sign in",
        "These pages are for people who have signed in. An API token does not sign anyone in.",
    );
    pub(super) const NOT_ADMINISTRATOR: Self = Self::new(
        StatusCode::FORBIDDEN,
        "not_administrator",
        "For administrators only",
        "Your account does not administer the access of others.",
    );
    pub(super) const CROSS_ORIGIN: Self = Self::new(
        StatusCode::FORBIDDEN,
        "cross_origin",
        "This came from somewhere else",
        "A change must be asked for on these pages themselves. Nothing has changed.",
    );
    pub(super) const FORGED_FORM: Self = Self::new(
        StatusCode::FORBIDDEN,
        "forged_form",
        "This form is not valid any more",
        "Open the page again and repeat what you did. Nothing has changed.",
    );
    pub(super) const NOT_FOUND: Self = Self::new(
        StatusCode::NOT_FOUND,
        "not_found",
        "There is no such page",
        "The address may have been mistyped.",
    );
    pub(super) const METHOD: Self = Self::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method_not_allowed",
        "This cannot be done that way",
        "The address does not answer to this HTTP method. Nothing has changed.",
    );
    pub(super) const TOO_LARGE: Self = Self::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        "too_large",
        "That was too much",
        "A request may have at most 16 KiB. Nothing has changed.",
    );
    pub(super) const NOT_JSON: Self = Self::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "not_json",
        "Not JSON",
        "The request must be sent as application/json. Nothing has changed.",
    );
    pub(super) const LOOKS_SECRET: Self = Self::new(
        StatusCode::BAD_REQUEST,
        "looks_secret",
        "That looks like a token",
        "It was not searched for and is not shown here. If it was typed into the wrong place, \
         treat it as leaked.",
    );
    pub(super) const NOTHING_PENDING: Self = Self::new(
        StatusCode::NOT_FOUND,
        "nothing_pending",
        "There is nothing to activate",
        "No token of yours waits for its confirmation. Generate one on your profile first.",
    );
    pub(super) const NO_ACCOUNT: Self = Self::new(
        StatusCode::NOT_FOUND,
        "no_account",
        "There is no such account",
        "This user has never been granted API access, or was erased.",
    );
    pub(super) const NOT_SENT: Self = Self::new(
        StatusCode::BAD_GATEWAY,
        "not_sent",
        "The mail could not be sent",
        "Your new token still waits. Have the mail sent again in a minute.",
    );

    /// A request that cannot be understood.
    pub(super) fn bad_request(detail: impl Into<Cow<'static, str>>) -> Self {
        let title = "This cannot be understood";
        Self::new(StatusCode::BAD_REQUEST, "bad_request", title, "").because(detail)
    }

    /// A name that no user can have.
    pub(super) fn no_such_user(error: ValueError) -> Self {
        Self::bad_request(format!("There can be no such user: {error}."))
    }

    /// Methods that nobody can be granted.
    pub(super) fn no_methods(error: ValueError) -> Self {
        Self::bad_request(format!("These methods cannot be granted: {error}. Nothing has changed."))
    }

    /// A user has done this too often.
    pub(super) fn limited(retry_after: Duration) -> Self {
        Self::too_many("too_many", "Too often", retry_after)
    }

    /// The same problem in the words of the pages.
    pub(super) fn for_people(&self) -> Self {
        let words = match self.code {
            "no_access" => Self::YOU_HAVE_NO_ACCESS,
            "stale" => (
                "This page was out of date",
                "The tokens have changed since it was opened, in another window or by somebody \
                 else. Nothing was done: look at what there is now, and decide again.",
            ),
            "expired_code" => (
                "This code has run out",
                "Have another one sent from your profile, or generate the token anew. Nothing has \
                 changed.",
            ),
            _ => return self.clone(),
        };
        self.in_words(words)
    }

    /// The same problem in the words of the JSON operations.
    pub(super) fn for_programs(&self) -> Self {
        let words = match self.code {
            "no_access" => Self::YOU_HAVE_NO_ACCESS,
            "not_signed_in" => (
                "Not signed in",
                "The request carries no session of a user who has signed in. An API token is none.",
            ),
            "cross_origin" => (
                "Of another origin",
                "A change must be asked for from the origin of the portal itself. Nothing has \
                 changed.",
            ),
            "not_found" => {
                ("No such operation", "The OpenAPI document names those that there are.")
            }
            "method_not_allowed" => (
                "Not that method",
                "The operation does not answer to this HTTP method. Nothing has changed.",
            ),
            "stale" => (
                "The request names other tokens",
                "The tokens are not those that the request names: the members that the operation \
                 describes as what the caller knows must say what there is, and null where there \
                 is nothing. Nothing has changed: look at what there is now, and decide again.",
            ),
            "expired_code" => (
                "This code has run out",
                "Send another one by resend, or generate the token anew. Nothing has changed.",
            ),
            "backup_exists" => (
                "There is a backup",
                "End it first by delete-backup, or name it as replacing_backup, so that the new \
                 token's confirmation ends it. Nothing has changed.",
            ),
            "nothing_pending" => {
                ("There is nothing to confirm", "No token of this user waits for its confirmation.")
            }
            "looks_secret" => (
                "That looks like a token",
                "It stands where a user's name is expected. It was not looked up and is not \
                 repeated here: treat it as leaked.",
            ),
            "in_use" => {
                let detail = format!("{} Say even_if_in_use to end it anyway.", self.detail);
                return self.clone().because(detail);
            }
            _ => return self.clone(),
        };
        self.in_words(words)
    }

    /// Whoever is signed in asks for themselves.
    const YOU_HAVE_NO_ACCESS: (&'static str, &'static str) = (
        "You have no API access",
        "An administrator grants it. Until then there are no tokens to see or to generate.",
    );

    /// The same problem with another title and detail.
    fn in_words(&self, (title, detail): (&'static str, &'static str)) -> Self {
        Self { title, detail: Cow::Borrowed(detail), ..self.clone() }
    }
}
