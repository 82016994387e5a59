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

/// The settings that name a file, each in a configuration in which `serve` reads
/// it.
fn settings_of_files() -> Vec<(&'static str, String)> {
    let portal = "[portal]\nlisten = \"127.0.0.1:0\"\nuser-header = \"x-user\"\n";
    let showing = format!("{portal}show-codes = true\n");
    let mail = "[notify]\nsmtp = \"loopback:25\"\nsmtp-user = \"api\"\nfrom = \"a@example.com\"\n\
         link-base = \"https://api.example.com/tokens/verify\"\nsmtp-password-file = \"secret\"\n";
    let gateway = |section: &str, key: &str| {
        let listen = "listen = \"127.0.0.1:0\"\n";
        let both = if key.starts_with("former") { "secret-file = \"good\"\n" } else { "" };
        format!("[{section}]\n{listen}{both}{key} = \"secret\"\n")
    };
    let profile = "profile = \"original-method\"\n";
    vec![
        ("forward-auth.secret-file", gateway("forward-auth", "secret-file") + profile),
        (
            "forward-auth.former-secret-file",
            gateway("forward-auth", "former-secret-file") + profile,
        ),
        ("ext-authz.secret-file", gateway("ext-authz", "secret-file")),
        ("ext-authz.former-secret-file", gateway("ext-authz", "former-secret-file")),
        ("portal.secret-file", format!("{showing}secret-file = \"secret\"\n")),
        (
            "portal.former-secret-file",
            format!("{showing}secret-file = \"good\"\nformer-secret-file = \"secret\"\n"),
        ),
        ("portal.form-key-file", format!("{showing}form-key-file = \"secret\"\n")),
        ("notify.smtp-password-file", format!("{portal}{mail}")),
        (
            "tokens.pepper-file",
            format!("[tokens]\npepper-version = 1\npepper-file = \"secret\"\n{showing}"),
        ),
        (
            "store-password-file",
            format!(
                "store = \"postgres://api@127.0.0.1:1/api\"\nstore-password-file = \"secret\"\n{showing}"
            ),
        ),
        (
            "store-password-file",
            format!("store = \"redis://127.0.0.1:1\"\nstore-password-file = \"secret\"\n{showing}"),
        ),
    ]
}

/// The command, which is ended if it goes on to serve.
fn bounded(command: &std::process::Command) -> std::process::Command {
    let mut bounded = std::process::Command::new("timeout");
    bounded.arg("60").arg(command.get_program()).args(command.get_args());
    bounded.current_dir(command.get_current_dir().expect("a directory")).env_clear();
    bounded.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    bounded
}

/// Serves with that content of the file, as bytes: refused, and why.
fn refused_with(place: &Place, configuration: &str, content: &[u8]) -> String {
    place.write("good", "a good secret of a gateway");
    place.write("config.toml", configuration);
    place.write("secret", "");
    std::fs::write(place.path("secret"), content).unwrap();
    let mut command = place.command(&["serve", "--config", "config.toml"]);
    if configuration.contains("store = ") {
        command.env_remove("TOWER_API_TOKEN_STORE");
    }
    let ran = finish(&mut bounded(&command), "").exited(2);
    assert!(!ran.err.contains("hunter2"), "{ran:?}");
    ran.err
}

#[test]
fn a_file_that_holds_no_secret_is_refused_by_its_name_and_setting() {
    let place = Place::new();
    for (setting, configuration) in settings_of_files() {
        let cases = [
            (&b""[..], "is empty"),
            (b"\n", "is empty"),
            (b"\r\n", "is empty"),
            (&[b'a'; 4_097], "longer than 4096 bytes"),
            (b"hunter2 and \xff more, long enough", "not UTF-8"),
        ];
        for (content, problem) in cases {
            let said = refused_with(&place, &configuration, content);
            for part in [setting, "the file secret", problem, "openssl rand -base64 32"] {
                assert!(said.contains(part), "{part:?} in {said}");
            }
        }
        std::fs::set_permissions(place.path("secret"), Permissions::from_mode(0o644)).unwrap();
        let mut command = place.command(&["serve", "--config", "config.toml"]);
        if configuration.contains("store = ") {
            command.env_remove("TOWER_API_TOKEN_STORE");
        }
        finish(&mut command, "").exited(2).says(setting).says("the file secret").says("chmod 600");
        std::fs::remove_file(place.path("secret")).unwrap();
        if !setting.contains("former-secret-file") {
            finish(&mut command, "").exited(2).says(setting).says("the file secret cannot be read");
        }
    }
}

#[test]
fn a_shared_secret_that_no_gateway_can_send_is_refused_and_so_is_a_password_of_two_lines() {
    let place = Place::new();
    let of_gateways = [
        (&b"hunter2 hunter2 hunter2 "[..], "a blank at an end"),
        (b" hunter2 hunter2 hunter2\n", "a blank at an end"),
        (b"hunter2 hunter2 hunter2\t\n", "not visible ASCII"),
        (b"hunter2 hunter2 hunter2\n\n", "more than one line"),
        (b"hunter2 hunter2 hunter2\r\n\r\n", "more than one line"),
        (b"hunter2 hunter2\nhunter2 hunter2\n", "more than one line"),
        (b"hunter2 hunter2 \0 hunter2", "not visible ASCII"),
        ("hunter2 hünter2 hunter2".as_bytes(), "not visible ASCII"),
        ("\u{feff}hunter2 hunter2 hunter2".as_bytes(), "not visible ASCII"),
        (b"hunter2 hunter2\n", "shorter than 16 bytes"),
    ];
    let of_passwords = [
        (&b"hunter2\n\n"[..], "more than one line"),
        (b"hunter2\nhunter2", "more than one line"),
        (b"hunter2\0", "control character"),
    ];
    for (setting, configuration) in settings_of_files() {
        let cases: (&[(&[u8], &str)], &str) = if setting.ends_with("secret-file") {
            (&of_gateways, "16 to 4096 bytes, for example from `openssl rand -base64 32`")
        } else if setting.ends_with("password-file") {
            (&of_passwords, "one line of text")
        } else {
            continue;
        };
        for (content, problem) in cases.0 {
            let said = refused_with(&place, &configuration, content);
            for part in [setting, "the file secret", problem, cases.1] {
                assert!(said.contains(part), "{part:?} in {said}");
            }
        }
    }
}
