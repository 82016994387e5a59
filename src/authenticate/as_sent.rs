//! The address of a request as its client sent it.

use std::mem;

#[cfg(feature = "axum")]
use axum::extract::OriginalUri;
use http::Uri;
use http::request::Parts;

/// Has a host's function look at a request with the address that the client
/// sent. A router that nests another one takes the prefix off the path, and a
/// rule about paths that does not know that lets through what it shall refuse.
pub(crate) fn as_sent<T>(request: &mut Parts, look: impl FnOnce(&Parts) -> T) -> T {
    let Some(sent) = kept(request) else { return look(request) };
    let inner = mem::replace(&mut request.uri, sent);
    let seen = look(request);
    request.uri = inner;
    seen
}

/// The address that axum keeps, if it was another one.
#[cfg(feature = "axum")]
fn kept(request: &Parts) -> Option<Uri> {
    let OriginalUri(sent) = request.extensions.get()?;
    (*sent != request.uri).then(|| sent.clone())
}

#[cfg(not(feature = "axum"))]
const fn kept(_: &Parts) -> Option<Uri> {
    None
}
