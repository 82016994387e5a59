//! What the program says of a store that is not set up, refuses, or is damaged:
//! the exit code, the word for machines and the hint, for every command.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;

use crate::postgres::{Database, Server};
use crate::program::{Place, Ran, finish};
use crate::server::{command_as, owner};

const MIGRATE: &str = "to make it: tower-api-token migrate";

/// What a store is for a command: its exit code, and the word for machines.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Found {
    Ready,
    NotSetUp,
    Newer,
    Corrupt,
    Refused,
    Unavailable,
}

impl Found {
    const fn code(self) -> i32 {
        match self {
            Self::Ready => 0,
            Self::NotSetUp | Self::Newer | Self::Corrupt => 7,
            Self::Refused => 10,
            Self::Unavailable => 6,
        }
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Ready => "",
            Self::NotSetUp | Self::Newer | Self::Corrupt => "store_unreadable",
            Self::Refused => "store_refused",
            Self::Unavailable => "store_unavailable",
        }
    }

    /// What the hint says, if there is one.
    const fn hint(self) -> Option<&'static str> {
        match self {
            Self::NotSetUp => Some(MIGRATE),
            Self::Newer => Some("or a later one"),
            Self::Corrupt => Some("backup"),
            Self::Refused => Some("asking again does not help"),
            Self::Ready | Self::Unavailable => None,
        }
    }
}

/// A place, and how a command is started there.
struct Case<'a> {
    place: &'a Place,
    run_as: Option<&'static str>,
    more: Vec<String>,
}

impl<'a> Case<'a> {
    fn at(place: &'a Place) -> Self {
        Self { place, run_as: None, more: Vec::new() }
    }

    /// As a user whom file permissions bind.
    fn bound(place: &'a Place) -> Self {
        Self { run_as: owner("daemon"), ..Self::at(place) }
    }

    fn with(mut self, more: &[&str]) -> Self {
        self.more = more.iter().map(|&text| text.to_owned()).collect();
        self
    }

    fn run(&self, arguments: &[&str]) -> Ran {
        let mut command = command_as(self.run_as, env!("CARGO_BIN_EXE_tower-api-token"));
        command.args(arguments).args(&self.more).current_dir(self.place.directory()).env_clear();
        command.env("PATH", "/usr/local/bin:/usr/bin:/bin");
        command.env("TOWER_API_TOKEN_STORE", &self.place.store);
        finish(&mut command, "")
    }

    /// Runs the command as text and as JSON, and compares what it says.
    #[track_caller]
    fn says(&self, arguments: &[&str], found: Found, message: &str) {
        let ran = self.run(arguments).exited(found.code()).says(message);
        let hint = ran.err.lines().find_map(|line| line.strip_prefix("hint: "));
        assert_eq!(hint.is_some(), found.hint().is_some(), "{ran:#?}");
        assert!(found.hint().is_none_or(|text| hint.unwrap().contains(text)), "{ran:#?}");
        assert_eq!(
            ran.err.contains("tower-api-token migrate"),
            found == Found::NotSetUp,
            "{ran:?}"
        );
        let ran = self.run(&[arguments, &["--json"]].concat()).exited(found.code());
        if found != Found::Ready {
            let line = ran.err.lines().find(|line| line.starts_with("{\"error\""));
            let told: serde_json::Value =
                serde_json::from_str(line.unwrap_or_else(|| panic!("{ran:#?}"))).unwrap();
            assert_eq!(told["error"]["kind"], found.word(), "{told}");
            assert!(told["error"]["message"].as_str().unwrap().contains(message), "{told}");
            assert_eq!(told["error"]["hint"].as_str(), hint, "{told}");
        }
    }

    /// The commands that need a store, and `migrate`, which may make it.
    #[track_caller]
    fn all_say(&self, found: Found, migrated: Found, message: &str) {
        self.says(&["user", "list"], found, message);
        let serve = ["serve", "--listen", "127.0.0.1:0", "--profile", "original-method"];
        self.says(&serve, found, message);
        let check = self.run(&["check", "--json"]).exited(9);
        let said = &check.json()[..];
        assert!(said.iter().any(|line| line["detail"].as_str().unwrap().contains(message)));
        let text = self.run(&["check"]).exited(9).out;
        assert!(text.contains(message), "{text}");
        assert!(found.hint().is_none_or(|hint| text.contains(hint)), "{text}");
        self.says(&["migrate"], migrated, if migrated == Found::Ready { "" } else { message });
        if migrated == Found::Ready {
            self.run(&["user", "list"]).succeeded();
        }
    }
}

fn sqlite(place: &Place, statements: &str) {
    let connection = rusqlite::Connection::open(place.path("tokens.db")).unwrap();
    connection.execute_batch(statements).unwrap();
}

#[test]
fn a_sqlite_file_that_is_not_set_up_is_told_from_one_that_is_damaged() {
    let place = Place::without_store();
    Case::at(&place).all_say(Found::NotSetUp, Found::Ready, "does not exist");

    let place = Place::without_store();
    place.write("tokens.db", "");
    Case::at(&place).all_say(Found::NotSetUp, Found::Ready, "no tables yet");

    let place = Place::without_store();
    sqlite(&place, "CREATE TABLE x(a)");
    Case::at(&place).all_say(Found::NotSetUp, Found::NotSetUp, "belongs to another program");

    let place = Place::without_store();
    place.write("tokens.db", &"no database at all. ".repeat(300));
    Case::at(&place).all_say(Found::NotSetUp, Found::NotSetUp, "is not an SQLite database");

    let place = Place::new();
    sqlite(&place, "PRAGMA user_version = 99");
    Case::at(&place).all_say(Found::Newer, Found::Newer, "schema version 99");
}

#[test]
fn an_unreadable_record_is_no_reason_to_migrate() {
    let place = Place::new();
    place.run(&["user", "grant", "alice", "GET"]).succeeded();
    sqlite(&place, "UPDATE accounts SET record = x'ffff'");
    for command in [&["user", "list"][..], &["user", "show", "alice"], &["token", "issue", "alice"]]
    {
        Case::at(&place).says(command, Found::Corrupt, "unreadable record");
    }
}

/// Gives the place's directory and its files that mode, and lets everybody in.
fn set_modes(place: &Place, directory: u32, files: u32) {
    for file in std::fs::read_dir(place.directory()).unwrap() {
        std::fs::set_permissions(file.unwrap().path(), Permissions::from_mode(files)).unwrap();
    }
    std::fs::set_permissions(place.directory(), Permissions::from_mode(directory)).unwrap();
}

#[test]
fn file_permissions_that_forbid_a_sqlite_store_are_named() {
    // SQLite keeps two files beside the store.
    let place = Place::new();
    set_modes(&place, 0o555, 0o666);
    Case::bound(&place).all_say(Found::Refused, Found::Refused, "directory must be writable");
    set_modes(&place, 0o777, 0o600);
    Case::bound(&place).all_say(Found::Refused, Found::Refused, "Permission denied");
    set_modes(&place, 0o777, 0o444);
    Case::bound(&place).says(&["migrate"], Found::Refused, "Permission denied");
    Case::bound(&place).run(&["user", "list"]).succeeded();
    let grant = ["user", "grant", "alice", "GET"];
    Case::bound(&place).says(&grant, Found::Refused, "readonly database");

    let place = Place::without_store();
    set_modes(&place, 0o555, 0o666);
    Case::bound(&place).says(&["migrate"], Found::Refused, "Permission denied");
    let place = Place::on("sqlite:no/such/directory.db");
    Case::at(&place).says(&["migrate"], Found::Refused, "No such file or directory");
}

#[tokio::test]
async fn a_database_that_is_not_set_up_is_told_from_a_newer_one() {
    let server = Server::shared();
    let database = server.database().await;
    let place = Place::in_database(server, &database);
    Case::at(&place).all_say(Found::NotSetUp, Found::Ready, "no tables yet");
    let later = "INSERT INTO tower_api_token.migration (version) VALUES (99)";
    database.client().await.batch_execute(later).await.unwrap();
    Case::at(&place).all_say(Found::Newer, Found::Newer, "schema version 99");
}

#[tokio::test]
async fn a_database_that_refuses_says_which_of_its_rules_is_broken() {
    let server = Server::start_prepared(&["fsync=off"], |data, _| {
        let rules =
            "host all postgres 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n";
        std::fs::write(data.join("pg_hba.conf"), rules).unwrap();
    });
    let database = server.database().await;
    let client = database.client().await;
    let roles = "CREATE ROLE api LOGIN PASSWORD 'right'; CREATE ROLE guest LOGIN PASSWORD 'right'";
    client.batch_execute(roles).await.unwrap();
    let place = |user: &str, name: &str| {
        Place::on(&format!("postgres://{user}@{}/{name}?sslmode=disable", server.address()))
    };
    let with_password = |place: &Place, password: &str| {
        place.write("password", password);
        place.write("config.toml", "store-password-file = \"password\"\n");
    };

    let wrong = place("api", &database.name);
    with_password(&wrong, "wrong");
    let case = Case::at(&wrong).with(&["--config", "config.toml"]);
    case.all_say(Found::Refused, Found::Refused, "28P01");
    let missing = place("api", &database.name);
    Case::at(&missing).all_say(Found::Refused, Found::Refused, "password missing");
    let nowhere = place("postgres", "nowhere");
    Case::at(&nowhere).all_say(Found::Refused, Found::Refused, "3D000");
    // The server has no TLS.
    let tls = Place::on(&format!(
        "postgres://postgres@{}/{}?sslmode=require",
        server.address(),
        database.name
    ));
    Case::at(&tls).all_say(Found::Refused, Found::Refused, "does not support TLS");

    let guest = place("guest", &database.name);
    with_password(&guest, "right");
    let case = Case::at(&guest).with(&["--config", "config.toml"]);
    case.says(&["migrate"], Found::Refused, "42501");
    database.store().await;
    case.all_say(Found::Refused, Found::Refused, "42501");
    server.kill();
    case.all_say(Found::Unavailable, Found::Unavailable, "error connecting to server");
}

#[tokio::test]
async fn a_database_of_another_encoding_is_refused_before_anything_is_made() {
    let server = Server::shared();
    let database = server.database().await;
    let create = "CREATE DATABASE latin TEMPLATE template0 ENCODING LATIN1 LOCALE_PROVIDER libc \
                  LOCALE 'C'";
    database.client().await.batch_execute(create).await.unwrap();
    let latin = Database::at(server.address(), "latin");
    let place = Place::in_database(server, &latin);
    Case::at(&place).says(&["migrate"], Found::Refused, "encoding must be UTF8, and is LATIN1");
    let made = "SELECT to_regnamespace('tower_api_token') IS NULL";
    assert!(latin.client().await.query_one(made, &[]).await.unwrap().get::<_, bool>(0));
}

#[test]
fn a_redis_server_without_the_deployment_is_told_from_one_that_refuses() {
    let server = crate::redis::Server::start(&crate::redis::DURABLE);
    let place = Place::on_redis(&server);
    Case::at(&place).all_say(Found::NotSetUp, Found::Ready, "never created");

    server.tell("ACL SETUSER limited on >right ~* &* +@all -eval -evalsha -set");
    let limited = Place::on(&format!("redis://limited@{}/", server.address()));
    limited.write("config.toml", "store-password-file = \"password\"\n");
    limited.write("password", "right");
    let case = Case::at(&limited).with(&["--config", "config.toml"]);
    case.all_say(Found::Refused, Found::Refused, "NOPERM");
    server.tell("ACL SETUSER limited +@all -getex");
    case.all_say(Found::Refused, Found::Refused, "lacks a right");
    limited.write("password", "wrong");
    case.all_say(Found::Refused, Found::Refused, "authentication failed");
    server.tell("CONFIG SET requirepass right");
    let place = Place::on_redis(&server);
    Case::at(&place).all_say(Found::Refused, Found::Refused, "NOAUTH");
}

#[test]
fn every_kind_has_a_line_in_the_help() {
    let help = Place::without_store().run(&["--help"]).succeeded().out;
    for line in ["  6  ", "  7  ", " 10  "] {
        assert!(help.contains(line), "{line} in {help}");
    }
}
