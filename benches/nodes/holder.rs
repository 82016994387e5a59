//! Tokens ended from outside: by who holds one, and by who has found one.

use std::num::NonZeroU32;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::Request;
use http::request::Builder;
use http_body_util::Full;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use tower::ServiceExt;
use tower_api_token::TokenManager;
use tower_api_token::holder::{HolderService, LeakReports, PublicKey};
use tower_api_token::token::Token;

/// The service of one node, without a limit, and a scanner whose reports it takes.
pub(crate) struct Holder {
    service: HolderService,
    key: EcdsaKeyPair,
    random: SystemRandom,
}

impl Holder {
    pub(crate) fn of(manager: TokenManager) -> Self {
        let (random, algorithm) = (SystemRandom::new(), &ECDSA_P256_SHA256_ASN1_SIGNING);
        let document = EcdsaKeyPair::generate_pkcs8(algorithm, &random).expect("a key");
        let key = EcdsaKeyPair::from_pkcs8(algorithm, document.as_ref(), &random);
        let key = key.expect("a key");
        let public = public(&key);
        let reports = LeakReports::with_keys_of(move |_| Some(public.clone()));
        let service = HolderService::new(manager).rate_limit(NonZeroU32::MAX, Duration::ZERO);
        let service = service.least_time(Duration::ZERO).leak_reports(reports);
        Self { service, key, random }
    }

    pub(crate) async fn revoke(&self, token: &Token) {
        let request = Request::post("/revoke");
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        self.send(request, format!("token={}", token.expose_secret())).await;
    }

    pub(crate) async fn report(&self, token: &Token) {
        let body = format!(
            r#"[{{"token":"{}","type":"token","url":"","source":"commit"}}]"#,
            token.expose_secret()
        );
        let signature = self.key.sign(&self.random, body.as_bytes()).expect("a signature");
        let request = Request::post("/leaks")
            .header("content-type", "application/json")
            .header("github-public-key-identifier", "bench")
            .header("github-public-key-signature", STANDARD.encode(signature));
        self.send(request, body).await;
    }

    async fn send(&self, request: Builder, body: String) {
        let request = request.body(Full::<Bytes>::from(body)).expect("a request");
        let answer = self.service.clone().oneshot(request).await;
        let status = answer.map(|answer| answer.status()).unwrap_or_else(|never| match never {});
        assert_eq!(status, 200);
    }
}

/// In the form in which scanners publish theirs: the head of every such key, and the
/// point.
fn public(key: &EcdsaKeyPair) -> PublicKey {
    let mut bytes = STANDARD.decode("MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE").expect("a head");
    // The point begins with the last byte of the head.
    bytes.pop();
    bytes.extend_from_slice(key.public_key().as_ref());
    let text = STANDARD.encode(bytes);
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{text}\n-----END PUBLIC KEY-----\n");
    PublicKey::from_pem(&pem).expect("a key")
}
