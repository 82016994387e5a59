//! Every route of the portal.

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::Redirect;
use axum::routing::{MethodRouter, any, get, post};

use super::{Shared, api, guard, pages};
use crate::manage::Problem;

/// The greatest body of a request in bytes.
pub(super) const BODY_LIMIT: u64 = 16 * 1_024;

pub(super) fn router<S: Clone + Send + Sync + 'static>(portal: Arc<Shared>) -> Router<S> {
    let pages = pages_of(&portal).layer(from_fn_with_state(Arc::clone(&portal), guard::pages));
    let api = api_of(&portal.path).layer(from_fn(guard::api));
    let limit = DefaultBodyLimit::max(BODY_LIMIT as usize);
    pages.merge(api).layer(limit).merge(assets_of(&portal)).with_state(portal)
}

type Routes = Router<Arc<Shared>>;

fn pages_of(portal: &Shared) -> Routes {
    let at = |path: &str| portal.address(path);
    let profile = portal.address("");
    let mut router = Router::new().route(&profile, get(pages::profile::show));
    if profile != at("/") {
        let to_profile = move || async move { Redirect::permanent(&profile) };
        router = router.route(&at("/"), get(to_profile));
    }
    router
        .route(&at("/edit"), get(pages::edit::choose))
        .route(&at("/edit/{action}"), get(pages::edit::ask).post(pages::edit::save))
        .route(&at("/resend"), post(pages::edit::resend))
        .route(&at("/reveal"), post(pages::reveal::show))
        .route(&at("/verify"), get(pages::verify::show).post(pages::verify::confirm))
        .route(&at("/advice"), get(pages::advice::show))
        .route(&at("/admin"), get(pages::admin::list))
        .route(&at("/admin/find"), post(pages::admin::find))
        .route(&at("/admin/user"), get(pages::admin::user))
        .route(&at("/admin/methods"), post(pages::admin::grant))
        .route(&at("/admin/revoke"), get(pages::admin::ask).post(pages::admin::revoke))
        .route(&at("/admin/erase"), get(pages::admin::ask_erase).post(pages::admin::erase))
        .route(&at("/{*rest}"), nothing())
        .method_not_allowed_fallback(async || Problem::METHOD)
}

fn api_of(path: &str) -> Routes {
    let at = |name: &str| format!("{path}/api/{name}");
    Router::new()
        .route(&at("openapi.json"), get(api::description))
        .route(&at("tokens"), get(api::own::tokens))
        .route(&at("history"), get(api::own::history))
        .route(&at("generate"), post(api::own::generate))
        .route(&at("resend"), post(api::own::resend))
        .route(&at("confirm"), post(api::own::confirm))
        .route(&at("cancel-pending"), post(api::own::cancel))
        .route(&at("delete-backup"), post(api::own::delete_backup))
        .route(&at("roll-back"), post(api::own::roll_back))
        .route(&at("revoke-all"), post(api::own::revoke_all))
        .route(&at("reveal"), post(api::own::reveal))
        .route(&at("admin/users"), get(api::admin::users))
        .route(&at("admin/user"), get(api::admin::user))
        .route(&at("admin/methods"), post(api::admin::grant))
        .route(&at("admin/revoke-all"), post(api::admin::revoke_all))
        .route(&at("admin/erase"), post(api::admin::erase))
        .route(&at("{*rest}"), nothing())
        .method_not_allowed_fallback(async || Problem::METHOD)
}

/// The same for everybody, so for those who have not signed in, too.
fn assets_of(portal: &Shared) -> Routes {
    let assets = &portal.assets;
    [&assets.style, &assets.script, &assets.icon].into_iter().fold(
        Router::new(),
        |router, asset| {
            let served = asset.clone();
            let path = format!("{}{}", portal.path, asset.path);
            router.route(&path, get(async move || served.response()))
        },
    )
}

fn nothing() -> MethodRouter<Arc<Shared>> {
    any(async || Problem::NOT_FOUND)
}
