//! A portal inside the host's router: with a state, and at the root.

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use tower_api_token::ConfigError;
use tower_api_token::TokenManager;
use tower_api_token::manage::Confirmation;
use tower_api_token::portal::Portal;
use tower_api_token::store::MemoryStore;

use crate::web::world::{ALICE, ROOT, Session, World};

/// The host's state.
#[derive(Clone)]
struct Host(&'static str);

#[tokio::test]
async fn the_routes_merge_into_a_router_with_a_state() {
    let mut world = World::new().await;
    let portal = Portal::new(world.manager.clone());
    let own = get(async |State(Host(name)): State<Host>| name);
    let router: Router<Host> = Router::new().route("/host", own).merge(portal.into_router());
    world.router = router.with_state(Host("acme"));
    assert_eq!(world.get(ALICE, "/host").await.text, "acme");
    assert_eq!(world.get(ALICE, "/tokens").await.status, 200);
}

#[tokio::test]
async fn the_root_is_a_path_like_any_other() {
    let world = World::with(|portal| portal.at("/").unwrap().sign_in("/sign-in").unwrap()).await;
    let profile = world.get(ALICE, "/").await;
    assert_eq!(profile.status, 200, "{}", profile.text);
    let links: Vec<_> =
        profile.text.split("href=\"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    assert!(links.contains(&"/") && links.contains(&"/edit"), "{links:?}");
    for link in links.iter().filter(|link| link.starts_with('/')) {
        assert!(!link.starts_with("//"), "{link} leads to another host");
        assert_eq!(world.get(ALICE, link).await.status, 200, "{link}");
    }
    let token = world.submit(ALICE, "/edit/generate", &[("agree", "yes")]).await;
    assert_eq!(token.status, 200, "{}", token.text);
    let code = world.last_code();
    let saved = world.submit(ALICE, &format!("/verify?code={code}"), &[]).await;
    assert_eq!((saved.status.as_u16(), saved.header("location")), (303, "/?saved"));
    assert_eq!(world.get(ALICE, "/?saved").await.status, 200);
    assert_eq!(world.get(ALICE, "/api/tokens").await.json()["primary"]["id"], 1);
    assert_eq!(world.get(ALICE, "/nowhere").await.status, 404);
    assert_eq!(world.get(ALICE, "/api/nowhere").await.problem(), "not_found");
    let user = world.get(ROOT, "/admin").await.between_text("<tbody>", "</tbody>");
    assert!(user.contains("href=\"/admin/user?user=alice\""), "{user}");
    let away = world.get(Session::Nobody, "/").await;
    assert_eq!(away.header("location"), "/sign-in?return_to=%2F");
}

#[tokio::test]
async fn a_path_that_cannot_be_one_is_refused() {
    let builder = TokenManager::builder(MemoryStore::new());
    let manager = builder.confirmation(Confirmation::ByCaller).build().await.unwrap();
    for bad in ["", "tokens", "//", "/a/", "/a//b", "/..", "/a b", "/{a}", "/?"] {
        let refused = Portal::new(manager.clone()).at(bad).map(drop);
        assert_eq!(refused.unwrap_err(), ConfigError::PortalPath, "{bad:?}");
    }
}
