//! The portal, for users whom a reverse proxy has signed in.
//!
//! The proxy is believed: whoever reaches this listener, and knows the secret if
//! there is one, is whom the header says, an administrator too.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use http::{HeaderMap, HeaderName, Request, Response};
use tower_api_token::TokenManager;
use tower_api_token::portal::{Portal, PortalUser};
use tower_api_token::user::UserId;
use tower_service::Service;

use super::Start;
use super::body::RequestBody;
use super::guard::Guard;
use super::hosts::Hosts;
use super::listener::{HTTP, Listener};
use crate::failure::Failure;
use crate::secret;
use crate::settings::{AdministratorGroups, PortalSettings, Settings, SettingsError};

pub(super) async fn listener(
    settings: &Settings,
    manager: &TokenManager,
    start: &mut Start,
) -> Result<Option<(Listener, SignedIn)>, Failure> {
    let of = &settings.portal;
    let Some(config) = of.listener()? else { return Ok(None) };
    let guard = Guard::of(&config, &mut start.reloads)?;
    let names = of.hosts()?.into_iter().chain(settings.notify.link_host()?).collect();
    let hosts = Hosts::of(names, &config.address)?;
    let header = of.user_header()?;
    let (administrators, groups) = (of.administrators()?, of.administrator_groups()?);
    let router = portal(of, manager.clone())?.into_router();
    let listener = Listener::bind(&config, HTTP, start).await?;
    let believed = Believed { header, administrators, groups };
    Ok(Some((listener, SignedIn { guard, hosts, believed: Arc::new(believed), router })))
}

fn portal(of: &PortalSettings, manager: TokenManager) -> Result<Portal, Failure> {
    let mut portal = of.look(of.pages(manager)?)?;
    if let Some(path) = &of.form_key_file {
        let setting = "portal.form-key-file";
        let key = secret::of_file(setting, path).map_err(SettingsError::from)?;
        let bad =
            |error| SettingsError::bad(setting, format!("the file {}: {error}", path.display()));
        portal = portal.form_key(key.as_bytes()).map_err(bad)?;
    }
    Ok(portal)
}

/// What the proxy's word means.
struct Believed {
    header: HeaderName,
    administrators: Vec<UserId>,
    groups: Option<AdministratorGroups>,
}

impl Believed {
    /// Whom the one header names, as it is; nobody where it is missing, repeated
    /// or no name. What is no name is the proxy's fault, so the log says why.
    fn user(&self, request: &Request<RequestBody>) -> Option<PortalUser> {
        let user = match named(request.headers(), &self.header) {
            Ok(user) => user?,
            Err(problem) => {
                let header = self.header.as_str();
                tracing::warn!(
                    header,
                    "nobody is signed in by the portal's user header: {problem}"
                );
                return None;
            }
        };
        if self.administrators.contains(&user) || self.is_in_a_group(request.headers()) {
            Some(PortalUser::administrator(user))
        } else {
            Some(PortalUser::new(user))
        }
    }
}

impl Believed {
    /// Whether the proxy says that the user is in a group of administrators.
    fn is_in_a_group(&self, headers: &HeaderMap) -> bool {
        self.groups.as_ref().is_some_and(|groups| {
            groups.are_named(headers).unwrap_or_else(|problem| {
                let header = groups.header().as_str();
                tracing::warn!(
                    header,
                    "nobody is an administrator by the portal's groups header: {problem}"
                );
                false
            })
        })
    }
}

/// The user whom the header names, if it is there.
fn named(headers: &HeaderMap, header: &HeaderName) -> Result<Option<UserId>, String> {
    let mut lines = headers.get_all(header).iter();
    let Some(name) = lines.next() else { return Ok(None) };
    if lines.next().is_some() {
        return Err("it is there more than once".to_owned());
    }
    // A proxy that has nobody to name may send it empty.
    if name.is_empty() {
        return Ok(None);
    }
    let text = std::str::from_utf8(name.as_bytes());
    let text = text.map_err(|_| {
        "it is not UTF-8 (perhaps ISO 8859-1): have the reverse proxy send UTF-8".to_owned()
    })?;
    UserId::new(text).map(Some).map_err(|error| error.to_string())
}

/// The portal behind its guard, with whoever is signed in.
#[derive(Clone)]
pub(super) struct SignedIn {
    guard: Guard,
    hosts: Hosts,
    believed: Arc<Believed>,
    router: Router,
}

type Answer = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

impl hyper::service::Service<Request<RequestBody>> for SignedIn {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answer;

    fn call(&self, mut request: Request<RequestBody>) -> Answer {
        if let Some(refusal) = self.guard.refusal(&mut request) {
            return Box::pin(std::future::ready(Ok(refusal.map(Body::from))));
        }
        if let Some(refusal) = self.hosts.refusal(&request) {
            return Box::pin(std::future::ready(Ok(refusal.map(Body::from))));
        }
        if let Some(user) = self.believed.user(&request) {
            request.extensions_mut().insert(user);
        }
        let mut router = self.router.clone();
        Box::pin(async move { Service::call(&mut router, request.map(Body::new)).await })
    }
}
