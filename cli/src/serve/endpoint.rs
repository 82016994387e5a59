//! The endpoints that gateways ask. Nothing else is served on their listeners.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use tower_api_token::ext_authz::ExtAuthz;
use tower_api_token::forward_auth::ForwardAuth;
use tower_service::Service;

use super::body::{Bodiless, RequestBody, discard};
use super::guard::Guard;
use super::health::GrpcHealth;
use super::listener::{GRPC, HTTP, Listener};
use super::progress::Limits;
use super::stop::Stop;
use super::tasks::Tasks;
use super::{ServeError, Site, Start, health, holder, portal};
use crate::failure::Failure;
use crate::settings::Settings;

/// Binds what the settings name, and serves it until it is time to stop.
pub(super) async fn listeners(
    settings: &Settings,
    site: &Site,
    limit: u32,
    stop: &Stop,
    start: &mut Start,
) -> Result<Tasks, Failure> {
    let forward_auth = forward_auth(settings, site, start).await?;
    let ext_authz = ext_authz(settings, site, start).await?;
    let portal = portal::listener(settings, &site.tokens.manager(), start).await?;
    let holder = holder::listener(settings, site.tokens.manager(), start).await?;
    let limits = Limits::of(settings);
    let mut serving = Tasks::default();
    if let Some((listener, service)) = forward_auth {
        serving.spawn(listener.name(), listener.serve(service, limits, limit, stop.clone()));
    }
    if let Some((listener, service)) = ext_authz {
        serving.spawn(listener.name(), listener.serve(service, limits, limit, stop.clone()));
    }
    if let Some((listener, service)) = portal {
        serving.spawn(listener.name(), listener.serve(service, limits, limit, stop.clone()));
    }
    if let Some((listener, service)) = holder {
        let (name, stop) = (listener.name(), stop.clone());
        let with_peer = move |peer| service.with_peer(peer);
        serving.spawn(name, listener.serve_each(with_peer, limits, limit, stop));
    }
    Ok(serving)
}

async fn forward_auth(
    settings: &Settings,
    site: &Site,
    start: &mut Start,
) -> Result<Option<(Listener, Guarded<Bodiless>)>, Failure> {
    let of = &settings.forward_auth;
    let Some(config) = of.listener()? else { return Ok(None) };
    let guard = Guard::of(&config, &mut start.reloads)?;
    let service = ForwardAuth::with_authenticator(site.authenticator.clone(), of.profile()?);
    let mut service = service.identity_headers(of.identity_headers()?);
    if let Some(realm) = &settings.requests.realm {
        service = service.realm(realm).map_err(ServeError::Realm)?;
    }
    let listener = Listener::bind(&config, HTTP, start).await?;
    Ok(Some((listener, Guarded { guard, service: Bodiless(service) })))
}

async fn ext_authz(
    settings: &Settings,
    site: &Site,
    start: &mut Start,
) -> Result<Option<(Listener, OverGrpc)>, Failure> {
    let Some(config) = settings.ext_authz.listener()? else { return Ok(None) };
    let guard = Guard::of(&config, &mut start.reloads)?;
    let service = ExtAuthz::with_authenticator(site.authenticator.clone());
    let mut service = service.identity_headers(settings.forward_auth.identity_headers()?);
    if let Some(realm) = &settings.requests.realm {
        service = service.realm(realm).map_err(ServeError::Realm)?;
    }
    let listener = Listener::bind(&config, GRPC, start).await?;
    let health = health::service(Arc::clone(&site.readiness));
    Ok(Some((listener, OverGrpc { health, checks: Guarded { guard, service } })))
}

/// A protocol in which a gateway asks.
trait Protocol {
    type Body;

    /// Denies the gateway's question: its client shall see this response.
    fn deny(response: Response<Bytes>) -> Response<Self::Body>;
}

impl Protocol for Bodiless {
    type Body = Full<Bytes>;

    fn deny(response: Response<Bytes>) -> Response<Full<Bytes>> {
        response.map(Full::from)
    }
}

impl Protocol for ExtAuthz {
    type Body = tonic::body::Body;

    fn deny(response: Response<Bytes>) -> Response<tonic::body::Body> {
        Self::denied(response)
    }
}

/// A service behind a guard.
#[derive(Clone)]
struct Guarded<S> {
    guard: Guard,
    service: S,
}

type Answer<B> = Pin<Box<dyn Future<Output = Result<Response<B>, Infallible>> + Send>>;

impl<S, B> hyper::service::Service<Request<RequestBody>> for Guarded<S>
where
    S: Protocol<Body = B>
        + Service<
            Request<RequestBody>,
            Response = Response<B>,
            Error = Infallible,
            Future: Send + 'static,
        > + Clone,
    B: Send + 'static,
{
    type Response = Response<B>;
    type Error = Infallible;
    type Future = Answer<B>;

    fn call(&self, mut request: Request<RequestBody>) -> Answer<B> {
        if let Some(refusal) = self.guard.refusal(&mut request) {
            let denied = S::deny(refusal);
            return Box::pin(async move {
                discard(request.version(), request.into_body()).await;
                Ok(denied)
            });
        }
        // Both services are always ready.
        Box::pin(self.service.clone().call(request))
    }
}

/// What is asked over gRPC: for health by anybody, and for requests by gateways.
#[derive(Clone)]
struct OverGrpc {
    health: GrpcHealth,
    checks: Guarded<ExtAuthz>,
}

impl hyper::service::Service<Request<RequestBody>> for OverGrpc {
    type Response = Response<tonic::body::Body>;
    type Error = Infallible;
    type Future = Answer<tonic::body::Body>;

    fn call(&self, request: Request<RequestBody>) -> Self::Future {
        if health::is_asked(request.uri().path()) {
            return self.health.clone().call(request);
        }
        hyper::service::Service::call(&self.checks, request)
    }
}
