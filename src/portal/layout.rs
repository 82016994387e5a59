//! What every page has around it.

use askama::Template;
use axum::response::{Html, IntoResponse, Response};

use super::Shared;
use super::session::PortalUser;
use crate::manage::Problem;
use crate::user::UserId;

/// The frame of a page: what it is headed with, and for whom it is.
pub(super) struct Layout<'a> {
    pub(super) portal: &'a Shared,
    pub(super) user: Option<&'a PortalUser>,
    pub(super) title: &'a str,
    /// The part of the pages that is marked in the navigation.
    pub(super) here: &'static str,
}

impl<'a> Layout<'a> {
    pub(super) const fn new(
        portal: &'a Shared,
        user: Option<&'a PortalUser>,
        title: &'a str,
    ) -> Self {
        Self { portal, user, title, here: "" }
    }

    pub(super) const fn of(
        portal: &'a Shared,
        user: &'a PortalUser,
        title: &'a str,
        here: &'static str,
    ) -> Self {
        Self { portal, user: Some(user), title, here }
    }

    /// Of a page below this path of the portal.
    pub(super) fn to(&self, path: &str) -> String {
        self.portal.address(path)
    }

    pub(super) fn is_admin(&self) -> bool {
        self.user.is_some_and(PortalUser::is_admin)
    }

    /// For the forms of a page.
    pub(super) fn form_token(&self) -> String {
        self.user.map(|user| self.portal.key.token(user.user())).unwrap_or_default()
    }

    /// To mark the page that a link of the navigation leads to.
    pub(super) fn current(&self, here: &str) -> &'static str {
        if self.here == here { "page" } else { "false" }
    }

    pub(super) fn user_id(&self) -> Option<&UserId> {
        self.user.map(PortalUser::user)
    }
}

/// A page to be shown.
pub(super) struct Page<T>(pub(super) T);

impl<T: Template> IntoResponse for Page<T> {
    fn into_response(self) -> Response {
        match self.0.render() {
            Ok(page) => Html(page).into_response(),
            // Writing to a string does not fail; if it does, nothing is shown.
            Err(_) => Problem::NOT_FOUND.into_response(),
        }
    }
}
