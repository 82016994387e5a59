//! Security advice.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::response::IntoResponse;
use axum::response::Response;

use crate::portal::Shared;
use crate::portal::layout::{Layout, Page};
use crate::portal::session::SignedIn;

#[derive(Template)]
#[template(path = "portal/advice.html")]
struct Advice<'a> {
    layout: Layout<'a>,
}

pub(in crate::portal) async fn show(
    State(portal): State<Arc<Shared>>,
    SignedIn(user): SignedIn,
) -> Response {
    let layout = Layout::of(&portal, &user, "Security advice", "advice");
    Page(Advice { layout }).into_response()
}
