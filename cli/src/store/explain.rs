//! What is wrong with the address of a server, without a word of its password.

use redis::IntoConnectionInfo;
use tokio_postgres::Config;
use tokio_postgres::config::SslMode;

/// The parameters of a PostgreSQL address, and what each may be.
const PARAMETERS: &[(&str, &str)] = &[
    ("sslmode", "disable, prefer or require, which checks the server's certificate, too"),
    ("sslnegotiation", "postgres or direct"),
    ("channel_binding", "disable, prefer or require"),
    ("target_session_attrs", "any, read-write or read-only"),
    ("load_balance_hosts", "disable or random"),
    ("connect_timeout", "a number of seconds"),
    ("tcp_user_timeout", "a number of seconds"),
    ("keepalives", "0 or 1"),
    ("keepalives_idle", "a number of seconds"),
    ("keepalives_interval", "a number of seconds"),
    ("keepalives_retries", "a number"),
    ("hostaddr", "an IP address"),
    ("port", "a number from 1 to 65535"),
    ("host", "the name of a host"),
    ("user", "a name"),
    ("password", "a password; better in `store-password-file`"),
    ("dbname", "a name"),
    ("options", "options of the server"),
    ("application_name", "a name"),
];

const ENCODE: &str = "percent-encode the password: % is %25, # is %23, / is %2F, ? is %3F, \
                      @ is %40, : is %3A; or put it into `store-password-file`";

/// What is wrong with an address of PostgreSQL.
pub(super) fn postgres(url: &str) -> Option<String> {
    let (credentials, place) = split(url)?;
    if has_bare_marks(credentials) {
        return Some(ENCODE.to_owned());
    }
    let (server, query) = place.split_once('?').unwrap_or((place, ""));
    if let Some(problem) = parameters(query) {
        return Some(problem);
    }
    let hosts = server.split('/').next().unwrap_or_default();
    let form = "a PostgreSQL store is postgres://USER@HOST:PORT/DATABASE";
    match url.parse::<Config>() {
        // Both `:0` and `port=0`.
        Ok(config) if !config.get_ports().contains(&0) => None,
        Err(_) if hosts.split(',').all(has_good_port) => Some(form.to_owned()),
        _ => Some(format!("the port must be a number from 1 to 65535: {form}")),
    }
}

/// Whether no connection to this PostgreSQL server is made without TLS.
pub(super) fn requires_tls(url: &str) -> bool {
    let config = url.parse::<Config>();
    config.is_ok_and(|config| config.get_ssl_mode() == SslMode::Require)
}

/// What is wrong with an address of Redis.
pub(super) fn redis(url: &str) -> Option<String> {
    let (credentials, place) = split(url)?;
    if has_bare_marks(credentials) {
        return Some(ENCODE.to_owned());
    }
    let (server, _) = place.split_once(['?', '#']).unwrap_or((place, ""));
    let (host, database) = server.split_once('/').unwrap_or((server, ""));
    // Both schemes have one form.
    let info = url.replacen("rediss:", "redis:", 1).into_connection_info();
    if info.is_ok() && has_good_port(host) {
        return None;
    }
    let problem = if host.is_empty() || host.starts_with(':') {
        "the host is missing"
    } else if !has_good_port(host) {
        "the port must be a number from 1 to 65535"
    } else if !database.trim_matches('/').bytes().all(|byte| byte.is_ascii_digit()) {
        "the database must be a number"
    } else {
        "it cannot be read"
    };
    Some(format!("{problem}: a Redis store is redis://USER@HOST:PORT/NUMBER"))
}

/// Name and password, and what is behind them.
fn split(url: &str) -> Option<(&str, &str)> {
    let rest = url.split_once("://")?.1;
    Some(rest.rsplit_once('@').unwrap_or(("", rest)))
}

/// Whether there is a character in it that ends a name or password, or that
/// begins an encoded one without being it.
fn has_bare_marks(credentials: &str) -> bool {
    let (user, password) = credentials.split_once(':').unwrap_or((credentials, ""));
    let is_mark = |byte: u8| b"#/?@:[] ".contains(&byte) || byte.is_ascii_control();
    let is_broken = |text: &str| {
        text.split('%').skip(1).any(|rest| {
            !rest.as_bytes().iter().take(2).filter(|byte| byte.is_ascii_hexdigit()).count().eq(&2)
        })
    };
    [user, password].iter().any(|text| text.bytes().any(is_mark) || is_broken(text))
}

fn has_good_port(host: &str) -> bool {
    let behind = host.rsplit_once(']').map_or(host, |(_, behind)| behind);
    behind.split_once(':').is_none_or(|(_, port)| port.parse::<u16>().is_ok_and(|port| port > 0))
}

fn parameters(query: &str) -> Option<String> {
    let mut after_a_password = false;
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let known = PARAMETERS.iter().find(|(known, _)| *known == name);
        match known {
            Some((name, form)) => {
                let alone = format!("postgres://localhost/?{name}={value}");
                if !pair.contains('=') || alone.parse::<Config>().is_err() {
                    return Some(format!("the parameter {name} must be {form}"));
                }
                after_a_password |= *name == "password";
            }
            // It may be the end of a password with an & in it.
            None if after_a_password => return Some(ENCODE.to_owned()),
            None if is_word(name) => return Some(format!("{}: {}", unknown(name), known_names())),
            None => return Some(known_names()),
        }
    }
    None
}

fn unknown(name: &str) -> String {
    format!("there is no parameter {name}")
}

fn known_names() -> String {
    let names: Vec<_> = PARAMETERS.iter().map(|(name, _)| *name).collect();
    format!("the parameters of an address are {}", names.join(", "))
}

fn is_word(text: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
    (1..=40).contains(&text.len()) && text.bytes().all(is_letter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_of_postgresql_names_the_part_that_is_wrong() {
        let base = "postgres://api:s3cret@db.example/app";
        for (query, problem) in [
            ("?sslmode=verify-full", "sslmode must be disable, prefer or require"),
            ("?sslmode=", "sslmode must be disable, prefer or require"),
            ("?sslmode", "sslmode must be"),
            ("?sslmode=disable&pgbouncer=true", "there is no parameter pgbouncer"),
            ("?sslmode=disable&schema=public", "there is no parameter schema"),
            ("?connect_timeout=5s", "connect_timeout must be a number of seconds"),
            ("?sslrootcert=/etc/ca.pem", "there is no parameter sslrootcert"),
            ("?target_session_attrs=primary", "any, read-write or read-only"),
        ] {
            let said = postgres(&format!("{base}{query}")).expect(query);
            assert!(said.contains(problem), "{query}: {said}");
            assert!(!said.contains("s3cret"), "{said}");
        }
        let ports = ["db:port/app", "db:70000/app", "db:0/app", "a,db:0/app", "db/app?port=0"];
        let ports = ports.map(|place| format!("postgres://{place}"));
        for url in &ports {
            assert!(postgres(url).unwrap().contains("the port must"), "{url}");
        }
        for good in [
            base,
            "postgres://db/app?sslmode=require",
            "postgresql://api@[::1]:5432/app",
            "postgres://a:s%23%40@db",
            "postgres://a@h1,h2:5433/app?load_balance_hosts=random",
            "postgres:///app?host=/run/postgresql",
        ] {
            assert_eq!(postgres(good), None, "{good}");
        }
    }

    #[test]
    fn a_password_that_breaks_an_address_is_to_be_encoded_and_never_shown() {
        for password in ["s3#cret", "s3/cret", "s3@cret", "s3?cret", "s3:cret", "s3%cret", "s3 c"] {
            for (scheme, explain) in
                [("postgres", postgres as fn(&str) -> Option<String>), ("redis", redis)]
            {
                let said = explain(&format!("{scheme}://api:{password}@db.example/0"));
                let said = said.unwrap_or_else(|| panic!("{scheme} {password}"));
                assert!(said.contains("percent-encode the password"), "{password}: {said}");
                assert!(!said.contains("s3") && !said.contains("cret"), "{password}: {said}");
            }
        }
        let in_query = postgres("postgres://db/app?user=api&password=s3&cret=x").unwrap();
        assert!(in_query.contains("percent-encode") && !in_query.contains("cret"), "{in_query}");
    }

    #[test]
    fn an_address_of_redis_names_the_part_that_is_wrong() {
        for (url, problem) in [
            ("redis://cache:port", "the port must be a number"),
            ("redis://cache:0", "the port must be a number"),
            ("rediss://[::1]:0/1", "the port must be a number"),
            ("redis://cache/tokens", "the database must be a number"),
            ("redis://", "the host is missing"),
            ("redis://:6379", "the host is missing"),
            ("rediss://cache/tokens", "the database must be a number"),
        ] {
            let said = redis(url).expect(url);
            assert!(said.contains(problem), "{url}: {said}");
        }
        for good in ["redis://cache", "redis://:p%40ss@cache:6379/1", "redis://u@127.0.0.1/"] {
            assert_eq!(redis(good), None, "{good}");
        }
    }
}
