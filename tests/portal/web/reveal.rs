//! A token shown once more, where the host keeps tokens sealed.

use std::sync::Arc;

use async_trait::async_trait;
use tower_api_token::TokenManager;
use tower_api_token::manage::Confirmation;
use tower_api_token::portal::Portal;
use tower_api_token::sealing::{Sealer, SealerError, SealingKey};
use tower_api_token::token::{SealedToken, Token, TokenId};
use tower_api_token::user::UserId;

use crate::web::world::{ALICE, BOB, World};

/// A world whose manager has a sealing key.
async fn sealed() -> World {
    sealed_by(SealingKey::new(1, &random_key()).unwrap()).await
}

async fn sealed_by(sealer: impl Sealer) -> World {
    let mut world = World::new().await;
    let builder = TokenManager::builder(Arc::clone(&world.store)).sealer(sealer);
    let manager = builder.confirmation(Confirmation::ByCaller).build().await.unwrap();
    world.router = Portal::new(manager).into_router();
    world
}

fn random_key() -> [u8; 32] {
    let mut key = [0; 32];
    getrandom::fill(&mut key).unwrap();
    key
}

#[tokio::test]
async fn a_kept_token_is_shown_and_the_history_says_so() {
    let world = sealed().await;
    let page = world.submit(ALICE, "/tokens/edit/generate", &[("agree", "yes")]).await;
    let token = page.between_text("<code id=\"token\">", "</code>");
    assert_eq!(world.send_form(ALICE, &page, &[]).await.status, 303, "activated");
    let profile = world.get(ALICE, "/tokens").await;
    assert!(!profile.text.contains(&token), "not by itself");
    assert!(!profile.text.contains("cannot show it again"), "{}", profile.text);
    let shown = world.send_form(ALICE, &profile, &[]).await;
    assert_eq!(shown.status, 200, "{}", shown.text);
    assert_eq!(shown.between_text("<code id=\"token\">", "</code>"), token);
    assert_eq!(shown.header("cache-control"), "no-store");
    let profile = world.get(ALICE, "/tokens").await;
    assert!(profile.text.contains("Token 1 shown again"), "{}", profile.text);
    let json = world.api(ALICE, "reveal", "{\"id\":1}").await;
    assert_eq!(json.json()["token"], token);
    assert_eq!(world.get(ALICE, "/tokens/reveal").await.status, 405, "reading shows none");
    assert_eq!(world.api(BOB, "reveal", "{\"id\":1}").await.problem(), "stale", "bob has none");
}

#[tokio::test]
async fn without_a_key_the_page_explains_why_not() {
    let world = World::new().await;
    world.rotate(ALICE).await;
    let profile = world.get(ALICE, "/tokens").await;
    assert!(profile.text.contains("cannot show it again"), "{}", profile.text);
    assert!(!profile.text.contains("View token"), "{}", profile.text);
    assert_eq!(world.api(ALICE, "reveal", "{\"id\":1}").await.problem(), "not_kept");
    let form_token = world.form_token(ALICE).await;
    let body = format!("form_token={form_token}&id=1");
    let refused = world.post(ALICE, "/tokens/reveal", &body).await;
    assert_eq!(refused.status, 409);
    assert!(refused.text.contains("cannot be shown again"), "{}", refused.text);
}

/// Each time is a change that every node hears of, and a row of the history.
#[tokio::test]
async fn showing_again_is_limited_per_user() {
    let world = sealed().await;
    let page = world.submit(ALICE, "/tokens/edit/generate", &[("agree", "yes")]).await;
    world.send_form(ALICE, &page, &[]).await;
    for _ in 0..10 {
        assert_eq!(world.api(ALICE, "reveal", "{\"id\":1}").await.status, 200);
    }
    let limited = world.api(ALICE, "reveal", "{\"id\":1}").await;
    assert_eq!(limited.status, 429);
    assert!(limited.header("retry-after").parse::<u64>().unwrap() <= 60);
    assert_eq!(world.api(BOB, "reveal", "{\"id\":1}").await.problem(), "stale", "bob may ask");
}

/// A service that is gone once it has sealed.
struct Gone;

#[async_trait]
impl Sealer for Gone {
    async fn seal(&self, _: &Token, _: &UserId, _: TokenId) -> Result<SealedToken, SealerError> {
        Ok(SealedToken::from_bytes(*b"sealed"))
    }

    async fn open(&self, _: &SealedToken, _: &UserId, _: TokenId) -> Result<Token, SealerError> {
        Err(SealerError::unavailable("the service does not answer"))
    }

    fn can_open(&self, _: &SealedToken) -> bool {
        true
    }
}

#[tokio::test]
async fn an_outage_of_the_sealer_looks_like_one() {
    let world = sealed_by(Gone).await;
    let page = world.submit(ALICE, "/tokens/edit/generate", &[("agree", "yes")]).await;
    world.send_form(ALICE, &page, &[]).await;
    let refused = world.api(ALICE, "reveal", "{\"id\":1}").await;
    assert_eq!((refused.status.as_u16(), refused.problem().as_str()), (503, "unavailable"));
}
