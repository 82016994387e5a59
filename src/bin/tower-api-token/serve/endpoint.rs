//! The endpoints that gateways ask. Nothing else is served on their listeners.

use std::convert::Infallible;
use std::error::Error;
use std::pin::Pin;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, RETRY_AFTER};
use http::{HeaderValue, Request, Response, StatusCode};
use http_body::Body;
use hyper::body::Incoming;
use tokio::task::JoinSet;
use tower_api_token::ext_authz::ExtAuthz;
use tower_api_token::forward_auth::ForwardAuth;
use tower_service::Service;

use super::door::Door;
use super::listener::Listener;
use super::stop::Stop;
use super::unread::{Bodiless, discard};
use super::{ServeError, Site, portal, tls};
use crate::failure::Failure;
use crate::settings::Settings;

/// Binds what the settings name, and serves it until it is time to stop.
pub(super) async fn listeners(
    settings: &Settings,
    site: &Site,
    stop: &Stop,
) -> Result<JoinSet<()>, Failure> {
    let forward_auth = forward_auth(settings, site).await?;
    let ext_authz = ext_authz(settings, site).await?;
    let portal = portal::listener(&settings.portal, &site.manager).await?;
    let mut serving = JoinSet::new();
    if let Some((listener, service)) = forward_auth {
        serving.spawn(listener.serve(service, stop.clone()));
    }
    if let Some((listener, service)) = ext_authz {
        serving.spawn(listener.serve(service, stop.clone()));
    }
    if let Some((listener, service)) = portal {
        serving.spawn(listener.serve(service, stop.clone()));
    }
    Ok(serving)
}

async fn forward_auth(
    settings: &Settings,
    site: &Site,
) -> Result<Option<(Listener, Guarded<Bodiless>)>, Failure> {
    let of = &settings.forward_auth;
    let Some(address) = &of.listen else { return Ok(None) };
    let door = Door::of("forward-auth", address, of.secret_file.as_deref())?;
    let service = ForwardAuth::with_authenticator(site.authenticator.clone(), of.profile()?);
    let mut service = service.identity_headers(of.identity_headers()?);
    if let Some(realm) = &settings.requests.realm {
        service = service.realm(realm).map_err(ServeError::Realm)?;
    }
    let tls = of.tls()?.map(|files| tls::acceptor(&files, &[b"h2", b"http/1.1"])).transpose()?;
    let listener = Listener::bind("forward-auth", address, tls).await?;
    Ok(Some((listener, Guarded { door, service: Bodiless(service) })))
}

async fn ext_authz(
    settings: &Settings,
    site: &Site,
) -> Result<Option<(Listener, Guarded<ExtAuthz>)>, Failure> {
    let of = &settings.ext_authz;
    let Some(address) = &of.listen else { return Ok(None) };
    let door = Door::of("ext-authz", address, of.secret_file.as_deref())?;
    let service = ExtAuthz::with_authenticator(site.authenticator.clone());
    let mut service = service.identity_headers(settings.forward_auth.identity_headers()?);
    if let Some(realm) = &settings.requests.realm {
        service = service.realm(realm).map_err(ServeError::Realm)?;
    }
    let tls = of.tls()?.map(|files| tls::acceptor(&files, &[b"h2"])).transpose()?;
    let listener = Listener::bind("ext-authz", address, tls).await?;
    Ok(Some((listener, Guarded { door, service })))
}

/// A service behind a door.
#[derive(Clone)]
struct Guarded<S> {
    door: Door,
    service: S,
}

type Answer<B> = Pin<Box<dyn Future<Output = Result<Response<B>, Infallible>> + Send>>;

impl<S, B> hyper::service::Service<Request<Incoming>> for Guarded<S>
where
    S: Service<
            Request<Incoming>,
            Response = Response<B>,
            Error = Infallible,
            Future: Send + 'static,
        > + Clone,
    B: Body<Data = Bytes, Error: Error> + Default + Send + 'static,
{
    type Response = Response<B>;
    type Error = Infallible;
    type Future = Answer<B>;

    fn call(&self, mut request: Request<Incoming>) -> Answer<B> {
        if let Some(status) = self.door.refusal(request.headers_mut()) {
            return Box::pin(async move {
                discard(request.version(), request.into_body()).await;
                Ok(refused(status))
            });
        }
        // Both services are always ready.
        Box::pin(self.service.clone().call(request))
    }
}

pub(super) fn refused<B: Default>(status: StatusCode) -> Response<B> {
    let mut response = Response::new(B::default());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if status == StatusCode::TOO_MANY_REQUESTS {
        headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}
