//! The stylesheet, the script of the copy button and the icon, under paths that
//! hold their digests.

use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use sha2::{Digest, Sha256};

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
