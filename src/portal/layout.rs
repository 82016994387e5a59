//! What every page has around it, and the files that it refers to.

use askama::Template;
use axum::response::{Html, IntoResponse, Response};
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
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
    /// Its content type.
    pub(super) kind: &'static str,
    content: Bytes,
}

/// What a file may do that somebody opens by its own address: an image of the host's may
/// have styles of its own, and no script runs.
const ALONE: &str = "default-src 'none'; style-src 'unsafe-inline'; sandbox";

impl Asset {
    fn new(name: &str, end: &str, kind: &'static str, content: impl Into<Bytes>) -> Self {
        let content = content.into();
        let digest = Sha256::digest(&content);
        let digest: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        Self { path: format!("/assets/{name}-{digest}.{end}"), kind, content }
    }

    /// A stylesheet of the host's.
    pub(super) fn stylesheet(text: String) -> Self {
        Self::new("host", "css", CSS, text)
    }

    /// A logo of the host's, if it is an image of a kind that browsers show.
    pub(super) fn logo(image: Bytes) -> Option<Self> {
        let (end, kind) = match &*image {
            [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => ("png", "image/png"),
            [0xff, 0xd8, 0xff, ..] => ("jpg", "image/jpeg"),
            [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => {
                ("webp", "image/webp")
            }
            text if is_svg(text) => ("svg", SVG),
            _ => return None,
        };
        Some(Self::new("logo", end, kind, image))
    }

    /// The file; the same for everybody, so anybody may have it and keep it.
    pub(super) fn response(&self) -> Response {
        let headers = [
            (CONTENT_TYPE, self.kind),
            (CACHE_CONTROL, "public, max-age=31536000, immutable"),
            (CONTENT_SECURITY_POLICY, ALONE),
            (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        ];
        (headers, self.content.clone()).into_response()
    }
}

/// Whether it is text whose first element is an SVG's, behind comments and the like.
fn is_svg(image: &[u8]) -> bool {
    let text = std::str::from_utf8(image).unwrap_or_default();
    let text = text.trim_start_matches('\u{feff}').trim_start();
    let introduced = ["<?xml", "<!--", "<!DOCTYPE svg"].iter().any(|start| text.starts_with(start));
    text.starts_with("<svg") || (introduced && text.contains("<svg"))
}

/// The stylesheets, the script of the copy button and the icon, under paths that
/// hold their digests.
pub(super) struct Assets {
    pub(super) style: Asset,
    /// The host's own.
    pub(super) host_style: Option<Asset>,
    pub(super) script: Asset,
    pub(super) icon: Asset,
}

impl Assets {
    pub(super) fn all(&self) -> impl Iterator<Item = &Asset> {
        [&self.style, &self.script, &self.icon].into_iter().chain(&self.host_style)
    }
}

const CSS: &str = "text/css; charset=utf-8";
const SVG: &str = "image/svg+xml";

impl Default for Assets {
    fn default() -> Self {
        let style = include_str!("../../templates/portal/portal.css");
        let script = include_str!("../../templates/portal/copy.js");
        let icon = include_str!("../../templates/portal/icon.svg");
        Self {
            style: Asset::new("portal", "css", CSS, style),
            host_style: None,
            script: Asset::new("copy", "js", "text/javascript; charset=utf-8", script),
            icon: Asset::new("icon", "svg", SVG, icon),
        }
    }
}
