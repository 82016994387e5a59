//! What a problem says to a program, which has no page, form or button.

use crate::manage::Problem;

impl Problem {
    /// The same problem in the words of the JSON operations.
    pub(in crate::portal) fn for_programs(&self) -> Self {
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
}
