//! The operations as JSON.

mod admin;
mod answer;
mod body;
mod description;
mod log;
mod own;

use std::sync::Arc;

use axum::Router;
use axum::routing::{any, get, post};

use super::Shared;
use crate::manage::Problem;

pub(super) fn routes(path: &str) -> Router<Arc<Shared>> {
    let at = |name: &str| format!("{path}/api/{name}");
    Router::new()
        .route(&at("openapi.json"), get(description::description))
        .route(&at("tokens"), get(own::tokens))
        .route(&at("history"), get(own::history))
        .route(&at("generate"), post(own::generate))
        .route(&at("resend"), post(own::resend))
        .route(&at("confirm"), post(own::confirm))
        .route(&at("cancel-pending"), post(own::cancel))
        .route(&at("delete-backup"), post(own::delete_backup))
        .route(&at("roll-back"), post(own::roll_back))
        .route(&at("revoke-all"), post(own::revoke_all))
        .route(&at("reveal"), post(own::reveal))
        .route(&at("admin/users"), get(admin::users))
        .route(&at("admin/user"), get(admin::user))
        .route(&at("admin/audit"), get(log::audit))
        .route(&at("admin/methods"), post(admin::grant))
        .route(&at("admin/suspend"), post(admin::suspend))
        .route(&at("admin/resume"), post(admin::resume))
        .route(&at("admin/revoke-all"), post(admin::revoke_all))
        .route(&at("admin/erase"), post(admin::erase))
        .route(&at("{*rest}"), any(async || Problem::NOT_FOUND))
        .method_not_allowed_fallback(async || Problem::METHOD)
}
