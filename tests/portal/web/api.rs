//! The JSON operations.

use std::time::Duration;

use serde_json::{Value, json};
use tower_api_token::account::Slot;

use crate::web::world::{ALICE, BOB, ROOT, Session, World};

#[tokio::test]
async fn the_whole_procedure_as_operations() {
    let world = World::new().await;
    let generated = world.api(ALICE, "generate", "{}").await;
    assert_eq!(generated.status, 201);
    let first = generated.json();
    assert_eq!((&first["id"], &first["delivery"]), (&json!(1), &json!("sent")));
    assert_eq!(first["code"], Value::Null, "a mailed code is in the mail alone");
    let confirm = json!({ "code": world.last_code() }).to_string();
    assert_eq!(world.api(ALICE, "confirm", &confirm).await.status, 204);
    let again = world.api(ALICE, "confirm", &confirm).await;
    assert_eq!((again.status.as_u16(), again.problem().as_str()), (410, "already_confirmed"));

    let generated = world.api(ALICE, "generate", "{\"primary\":1}").await;
    assert_eq!(generated.status, 201, "{}", generated.text);
    let second = generated.json();
    let confirm = json!({ "code": world.last_code() }).to_string();
    assert_eq!(world.api(ALICE, "confirm", &confirm).await.status, 204);
    let tokens = world.get(ALICE, "/tokens/api/tokens").await.json();
    assert_eq!((&tokens["primary"]["id"], &tokens["backup"]["id"]), (&json!(2), &json!(1)));
    assert_eq!(tokens["methods"], json!(["GET"]));

    let new = world.api(ALICE, "delete-backup", "{\"id\":1}").await;
    assert_eq!(new.problem(), "in_use", "it is too new for a use of it to be known");
    assert_eq!(tokens["backup"]["in_use"], true);
    world.wait(Duration::from_secs(60));
    let tokens = world.get(ALICE, "/tokens/api/tokens").await.json();
    assert_eq!(tokens["backup"]["in_use"], false);
    assert_eq!(world.api(ALICE, "delete-backup", "{\"id\":1}").await.status, 204);
    assert_eq!(world.slot(first["token"].as_str().unwrap()).await, None);
    assert_eq!(world.slot(second["token"].as_str().unwrap()).await, Some(Slot::Primary));
    let repeated = world.api(ALICE, "delete-backup", "{\"id\":1}").await;
    assert_eq!(repeated.status, 204, "done before");
    let history = world.get(ALICE, "/tokens/api/history?size=1").await.json();
    assert_eq!(history["entries"][0]["event"], "backup_deleted");
    assert_eq!(history["entries"].as_array().unwrap().len(), 1);
    assert!(history["next"].is_u64());
}

#[tokio::test]
async fn every_refusal_is_a_problem_with_its_type() {
    let world = World::new().await;
    world.rotate(ALICE).await;
    world.rotate(ALICE).await;
    world.used("alice", world.view("alice").await.backup.unwrap().id, "curl/8").await;
    let carol = Session::User("carol");
    let unknown = format!("{{\"code\":\"tac_{}\"}}", "0".repeat(32));
    let cases = [
        (carol, "generate", "{}", 403, "no_access"),
        (ALICE, "generate", "{\"primary\":1}", 409, "stale"),
        (ALICE, "generate", "{\"primary\":2}", 409, "backup_exists"),
        (ALICE, "delete-backup", "{\"id\":1}", 409, "in_use"),
        (ALICE, "delete-backup", "{\"id\":2}", 409, "stale"),
        (ALICE, "roll-back", "{\"id\":1}", 409, "stale"),
        (ALICE, "revoke-all", "{}", 409, "stale"),
        (ALICE, "resend", "{\"id\":9}", 409, "stale"),
        (ALICE, "cancel-pending", "{\"id\":9}", 409, "stale"),
        (ALICE, "confirm", "{\"code\":\"hello\"}", 404, "unknown_code"),
        (ALICE, "confirm", &unknown, 404, "unknown_code"),
        (ALICE, "admin/methods", "{\"user\":\"bob\",\"methods\":[]}", 403, "not_administrator"),
        (ROOT, "admin/methods", "{\"user\":\"\",\"methods\":[\"GET\"]}", 400, "bad_request"),
        (ROOT, "nowhere", "{}", 404, "not_found"),
        (ROOT, "tokens", "{}", 405, "method_not_allowed"),
    ];
    for (session, name, body, status, problem) in cases {
        let answer = world.api(session, name, body).await;
        assert_eq!(
            (answer.status.as_u16(), answer.problem().as_str()),
            (status, problem),
            "{name}"
        );
    }
    assert_eq!(world.api(ROOT, "tokens", "{}").await.header("allow"), "GET,HEAD");
    let missing = world.get(ROOT, "/tokens/api/admin/user?user=carol").await;
    assert_eq!(missing.problem(), "no_account");
}

#[tokio::test]
async fn a_list_in_place_of_an_object_changes_nothing() {
    let world = World::new().await;
    world.rotate(ALICE).await;
    world.rotate(ALICE).await;
    let before = world.state().await;
    let cases = [
        (ALICE, "delete-backup", "[1,true]"),
        (ALICE, "revoke-all", " [2,1,null]"),
        (ALICE, "cancel-pending", "[3]"),
        (ROOT, "admin/methods", "[\"carol\",[\"GET\"],null]"),
    ];
    for (session, name, body) in cases {
        let answer = world.api(session, name, body).await;
        let told = (answer.status.as_u16(), answer.problem());
        assert_eq!(told, (400, "bad_request".to_owned()), "{name}");
    }
    assert_eq!(world.state().await, before);
}

#[tokio::test]
async fn an_expired_code_and_a_late_resend_are_gone() {
    let world = World::new().await;
    world.generate(ALICE).await;
    let confirm = json!({ "code": world.last_code() }).to_string();
    assert_eq!(world.api(ALICE, "resend", "{\"id\":1}").await.problem(), "too_soon");
    world.wait(Duration::from_secs(600));
    let expired = world.api(ALICE, "confirm", &confirm).await;
    assert_eq!((expired.status.as_u16(), expired.problem().as_str()), (410, "expired_code"));
    let resent = world.api(ALICE, "resend", "{\"id\":1}").await.json();
    assert_eq!((&resent["delivery"], &resent["code"]), (&json!("sent"), &Value::Null));
    world.wait(Duration::from_secs(86_400));
    assert_eq!(world.api(ALICE, "resend", "{\"id\":1}").await.problem(), "expired_code");
}

#[tokio::test]
async fn a_manager_that_mails_nothing_hands_the_code_over() {
    use tower_api_token::TokenManager;
    use tower_api_token::manage::Confirmation;
    use tower_api_token::portal::Portal;

    let mut world = World::new().await;
    let builder = TokenManager::builder(std::sync::Arc::clone(&world.store));
    let manager = builder.confirmation(Confirmation::ByCaller).build().await.unwrap();
    world.router = Portal::new(manager).into_router();
    let generated = world.api(ALICE, "generate", "{}").await.json();
    assert_eq!(generated["delivery"], "to_caller");
    let confirm = json!({ "code": generated["code"] }).to_string();
    assert_eq!(world.api(ALICE, "confirm", &confirm).await.status, 204);
    // The page has a button in place of the mail.
    let page = world.submit(ALICE, "/tokens/edit/generate", &[("agree", "yes")]).await;
    assert_eq!(world.send_form(ALICE, &page, &[]).await.status, 303);
    let primary = world.view("alice").await.primary.unwrap();
    assert_eq!(primary.id.as_u64(), 2);
}

#[tokio::test]
async fn the_description_names_every_operation_and_each_answers() {
    let world = World::new().await;
    let answer = world.get(ALICE, "/tokens/api/openapi.json").await;
    let document = answer.json();
    let paths = document["paths"].as_object().unwrap();
    for (path, operations) in paths {
        for method in operations.as_object().unwrap().keys() {
            let full = format!("/tokens/api{path}");
            let headers = [("content-type", "application/json")];
            let answer = world.send(ROOT, &method.to_uppercase(), &full, &headers, "[]").await;
            let known = answer.status.as_u16().to_string();
            let responses = operations[method]["responses"].as_object().unwrap();
            assert!(responses.contains_key(&known), "{method} {path} answers {known}");
            assert!(!["404", "405"].contains(&known.as_str()), "{method} {path}: {known}");
        }
    }
    let source = include_str!("../../../src/portal/api.rs");
    let operations = source.split("fn routes").nth(1).unwrap().split("\n}").next().unwrap();
    let routes = operations.split("at(\"").skip(1).filter_map(|rest| rest.split('"').next());
    let routes: Vec<_> = routes.filter(|name| !name.starts_with('{')).collect();
    assert!(routes.len() > 10, "{routes:?}");
    for name in &routes {
        assert!(paths.contains_key(&format!("/{name}")), "{name} is not described");
    }
    assert_eq!(routes.len(), paths.len());
}

/// What every operation answers when it is done, in an order in which each can be.
/// The answers are held against the description where they are received.
#[tokio::test]
async fn every_operation_is_done_as_described() {
    let world = World::new().await;
    world.rotate(ALICE).await;
    world.rotate(ALICE).await;
    let mut done = vec![world.api(ALICE, "roll-back", r#"{"id":2,"even_if_in_use":true}"#).await];
    done.push(world.api(ALICE, "generate", r#"{"primary":1}"#).await);
    world.wait(Duration::from_secs(60));
    done.push(world.api(ALICE, "resend", r#"{"id":3}"#).await);
    let confirm = json!({ "code": world.last_code() }).to_string();
    done.push(world.api(ALICE, "confirm", &confirm).await);
    world.generate(BOB).await;
    done.push(world.get(ALICE, "/tokens/api/tokens").await);
    done.push(world.get(ALICE, "/tokens/api/history?size=2").await);
    done.push(world.get(ROOT, "/tokens/api/admin/users?size=1").await);
    done.push(world.get(ROOT, "/tokens/api/admin/user?user=alice").await);
    done.push(world.api(ALICE, "delete-backup", r#"{"id":1,"even_if_in_use":true}"#).await);
    done.push(world.api(BOB, "cancel-pending", r#"{"id":1}"#).await);
    done.push(world.api(ALICE, "revoke-all", r#"{"primary":3}"#).await);
    done.push(world.api(ROOT, "admin/revoke-all", r#"{"user":"bob"}"#).await);
    let carol = r#"{"user":"carol","methods":["GET"],"revision":null}"#;
    done.push(world.api(ROOT, "admin/methods", carol).await);
    done.push(world.api(ROOT, "admin/suspend", r#"{"user":"carol","revision":1}"#).await);
    done.push(world.api(ROOT, "admin/resume", r#"{"user":"carol","revision":2}"#).await);
    done.push(world.api(ROOT, "admin/erase", r#"{"user":"carol","revision":3}"#).await);
    done.push(world.get(ROOT, "/tokens/api/admin/audit?after=3&size=20").await);
    for answer in &done {
        assert!(answer.status.is_success(), "{} {}", answer.status, answer.text);
    }
    // Those not among them are the description and the reveal, which have tests of
    // their own.
    let document = world.get(ALICE, "/tokens/api/openapi.json").await.json();
    assert_eq!(document["paths"].as_object().unwrap().len(), done.len() + 2);
    assert_eq!(document["openapi"], "3.1.0");
    let strict = &document["components"]["schemas"]["Tokens"];
    assert_eq!(strict["additionalProperties"], false, "a member that is not described is seen");
    assert_eq!(strict["required"].as_array().unwrap().len(), 10);
}

#[tokio::test]
async fn an_integer_is_a_number_without_a_fraction_whatever_it_is_written_like() {
    let world = World::new().await;
    world.rotate(ALICE).await;
    world.rotate(ALICE).await;
    for bad in ["1.5", "\"1\"", "-1", "1e300", "true"] {
        let answer = world.api(ALICE, "delete-backup", &format!("{{\"id\":{bad}}}")).await;
        assert_eq!((answer.status.as_u16(), &*answer.problem()), (400, "bad_request"), "{bad}");
    }
    let generated = "{\"primary\":2.0,\"replacing_backup\":10e-1}";
    let generated = world.api(ALICE, "generate", generated).await;
    assert_eq!(generated.status, 201, "{}", generated.text);
    assert_eq!(world.api(ALICE, "cancel-pending", "{\"id\":3.0}").await.status, 204);
    let all = "{\"primary\":2.0,\"backup\":1e0,\"pending\":null}";
    assert_eq!(world.api(ALICE, "revoke-all", all).await.status, 204);
    let revision = world.get(ROOT, "/tokens/api/admin/user?user=alice").await.json();
    let revision = revision["account"]["revision"].as_u64().unwrap();
    let body = format!("{{\"user\":\"alice\",\"methods\":[\"PUT\"],\"revision\":{revision}.0}}");
    assert_eq!(world.api(ROOT, "admin/methods", &body).await.status, 204);
}

#[tokio::test]
async fn a_page_longer_than_the_description_allows_is_refused() {
    let world = World::new().await;
    let sizes = [("1", 200), ("1000", 200), ("", 200), ("0", 400), ("1001", 400), ("9e9", 400)];
    for (session, path) in [(ALICE, "history"), (ROOT, "admin/users"), (ROOT, "admin/audit")] {
        for (size, status) in sizes {
            let answer = world.get(session, &format!("/tokens/api/{path}?size={size}")).await;
            assert_eq!(answer.status, status, "{path} {size}: {}", answer.text);
        }
    }
}

#[tokio::test]
async fn a_program_is_told_of_no_page() {
    let world = World::new().await;
    world.rotate(ALICE).await;
    world.rotate(ALICE).await;
    let stale = world.api(ALICE, "generate", "{}").await;
    assert!(stale.text.contains("members"), "{}", stale.text);
    let missing = world.api(ALICE, "delete-backup", "{}").await;
    assert!(missing.text.contains("the member id is missing"), "{}", missing.text);
    let twice = world.api(ALICE, "delete-backup", "{\"id\":1,\"id\":1}").await;
    assert!(twice.text.contains("the member id is there twice"), "{}", twice.text);
    let secret = format!("{{\"user\":\"tat_{}\",\"methods\":[]}}", "a".repeat(42));
    let elsewhere = [("content-type", "application/json"), ("sec-fetch-site", "cross-site")];
    let answers = [
        stale,
        missing,
        twice,
        world.api(Session::Nobody, "generate", "{}").await,
        world.api(ALICE, "generate", "{\"primary\":2}").await,
        world.api(ALICE, "delete-backup", "{\"id\":1}").await,
        world.api(ALICE, "nowhere", "{}").await,
        world.api(ALICE, "tokens", "{}").await,
        world.api(ALICE, "confirm", "{\"code\":\"x\"}").await,
        world.api(ROOT, "admin/methods", &secret).await,
        world.api(ALICE, "admin/methods", "{}").await,
        world.api(Session::User("carol"), "generate", "{}").await,
        world.send(ALICE, "POST", "/tokens/api/generate", &elsewhere, "{}").await,
        world.send(ALICE, "POST", "/tokens/api/generate", &[], "{}").await,
    ];
    for answer in answers {
        answer.problem();
        let text = answer.text.to_lowercase();
        for word in ["page", "window", "button", "form ", "please", "opened", "profile", "press"] {
            assert!(!text.contains(word), "{word}: {text}");
        }
    }
}
