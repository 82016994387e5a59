//! The services for gateways.

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use tower::Service;
use tower_api_token::ConfigError;
use tower_api_token::ext_authz::ExtAuthz;
use tower_api_token::forward_auth::{ForwardAuth, IdentityHeaders, Profile};

use super::List;
use crate::life::Life;

pub(super) async fn show(life: &Life, list: &mut List) {
    let request = |token: &str| {
        let request = Request::get("/").header("authorization", format!("Bearer {token}"));
        request.body(Full::<Bytes>::from(token.to_owned())).unwrap()
    };
    let (live, retired) = (life.live.expose_secret(), life.issued.token.expose_secret());
    let mut forward = ForwardAuth::new(life.store.clone(), Profile::OwnRequestLine);
    let denied = forward.call(request(retired)).await.unwrap();
    assert_eq!(denied.status(), 401);
    list.add("Profile", &Profile::OwnRequestLine);
    list.add("ForwardAuthFuture", &[forward.call(request(live)), forward.call(request(retired))]);
    list.add("ForwardAuth", denied.body());
    list.add("ForwardAuth", &forward);
    list.add("IdentityHeaders", &IdentityHeaders::default());
    list.add("ConfigError", &ConfigError::SameIdentityHeaders);
    let authz = ExtAuthz::new(life.store.clone());
    list.add("ExtAuthz", &authz);
}
