//! `docs/operating.md`: each block of commands is run as it stands there.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use serde_json::json;

use crate::postgres::Server;
use crate::program::{Place, Ran, finish};
use crate::serving::Serving;

const PAGE: &str = include_str!("../../../docs/operating.md");

/// A block of commands, what stands behind the name of its language, and the
/// section that it is in.
struct Block {
    section: String,
    kind: String,
    commands: String,
}

fn blocks() -> Vec<Block> {
    let (mut blocks, mut section) = (Vec::new(), String::new());
    let mut lines = PAGE.lines();
    while let Some(line) = lines.next() {
        if let Some(name) = line.strip_prefix("## ") {
            section = name.to_owned();
        }
        if let Some(kind) = line.strip_prefix("```") {
            let commands: Vec<_> = lines.by_ref().take_while(|line| *line != "```").collect();
            let (section, kind) = (section.clone(), kind.to_owned());
            blocks.push(Block { section, kind, commands: commands.join("\n") });
        }
    }
    blocks
}

fn of(section: &str, kind: &str) -> Vec<String> {
    let blocks = blocks().into_iter();
    let found = blocks.filter(|block| block.section == section && block.kind == kind);
    found.map(|block| block.commands).collect()
}

/// Runs the commands as they stand, up to the first that fails.
fn run(place: &Place, commands: &str) -> Ran {
    let program = env!("CARGO_BIN_EXE_tower-api-token");
    let bin = std::path::Path::new(program).parent().unwrap();
    let path = std::env::var("PATH").unwrap();
    let mut shell = Command::new("bash");
    shell.args(["-euo", "pipefail", "-c", commands]).current_dir(place.directory());
    shell.env("PATH", format!("{}:{path}", bin.display()));
    shell.env("TOWER_API_TOKEN_STORE", &place.store);
    shell.env("TOWER_API_TOKEN_AUDIT_FILE", "audit.jsonl");
    shell.envs(place.variables.iter().copied());
    finish(&mut shell, "")
}

fn users_with_tokens(place: &Place) -> usize {
    let users = place.run(&["user", "list", "--json"]).succeeded().json();
    users.iter().filter(|user| !user["primary"].is_null()).count()
}

#[test]
fn what_is_backed_up_as_the_page_says_is_restored_as_it_says() {
    let (back_up, restore) = (of("Back up", "sh"), of("Restore", "sh"));
    assert_eq!((back_up.len(), restore.len()), (1, 3));
    let expected = [("--audit", 1), ("--end-all", 0), ("--accept-revived", 2)];
    for (commands, (how, live)) in restore.iter().zip(expected) {
        assert!(commands.contains(how), "{commands}");
        let place = Place::new();
        for user in ["alice", "bob"] {
            place.user_with_token(user, &["GET"]);
        }
        run(&place, &back_up[0]).succeeded();
        run(&place, "tower-api-token token revoke-all alice").succeeded();
        run(&place, commands).succeeded();
        assert_eq!(users_with_tokens(&place), live, "{how}");
    }
}

#[tokio::test]
async fn postgres_is_backed_up_and_restored_as_the_page_says() {
    let server = Server::shared();
    let database = server.database().await;
    let place = Place::in_database(server, &database);
    place.run(&["migrate"]).succeeded();
    for user in ["alice", "bob"] {
        place.user_with_token(user, &["GET"]);
    }
    let (back_up, restore) = (of("Back up", "sh postgres"), of("Restore", "sh postgres"));
    assert_eq!((back_up.len(), restore.len()), (1, 1));
    run(&place, &back_up[0]).succeeded();
    run(&place, "tower-api-token token revoke-all alice").succeeded();
    run(&place, &restore[0]).succeeded();
    assert_eq!(users_with_tokens(&place), 1);
}

/// Its first change has given out the revision that the audit tells of an end by.
#[tokio::test]
async fn a_restore_that_broke_off_between_two_changes_is_completed_by_the_next() {
    let server = Server::shared();
    let database = server.database().await;
    let place = Place::in_database(server, &database);
    place.run(&["migrate"]).succeeded();
    for user in ["alice", "bob"] {
        place.user_with_token(user, &["GET", "POST"]);
    }
    run(&place, &of("Back up", "sh postgres")[0]).succeeded();
    run(&place, "tower-api-token token revoke-all alice").succeeded();
    run(&place, "tower-api-token user grant alice GET").succeeded();
    let restore = of("Restore", "sh postgres");
    let (put_back, end) = restore[0].split_once('\n').unwrap();
    run(&place, put_back).succeeded();
    let client = database.client().await;
    let history = "ALTER TABLE tower_api_token.history";
    let one_change = format!("{history} ADD CONSTRAINT one_change CHECK (revision < 4)");
    client.batch_execute(&one_change).await.unwrap();
    assert_ne!(run(&place, end).code, Some(0));
    let shown = || place.run(&["user", "show", "alice", "--json"]).succeeded().json().remove(0);
    assert_eq!((&shown()["methods"], &shown()["revision"]), (&json!(["GET"]), &json!(3)));
    client.batch_execute(&format!("{history} DROP CONSTRAINT one_change")).await.unwrap();
    run(&place, end).succeeded();
    assert_eq!((&shown()["methods"], &shown()["primary"]), (&json!(["GET"]), &json!(null)));
    assert_eq!(users_with_tokens(&place), 1);
}

#[test]
fn the_first_administrator_is_made_once_and_a_revocation_stays() {
    let place = Place::without_store();
    let commands = of("First administrator", "sh");
    let [start] = &commands[..] else { panic!("{commands:?}") };
    run(&place, start).succeeded();
    let token = std::fs::read_to_string(place.path("admin.token")).unwrap();
    let history = || place.run(&["history", "admin", "--json"]).succeeded().json().len();
    assert_eq!((users_with_tokens(&place), history()), (1, 2));
    run(&place, start).succeeded();
    assert_eq!(history(), 2, "the second start changes nothing");
    assert_eq!(std::fs::read_to_string(place.path("admin.token")).unwrap(), token);
    place.run(&["user", "revoke", "admin"]).succeeded();
    run(&place, start).succeeded();
    let admin = place.run(&["user", "show", "admin", "--json"]).succeeded().json().remove(0);
    assert_eq!(admin["methods"], serde_json::json!([]), "{admin}");
    // A store that cannot be asked is no first start.
    let broken = Place::on("sqlite:nowhere/tokens.db");
    let failed = run(&broken, start);
    assert_ne!(failed.code, Some(0), "{failed:?}");
}

/// Each asks before the other has made the account.
#[test]
fn of_two_nodes_that_start_at_once_one_makes_the_first_administrator() {
    let places = [Place::without_store(), Place::without_store()];
    let [first, second] = &places;
    let store = format!("sqlite:{}", first.path("tokens.db").display());
    let waiting = "#!/bin/bash\n\"$PROGRAM\" \"$@\" || status=$?\n\
                   if [ \"$1 $2\" = \"user show\" ]; then\n\
                   touch \"$ASKED/$$\"; until [ \"$(ls \"$ASKED\" | wc -l)\" -ge 2 ]; do sleep 0.01; done\n\
                   fi\nexit ${status-0}\n";
    std::fs::create_dir(first.path("asked")).unwrap();
    let [start] = &of("First administrator", "sh")[..] else { panic!() };
    let nodes = places.each_ref().map(|place| {
        let program = place.write("tower-api-token", waiting);
        std::fs::set_permissions(&program, Permissions::from_mode(0o700)).unwrap();
        let path = format!("{}:{}", place.directory().display(), std::env::var("PATH").unwrap());
        let mut shell = Command::new("bash");
        shell.args(["-euo", "pipefail", "-c", start]).current_dir(place.directory());
        shell.env("PATH", path).env("PROGRAM", env!("CARGO_BIN_EXE_tower-api-token"));
        shell.env("TOWER_API_TOKEN_STORE", &store).env("ASKED", first.path("asked"));
        shell.spawn().unwrap()
    });
    for mut node in nodes {
        assert!(node.wait().unwrap().success());
    }
    let tokens = [first, second].map(|place| std::fs::read_to_string(place.path("admin.token")));
    let tokens: Vec<_> = tokens.into_iter().flatten().collect();
    let [token] = &tokens[..] else { panic!("{}", tokens.len()) };
    let status = Serving::start(first, &[]).ask(Some(token.trim()), "GET").status;
    assert_eq!((status, users_with_tokens(first)), (200, 1));
}

#[test]
fn a_user_is_erased_as_the_page_says_and_a_restore_reads_what_is_told_of_it() {
    let place = Place::new();
    place.user_with_token("alice", &["GET"]);
    let commands = of("Erase a user", "sh");
    let [erase] = &commands[..] else { panic!("{commands:?}") };
    run(&place, &of("Back up", "sh")[0]).succeeded();
    run(&place, erase).succeeded();
    place.run(&["user", "show", "leaver"]).exited(5);
    let audit = std::fs::read_to_string(place.path("audit.jsonl")).unwrap();
    assert!(audit.lines().any(|line| line.contains("account_erased") && !line.contains("leaver")));
    run(&place, &of("Restore", "sh")[0]).succeeded();
    assert_eq!(users_with_tokens(&place), 1);
}

#[test]
fn everything_that_happens_is_read_once_as_the_page_says() {
    let place = Place::new();
    place.user_with_token("alice", &["GET"]);
    let commands = of("Read everything that happens", "sh");
    let [read, prune] = &commands[..] else { panic!("{commands:?}") };
    run(&place, prune).succeeded();
    let (all, further) = read.split_once('\n').unwrap();
    run(&place, all).succeeded();
    place.user_with_token("bob", &["GET"]);
    place.run(&["user", "erase", "bob", "--yes"]).succeeded();
    place.run(&["token", "revoke-all", "alice"]).succeeded();
    run(&place, further).succeeded();
    run(&place, further).succeeded();
    let text = std::fs::read_to_string(place.path("history.jsonl")).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let events: Vec<_> = lines.map(|line| line["event"].as_str().unwrap().to_owned()).collect();
    assert_eq!(events, ["access_granted", "token_issued", "account_erased", "all_revoked"]);
    assert!(!text.contains("bob"), "an erased user is not named");
}

#[test]
fn another_system_is_told_and_users_are_found_as_the_page_says() {
    let place = Place::new();
    let commands = of("Tell another system", "sh");
    let [secret, receivers] = &commands[..] else { panic!("{commands:?}") };
    run(&place, secret).succeeded();
    let settings = of("Tell another system", "toml").concat();
    let [url, file] = ["https://siem.example.com/hooks/tokens", "/etc/tower-api-token/"];
    assert!(settings.contains(url) && settings.contains(file), "{settings}");
    place.write("config.toml", &settings.replace(file, ""));
    let message = of("Tell another system", "json").concat();
    let message: serde_json::Value = serde_json::from_str(&message).unwrap();
    assert_eq!(message["type"], message["data"]["event"]);
    assert_eq!(message["timestamp"], message["data"]["at"]);
    let server = Serving::start(&place, &["--config", "config.toml"]);
    server.logged("forward-auth");
    server.stop();
    run(&place, receivers).succeeded();
    let commands = of("Find users", "sh");
    let [find] = &commands[..] else { panic!("{commands:?}") };
    run(&place, find).succeeded();
}

#[test]
fn a_user_is_paused_as_the_page_says() {
    let place = Place::new();
    let commands = of("Pause a user", "sh");
    let [pause] = &commands[..] else { panic!("{commands:?}") };
    run(&place, pause).succeeded();
    let token = place.run(&["token", "issue", "contractor"]).succeeded().out;
    let status = || Serving::start(&place, &[]).ask(Some(token.trim()), "GET").status;
    assert_eq!(status(), 200);
    place.run(&["user", "suspend", "contractor"]).succeeded();
    assert_eq!(status(), 403);
    let shown = place.run(&["user", "show", "contractor"]).succeeded().out;
    assert!(shown.contains("suspended since"), "{shown}");
    place.run(&["user", "suspend", "contractor"]).exited(4);
    place.run(&["token", "generate", "contractor"]).exited(3).says("suspended");
    place.run(&["user", "resume", "contractor"]).succeeded();
    assert_eq!(status(), 200);
    place.run(&["user", "suspend", "nobody"]).exited(5);
    let for_a_week = ["user", "grant", "contractor", "GET", "--token-lifetime", "7d"];
    place.run(&for_a_week).succeeded();
    let shown = place.run(&["user", "show", "contractor"]).succeeded().out;
    assert!(shown.contains("token lifetime  7d") && shown.contains("expires"), "{shown}");
    place.run(&[&for_a_week[..5], &["policy"]].concat()).succeeded();
    let shown = place.run(&["user", "show", "contractor"]).succeeded().out;
    assert!(!shown.contains("token lifetime") && shown.contains("expires"), "nothing prolongs it");
}

#[test]
fn a_pepper_is_rotated_as_the_page_says() {
    let (commands, settings) = (of("Rotate a pepper", "sh"), of("Rotate a pepper", "toml"));
    let ([new_key, unneeded, destroy], [both, new]) = (&commands[..], &settings[..]) else {
        panic!("{commands:?} {settings:?}")
    };
    let mut place = Place::without_store();
    place.write("pepper-1", "thirty-two bytes from a secret store");
    place.write("config.toml", "[tokens]\npepper-version = 1\npepper-file = \"pepper-1\"\n");
    place.variables.push(("TOWER_API_TOKEN_CONFIG", "config.toml"));
    place.run(&["migrate"]).succeeded();
    let old = place.user_with_token("alice", &["GET"]);
    run(&place, new_key).succeeded();
    place.write("config.toml", both);
    let added = place.user_with_token("bob", &["GET"]);
    let status = |token: &str| Serving::start(&place, &[]).ask(Some(token), "GET").status;
    assert_eq!([&old, &added].map(|token| status(token)), [200, 200]);
    run(&place, unneeded).exited(1);
    place.write("config.toml", new);
    run(&place, destroy).exited(9);
    place.run(&["serve"]).exited(2).says("pepper version 1");
    assert!(place.path("pepper-1").exists());
    place.write("config.toml", both);
    place.run(&["token", "revoke-all", "alice"]).succeeded();
    let rotated = place.run(&["token", "issue", "alice"]).succeeded().out;
    run(&place, unneeded).succeeded();
    place.write("config.toml", new);
    run(&place, destroy).succeeded();
    assert!(!place.path("pepper-1").exists());
    let status = |token: &str| Serving::start(&place, &[]).ask(Some(token), "GET").status;
    assert_eq!([rotated.trim(), &added].map(status), [200, 200]);
}

#[test]
fn a_store_is_upgraded_as_the_page_says_and_its_backup_can_be_restored() {
    let commands = of("Upgrade", "sh");
    let [upgrade] = &commands[..] else { panic!("{commands:?}") };
    let (mut place, fixture) =
        (Place::without_store().accepting_foreign(), "../tests/fixtures/b65aa2a");
    let fixture = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(fixture);
    std::fs::copy(fixture.join("sqlite.db"), place.path("tokens.db")).unwrap();
    let written = std::fs::read_to_string(fixture.join("sqlite.json")).unwrap();
    let written: serde_json::Value = serde_json::from_str(&written).unwrap();
    place.write("pepper", written["pepper"]["key"].as_str().unwrap());
    place.variables.extend([
        ("TOWER_API_TOKEN_TOKENS_PEPPER_VERSION", "1"),
        ("TOWER_API_TOKEN_TOKENS_PEPPER_FILE", "pepper"),
        ("TOWER_API_TOKEN_TOKENS_FORMERLY_WITHOUT_PEPPER", "true"),
    ]);
    place.run(&["serve", "--listen", "127.0.0.1:0"]).exited(7).says("tower-api-token migrate");
    run(&place, upgrade).succeeded();
    let tokens = written["tokens"].as_array().unwrap();
    let answered = |place: &Place| {
        let server = Serving::start(place, &[]);
        for token in tokens.iter().filter(|token| token["place"] != "retired") {
            let answer = server.ask(token["token"].as_str(), "GET");
            assert_eq!(answer.status, token["answers"]["GET"], "{}", token["user"]);
        }
    };
    answered(&place);
    // What was changed since is undone: the backup is of the store before.
    place.run(&["token", "revoke-all", "primary"]).succeeded();
    for file in ["tokens.db", "tokens.db-wal", "tokens.db-shm"] {
        drop(std::fs::remove_file(place.path(file)));
    }
    std::fs::copy(place.path("before-upgrade.db"), place.path("tokens.db")).unwrap();
    place.run(&["restore", "--accept-revived"]).succeeded();
    answered(&place);
}

#[test]
fn the_units_of_the_page_are_those_that_systemd_takes_and_go_together() {
    let place = Place::new();
    let [socket, service] =
        ["ini socket", "ini service"].map(|kind| of("Restart without a gap", kind).concat());
    let program = env!("CARGO_BIN_EXE_tower-api-token");
    let command = service.split("ExecStart=").nth(1).and_then(|rest| rest.lines().next());
    let command = command.expect("a command").replace("/usr/bin/tower-api-token", program);
    let listen = socket.split("ListenStream=").nth(1).and_then(|rest| rest.lines().next());
    assert!(command.contains(&format!("--listen {}", listen.expect("an address"))), "{command}");
    place.write("tower-api-token.socket", &socket);
    place.write("tower-api-token.service", &service.replace("/usr/bin/tower-api-token", program));
    let mut verify = Command::new("systemd-analyze");
    verify.args(["verify", "--man=no", "./tower-api-token.service", "./tower-api-token.socket"]);
    let verified = finish(verify.current_dir(place.directory()), "").succeeded();
    assert!(!verified.err.contains("tower-api-token."), "{verified:?}");
    // The command itself, on a port of its own.
    let arguments: Vec<_> = command.split(' ').skip(1).collect();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let own = free.to_string();
    let arguments: Vec<_> = arguments
        .iter()
        .map(|argument| if Some(*argument) == listen { own.as_str() } else { *argument })
        .collect();
    let server = Serving::run(place.command(&arguments));
    server.logged("forward-auth listening");
    server.stop();
}

/// Blocks of other kinds would be run by nobody.
#[test]
fn every_block_of_the_page_is_of_a_kind_that_is_run() {
    for block in blocks() {
        assert!(
            matches!(
                &*block.kind,
                "sh" | "sh postgres" | "toml" | "json" | "ini socket" | "ini service"
            ),
            "{}: {}",
            block.section,
            block.kind
        );
        let sections = [
            "First administrator",
            "Back up",
            "Restore",
            "Erase a user",
            "Pause a user",
            "Restart without a gap",
            "Read everything that happens",
            "Tell another system",
            "Find users",
            "Rotate a pepper",
            "Upgrade",
        ];
        assert!(sections.contains(&&*block.section), "{}", block.section);
    }
}
