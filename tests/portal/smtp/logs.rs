//! What sending leaves in the log, of this crate and of those below it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tower_api_token::manage::Delivery;
use tower_api_token::user::Actor;

use crate::log;
use crate::smtp::encryption::{Certificates, tls};
use crate::smtp::world::{World, alice, code, failure, notifier};

const PASSWORD: &str = "hunter2hunter2";

#[tokio::test]
async fn neither_a_code_nor_a_token_nor_the_password_is_logged_at_any_level() {
    log::so_far();
    let certificates = Certificates::of("DNS:localhost");
    let password = ["--password", "api", PASSWORD];
    let server = certificates.server("--tls", &password);
    let how = tls(&server).trust_authorities(&certificates.authority()).unwrap();
    let world = World::new(notifier(how.clone().credentials("api", PASSWORD))).await;
    let generated = world.manager.generate_primary(&Actor::User, &alice()).await.unwrap();
    assert!(matches!(generated.delivery, Delivery::Sent), "{:?}", generated.delivery);
    let code = code(&server.message());
    world.manager.confirm(&Actor::User, &alice(), &code).await.unwrap();
    server.message();
    // And when it goes wrong.
    let refusing =
        certificates.server("--tls", &[&password[..], &["--trouble", "repeat-message"]].concat());
    let again = how.port(refusing.port()).credentials("api", PASSWORD);
    let refused = World::new(notifier(again)).await;
    let unsent = refused.manager.generate_primary(&Actor::User, &alice()).await.unwrap();
    let unsent_code = crate::smtp::world::code(&refusing.message());
    let token = unsent.token.expose_secret().to_owned();
    failure(unsent.delivery);
    refused.manager.revoke_all(&Actor::User, &alice()).await.unwrap();
    let logged = log::so_far();
    assert!(logged.contains("primary_confirmed"), "the log is not heard: {logged}");
    assert!(logged.contains("confirmation_not_sent"), "{logged}");
    assert!(logged.contains("notice not sent"), "{logged}");
    let plain = STANDARD.encode(format!("\0api\0{PASSWORD}"));
    for secret in [
        &generated.token.expose_secret()[4..12],
        &token[4..12],
        &code.expose_secret()[4..12],
        &unsent_code.expose_secret()[4..12],
        PASSWORD,
        &STANDARD.encode(PASSWORD),
        &plain,
    ] {
        assert!(!logged.contains(secret), "{secret}");
    }
}
