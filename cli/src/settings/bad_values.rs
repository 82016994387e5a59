//! Every key, with a value that can never work, by each way of setting it: the
//! error names where it was set, and what would be right.

use std::ffi::OsString;
use std::io::Write;
use std::os::unix::ffi::OsStringExt;

use tower_api_token::TokenManager;
use tower_api_token::manage::Confirmation;
use tower_api_token::store::MemoryStore;

use super::layers::variable;
use super::{KEYS, Key, Kind, Layers, Settings, SettingsError};

/// Texts that the key does not take, and a word of what would be right. Where
/// any text is one, there is none.
fn bad_texts(key: &str, kind: Kind) -> (&'static [&'static str], &'static str) {
    let time = "such as \"10m\"";
    match key {
        "store" => (&["tokens.db", "mysql://db", "postgres://db/app?tls=on", "redis://db:0"], "a"),
        "store-timeout" => (&["2", "2 s", "soon", "0s"], "s"),
        "store-deployment" => (&["a b", "ä"], "A-Z a-z 0-9 - _"),
        "tokens.prefix" => (&["TAT", "much-too-long", "_"], "token prefix must"),
        "tokens.former-prefixes" => (&["tat,TAT"], "a to z and 0 to 9"),
        "policy.retired-lifetime" => (&["89d", "0s"], "at least 90d"),
        "policy.resend-interval" => (&["2d", "1w"], "d"),
        "policy.guard-window" => (&["1s", "1"], "s"),
        "policy.code-lifetime" => (&["0s", "25h", "999ms"], "s"),
        key if key.starts_with("policy.") => (&["0s", "40000d", "10min"], ""),
        "requests.sources" => (&["cookie", "bearer,header:", "header:a b"], "bearer, tok, basic"),
        "requests.realm" => (&["a\"b", "a\\b", "é"], "printable ASCII"),
        "cache.accounts" | "cache.negative-entries" => {
            (&["0", "-5", "many", "2000000000", "1.5"], "")
        }
        "cache.staleness-bound" => (&["1ms", "2m"], "at"),
        key if key.ends_with(".listen") => (&["localhost:80", "127.0.0.1", "unix:"], "127.0.0.1:"),
        "forward-auth.profile" => (&["nginx"], "`original-method`"),
        key if key.ends_with(".access") => (&["open", "Network"], "`network`"),
        key if key.ends_with(".socket-mode") => (&["rw", "66", "1777", "0999"], "octal"),
        key if key.ends_with(".client-names") => {
            (&["a b", "10.0.0.1", "*.example.com", "spiffe://a b"], "gateway.example.com")
        }
        key if key.ends_with("-header") => (&["a b", "X-Gateway-Secret"], "header"),
        "holder.request-interval" => (&["1", "soon"], time),
        "holder.leak-response" => (&["end", "EndAll"], "`end-token`"),
        "portal.path" => (&["tokens", "/a//b", "/a b"], "segments"),
        "portal.home" | "portal.sign-in" => (&["example.com", "javascript:x"], "https://"),
        "portal.administrators" => (&["root,a\nb"], "control"),
        "portal.administrator-groups" => (&["admins,a\nb", "a|b"], "groups-separator"),
        "portal.groups-separator" => (&[", ", "a", "||"], "one character"),
        "portal.hosts" => (&["a b", "https://a.example", "a.example:443"], "tokens.example.com"),
        "portal.title" | "notify.service" => (&["a\nb"], "one line"),
        "notify.link-base" => (&["http://a.example/", "a.example"], "https"),
        "webhook.url" => (&["http://a.example/", "a.example", "https://u@a.example"], "https"),
        "webhook.events" => (&["token_ended,leaked"], "leak_reported"),
        "notify.smtp" => {
            (&["mail.example.com", "smtp://a", "tls://a:x", "loopback:0"], "starttls://HOST")
        }
        "notify.from" => (&["api", "Api <api@example.com>"], "alice@example.com"),
        "notify.mail-domain" => (&["@example.com", "a b"], "such as example.com"),
        "notify.hello-name" => (&["a b", "mail_host"], "host"),
        "log.filter" => (&["info=info=info", "a=loud"], "such as info"),
        "log.format" => (&["xml"], "`json`"),
        "head-timeout" => (&["30", "0s"], "s"),
        "shutdown-delay" | "shutdown-grace" => (&["10", "-1s", "1.5s"], time),
        _ => match kind {
            Kind::Number => (&["-1", "one", "1.5", "99999999999999999999"], "number"),
            Kind::Flag => (&["yes", "1", "TRUE"], "true or false"),
            Kind::Text | Kind::List => (&[], ""),
        },
    }
}

/// Values that the file does not take.
fn bad_values(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Text => &["\"\"", "5", "true", "[\"a\"]"],
        Kind::Number => &["-1", "\"1\"", "1.5", "true", "9000000000000000000000"],
        Kind::Flag => &["\"true\"", "1"],
        Kind::List => &["\"a\"", "[1]", "5"],
    }
}

/// What must be there for the key to be looked at.
fn companions(key: &str) -> &'static [(&'static str, &'static str)] {
    match key {
        "store-deployment" => &[("store", "redis://cache")],
        "store-ca-file" => &[("store", "postgres://db?sslmode=require")],
        "tokens.pepper-version" => &[("tokens.pepper-file", "p")],
        "tokens.pepper-file" => &[("tokens.pepper-version", "1")],
        "tokens.former-pepper-version" => &[("tokens.former-pepper-file", "p")],
        "tokens.former-pepper-file" => &[("tokens.former-pepper-version", "1")],
        "tokens.formerly-without-pepper" => {
            &[("tokens.pepper-file", "p"), ("tokens.pepper-version", "1")]
        }
        "forward-auth.former-secret-file" => &[("forward-auth.secret-file", "secret")],
        "ext-authz.former-secret-file" => &[("ext-authz.secret-file", "secret")],
        "portal.former-secret-file" => &[("portal.secret-file", "secret")],
        "forward-auth.client-ca-file" | "forward-auth.client-names" => &[
            ("forward-auth.client-ca-file", "ca"),
            ("forward-auth.tls-certificate", "c"),
            ("forward-auth.tls-key", "k"),
        ],
        "ext-authz.client-ca-file" | "ext-authz.client-names" => &[
            ("ext-authz.client-ca-file", "ca"),
            ("ext-authz.tls-certificate", "c"),
            ("ext-authz.tls-key", "k"),
        ],
        "portal.client-ca-file" | "portal.client-names" => &[
            ("portal.client-ca-file", "ca"),
            ("portal.tls-certificate", "c"),
            ("portal.tls-key", "k"),
        ],
        "portal.groups-header" => &[("portal.administrator-groups", "admins")],
        "portal.administrator-groups" => {
            &[("portal.groups-separator", "|"), ("portal.groups-header", "X-Groups")]
        }
        "webhook.url" => &[("webhook.secret-file", "secret")],
        "webhook.secret-file" => &[("webhook.url", "https://a.example/")],
        key if key.starts_with("webhook.") => {
            &[("webhook.url", "https://a.example/"), ("webhook.secret-file", "secret")]
        }
        "notify.smtp" => &[("notify.from", "a@b.c"), ("notify.link-base", "https://a.example/")],
        "notify.link-base" | "notify.from" | "notify.mail-domain" | "notify.service"
        | "notify.hello-name" => &[
            ("notify.smtp", "loopback:25"),
            ("notify.from", "a@b.c"),
            ("notify.link-base", "https://a.example/"),
        ],
        _ => &[],
    }
}

type Pairs<'a> = Vec<(&'a str, OsString)>;

fn by_variables(pairs: &Pairs<'_>) -> Result<Settings, SettingsError> {
    let mut layers = Layers::default();
    let variables = pairs.iter().map(|(key, value)| (variable(key).into(), value.clone()));
    layers.add_environment(variables)?;
    layers.settings()
}

/// The text of a file with these keys, each with its value in TOML.
fn by_file(pairs: &[(&str, String)]) -> Result<Settings, SettingsError> {
    let mut text = String::from("# settings\n");
    for top in [true, false] {
        for (key, value) in pairs.iter().filter(|(key, _)| key.contains('.') != top) {
            // Dotted keys stand for sections.
            text += &format!("{key} = {value}\n");
        }
    }
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    let mut layers = Layers::default();
    layers.add_file(file.path())?;
    layers.settings()
}

/// Everything that is looked at before a server starts, but the files.
async fn refusal(settings: Result<Settings, SettingsError>) -> Option<String> {
    let settings = match settings {
        Ok(settings) => settings,
        Err(error) => return Some(error.to_string()),
    };
    let manager = TokenManager::builder(MemoryStore::new()).confirmation(Confirmation::ByCaller);
    let pages = settings.portal.pages(manager.build().await.unwrap());
    pages.err().map(|error| error.located(&settings.origins).to_string())
}

fn kind_of(key: &str) -> Kind {
    Key::of(key).unwrap().kind
}

fn toml_of(kind: Kind, text: &str) -> String {
    match kind {
        Kind::List => {
            let parts: Vec<_> = text.split(',').map(|part| format!("{part:?}")).collect();
            format!("[{}]", parts.join(", "))
        }
        Kind::Text => format!("{text:?}"),
        Kind::Number | Kind::Flag => text.to_owned(),
    }
}

#[tokio::test]
async fn a_bad_value_in_a_variable_is_refused_with_the_variable_and_a_right_form() {
    let mut wrong = Vec::new();
    for &Key { name: key, kind, .. } in KEYS {
        let (texts, right) = bad_texts(key, kind);
        let name = format!("the variable {}: ", variable(key));
        for text in texts {
            let mut pairs: Pairs<'_> =
                companions(key).iter().map(|(key, value)| (*key, (*value).into())).collect();
            pairs.retain(|(beside, _)| *beside != key);
            pairs.push((key, (*text).into()));
            let said = refusal(by_variables(&pairs)).await.unwrap_or_default();
            if !said.starts_with(&name) || !said.contains(right) {
                wrong.push(format!("{key} {text:?}: {said}"));
            }
        }
        let no_text = vec![(key, OsString::from_vec(b"a\xff".to_vec()))];
        let said = refusal(by_variables(&no_text)).await.unwrap();
        assert_eq!(said, format!("{name}the value is not UTF-8"));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test]
async fn a_bad_value_in_the_file_is_refused_with_file_line_key_and_a_right_form() {
    let mut wrong = Vec::new();
    for &Key { name: key, kind, .. } in KEYS {
        let (texts, right) = bad_texts(key, kind);
        let texts = texts.iter().map(|text| (toml_of(kind, text), right));
        let values = bad_values(kind).iter().map(|value| ((*value).to_owned(), ""));
        for (value, right) in texts.chain(values) {
            // It is the last key of the file, unless it has no section.
            let mut pairs: Vec<_> = companions(key)
                .iter()
                .filter(|(beside, _)| *beside != key)
                .map(|(key, value)| (*key, toml_of(kind_of(key), value)))
                .collect();
            pairs.push((key, value.clone()));
            let said = refusal(by_file(&pairs)).await.unwrap_or_default();
            let line = 1 + pairs.len();
            let place = format!(", line {line}: {key}: ");
            let names = said.starts_with("the configuration file /") && said.contains(&place);
            if !names || !said.contains(right) {
                wrong.push(format!("{key} = {value}: {said}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test]
async fn a_bad_value_of_a_flag_is_refused_with_the_flag_and_a_right_form() {
    for (flag, key) in [
        ("--store", "store"),
        ("--listen", "forward-auth.listen"),
        ("--profile", "forward-auth.profile"),
        ("--ext-authz", "ext-authz.listen"),
        ("--operations", "operations.listen"),
    ] {
        let (texts, right) = bad_texts(key, Kind::Text);
        for text in texts.iter().chain(&[""]) {
            let mut layers = Layers::default();
            let set = layers.add_flag(flag, key, text).and_then(|()| layers.settings());
            let said = refusal(set).await.unwrap_or_else(|| panic!("{flag} takes {text:?}"));
            let names = said.starts_with(&format!("{flag}: ")) && said.contains(right);
            assert!(names, "{flag} {text:?}: {said}");
        }
    }
}

#[tokio::test]
async fn settings_that_cannot_go_together_are_refused_by_the_name_of_one() {
    for (pairs, named) in [
        (&[("policy.code-lifetime", "2h"), ("policy.pending-lifetime", "1h")][..], "CODE_LIFETIME"),
        (&[("policy.resend-interval", "25h")], "RESEND_INTERVAL"),
        (&[("policy.resend-interval", "24h")], "RESEND_INTERVAL"),
        (&[("policy.pending-lifetime", "9m")], "PENDING_LIFETIME"),
        (
            &[("policy.pending-lifetime", "30s"), ("policy.code-lifetime", "20s")],
            "PENDING_LIFETIME",
        ),
        (&[("policy.usage-interval", "13h")], "USAGE_INTERVAL"),
        (&[("requests.sources", "bearer,header:X-Gateway-Secret")], "REQUESTS_SOURCES"),
        (&[("requests.sources", "header:X-HTTP-Method-Override")], "REQUESTS_SOURCES"),
        (&[("requests.sources", "header:X-Original-Method")], "REQUESTS_SOURCES"),
        (&[("requests.sources", "header:Method")], "REQUESTS_SOURCES"),
        (&[("requests.sources", "header:Host")], "REQUESTS_SOURCES"),
        (
            &[
                ("notify.smtp", "loopback:25"),
                ("notify.from", "a@b.c"),
                ("notify.link-base", "https://a.example/"),
                ("notify.smtp-ca-file", "c"),
            ],
            "SMTP_CA_FILE",
        ),
        (&[("policy.guard-window", "30s"), ("policy.usage-interval", "20s")], "GUARD_WINDOW"),
        (&[("portal.show-codes", "true"), ("notify.directory", "mail")], "SHOW_CODES"),
        (&[("notify.directory", "mail"), ("notify.smtp", "loopback:25")], "NOTIFY_SMTP"),
        (&[("notify.smtp", "loopback:25"), ("notify.from", "a@b.c")], "`link-base`"),
        (&[("notify.smtp", "loopback:25")], "`link-base`"),
        (&[("notify.from", "a@b.c")], "NOTIFY_FROM"),
        (&[("notify.smtp-user", "api")], "SMTP_USER"),
        (&[("notify.smtp-password-file", "p")], "SMTP_PASSWORD_FILE"),
        (&[("notify.hello-name", "mail.example.com")], "HELLO_NAME"),
        (&[("forward-auth.tls-key", "k")], "FORWARD_AUTH_TLS_KEY"),
        (&[("forward-auth.tls-certificate", "c")], "FORWARD_AUTH_TLS_CERTIFICATE"),
        (&[("ext-authz.tls-key", "k")], "EXT_AUTHZ_TLS_KEY"),
        (&[("portal.tls-certificate", "c")], "PORTAL_TLS_CERTIFICATE"),
        (&[("forward-auth.access", "network"), ("forward-auth.secret-file", "s")], "AUTH_ACCESS"),
        (
            &[
                ("portal.access", "network"),
                ("portal.client-ca-file", "ca"),
                ("portal.tls-certificate", "c"),
                ("portal.tls-key", "k"),
            ],
            "PORTAL_ACCESS",
        ),
        (&[("ext-authz.client-ca-file", "ca")], "EXT_AUTHZ_CLIENT_CA_FILE"),
        (&[("ext-authz.client-names", "a.example")], "EXT_AUTHZ_CLIENT_NAMES"),
        (&[("portal.listen", "127.0.0.1:0"), ("portal.socket-mode", "0600")], "SOCKET_MODE"),
        (&[("holder.listen", "127.0.0.1:0"), ("holder.socket-group", "api")], "SOCKET_GROUP"),
        (&[("portal.administrator-groups", "admins")], "ADMINISTRATOR_GROUPS"),
        (&[("portal.groups-header", "X-Groups")], "GROUPS_HEADER"),
        (
            &[
                ("portal.user-header", "X-User"),
                ("portal.administrator-groups", "admins"),
                ("portal.groups-header", "x-user"),
            ],
            "GROUPS_HEADER",
        ),
        (&[("forward-auth.slot-header", "X-Auth-User")], "SLOT_HEADER"),
        (&[("forward-auth.slot-header", "X-Accel-Redirect")], "SLOT_HEADER"),
        (&[("tokens.pepper-version", "1")], "PEPPER_VERSION"),
        (&[("tokens.former-pepper-file", "p")], "FORMER_PEPPER_FILE"),
        (&[("tokens.former-peppers", "1")], "FORMER_PEPPERS"),
        (&[("tokens.former-peppers", "0:p")], "FORMER_PEPPERS"),
        (&[("tokens.former-peppers", "1:p,2:q,1:r")], "FORMER_PEPPERS"),
        (&[("tokens.formerly-without-pepper", "true")], "FORMERLY_WITHOUT_PEPPER"),
        (
            &[
                ("tokens.pepper-version", "2"),
                ("tokens.pepper-file", "p"),
                ("tokens.former-pepper-version", "2"),
                ("tokens.former-pepper-file", "q"),
            ],
            "FORMER_PEPPER_FILE",
        ),
        (
            &[
                ("tokens.pepper-version", "2"),
                ("tokens.pepper-file", "p"),
                ("tokens.former-peppers", "1:q,2:r"),
            ],
            "FORMER_PEPPERS",
        ),
        (&[("store", "sqlite:a"), ("store-replicas", "1")], "STORE_REPLICAS"),
        (&[("store", "sqlite:a"), ("store-ca-file", "c")], "STORE_CA_FILE"),
        (&[("store", "sqlite:a"), ("store-password-file", "c")], "STORE_PASSWORD_FILE"),
        (&[("store", "postgres://db"), ("store-deployment", "a")], "STORE_DEPLOYMENT"),
        (&[("store", "postgres://db"), ("store-ca-file", "c")], "STORE_CA_FILE"),
        (&[("store", "postgres://db?sslmode=prefer"), ("store-ca-file", "c")], "STORE_CA_FILE"),
        (&[("store", "postgres://db?sslmode=disable"), ("store-ca-file", "c")], "STORE_CA_FILE"),
        (&[("store", "redis://cache"), ("store-ca-file", "c")], "STORE_CA_FILE"),
        (&[("store", "postgres://a:b@db"), ("store-password-file", "c")], "STORE_PASSWORD_FILE"),
        (&[("store", "redis://:b@cache"), ("store-password-file", "c")], "STORE_PASSWORD_FILE"),
    ] {
        let pairs = pairs.iter().map(|(key, value)| (*key, (*value).into())).collect();
        let said = refusal(by_variables(&pairs)).await;
        let said = said.unwrap_or_else(|| panic!("{pairs:?} is taken"));
        assert!(said.starts_with("the variable ") && said.contains(named), "{pairs:?}: {said}");
    }
}

#[test]
fn no_error_repeats_the_value_of_the_store() {
    for bad in ["postgres://u:hunter2@h/d?sslmode=x", "hunter2", "redis://:hun/ter2@h", "5hunter2"]
    {
        let pair = vec![("store", bad.into())];
        let said = by_variables(&pair).unwrap_err().to_string();
        assert!(!said.contains("hun") && !said.contains("ter2"), "{said}");
    }
    let error = by_file(&[("store", "[\"hunter2\"]".to_owned())]).unwrap_err().to_string();
    assert!(!error.contains("hunter2"), "{error}");
    let error = by_file(&[("tokens", "\"hunter2\"".to_owned())]).unwrap_err().to_string();
    assert!(error.contains("[tokens]") && !error.contains("hunter2"), "{error}");
}

#[test]
fn every_key_has_a_variable_and_a_place() {
    for &Key { name: key, kind, .. } in KEYS {
        let good = match (kind, key) {
            (Kind::Number, _) => "1",
            (Kind::Flag, _) => "true",
            (Kind::List, "requests.sources") => "bearer, tok",
            (Kind::List, "tokens.former-peppers") => "1:a, 2:b",
            (Kind::List, "policy.expiry-notices") => "30d, 1d",
            (Kind::List, "webhook.events") => "token_ended, leak_reported",
            (Kind::List, _) => "a, b",
            (Kind::Text, "portal.groups-separator") => ";",
            (Kind::Text, key) if key.ends_with("listen") => "127.0.0.1:0",
            (Kind::Text, key) if key.ends_with("profile") => "original-method",
            (Kind::Text, key) if key.ends_with(".access") => "network",
            (Kind::Text, key) if key.ends_with(".socket-mode") => "0600",
            (Kind::Text, "log.format") => "json",
            (Kind::Text, "holder.leak-response") => "tell",
            (Kind::Text, "store") => "sqlite:t.db",
            (Kind::Text, "policy.retired-lifetime") => "90d",
            (Kind::Text, "notify.from") => "a@b.c",
            (Kind::Text, "notify.link-base" | "webhook.url") => "https://a.example/",
            (Kind::Text, "notify.smtp") => "loopback:25",
            (Kind::Text, "notify.hello-name" | "notify.mail-domain") => "example.com",
            (Kind::Text, key) if key.starts_with("notify.smtp-") => continue,
            (Kind::Text, key) if key.contains(".tls-") => continue,
            (Kind::Text, "policy.pending-lifetime") => "10m",
            (Kind::Text, key) if key.starts_with("policy.") => "30s",
            (Kind::Text, _) => "10s",
        };
        let mut pairs: Pairs<'_> =
            companions(key).iter().map(|(key, value)| (*key, (*value).into())).collect();
        pairs.retain(|(beside, _)| *beside != key);
        pairs.push((key, good.into()));
        by_variables(&pairs).unwrap_or_else(|error| panic!("{key}: {error}"));
    }
    let pairs = vec![("store", "sqlite:one".into())];
    assert_eq!(by_variables(&pairs).unwrap().store.unwrap().0, "sqlite:one");
}
