//! `check`.

use std::path::Path;
use std::process::Stdio;

use crate::postgres::Server;
use crate::program::Place;
use crate::serving::Serving;

fn wrong(place: &Place) -> Vec<String> {
    let values = place.run(&["check", "--json"]).exited(9).json();
    let wrong = values.iter().filter(|value| value["ok"] == false);
    wrong.map(|value| format!("{}: {}", value["check"], value["detail"])).collect()
}

#[test]
fn a_good_store_passes_every_check() {
    let place = Place::new();
    place.user_with_token("alice", &["GET"]);
    let values = place.run(&["check", "--json"]).succeeded().json();
    let checks: Vec<_> = values.iter().map(|value| value["check"].as_str().unwrap()).collect();
    assert_eq!(checks, ["store", "tokens", "durability", "feed"]);
    assert_eq!(values[1]["detail"], "1 in use, all of them recognised");
    assert!(values[2]["detail"].as_str().unwrap().contains("synchronous=full"));
}

#[test]
fn a_file_without_tables_or_of_another_program_fails() {
    let place = Place::without_store();
    let missing = "\"store\": \"the store does not exist; to make it: tower-api-token migrate\"";
    assert_eq!(wrong(&place), [missing]);
    place.write("tokens.db", "");
    assert!(wrong(&place)[0].contains("the file has no tables yet"), "{:?}", wrong(&place));
    place.write("tokens.db", "This is no database, but a text that is long enough for one.\n");
    assert!(!wrong(&place).is_empty());
    std::fs::remove_file(place.path("tokens.db")).unwrap();
    std::fs::create_dir(place.path("tokens.db")).unwrap();
    assert!(wrong(&place)[0].contains("regular file"));
}

#[test]
fn tokens_under_a_pepper_that_is_not_set_fail() {
    let place = Place::new();
    place.user_with_token("alice", &["GET"]);
    place.write("pepper", "thirty-two bytes from a secret store");
    place.write("config.toml", "[tokens]\npepper-version = 2\npepper-file = \"pepper\"\n");
    let ran = place.run(&["check", "--config", "config.toml"]).exited(9);
    assert!(ran.out.contains("1 in use under pepper version 0, which is not set"), "{ran:?}");
}

/// A wrong file under the right version would make every token unknown.
#[test]
fn another_key_under_the_same_version_is_refused_by_name_of_version_and_setting() {
    let place = Place::new();
    place.write("pepper", "thirty-two bytes from a secret store");
    place.write("other", "thirty-two bytes from another secret store");
    let config = |file: &str| format!("[tokens]\npepper-version = 2\npepper-file = \"{file}\"\n");
    place.write("config.toml", &config("pepper"));
    place.write("wrong.toml", &config("other"));
    place.run(&["user", "grant", "alice", "GET", "--config", "config.toml"]).succeeded();
    place.run(&["token", "issue", "alice", "--config", "config.toml"]).succeeded();
    let ran = place.run(&["check", "--config", "config.toml"]).succeeded();
    assert!(ran.out.contains("version 2: 1 token in use, verified"), "{ran:?}");
    let ran = place.run(&["check", "--config", "wrong.toml"]).exited(9);
    assert!(ran.out.contains("version 2: 1 token in use, another key"), "{ran:?}");
    for command in [&["user", "list"][..], &["token", "issue", "alice"], &["serve"]] {
        let refused = place.run(&[command, &["--config", "wrong.toml"]].concat()).exited(2);
        refused.says("pepper of version 2").says("tokens.pepper-file");
    }
}

#[test]
fn a_wrong_key_that_no_token_was_made_with_is_left_behind_by_another_version() {
    let place = Place::new();
    place.write("typo", "thirty-two bytes of the wrong file");
    place.write("pepper", "thirty-two bytes from a secret store");
    let config = |version: u16, file: &str| {
        format!("[tokens]\npepper-version = {version}\npepper-file = \"{file}\"\n")
    };
    place.write("config.toml", &config(1, "typo"));
    let run = |arguments: &[&str]| place.run(&[arguments, &["--config", "config.toml"]].concat());
    run(&["user", "grant", "alice", "GET"]).succeeded();
    place.write("config.toml", &config(1, "pepper"));
    run(&["token", "issue", "alice"]).exited(2).says("a version that was never used");
    place.write("config.toml", &config(2, "pepper"));
    let token = run(&["token", "issue", "alice"]).succeeded().out;
    let ran = run(&["check"]).succeeded();
    assert!(ran.out.contains("version 2: 1 token in use, verified"), "{ran:?}");
    let server = Serving::start(&place, &["--config", "config.toml"]);
    assert_eq!(server.ask(Some(token.trim()), "GET").status, 200);
}

/// `check | head -1`.
#[test]
fn a_reader_that_goes_does_not_make_a_failed_check_a_success() {
    let place = Place::without_store();
    for json in [&[][..], &["--json"]] {
        let mut command = place.command(&[&["check"], json].concat());
        let mut check = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        drop(check.stdout.take());
        assert_eq!(check.wait().unwrap().code(), Some(9));
    }
}

/// A store of the version that kept no check values.
#[test]
fn a_pepper_is_unverified_until_a_token_made_under_it_was_accepted() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/b65aa2a");
    let place = Place::without_store();
    std::fs::copy(fixtures.join("sqlite.db"), place.path("tokens.db")).unwrap();
    place.run(&["migrate"]).succeeded();
    let written = std::fs::read_to_string(fixtures.join("sqlite.json")).unwrap();
    let written: serde_json::Value = serde_json::from_str(&written).unwrap();
    let tokens = written["tokens"].as_array().unwrap();
    let of_user = |user: &str| tokens.iter().rfind(|token| token["user"] == user).unwrap();
    let token = |user: &str| of_user(user)["token"].as_str().unwrap();
    place.write("right", written["pepper"]["key"].as_str().unwrap());
    place.write("wrong", "thirty-two bytes from another secret store");
    for name in ["right", "wrong"] {
        let settings = format!(
            "[tokens]\npepper-version = 1\npepper-file = \"{name}\"\n\
             formerly-without-pepper = true\naccept-foreign = true\n"
        );
        place.write(&format!("{name}.toml"), &settings);
    }
    let checked = |config: &str, verdict: &str| {
        let ran = place.run(&["check", "--config", config]).succeeded();
        assert!(ran.out.contains(&format!("version 1: 4 tokens in use, {verdict}")), "{ran:?}");
    };
    let served = |config: &str, user: &str| {
        let server = Serving::start(&place, &["--config", config]);
        let status = server.ask(Some(token(user)), "GET").status;
        server.stop();
        status
    };
    // Nobody knows yet which of them it is.
    checked("right.toml", "unverified");
    checked("wrong.toml", "unverified");
    assert_eq!(served("wrong.toml", "peppered"), 401);
    assert_eq!(served("right.toml", "primary"), 200);
    checked("right.toml", "unverified");
    assert_eq!(served("right.toml", "peppered"), 200);
    checked("right.toml", "verified");
    place.run(&["serve", "--config", "wrong.toml"]).exited(2).says("pepper of version 1");
}

/// `check` and `serve` tell of it, before anybody's request is refused.
#[test]
fn tokens_that_the_settings_do_not_recognise_are_told_of() {
    let mut place = Place::new().accepting_foreign();
    let digest = "0123456789abcdef".repeat(4);
    place.write("tokens.csv", &format!("user,methods,sha256\nalice,GET,{digest}\n"));
    place.run(&["import", "tokens.csv"]).succeeded();
    place.run(&["check"]).succeeded();
    place.variables.clear();
    let foreign = "1 in use are of a foreign form, or known by their digest alone, and \
                   `tokens.accept-foreign` is not set";
    assert_eq!(wrong(&place), [format!("\"tokens\": \"{foreign}\"")]);
    place.write("acme.toml", "[tokens]\nprefix = \"acme\"\n");
    for command in [&["user", "grant", "bob", "GET"][..], &["token", "issue", "bob"]] {
        place.run(&[command, &["--config", "acme.toml"]].concat()).succeeded();
    }
    let said = wrong(&place).concat();
    let unlisted = "1 in use have the prefix acme, which `tokens.former-prefixes` does not list";
    assert!(said.contains(unlisted) && said.contains(foreign), "{said}");
    let server = Serving::start(&place, &[]);
    server.address("forward-auth");
    let log = server.stop();
    let told = |what: &str| {
        let line = |line: &&str| line.contains("tokens in use are not recognised");
        log.lines().filter(line).any(|line| line.contains(what))
    };
    assert!(told("prefix=\"acme\"") && told("foreign tokens are not accepted"), "{log}");
}

/// Several former peppers are named in one list.
#[test]
fn former_peppers_add_up() {
    let place = Place::new();
    place.user_with_token("alice", &["GET"]);
    for version in 1..=3 {
        place.write(
            &format!("pepper-{version}"),
            &format!("{version}: thirty-two bytes of a secret store"),
        );
        let former: Vec<_> =
            (1..version).map(|former| format!("\"{former}:pepper-{former}\"")).collect();
        place.write(
            "config.toml",
            &format!(
                "[tokens]\npepper-version = {version}\npepper-file = \"pepper-{version}\"\n\
                 former-peppers = [{}]\nformerly-without-pepper = true\n",
                former.join(", ")
            ),
        );
        let user = format!("user{version}");
        place.run(&["user", "grant", &user, "GET", "--config", "config.toml"]).succeeded();
        place.run(&["token", "issue", &user, "--config", "config.toml"]).succeeded();
    }
    let ran = place.run(&["check", "--config", "config.toml"]).succeeded();
    for said in ["version 1: 1 token in use", "version 3: 1 token in use", "without a pepper: 1"] {
        assert!(ran.out.contains(said), "{said}: {ran:?}");
    }
    place.write("twice.toml", "[tokens]\nformer-peppers = [\"1:pepper-1\", \"1:pepper-2\"]\n");
    place.run(&["user", "list", "--config", "twice.toml"]).exited(2).says("different versions");
    place.write("bad.toml", "[tokens]\nformer-peppers = [\"pepper-1\"]\n");
    place.run(&["user", "list", "--config", "bad.toml"]).exited(2).says("a version and a file");
}

#[tokio::test]
async fn a_database_that_may_lose_changes_fails() {
    // The shared server runs without waiting for the disk.
    let server = Server::shared();
    let database = server.database().await;
    let place = Place::in_database(server, &database);
    place.run(&["migrate"]).succeeded();
    let wrong = wrong(&place);
    assert_eq!(wrong.len(), 1, "{wrong:?}");
    assert!(wrong[0].starts_with("\"durability\": \"fsync=off"), "{wrong:?}");
}

#[tokio::test]
async fn a_good_database_passes_every_check_and_has_the_same_commands() {
    let server = Server::start(&[]);
    let database = server.database().await;
    let place = Place::in_database(&server, &database);
    place.run(&["user", "list"]).exited(7);
    place.run(&["migrate"]).succeeded();
    place.run(&["check"]).succeeded();
    let token = place.user_with_token("alice", &["GET"]);
    assert!(token.starts_with("tat_"));
    place.run(&["user", "revoke", "alice"]).succeeded();
    let history = place.run(&["history", "alice", "--json"]).succeeded().json();
    assert_eq!(history.len(), 3);
}

#[test]
fn a_good_redis_server_passes_every_check_and_has_the_same_commands() {
    let server = crate::redis::Server::start(&crate::redis::DURABLE);
    let place = Place::on_redis(&server);
    place.run(&["user", "list"]).exited(7);
    place.run(&["migrate"]).succeeded();
    place.run(&["check"]).succeeded();
    let token = place.user_with_token("alice", &["GET"]);
    let serving = Serving::start(&place, &[]);
    assert_eq!(serving.ask(Some(&token), "GET").status, 200);
    assert_eq!(serving.ask(Some(&token), "GET").status, 200);
    place.run(&["user", "revoke", "alice"]).succeeded();
    let revoked = std::time::Instant::now();
    while serving.ask(Some(&token), "GET").status != 401 {
        assert!(revoked.elapsed() < std::time::Duration::from_secs(5));
    }
    server.kill();
    place.run(&["user", "list"]).exited(6);
}

#[test]
fn a_redis_server_that_may_lose_changes_fails_and_is_not_used() {
    let server = crate::redis::Server::start(&["--appendonly no"]);
    let place = Place::on_redis(&server);
    place.run(&["migrate"]).exited(10).says("appendonly yes");
    assert!(wrong(&place)[0].contains("must have `appendonly yes`"));
}
