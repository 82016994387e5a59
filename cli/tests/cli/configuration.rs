//! Settings: a flag over the environment over the file.

use std::process::Command;

use crate::program::{Place, Ran, finish};

/// The store that a command without any other word of it uses.
fn store_of(command: &mut Command) -> String {
    let ran: Ran = finish(command, "").succeeded();
    ran.json()[0]["store"].as_str().expect("a store").to_owned()
}

#[test]
fn a_flag_wins_over_the_environment_and_that_over_the_file() {
    let place = Place::without_store();
    place.write("config.toml", "store = \"sqlite:file.db\"\n");
    let mut command = place.command(&["migrate", "--json", "--config", "config.toml"]);
    assert_eq!(store_of(command.env_remove("TOWER_API_TOKEN_STORE")), "sqlite:file.db");
    let mut command = place.command(&["migrate", "--json"]);
    command.env_remove("TOWER_API_TOKEN_STORE").env("TOWER_API_TOKEN_CONFIG", "config.toml");
    assert_eq!(store_of(&mut command), "sqlite:file.db");
    let mut command = place.command(&["migrate", "--json", "--config", "config.toml"]);
    assert_eq!(store_of(command.env("TOWER_API_TOKEN_STORE", "sqlite:env.db")), "sqlite:env.db");
    let flags = ["migrate", "--json", "--config", "config.toml", "--store", "sqlite:flag.db"];
    let mut command = place.command(&flags);
    assert_eq!(store_of(command.env("TOWER_API_TOKEN_STORE", "sqlite:env.db")), "sqlite:flag.db");
}

#[test]
fn a_key_that_does_not_exist_is_refused_with_its_line() {
    let place = Place::new();
    let cases = [
        ("\nstroe = \"sqlite:a.db\"\n", "line 2: unknown field `stroe`: did you mean `store`?"),
        ("[portl]\n", "line 1: unknown field `portl`: did you mean `portal`?"),
        (
            "[forward-auth]\nlisten = \"127.0.0.1:1\"\nprofil = \"original-method\"\n",
            "line 3: unknown field `profil` in [forward-auth]: did you mean `forward-auth.profile`?",
        ),
        (
            "[cache]\nstore = \"sqlite:a.db\"\n",
            "line 2: unknown field `store` in [cache]: it stands above all sections",
        ),
        ("[cache]\nsize = 1\n", "line 2: unknown field `size` in [cache]"),
        ("[cache]\naccounts = 10\nacounts = 10\n", "line 3: unknown field `acounts`"),
        ("[cash]\n", "line 1: unknown field `cash`"),
        (
            "[policy]\ncode-lifetime = \"10 minutes\"\n",
            "line 2: policy.code-lifetime: a time is a whole number",
        ),
        (
            "[forward-auth]\nlisten = \"localhost:80\"\n",
            "line 2: forward-auth.listen: an address to listen on is",
        ),
        ("[cache]\naccounts = \"many\"\n", "line 2: cache.accounts: a number is whole"),
    ];
    for (text, problem) in cases {
        place.write("config.toml", text);
        place.run(&["user", "list", "--config", "config.toml"]).exited(2).says(problem);
    }
    place.run(&["user", "list", "--config", "nowhere.toml"]).exited(2).says("cannot be read");
    let mut command = place.command(&["user", "list"]);
    finish(command.env("TOWER_API_TOKEN_CASH", "1"), "").exited(2).says("TOWER_API_TOKEN_CASH");
    let mut command = place.command(&["user", "list"]);
    finish(command.env("TOWER_API_TOKEN_PORT", "tcp://10.0.0.1:80"), "").succeeded();
}

#[test]
fn variables_of_neighbouring_services_in_kubernetes_are_passed_over() {
    let place = Place::new();
    let mut command = place.command(&["user", "list"]);
    for (name, value) in [
        ("PORTAL_SERVICE_HOST", "10.0.0.2"),
        ("PORTAL_PORT", "tcp://10.0.0.2:9182"),
        ("POSTGRESQL_SERVICE_HOST", "10.0.0.3"),
        ("POSTGRESQL_SERVICE_PORT_TCP_POSTGRESQL", "5432"),
        ("REDIS_MASTER_PORT_6379_TCP", "tcp://10.0.0.4:6379"),
    ] {
        command.env(format!("TOWER_API_TOKEN_{name}"), value);
    }
    finish(&mut command, "").succeeded();
    command.env("TOWER_API_TOKEN_PORTAL_LISTEN", "somewhere");
    finish(&mut command, "").exited(2).says("the variable TOWER_API_TOKEN_PORTAL_LISTEN: ");
}

#[test]
fn an_empty_variable_is_as_one_that_is_not_set() {
    let place = Place::new();
    place.write("config.toml", "store = \"sqlite:tokens.db\"\n");
    let mut command = place.command(&["user", "list", "--config", "config.toml"]);
    for name in ["STORE", "STORE_REPLICAS", "TOKENS_ACCEPT_FOREIGN", "PORTAL_LISTEN", "LOG_FILTER"]
    {
        command.env(format!("TOWER_API_TOKEN_{name}"), "");
    }
    finish(&mut command, "").succeeded();
    let mut command = place.command(&["user", "list"]);
    finish(command.env("TOWER_API_TOKEN_CONFIG", ""), "").succeeded();
}

#[test]
fn a_bad_value_names_the_variable_or_the_flag_and_a_right_form() {
    let place = Place::new();
    for (name, value, right) in [
        ("POLICY_CODE_LIFETIME", "10min", "such as \"10m\""),
        ("STORE_TIMEOUT", "2", "such as \"10m\""),
        ("FORWARD_AUTH_LISTEN", "localhost:9180", "127.0.0.1:9180"),
        ("FORWARD_AUTH_PROFILE", "nginx", "`original-method`"),
        ("LOG_FORMAT", "xml", "`json`"),
        ("CACHE_ACCOUNTS", "-5", "a number is whole and not negative"),
        ("STORE", "postgres://api:x@127.0.0.1/app?sslmode=verify-full", "prefer or require"),
        ("STORE", "postgres://api:x@127.0.0.1/app?pgbouncer=true", "no parameter pgbouncer"),
        ("STORE", "postgres://api:s3#cret@127.0.0.1/app", "percent-encode the password"),
    ] {
        let mut command = place.command(&["user", "list"]);
        let ran = finish(command.env(format!("TOWER_API_TOKEN_{name}"), value), "").exited(2);
        let ran = ran.says(&format!("the variable TOWER_API_TOKEN_{name}: ")).says(right);
        assert!(!ran.err.contains("s3") && !ran.err.contains("cret@"), "{ran:?}");
    }
    for (flag, value) in [("--listen", "localhost:1"), ("--ext-authz", "1"), ("--profile", "nginx")]
    {
        place.run(&["serve", flag, value]).exited(2).says(&format!("error: {flag}: "));
    }
}

#[test]
fn a_store_must_be_named_and_must_exist() {
    let place = Place::without_store();
    let mut command = place.command(&["user", "list"]);
    finish(command.env_remove("TOWER_API_TOKEN_STORE"), "").exited(2).says("--store");
    for bad in ["tokens.db", "mysql://db", "sqlite:"] {
        place.run(&["user", "list", "--store", bad]).exited(2).says("a store is sqlite:PATH");
    }
    place.run(&["user", "list"]).exited(7).says("tower-api-token migrate");
    assert!(!place.path("tokens.db").exists(), "no empty store was made of a mistake");
}

#[test]
fn peppers_come_from_files_and_a_missing_one_is_found_at_the_start() {
    let place = Place::new();
    place.write("pepper", "thirty-two bytes from a secret store");
    place.write("config.toml", "[tokens]\npepper-version = 1\npepper-file = \"pepper\"\n");
    let with = ["--config", "config.toml"];
    place.run(&[&["user", "grant", "alice", "GET"][..], &with].concat()).succeeded();
    place.run(&[&["token", "issue", "alice"][..], &with].concat()).succeeded();
    place.run(&["user", "list"]).exited(2).says("pepper version 1");
    place.write("half.toml", "[tokens]\npepper-file = \"pepper\"\n");
    place
        .run(&["user", "list", "--config", "half.toml"])
        .exited(2)
        .says("tokens.pepper-file: needs tokens.pepper-version");
}
