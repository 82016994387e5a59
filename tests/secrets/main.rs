//! No token, code or digest appears in anything that this crate prints: not in
//! `Debug` of any public type, not in an event, an error, a problem document or
//! a log record at any level.
//!
//! Every secret that a test makes is looked for raw, in hexadecimal, in base64,
//! as a list of bytes, and by its first eight characters behind the prefix. A
//! program of its own, since it hears all that its process logs.

mod declared;
mod life;
#[path = "../support/log.rs"]
mod log;
mod logs;
mod needles;
#[expect(dead_code, reason = "only a server is needed")]
#[path = "../support/postgres.rs"]
mod postgres_server;
#[expect(dead_code, reason = "only a server is needed")]
#[path = "../support/redis.rs"]
mod redis_server;
mod refusals;
#[path = "../support/server.rs"]
mod server;
mod types;

#[path = "../support/generated.rs"]
mod generated;
#[path = "../support/secret.rs"]
mod secret;

use std::collections::BTreeSet;

use life::Life;
use needles::Needles;

#[tokio::test]
async fn every_public_type_is_looked_at() {
    let listed = types::shown(&Life::live().await).await;
    let listed: BTreeSet<_> = listed.into_iter().map(|(name, _)| name.to_owned()).collect();
    let declared = declared::public_types();
    assert!(declared.len() > 80, "the sources were not read");
    let missing: Vec<_> = declared.difference(&listed).collect();
    assert!(missing.is_empty(), "no entry in tests/secrets/types.rs for {missing:?}");
    let gone: Vec<_> = listed.difference(&declared).collect();
    assert!(gone.is_empty(), "entries for types that are not there: {gone:?}");
}

#[tokio::test]
async fn log_010_debug_of_every_public_type_is_redacted() {
    let life = Life::live().await;
    for (name, shown) in types::shown(&life).await {
        life.needles.assert_absent(name, &shown);
    }
}

#[tokio::test]
async fn what_a_life_says_of_itself_holds_no_secret() {
    let life = Life::live().await;
    assert!(life.said.len() > 20, "{}", life.said.len());
    for said in &life.said {
        life.needles.assert_absent("a message", said);
    }
}

#[test]
fn the_search_finds_every_spelling_of_a_secret() {
    let token = generated::token("tat");
    let mut needles = Needles::default();
    needles.token(&token);
    for leak in [
        format!("a {token} b"),
        token[4..12].to_owned(),
        needles::hexadecimal(token.as_bytes()),
        needles::hexadecimal(token.as_bytes()).to_uppercase(),
        needles::base64(token.as_bytes()),
        needles::base64(format!("alice:{token}").as_bytes()),
        format!("{:?}", token.as_bytes()),
        needles::hexadecimal(&needles::sha256(&token)),
        needles::base64(&needles::sha256(&token)),
        format!("{:?}", needles::sha256(&token)),
        format!("{:#?}", needles::sha256(&token)),
        format!("{:x?}", needles::sha256(&token)),
    ] {
        assert!(needles.found_in(&leak).is_some(), "{leak}");
    }
    assert!(needles.found_in("nothing of the kind").is_none());
}
