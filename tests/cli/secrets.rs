//! Tokens, codes and passwords: how they come in, and where they never show.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;

use crate::program::{Place, finish};

/// The form of a token and of a code, without being either's.
const TOKEN: &str = "tat_0123456789abcdefghijABCDEFGHIJ0123456789ab";
const CODE: &str = "tac_0123456789abcdefghijABCDEFGHIJ01";

#[test]
fn cli_001_a_secret_on_the_command_line_is_refused_and_not_repeated() {
    let place = Place::new();
    place.run(&["user", "grant", "alice", "GET"]).succeeded();
    for arguments in [
        &["token", "issue", "alice", "--token", TOKEN][..],
        &["token", "issue", "alice", TOKEN],
        &["token", "issue", "alice", &format!("--token={TOKEN}")],
        &["token", "confirm", "alice", CODE],
        &["token", "confirm", "alice", "--code", CODE],
        &["user", "show", TOKEN],
    ] {
        let refused = place.run(arguments).exited(2).says("on the command line");
        assert!(!refused.err.contains(TOKEN) && !refused.err.contains(CODE), "{refused:?}");
    }
    let with_password = "postgres://api:hunter2@127.0.0.1/api";
    let refused = place.run(&["user", "list", "--store", with_password]).exited(2);
    assert!(!refused.says("a password stands on the command line").err.contains("hunter2"));
}

#[test]
fn cli_001_a_secret_comes_from_the_standard_input_or_a_file_that_is_nobody_elses() {
    let place = Place::new();
    place.user_with_token("alice", &["GET"]);
    place.run(&["token", "generate", "alice", "--code-file", "code"]).succeeded();
    let code = std::fs::read_to_string(place.path("code")).unwrap();
    assert_eq!(place.path("code").metadata().unwrap().permissions().mode() & 0o777, 0o600);
    for mode in [0o644, 0o604, 0o660] {
        std::fs::set_permissions(place.path("code"), Permissions::from_mode(mode)).unwrap();
        let refused = place.run(&["token", "confirm", "alice", "--code-file", "code"]).exited(2);
        refused.says("chmod 600");
    }
    std::fs::set_permissions(place.path("code"), Permissions::from_mode(0o600)).unwrap();
    place.run(&["token", "confirm", "alice", "--code-file", "code"]).succeeded();
    place.run_with(&["token", "confirm", "alice"], &code).exited(4);
    for bad in ["", "\n", "nonsense\n", &"a".repeat(100_000)] {
        place.run_with(&["token", "confirm", "alice"], bad).exited(2);
    }
    place.run(&["token", "confirm", "alice", "--code-file", "nowhere"]).exited(2);
}

#[test]
fn cli_002_a_token_stands_alone_on_the_standard_output_and_once() {
    let place = Place::new();
    place.run(&["user", "grant", "alice", "GET"]).succeeded();
    let issued = place.run(&["token", "issue", "alice"]).succeeded();
    let token = issued.out.strip_suffix('\n').expect("a line");
    assert!(token.len() == 46 && token.starts_with("tat_"), "{token}");
    assert!(!issued.err.contains(token), "{}", issued.err);
    let generated = place.run(&["token", "generate", "alice"]).succeeded();
    let second = generated.out.strip_suffix('\n').expect("a line");
    assert!(second.len() == 46 && !second.contains('\n'), "{second}");
    assert!(generated.err.contains("\nwith this code: tac_") && !generated.err.contains(second));
    for command in [&["user", "show", "alice"][..], &["user", "list"], &["history", "alice"]] {
        let ran = place.run(&[command, &["--json"]].concat()).succeeded();
        assert!(!ran.out.contains(token) && !ran.out.contains(second), "{ran:?}");
    }
    let json = place.run(&["token", "generate", "alice", "--json"]).succeeded();
    let [value] = &json.json()[..] else { panic!("{json:?}") };
    assert!(value["token"].as_str().unwrap().starts_with("tat_"));
    assert!(value["code"].as_str().unwrap().starts_with("tac_"));
    assert_eq!(json.err, "");
}

#[test]
fn cli_002_a_token_that_cannot_be_written_out_is_no_success() {
    let place = Place::new();
    place.run(&["user", "grant", "alice", "GET"]).succeeded();
    let mut command = place.command(&["token", "issue", "alice"]);
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = command.stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("token 1 was made, but") && said.contains("revoke-all"), "{said}");
}

#[test]
fn a_code_never_replaces_a_file_and_leaves_none_behind_when_there_is_none() {
    let place = Place::new();
    place.user_with_token("alice", &["GET"]);
    place.write("mine", "precious");
    place.run(&["token", "generate", "alice", "--code-file", "mine"]).exited(2);
    assert_eq!(std::fs::read_to_string(place.path("mine")).unwrap(), "precious");
    place.run(&["token", "generate", "nobody", "--code-file", "code"]).exited(3);
    assert!(!place.path("code").exists());
}

#[test]
fn cli_003_a_password_in_the_environment_is_never_printed() {
    let place = Place::on("postgres://api:hunter2@127.0.0.1:1/api?password=hunter2");
    for arguments in [
        &["--help"][..],
        &["user", "--help"],
        &["user", "list"],
        &["migrate"],
        &["user", "list", "--json"],
        &["user", "lst"],
        &["serve", "--listen", "127.0.0.1:0", "--profile", "original-method"],
    ] {
        let ran = place.run(arguments);
        assert!(!ran.out.contains("hunter2") && !ran.err.contains("hunter2"), "{ran:?}");
    }
    for broken in
        ["postgres://api:hunter2@[::1/api", "postgres://api:hunter2@db:port/api?x=hunter2"]
    {
        let ran = Place::on(broken).run(&["user", "list"]).exited(2);
        assert!(!ran.err.contains("hunter2"), "{ran:?}");
    }
}

#[test]
fn cli_003_a_password_in_a_broken_configuration_file_is_never_printed() {
    let place = Place::without_store();
    let lines = [
        "store = \"postgres://api:hunter2@db/api\"\nstroe = 1\n",
        "store = \"postgres://api:hunter2@db/api\n",
        "store = [\"postgres://api:hunter2@db/api\"]\n",
        "hunter2",
    ];
    for line in lines {
        place.write("config.toml", line);
        let mut command = place.command(&["user", "list", "--config", "config.toml"]);
        let ran = finish(command.env_remove("TOWER_API_TOKEN_STORE"), "").exited(2);
        assert!(!ran.err.contains("hunter2") && ran.err.contains("line "), "{ran:?}");
    }
}
