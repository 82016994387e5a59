//! One user's account: methods and lifetimes to grant, and what there is.

use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;

use super::ask::{agreed_to_nothing, revocation};
use super::{about, encoded, named, view};
use crate::account::{Lifetimes, Revision, Slot};
use crate::manage::{AccountSummary, Problem};
use crate::method::MethodSet;
use crate::portal::Shared;
use crate::portal::fields::{Fields, Sent};
use crate::portal::layout::{Layout, Page};
use crate::portal::length::{self, Length};
use crate::portal::pages::profile::Tokens;
use crate::portal::pages::{recent, saved};
use crate::portal::session::{Administrator, PortalUser};
use crate::portal::show::{Happened, Moment};
use crate::rotation::{Command, RotationError};
use crate::time::Timestamp;
use crate::user::UserId;

/// The methods that have a box of their own, in the order of their use.
const BOXES: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

#[derive(Template)]
#[template(path = "portal/admin_user.html")]
struct User<'a> {
    layout: Layout<'a>,
    notice: Option<String>,
    user: &'a UserId,
    form: Form,
    has_account: bool,
    tokens: Option<Tokens>,
    suspended: Option<Moment>,
    links: Links,
    recent: Vec<Happened>,
}

/// The form of what a user is granted, as it is or as it was sent.
struct Form {
    revision: String,
    boxes: Vec<(&'static str, bool)>,
    other_methods: String,
    lifetimes: [LifetimeField; 2],
}

struct LifetimeField {
    slot: Slot,
    name: &'static str,
    label: &'static str,
    value: String,
    /// The longest that may be granted, where the policy says one.
    longest: Option<String>,
    problem: Option<String>,
}

/// The pages that lead to a change, where there is something to change.
struct Links {
    suspend: Option<String>,
    resume: Option<String>,
    revoke: Option<String>,
    erase: Option<String>,
    log: String,
}

pub(in crate::portal::pages) async fn user(
    State(portal): State<Arc<Shared>>,
    admin: Administrator,
    fields: Fields,
) -> Result<Response, Problem> {
    let user = named(&fields)?;
    page(&portal, &admin.0, &user, &fields, None).await
}

/// The page, with the form as the account is unless another is given.
async fn page(
    portal: &Shared,
    admin: &PortalUser,
    user: &UserId,
    fields: &Fields,
    form: Option<Form>,
) -> Result<Response, Problem> {
    let account = portal.manager.summary(user).await?;
    let view = view(portal, user).await?;
    let now = view.as_ref().map_or_else(Timestamp::now, |view| view.now);
    let (recent, notice) = recent(portal, user, now, fields, user.as_str()).await?;
    let lifetimes = view.as_ref().map(|view| view.lifetimes).unwrap_or_default();
    let form = form.unwrap_or_else(|| Form::of(portal, account.as_ref(), lifetimes));
    let suspended = account.as_ref().and_then(|account| account.suspended_since);
    let page = User {
        layout: Layout::of(portal, admin, "Administration", "admin"),
        notice,
        user,
        form,
        has_account: account.is_some(),
        tokens: view.as_ref().map(Tokens::of),
        suspended: suspended.map(|since| Moment::new(since, now)),
        links: Links::of(portal, user, account.as_ref()),
        recent,
    };
    Ok(Page(page).into_response())
}

pub(in crate::portal::pages) async fn grant(
    State(portal): State<Arc<Shared>>,
    admin: Administrator,
    sent: Sent,
) -> Result<Response, Problem> {
    let fields = &sent.fields;
    let user = named(fields)?;
    let typed = fields.text("other_methods")?.unwrap_or_default();
    let typed = typed.split([' ', ',', '\t', '\r', '\n']).filter(|method| !method.is_empty());
    let methods = MethodSet::new(fields.all("method").chain(typed)).map_err(Problem::no_methods)?;
    let shown = fields.number("revision")?.map(Revision::from_u64);
    let revokes = methods.is_empty() && portal.manager.summary(&user).await?.is_some();
    if revokes && !fields.ticked("agree") {
        let problem = agreed_to_nothing(fields);
        return revocation(&portal, &sent.user, &user, shown, problem).await;
    }
    let mut form = Form::sent(&portal, fields)?;
    let Some(lifetimes) = form.accepted(&portal, &user, &methods).await? else {
        let mut response = page(&portal, &sent.user, &user, fields, Some(form)).await?;
        *response.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
        return Ok(response);
    };
    portal.grant(&admin.actor(), &user, methods, Some(lifetimes), shown).await?;
    Ok(saved(&portal, &format!("/admin/user?user={}&saved", encoded(&user))).into_response())
}

impl Form {
    /// As the account is.
    fn of(portal: &Shared, account: Option<&AccountSummary>, lifetimes: Lifetimes) -> Self {
        let methods = account.map(|account| account.methods.clone()).unwrap_or_default();
        let other = methods.iter().filter(|method| !BOXES.contains(method)).collect::<Vec<_>>();
        let revision = account.map(|account| account.revision.as_u64().to_string());
        let is_granted = |name: &str| methods.iter().any(|granted| granted == name);
        let typed = |time: Option<Duration>| time.map(length::text).unwrap_or_default();
        Self {
            revision: revision.unwrap_or_default(),
            boxes: BOXES.map(|name| (name, is_granted(name))).to_vec(),
            other_methods: other.join(" "),
            lifetimes: LifetimeField::both(portal, [lifetimes.token, lifetimes.backup].map(typed)),
        }
    }

    /// As it was sent.
    fn sent(portal: &Shared, fields: &Fields) -> Result<Self, Problem> {
        let text = |name| fields.text(name).map(|text| text.unwrap_or_default().trim().to_owned());
        let typed = [text("token_lifetime")?, text("backup_lifetime")?];
        Ok(Self {
            revision: text("revision")?,
            boxes: BOXES.map(|name| (name, fields.all("method").any(|it| it == name))).to_vec(),
            other_methods: text("other_methods")?,
            lifetimes: LifetimeField::both(portal, typed),
        })
    }

    /// The lifetimes that were typed, if they can be granted; else a problem stands
    /// beside each field that has one.
    async fn accepted(
        &mut self,
        portal: &Shared,
        user: &UserId,
        methods: &MethodSet,
    ) -> Result<Option<Lifetimes>, Problem> {
        let [token, backup] = &mut self.lifetimes;
        let (Some(token), Some(backup)) = (token.read(), backup.read()) else { return Ok(None) };
        let lifetimes = Lifetimes { token, backup };
        let command = Command::Grant { methods: methods.clone(), lifetimes: Some(lifetimes) };
        let preview = portal.manager.preview(user, command).await;
        let refusal = preview.err().and_then(|error| error.refusal());
        let Some(error @ RotationError::LifetimeTooLong { slot, .. }) = refusal else {
            return Ok(Some(lifetimes));
        };
        for field in self.lifetimes.iter_mut().filter(|field| field.slot == slot) {
            field.problem = Some(format!("Nothing has changed: {error}."));
        }
        Ok(None)
    }
}

impl LifetimeField {
    fn both(portal: &Shared, [token, backup]: [String; 2]) -> [Self; 2] {
        let policy = portal.manager.policy();
        let field = |slot, name, label, value, longest: Option<Duration>| Self {
            slot,
            name,
            label,
            value,
            longest: longest.map(length::text),
            problem: None,
        };
        [
            field(
                Slot::Primary,
                "token_lifetime",
                "Lifetime of each token",
                token,
                policy.token_lifetime,
            ),
            field(
                Slot::Backup,
                "backup_lifetime",
                "Lifetime of a backup",
                backup,
                policy.backup_lifetime,
            ),
        ]
    }

    /// What was typed, where nothing means that the policy decides; `None` with a
    /// problem if it cannot be read.
    fn read(&mut self) -> Option<Option<Duration>> {
        if self.value.is_empty() {
            return Some(None);
        }
        let read = self.value.parse::<Length>().map(|Length(time)| Some(time));
        read.map_err(|form| self.problem = Some(format!("Nothing has changed: {form}."))).ok()
    }

    fn id(&self) -> String {
        self.name.replace('_', "-")
    }
}

impl Links {
    fn of(portal: &Shared, user: &UserId, account: Option<&AccountSummary>) -> Self {
        let link = |page, is_offered: bool| is_offered.then(|| about(portal, page, user));
        let has = |what: fn(&AccountSummary) -> bool| account.is_some_and(what);
        Self {
            suspend: link(
                "suspend",
                has(|it| it.suspended_since.is_none() && !it.methods.is_empty()),
            ),
            resume: link("resume", has(|it| it.suspended_since.is_some())),
            revoke: link(
                "revoke",
                has(|it| it.primary.is_some() || it.backup.is_some() || it.pending.is_some()),
            ),
            erase: link("erase", has(|_| true)),
            log: about(portal, "audit", user),
        }
    }
}
