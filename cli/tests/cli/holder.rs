//! What whoever holds a token may ask, and reports of a secret scanner.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use serde_json::{Value, json};

use crate::program::Place;
use crate::serving::{Answer, Serving, request};

fn form() -> (&'static str, String) {
    ("content-type", "application/x-www-form-urlencoded".to_owned())
}

fn revoke(server: &Serving, token: &str, more: &[(&str, String)]) -> Answer {
    let headers = [&[form()], more].concat();
    request(&server.address("holder"), "POST", "/revoke", &headers, &format!("token={token}"))
}

fn tell(server: &Serving, token: &str) -> Answer {
    let authorization = ("authorization", format!("Bearer {token}"));
    request(&server.address("holder"), "GET", "/token", &[authorization], "")
}

/// A place whose configuration file has that section.
fn serving(place: &Place, more: &str) -> Serving {
    let file = format!("[holder]\nlisten = \"127.0.0.1:0\"\n{more}");
    place.write("config.toml", &file);
    Serving::start(place, &["--config", "config.toml"])
}

#[test]
fn a_token_is_told_of_and_ended_by_its_holder() {
    let place = Place::new();
    let (alice, bob) =
        (place.user_with_token("alice", &["GET"]), place.user_with_token("bob", &["GET"]));
    let server = serving(&place, "");
    assert_eq!(server.ask(Some(&alice), "GET").status, 200);
    let told = tell(&server, &alice);
    let told: Value = serde_json::from_str(&told.body).unwrap();
    assert_eq!((&told["user"], &told["slot"]), (&json!("alice"), &json!("primary")));
    let revoked = revoke(&server, &alice, &[]);
    assert_eq!((revoked.status, revoked.body.as_str()), (200, ""));
    assert_eq!(revoke(&server, &alice, &[]).status, 200, "again");
    assert_eq!(tell(&server, &alice).status, 401);
    assert_eq!(server.ask(Some(&alice), "GET").status, 401);
    assert_eq!(server.ask(Some(&bob), "GET").status, 200);
    let leak = request(&server.address("holder"), "POST", "/leaks", &[], "[]");
    assert_eq!(leak.status, 404, "there are no keys");
    let log = server.stop();
    assert!(log.contains("token_ended") && !log.contains(&alice[4..]), "{log}");
}

#[test]
fn an_address_asks_only_so_often() {
    let place = Place::new();
    let by_peer = serving(&place, "requests-at-once = 2\nrequest-interval = \"1h\"");
    let statuses = |server: &Serving, addresses: &[&str]| {
        let revoked = addresses.iter().map(|address| {
            revoke(server, "garbage", &[("x-real-ip", (*address).to_owned())]).status
        });
        revoked.collect::<Vec<_>>()
    };
    assert_eq!(statuses(&by_peer, &["192.0.2.1", "192.0.2.2", "192.0.2.3"]), [200, 200, 429]);
    by_peer.stop();
    let more = "requests-at-once = 1\nrequest-interval = \"1h\"\naddress-header = \"X-Real-IP\"";
    let by_header = serving(&place, more);
    assert_eq!(statuses(&by_header, &["192.0.2.1", "192.0.2.2", "192.0.2.1"]), [200, 200, 429]);
    by_header.stop();
}

#[test]
fn what_a_scanner_has_found_and_signed_is_ended() {
    let place = Place::new();
    let token = place.user_with_token("alice", &["GET"]);
    let (random, algorithm) = (SystemRandom::new(), &ECDSA_P256_SHA256_ASN1_SIGNING);
    let document = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
    let key = EcdsaKeyPair::from_pkcs8(algorithm, document.as_ref(), &random).unwrap();
    let mut public = STANDARD.decode("MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE").unwrap();
    public.pop();
    public.extend_from_slice(key.public_key().as_ref());
    let pem = STANDARD.encode(public);
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{pem}\n-----END PUBLIC KEY-----\n");
    let keys =
        json!({ "public_keys": [{ "key_identifier": "k", "key": pem, "is_current": true }] });
    place.write("keys.json", &keys.to_string());
    let server = serving(&place, "leak-keys-file = \"keys.json\"");
    let body = json!([{ "token": token, "type": "acme", "url": "https://a.example/b", "source": "content" }]);
    let body = body.to_string();
    let signature = STANDARD.encode(key.sign(&random, body.as_bytes()).unwrap());
    let report = |identifier: &str, body: &str| {
        let headers = [
            ("github-public-key-identifier", identifier.to_owned()),
            ("github-public-key-signature", signature.clone()),
        ];
        request(&server.address("holder"), "POST", "/leaks", &headers, body)
    };
    assert_eq!(report("other", &body).status, 403);
    assert_eq!(report("k", &body.replace("content", "commit")).status, 403);
    assert_eq!(server.ask(Some(&token), "GET").status, 200);
    let answer = report("k", &body);
    let labels: Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!((answer.status, &labels[0]["label"]), (200, &json!("true_positive")));
    assert_eq!(server.ask(Some(&token), "GET").status, 401);
    let log = server.stop();
    assert!(log.contains("leak_reported") && !log.contains(&token[4..]), "{log}");
}

#[test]
fn a_file_without_keys_keeps_the_server_from_starting() {
    let place = Place::new();
    place.write("keys.json", "{\"public_keys\":[]}");
    let file = "[holder]\nlisten = \"127.0.0.1:0\"\nleak-keys-file = \"keys.json\"\n";
    place.write("config.toml", file);
    place.run(&["serve", "--config", "config.toml"]).exited(2).says("leak-keys-file");
}
