//! The services for gateways and for whoever holds a token.

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use tower::Service;
use tower_api_token::ConfigError;
use tower_api_token::delivery::{DeliveryError, Webhook, WebhookSecret};
use tower_api_token::ext_authz::ExtAuthz;
use tower_api_token::forward_auth::{ForwardAuth, IdentityHeaders, Profile};
use tower_api_token::holder::{HolderService, LeakReports, PublicKeys};

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
    let keys = PublicKeys::from_json(KEYS).unwrap();
    list.add("PublicKey", &keys.get("a"));
    list.add("PublicKeys", &keys);
    let reports = LeakReports::signed_by(keys);
    list.add("LeakReports", &reports);
    let mut holder = HolderService::new(life.manager.clone()).leak_reports(reports);
    let request = Request::get("/token").header("authorization", format!("Bearer {live}"));
    let told = holder.call(request.body(Full::<Bytes>::default()).unwrap());
    list.add("HolderFuture", &told);
    list.add("HolderService", told.await.unwrap().body());
    list.add("HolderService", &holder);
    list.add("ConfigError", &ConfigError::PublicKey);
    let secret = WebhookSecret::new(WEBHOOK_SECRET).unwrap();
    list.add("WebhookSecret", &secret);
    list.add("Webhook", &Webhook::new("https://example.com/hook", secret).unwrap());
    list.add("DeliveryError", &DeliveryError::later("it has not answered"));
    assert!(WebhookSecret::new("whsec_").is_err());
}

const WEBHOOK_SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// A key of GitHub's.
const KEYS: &str = r#"{ "public_keys": [{
    "key_identifier": "a",
    "key": "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEYAGMWO8XgCamYKMJS6jc/qgvSlAd\nAjPuDPRcXU22YxgBrz+zoN19MzuRyW87qEt9/AmtoNP5GrobzUvQSyJFVw==\n-----END PUBLIC KEY-----\n"
}] }"#;
