//! The page between a button and what it does: what a change will do to what is
//! running, in words.

use askama::Template;
use axum::response::{IntoResponse, Response};
use http::StatusCode;

use crate::manage::{AccountView, Problem, TokenView};
use crate::portal::act::Shown;
use crate::portal::layout::{Layout, Page};
use crate::portal::show::{Moment, PendingCard, TokenCard};
use crate::rotation::RotationError;
use crate::token::TokenId;
use crate::user::UserId;

/// A change to be confirmed.
pub(super) struct Plan {
    pub(super) heading: String,
    pub(super) effects: Vec<String>,
    pub(super) agree: String,
    /// What to agree to besides, where a token is in use.
    pub(super) insist: Option<String>,
    /// Whether something that works now will stop.
    pub(super) ends_something: bool,
    /// What the form is about.
    pub(super) hidden: Vec<(&'static str, String)>,
}

impl Plan {
    fn new(heading: impl Into<String>, agree: impl Into<String>) -> Self {
        Self {
            heading: heading.into(),
            agree: agree.into(),
            effects: Vec::new(),
            insist: None,
            ends_something: true,
            hidden: Vec::new(),
        }
    }

    fn effect(mut self, effect: impl Into<String>) -> Self {
        self.effects.push(effect.into());
        self
    }

    fn hide(mut self, name: &'static str, id: Option<TokenId>) -> Self {
        self.hidden.push((name, id.map(|id| id.to_string()).unwrap_or_default()));
        self
    }

    pub(super) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.hidden.push((name, value.into()));
        self
    }

    pub(super) fn in_use(self, in_use: bool) -> Self {
        let insist = "It may be in use. End it all the same.";
        Self { insist: in_use.then(|| insist.to_owned()), ..self }
    }

    pub(super) fn generate(view: &AccountView) -> Result<Self, Problem> {
        if view.suspended_since.is_some() {
            return Err(RotationError::Suspended.into());
        }
        let shown = Shown::of(view);
        let plan = Self::new("Generate New Primary", "Generate a new primary token for me.")
            .hide("primary", shown.primary)
            .hide("replacing_backup", shown.backup)
            .effect(
                "A new token is made and shown to you once. It does not work yet: a mail with a \
                 link goes to you, and the token works when you have confirmed it there.",
            );
        let plan = match &view.primary {
            Some(primary) => plan.effect(format!(
                "Whatever uses your present primary, {}, goes on working{}. With the confirmation \
                 it becomes the backup, until you delete it, or its lifetime is over if it has one.",
                name(primary),
                until(primary, view)
            )),
            None => {
                plan.effect("You have no token that works, so nothing that is running is affected.")
            }
        };
        let mut plan = match &view.backup {
            Some(backup) => plan.effect(format!(
                "With the confirmation your present backup, {}, ends: whatever still uses it is \
                 refused from then on. {}",
                name(backup),
                last_use(backup, view)
            )),
            None => plan,
        };
        plan.ends_something = view.backup.is_some();
        Ok(match &view.pending {
            Some(pending) if pending.expires_at <= view.now => plan.effect(format!(
                "Token {}, whose time to be confirmed has run out, is dropped.",
                pending.id
            )),
            Some(pending) => plan.effect(format!(
                "Token {}, which waits for its confirmation, is dropped, and the link in its mail \
                 is void.",
                pending.id
            )),
            None => plan,
        })
    }

    pub(super) fn delete_backup(view: &AccountView) -> Result<Self, Problem> {
        let backup = view.backup.as_ref().ok_or(Problem::STALE)?;
        let plan = Self::new("Delete Backup", format!("Delete the backup, {}.", name(backup)))
            .hide("id", Some(backup.id))
            .effect(format!(
                "Your backup, {}, ends at once: whatever still uses it is refused from then on. {}",
                name(backup),
                last_use(backup, view)
            ));
        Ok(match &view.primary {
            Some(primary) => {
                let (name, goes_on) = (name(primary), goes_on(Some(primary), view));
                plan.effect(format!("Your primary, {name}, {goes_on}."))
            }
            None => plan,
        })
    }

    pub(super) fn roll_back(view: &AccountView) -> Result<Self, Problem> {
        let primary = view.primary.as_ref().ok_or(Problem::STALE)?;
        let backup = view.backup.as_ref().ok_or(RotationError::NoLiveBackup)?;
        let agree = format!("Give up {} and go back to {}.", name(primary), name(backup));
        Ok(Self::new("Make the backup primary again", agree)
            .hide("id", Some(primary.id))
            .effect(format!(
                "Your backup, {}, becomes the primary again and {}.",
                name(backup),
                goes_on(None, view)
            ))
            .effect(format!(
                "Your present primary, {}, ends at once: whatever uses it is refused from then \
                 on. {}",
                name(primary),
                last_use(primary, view)
            )))
    }

    pub(super) fn cancel_pending(view: &AccountView) -> Result<Self, Problem> {
        let pending = view.pending.as_ref().ok_or(Problem::STALE)?;
        let card = PendingCard::new(pending, view.now);
        let plan = Self::new("Cancel the new token", format!("Drop token {}.", card.id))
            .hide("id", Some(pending.id))
            .effect(format!(
                "Token {} ({}), which does not work yet, is dropped, and the link in its mail is \
                 void.",
                card.id, card.hint
            ))
            .effect("This affects nothing that is running.");
        Ok(Self { ends_something: false, ..plan })
    }

    pub(super) fn revoke_all(view: &AccountView) -> Result<Self, Problem> {
        let shown = Shown::of(view);
        if shown == Shown::default() {
            return Err(RotationError::AlreadyDone.into());
        }
        let plan = Self::new("Revoke everything now", "End every token at once.")
            .hide("primary", shown.primary)
            .hide("backup", shown.backup)
            .hide("pending", shown.pending);
        Ok(ended(plan, view).effect(if view.suspended_since.is_some() {
            "API access stays granted, and suspended: a new token can be generated when an \
             administrator has resumed it."
        } else {
            "API access stays granted: a new token can be generated afterwards."
        }))
    }

    /// No request of the user any more, until the access is resumed.
    pub(super) fn suspend(view: &AccountView) -> Self {
        let user = &view.user;
        let heading = format!("Suspend the API access of {user}");
        let plan = Self::new(heading, format!("Suspend the API access of {user}.")).effect(
            "Every request with a token of this user is refused from now on, until the access is \
             resumed.",
        );
        live(view)
            .fold(plan, |plan, (slot, token)| {
                let (name, last_use) = (name(token), last_use(token, view));
                plan.effect(format!("The {slot}, {name}, is refused. {last_use}"))
            })
            .effect(
                "Methods and tokens stay as they are. A token whose lifetime is over before the \
                 access is resumed has ended.",
            )
            .effect(
                "The user may end tokens, and neither make nor confirm nor view any. The user is \
                 told.",
            )
    }

    /// The end of a suspension; `view` if there is access to resume.
    pub(super) fn resume(user: &UserId, view: Option<&AccountView>) -> Self {
        let heading = format!("Resume the API access of {user}");
        let plan = Self::new(heading, format!("Resume the API access of {user}."));
        let tokens: Vec<_> = view.iter().flat_map(|view| live(view)).collect();
        let plan = match view {
            None => plan.effect("No method is granted, so there is no access until one is."),
            Some(_) if tokens.is_empty() => plan.effect("The user has no token that would work."),
            Some(view) => tokens.into_iter().fold(plan, |plan, (slot, token)| {
                let (name, until) = (name(token), until(token, view));
                plan.effect(format!("The {slot}, {name}, works again at once{until}."))
            }),
        };
        let plan = plan.effect(
            "The user may make, confirm and view tokens again as far as methods are granted. The \
             user is told.",
        );
        Self { ends_something: false, ..plan }
    }

    /// No method granted any more; `view` if there are tokens to end.
    pub(super) fn revoke_access(user: &UserId, view: Option<&AccountView>) -> Self {
        let heading = format!("Revoke the API access of {user}");
        let plan = Self::new(heading, format!("End the API access of {user}."))
            .effect("No method is ticked: every request of this user is refused from now on.");
        match view {
            Some(view) => ended(plan, view),
            None => plan,
        }
        .effect("To grant access again later starts without tokens.")
    }

    /// The end of the account; `view` if there are tokens to end.
    pub(super) fn erase(user: &UserId, view: Option<&AccountView>) -> Self {
        let plan = Self::new(format!("Erase {user}"), format!("Erase {user} for good."));
        match view {
            Some(view) => ended(plan, view),
            None => plan,
        }
        .effect(
            "The account, its history and the last uses of its tokens are removed. Nothing brings \
             them back.",
        )
        .effect(
            "None of the tokens can be imported again. To grant access to this name later makes \
             another account.",
        )
        .effect("The user gets no mail about it.")
    }
}

/// Says of every token that it ends.
fn ended(plan: Plan, view: &AccountView) -> Plan {
    let plan = live(view).fold(plan, |plan, (slot, token)| {
        plan.effect(format!(
            "The {slot}, {}, ends at once: whatever uses it is refused from then on. {}",
            name(token),
            last_use(token, view)
        ))
    });
    match &view.pending {
        Some(pending) => {
            plan.effect(format!("Token {}, not confirmed yet, is dropped.", pending.id))
        }
        None => plan,
    }
}

/// The tokens in the slots, each with its slot's name.
fn live(view: &AccountView) -> impl Iterator<Item = (&'static str, &TokenView)> {
    let slots = [("primary", &view.primary), ("backup", &view.backup)];
    slots.into_iter().filter_map(|(slot, token)| Some((slot, token.as_ref()?)))
}

/// What comes of a token that does not end, whose end is told where it is given.
fn goes_on(token: Option<&TokenView>, view: &AccountView) -> String {
    if view.suspended_since.is_some() {
        return "works again when the access is resumed".to_owned();
    }
    let until = token.map(|token| until(token, view)).unwrap_or_default();
    format!("goes on working{until}")
}

/// Such as `token 3 (tat_…x7Qz)`.
fn name(token: &TokenView) -> String {
    let hint = token.hint.as_str().replace("...", "\u{2026}");
    if hint.is_empty() {
        format!("token {}", token.id)
    } else {
        format!("token {} ({hint})", token.id)
    }
}

/// Such as ` until 2026-01-02 03:04 UTC`; nothing for a token without an end.
fn until(token: &TokenView, view: &AccountView) -> String {
    let Some(at) = token.expires_at else { return String::new() };
    let longer = if token.ends_unless_used { ", and longer if it is used before" } else { "" };
    format!(" until {}{longer}", Moment::new(at, view.now).text)
}

fn last_use(token: &TokenView, view: &AccountView) -> String {
    let card = TokenCard::new(token, view);
    match (card.used, card.client) {
        (Some(Moment { distance, .. }), Some(client)) => {
            format!("It was last used {distance} by {client}.")
        }
        (Some(Moment { distance, .. }), None) => format!("It was last used {distance}."),
        (None, _) => "No use of it is recorded.".to_owned(),
    }
}

/// Says what will happen, asks for an agreement, and has the Save button.
#[derive(Template)]
#[template(path = "portal/ask.html")]
pub(super) struct Ask<'a> {
    pub(super) layout: Layout<'a>,
    pub(super) plan: Plan,
    /// Where Save sends the form, and Cancel leads.
    pub(super) save: String,
    pub(super) cancel: String,
    /// Why the form was not accepted as it was.
    pub(super) problem: Option<&'static str>,
}

impl Ask<'_> {
    /// The page; as an answer to a form, nothing has been done.
    pub(super) fn response(self) -> Response {
        let refused = self.problem.is_some();
        let mut response = Page(self).into_response();
        if refused {
            *response.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
        }
        response
    }
}

pub(super) const NOT_AGREED: &str =
    "Nothing has changed: tick the box to confirm, then press Save.";
pub(super) const IN_USE: &str =
    "Nothing has changed: this token may be in use. Tick the second box if it shall end anyway.";
