//! The service for whoever holds a token. Anybody may ask it: it tells and does nothing
//! without a token, or a scanner's signature.

use std::convert::Infallible;
use std::fs;
use std::net::IpAddr;
use std::path::Path;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderName, Request, Response};
use http_body_util::Full;
use tower_api_token::TokenManager;
use tower_api_token::holder::{HolderFuture, HolderService, LeakReports, PublicKeys};
use tower_service::Service;

use super::body::RequestBody;
use super::listener::{HTTP, Listener};
use super::reload::Reloads;
use super::{ServeError, Start};
use crate::failure::Failure;
use crate::settings::{HolderSettings, Settings, SettingsError};

const KEYS: &str = "holder.leak-keys-file";

pub(super) async fn listener(
    settings: &Settings,
    manager: TokenManager,
    start: &mut Start,
) -> Result<Option<(Listener, Holder)>, Failure> {
    let of = &settings.holder;
    let Some(config) = of.listener()? else { return Ok(None) };
    let (at_once, interval) = of.rate_limit();
    let header = of.address_header()?;
    let mut service = HolderService::new(manager)
        .rate_limit(at_once, interval)
        .address_of(move |request| address_of(request, header.as_ref()));
    if let Some(reports) = leak_reports(of, &mut start.reloads)? {
        service = service.leak_reports(reports);
    }
    if let Some(realm) = &settings.requests.realm {
        service = service.realm(realm).map_err(ServeError::Realm)?;
    }
    let listener = Listener::bind(&config, HTTP, start).await?;
    Ok(Some((listener, Holder { service, peer: None })))
}

fn leak_reports(
    of: &HolderSettings,
    reloads: &mut Reloads,
) -> Result<Option<LeakReports>, Failure> {
    let Some(path) = of.leak_keys_file.clone() else { return Ok(None) };
    let keys = reloads.read(KEYS, vec![path.clone()], move || Ok(keys_of(&path)?))?;
    let reports = LeakReports::with_keys_of(move |identifier| keys.get().get(identifier).cloned());
    Ok(Some(reports.response(of.leak_response())))
}

fn keys_of(path: &Path) -> Result<PublicKeys, SettingsError> {
    let bad = |problem: &dyn std::fmt::Display| {
        SettingsError::bad(KEYS, format!("the file {}: {problem}", path.display()))
    };
    let text = fs::read_to_string(path).map_err(|error| bad(&error))?;
    PublicKeys::from_json(&text).map_err(|error| bad(&error))
}

/// The address that the proxy's header names once, if there is to be such a header;
/// else the peer's.
fn address_of(request: &Parts, header: Option<&HeaderName>) -> Option<IpAddr> {
    let Some(header) = header else { return request.extensions.get::<Peer>().map(|peer| peer.0) };
    let mut named = request.headers.get_all(header).iter();
    let (address, None) = (named.next()?, named.next()) else { return None };
    address.to_str().ok()?.trim().parse().ok()
}

/// Whom the connection is with.
#[derive(Clone, Copy)]
struct Peer(IpAddr);

/// The service, on a connection.
#[derive(Clone)]
pub(super) struct Holder {
    service: HolderService,
    peer: Option<IpAddr>,
}

impl Holder {
    /// The same, on a connection with that peer.
    pub(super) fn with_peer(&self, peer: Option<IpAddr>) -> Self {
        Self { peer, ..self.clone() }
    }
}

impl hyper::service::Service<Request<RequestBody>> for Holder {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = HolderFuture;

    fn call(&self, mut request: Request<RequestBody>) -> HolderFuture {
        if let Some(peer) = self.peer {
            request.extensions_mut().insert(Peer(peer));
        }
        // It is always ready.
        self.service.clone().call(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_the_peers_or_the_one_that_the_proxy_names_once() {
        let peer: IpAddr = "192.0.2.1".parse().unwrap();
        let address = |named: &[&str], header: Option<&str>| {
            let head =
                named.iter().fold(Request::builder(), |it, name| it.header("x-real-ip", *name));
            let mut request = head.body(()).unwrap().into_parts().0;
            request.extensions.insert(Peer(peer));
            let header: Option<HeaderName> = header.map(|name| name.parse().unwrap());
            address_of(&request, header.as_ref()).map(|address| address.to_string())
        };
        assert_eq!(address(&["2001:db8::1"], None).as_deref(), Some("192.0.2.1"));
        assert_eq!(address(&["2001:db8::1"], Some("x-real-ip")).as_deref(), Some("2001:db8::1"));
        assert_eq!(address(&[], Some("x-real-ip")), None);
        assert_eq!(address(&["a"], Some("x-real-ip")), None);
        assert_eq!(address(&["192.0.2.2", "192.0.2.3"], Some("x-real-ip")), None);
    }
}
