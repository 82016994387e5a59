//! The page between a button and what it does.

use askama::Template;
use axum::response::{IntoResponse, Response};
use http::StatusCode;

use super::plan::Plan;
use crate::portal::layout::{Layout, Page};

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
