//! What every page has around it, and the files that it refers to.

use askama::Template;
use axum::response::{Html, IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use sha2::{Digest, Sha256};

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

/// A file that never changes under its path.
#[derive(Clone)]
pub(super) struct Asset {
    /// Below the portal's path.
    pub(super) path: String,
    kind: &'static str,
    text: &'static str,
}

impl Asset {
    fn new(name: &str, end: &str, kind: &'static str, text: &'static str) -> Self {
        let digest = Sha256::digest(text);
        let digest: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        Self { path: format!("/assets/{name}-{digest}.{end}"), kind, text }
    }

    /// The file; the same for everybody, so anybody may have it and keep it.
    pub(super) fn response(&self) -> Response {
        let keep = "public, max-age=31536000, immutable";
        let headers = [(CONTENT_TYPE, self.kind), (CACHE_CONTROL, keep)];
        let nosniff = [("x-content-type-options", "nosniff")];
        (headers, nosniff, self.text).into_response()
    }
}

/// The stylesheet, the script of the copy button and the icon, under paths that
/// hold their digests.
pub(super) struct Assets {
    pub(super) style: Asset,
    pub(super) script: Asset,
    pub(super) icon: Asset,
}

impl Default for Assets {
    fn default() -> Self {
        let style = include_str!("../../templates/portal/portal.css");
        let script = include_str!("../../templates/portal/copy.js");
        let icon = include_str!("../../templates/portal/icon.svg");
        Self {
            style: Asset::new("portal", "css", "text/css; charset=utf-8", style),
            script: Asset::new("copy", "js", "text/javascript; charset=utf-8", script),
            icon: Asset::new("icon", "svg", "image/svg+xml", icon),
        }
    }
}
