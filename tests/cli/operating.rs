//! `docs/operating.md`: each block of commands is run as it stands there.

use std::process::Command;

use crate::postgres::Server;
use crate::program::{Place, Ran, finish};

const PAGE: &str = include_str!("../../docs/operating.md");

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

/// Blocks of other kinds would be run by nobody.
#[test]
fn every_block_of_the_page_is_of_a_kind_that_is_run() {
    for block in blocks() {
        assert!(matches!(&*block.kind, "sh" | "sh postgres"), "{}: {}", block.section, block.kind);
        let sections = ["First administrator", "Back up", "Restore", "Erase a user"];
        assert!(sections.contains(&&*block.section), "{}", block.section);
    }
}
