//! Reports of a secret scanner.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use tower_api_token::holder::{LeakReports, PublicKey, PublicKeys};
use tower_api_token::manage::LeakResponse;

use super::*;

/// The keys that GitHub's API has given, and what is signed with the second of them in
/// the documentation of its partner program.
const KEYS: &str = r#"{
  "public_keys": [
    {
      "key_identifier": "90a421169f0a406205f1563a953312f0be898d3c7b6c06b681aa86a874555f4a",
      "key": "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE9MJJHnMfn2+H4xL4YaPDA4RpJqUq\nkCmRCBnYERxZanmcpzQSXs1X/AljlKkbJ8qpVIW4clayyef9gWhFbNHWAA==\n-----END PUBLIC KEY-----\n",
      "is_current": false
    },
    {
      "key_identifier": "bcb53661c06b4728e59d897fb6165d5c9cda0fd9cdf9d09ead458168deb7518c",
      "key": "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEYAGMWO8XgCamYKMJS6jc/qgvSlAd\nAjPuDPRcXU22YxgBrz+zoN19MzuRyW87qEt9/AmtoNP5GrobzUvQSyJFVw==\n-----END PUBLIC KEY-----\n",
      "is_current": true
    }
  ]
}"#;
const FORMER: &str = "90a421169f0a406205f1563a953312f0be898d3c7b6c06b681aa86a874555f4a";
const CURRENT: &str = "bcb53661c06b4728e59d897fb6165d5c9cda0fd9cdf9d09ead458168deb7518c";
const BODY: &str = r#"[{"source":"commit","token":"some_token","type":"some_type","url":"https://example.com/base-repo-url/"}]"#;
const SIGNATURE: &str = "MEQCIQDaMKqrGnE27S0kgMrEK0eYBmyG0LeZismAEz/BgZyt7AIfXt9fErtRS4XaeSt/AO1RtBY66YcAdjxji410VQV4xg==";

fn of_github(world: &World) -> HolderService {
    service(world).leak_reports(LeakReports::signed_by(PublicKeys::from_json(KEYS).unwrap()))
}

async fn report(
    service: &HolderService,
    identifier: &str,
    signature: &str,
    body: impl Into<Bytes>,
) -> Answer {
    let request = Request::post("/leaks")
        .header("content-type", "application/json")
        .header("github-public-key-identifier", identifier)
        .header("github-public-key-signature", signature);
    ask(service, with_body(request, body)).await
}

/// A scanner of the test's own.
struct Scanner {
    key: EcdsaKeyPair,
    random: SystemRandom,
}

impl Scanner {
    fn new() -> Self {
        let (random, algorithm) = (SystemRandom::new(), &ECDSA_P256_SHA256_ASN1_SIGNING);
        let document = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
        let key = EcdsaKeyPair::from_pkcs8(algorithm, document.as_ref(), &random).unwrap();
        Self { key, random }
    }

    /// In PEM: the head of every such key, and the point.
    fn public_key(&self) -> PublicKey {
        let head = "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE";
        let mut key = STANDARD.decode(head).unwrap();
        assert_eq!(key.pop(), Some(4), "the point begins there");
        key.extend_from_slice(self.key.public_key().as_ref());
        let text = STANDARD.encode(key);
        let (first, second) = text.split_at(64);
        let pem =
            format!("-----BEGIN PUBLIC KEY-----\n{first}\n{second}\n-----END PUBLIC KEY-----\n");
        PublicKey::from_pem(&pem).unwrap()
    }

    fn sign(&self, body: &[u8]) -> String {
        STANDARD.encode(self.key.sign(&self.random, body).unwrap())
    }

    fn service(&self, world: &World, response: LeakResponse) -> HolderService {
        let key = self.public_key();
        let reports = LeakReports::with_keys_of(move |name| (name == "test").then(|| key.clone()));
        service(world).leak_reports(reports.response(response))
    }

    async fn report(&self, service: &HolderService, body: &Value) -> Answer {
        let body = body.to_string();
        report(service, "test", &self.sign(body.as_bytes()), body).await
    }
}

fn found(token: &str) -> Value {
    json!({
        "token": token,
        "type": "acme_api_token",
        "url": "https://github.com/octocat/Hello-World/blob/main/a.txt",
        "source": "content",
    })
}

fn label(token: &str, label: &str) -> Value {
    use sha2::{Digest, Sha256};
    let hash = STANDARD.encode(Sha256::digest(token.as_bytes()));
    json!({ "token_hash": hash, "token_type": "acme_api_token", "label": label })
}

#[tokio::test]
async fn what_github_has_signed_is_taken() {
    let world = World::in_memory().await;
    let answer = report(&of_github(&world), CURRENT, SIGNATURE, BODY).await;
    let expected = json!([{
        "token_hash": "mkVSChIT8VAW0tdotfs9kESSpE7idLRNTeiAPgD7U2o=",
        "token_type": "some_type",
        "label": "false_positive",
    }]);
    assert_eq!((answer.status, answer.json()), (200, expected));
}

#[tokio::test]
async fn what_nobody_has_signed_so_is_refused_before_the_store_is_asked() {
    let world = World::in_memory().await;
    let issued = world.active().await;
    let (scanner, other) = (Scanner::new(), Scanner::new());
    let service = scanner.service(&world, LeakResponse::default());
    let body = json!([found(issued.token.expose_secret())]).to_string();
    let signature = scanner.sign(body.as_bytes());
    let mut altered = STANDARD.decode(&signature).unwrap();
    *altered.last_mut().unwrap() ^= 1;
    let mut longer = STANDARD.decode(&signature).unwrap();
    longer.push(0);
    world.store.take_all_calls();
    for (identifier, signature, body) in [
        ("test", signature.clone(), format!("{body} ")),
        ("test", signature.clone(), body.replace("content", "commits")),
        ("test", signature.clone(), String::new()),
        ("test", STANDARD.encode(altered), body.clone()),
        ("test", STANDARD.encode(longer), body.clone()),
        ("test", other.sign(body.as_bytes()), body.clone()),
        ("test", String::new(), body.clone()),
        ("test", "not base64!".to_owned(), body.clone()),
        ("Test", signature.clone(), body.clone()),
        ("", signature.clone(), body.clone()),
    ] {
        let answer = report(&service, identifier, &signature, body).await;
        assert_eq!((answer.status, answer.body.len()), (403, 0));
    }
    let github = of_github(&world);
    assert_eq!(report(&github, FORMER, SIGNATURE, BODY).await.status, 403, "of the other key");
    assert_eq!(report(&github, CURRENT, SIGNATURE, format!("{BODY}\n")).await.status, 403);
    let twice = Request::post("/leaks")
        .header("github-public-key-identifier", "test")
        .header("github-public-key-signature", &signature)
        .header("github-public-key-signature", &signature);
    assert_eq!(ask(&service, with_body(twice, body.clone())).await.status, 403);
    assert_eq!(ask(&service, with_body(Request::post("/leaks"), body)).await.status, 403);
    assert_eq!(world.store.take_all_calls(), []);
    assert!(world.auth(&issued.token, "GET").await.is_ok());
}

#[tokio::test]
async fn each_token_is_answered_and_ended() {
    let world = World::in_memory().await;
    let (primary, backup) = world.dual().await;
    let (primary, backup) = (primary.token, backup.token);
    let unknown = unknown().await;
    let scanner = Scanner::new();
    let service = scanner.service(&world, LeakResponse::default());
    let body = json!([found(primary.expose_secret()), found(unknown.expose_secret())]);
    let answer = scanner.report(&service, &body).await;
    let expected = json!([
        label(primary.expose_secret(), "true_positive"),
        label(unknown.expose_secret(), "false_positive"),
    ]);
    assert_eq!((answer.status, answer.json()), (200, expected.clone()));
    assert!(!String::from_utf8_lossy(&answer.body).contains(primary.expose_secret()));
    assert_eq!(world.auth(&primary, "GET").await, Err(DenialKind::InvalidToken));
    assert!(world.auth(&backup, "GET").await.is_ok());
    let told = world.post.notices.lock().unwrap().clone();
    let [.., leak, end] = &told[..] else { panic!("{told:?}") };
    let Event::LeakReported { found, .. } = &leak.event else { panic!("{leak:?}") };
    assert_eq!(found, "content https://github.com/octocat/Hello-World/blob/main/a.txt");
    assert_eq!(leak.actor, Actor::program("github secret scanning").unwrap());
    assert_eq!(end.event.name(), "token_ended");
    let revision = world.account().await.revision();
    assert_eq!(scanner.report(&service, &body).await.json(), expected, "the same again");
    assert_eq!(world.account().await.revision(), revision);
    assert_eq!(scanner.report(&service, &json!([])).await.json(), json!([]));
}

#[tokio::test]
async fn the_host_says_what_becomes_of_a_leaked_token() {
    let scanner = Scanner::new();
    for (response, primary_lives, backup_lives) in [
        (LeakResponse::Tell, true, true),
        (LeakResponse::EndToken, true, false),
        (LeakResponse::EndAll, false, false),
    ] {
        let world = World::in_memory().await;
        let (primary, backup) = world.dual().await;
        let service = scanner.service(&world, response);
        let body = json!([{ "token": backup.token.expose_secret(), "type": "a", "url": null }]);
        assert_eq!(scanner.report(&service, &body).await.json()[0]["label"], "true_positive");
        assert_eq!(world.auth(&primary.token, "GET").await.is_ok(), primary_lives);
        assert_eq!(world.auth(&backup.token, "GET").await.is_ok(), backup_lives);
    }
}

#[tokio::test]
async fn a_store_that_fails_has_the_report_sent_again() {
    let world = World::in_memory().await;
    let (primary, backup) = world.dual().await;
    let scanner = Scanner::new();
    let service = scanner.service(&world, LeakResponse::default());
    let tokens = [primary.token.expose_secret(), backup.token.expose_secret()];
    let body = json!(tokens.map(found));
    for _ in 0..2 {
        world.store.plan(Call::Replace, Fault::Error(StoreErrorKind::Refused));
        let answer = scanner.report(&service, &body).await;
        assert_eq!((answer.status, answer.header("retry-after").is_empty()), (503, false));
    }
    let answer = scanner.report(&service, &body).await;
    assert_eq!(answer.json(), json!(tokens.map(|token| label(token, "true_positive"))));
    assert_eq!(world.account().await.primary(), None);
}

#[tokio::test]
async fn a_report_is_bounded_and_a_list() {
    let world = World::in_memory().await;
    let scanner = Scanner::new();
    let service = scanner.service(&world, LeakResponse::default());
    for bad in [json!({}), json!([1]), json!([{ "token": "a" }]), json!(null)] {
        let answer = scanner.report(&service, &bad).await;
        assert_eq!((answer.status, answer.json()), (400, json!({ "error": "invalid_request" })));
    }
    let many = |count: usize| json!(vec![json!({ "token": "a", "type": "b" }); count]);
    assert_eq!(scanner.report(&service, &many(1_000)).await.status, 200);
    assert_eq!(scanner.report(&service, &many(1_001)).await.status, 413);
    let long = json!([{ "token": "a".repeat(1 << 20), "type": "b" }]);
    assert_eq!(scanner.report(&service, &long).await.status, 413);
}

#[tokio::test]
async fn a_signed_report_uses_up_no_limit() {
    let world = World::in_memory().await;
    let (scanner, key) = (Scanner::new(), Scanner::new());
    let public = scanner.public_key();
    let reports = LeakReports::with_keys_of(move |_| Some(public.clone()));
    let service = limited(&world, 2).leak_reports(reports);
    for _ in 0..5 {
        assert_eq!(scanner.report(&service, &json!([])).await.status, 200);
    }
    for turn in 0..4 {
        let status = key.report(&service, &json!([])).await.status;
        assert_eq!(status, if turn < 2 { 403 } else { 429 });
    }
}
