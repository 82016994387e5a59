//! The variables that are settings, and those of Kubernetes, which are not.

use std::ffi::OsString;

use tower_api_token::notify::visible;

use super::layers::{PREFIX, variable};
use super::{KEYS, Key, Kind, SettingsError};
use crate::arguments::is_close;

/// The variable that names the configuration file.
pub(super) const CONFIG: &str = "TOWER_API_TOKEN_CONFIG";

/// A variable that is set, as the setting that it is.
pub(super) struct Variable {
    pub(super) key: &'static str,
    pub(super) kind: Kind,
    pub(super) value: Result<String, &'static str>,
}

/// The settings among the variables. One that is empty counts as one that is
/// not set: that is how `${NAME}` arrives where nobody has set NAME.
pub(super) fn settings(
    variables: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<Vec<Variable>, SettingsError> {
    let mut found = Vec::new();
    for (name, value) in variables {
        let Some(name) = name.to_str().filter(|name| name.starts_with(PREFIX)) else {
            continue;
        };
        if name == CONFIG {
            continue;
        }
        match KEYS.iter().find(|key| variable(key.name) == name) {
            Some(_) if value.is_empty() => {}
            Some(&Key { name: key, kind, .. }) => {
                let value = value.into_string().map_err(|_| "the value is not UTF-8");
                found.push(Variable { key, kind, value });
            }
            None if is_of_kubernetes(&name[PREFIX.len()..], &value.to_string_lossy()) => {}
            None => {
                let close = |key: &&Key| is_close(&variable(key.name), name);
                let meant = KEYS.iter().find(close).map(|key| variable(key.name));
                let name = visible(name).to_string();
                return Err(SettingsError::UnknownVariable { name, meant });
            }
        }
    }
    Ok(found)
}

/// Whether Kubernetes sets such a variable: it tells every container where the
/// Services of its namespace are, and the names of some begin as ours. `rest` is
/// what follows the prefix.
fn is_of_kubernetes(rest: &str, value: &str) -> bool {
    // The Service of the prefix itself has nothing before these words.
    let after = |words: &str| match rest.strip_prefix(words) {
        Some(end) => Some(("", end)),
        None => rest.split_once(&format!("_{words}")),
    };
    let is_service = ["SERVICE_HOST", "SERVICE_PORT"].iter().any(|words| {
        let named = |end: &str| *words == "SERVICE_PORT" && end.len() > 1 && end.starts_with('_');
        after(words).is_some_and(|(_, end)| end.is_empty() || named(end))
    });
    // `…_PORT` alone could be a mistake in the name of a setting, so its value
    // must be what Kubernetes makes it.
    let is_address = (rest == "PORT" || rest.ends_with("_PORT")) && value.contains("://");
    is_service || is_address || is_port(rest)
}

/// `PORT_<number>_<protocol>`, perhaps with a part of the address.
fn is_port(rest: &str) -> bool {
    let parts: Vec<_> = rest.split('_').collect();
    let parts = match &parts[..] {
        [parts @ .., "PROTO" | "PORT" | "ADDR"] if is_port_end(parts) => parts,
        parts => parts,
    };
    is_port_end(parts)
}

fn is_port_end(parts: &[&str]) -> bool {
    let is_number = |text: &str| text.parse::<u16>().is_ok();
    matches!(parts, [.., "PORT", number, "TCP" | "UDP" | "SCTP"] if is_number(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(variables: &[(&str, &str)]) -> Result<Vec<&'static str>, SettingsError> {
        let name = |name: &str| OsString::from(format!("{PREFIX}{name}"));
        let variables = variables.iter().map(|(rest, value)| (name(rest), (*value).into()));
        Ok(settings(variables)?.iter().map(|variable| variable.key).collect())
    }

    #[test]
    fn variables_that_kubernetes_sets_for_a_service_are_passed_over() {
        for service in ["", "PORTAL_", "POSTGRESQL_", "REDIS_MASTER_", "PORT_80_", "A_SERVICE_"] {
            for (name, value) in [
                ("SERVICE_HOST", "10.0.0.2"),
                ("SERVICE_PORT", "9182"),
                ("SERVICE_PORT_HTTP", "9182"),
                ("SERVICE_PORT_HTTP_ALT", "9182"),
                ("PORT", "tcp://10.0.0.2:9182"),
                ("PORT_9182_TCP", "tcp://10.0.0.2:9182"),
                ("PORT_9182_TCP_PROTO", "tcp"),
                ("PORT_9182_TCP_PORT", "9182"),
                ("PORT_9182_TCP_ADDR", "10.0.0.2"),
                ("PORT_53_UDP", "udp://10.0.0.2:53"),
                ("PORT_53_UDP_ADDR", "10.0.0.2"),
                ("PORT_36412_SCTP_PROTO", "sctp"),
            ] {
                let name = format!("{service}{name}");
                assert_eq!(keys(&[(&name, value)]).unwrap(), [""; 0], "{name}");
            }
        }
    }

    #[test]
    fn every_other_variable_without_a_setting_is_refused_by_its_name() {
        for name in [
            "STROE",
            "PORT",
            "PORTAL_LISTEN_PORT",
            "NOTIFY_SMTP_PORT",
            "REPORT",
            "PORT_80",
            "PORT_TCP",
            "PORT_80_TCPX",
            "PORT_99999_TCP",
            "PORT_80_TCP_HOST",
            "SERVICE_HOSTS",
            "SERVICE_PORTS",
            "SERVICE_PORT_",
            "SERVICE",
            "MICROSERVICE_HOST",
        ] {
            let error = keys(&[(name, "25")]).expect_err(name).to_string();
            assert!(error.contains(&format!("{PREFIX}{name}")), "{error}");
        }
        let error = keys(&[("STROE", "x")]).unwrap_err().to_string();
        assert!(error.ends_with(": did you mean TOWER_API_TOKEN_STORE?"), "{error}");
    }

    #[test]
    fn a_setting_is_never_taken_for_a_variable_of_kubernetes() {
        for Key { name: key, .. } in KEYS {
            let name = &variable(key)[PREFIX.len()..];
            assert_eq!(keys(&[(name, "tcp://10.0.0.1:1")]).unwrap(), [*key]);
        }
    }

    #[test]
    fn an_empty_variable_is_as_one_that_is_not_set() {
        for Key { name: key, .. } in KEYS {
            assert_eq!(keys(&[(&variable(key)[PREFIX.len()..], "")]).unwrap(), [""; 0], "{key}");
        }
        assert!(keys(&[("STROE", "")]).is_err(), "a name that is no setting stays a mistake");
    }
}
