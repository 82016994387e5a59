//! The groups of whoever is signed in, by which somebody is an administrator.

use http::{HeaderMap, HeaderName};

use super::SettingsError;
use super::serve::header_name;

const HEADER: &str = "portal.groups-header";
const NAMES: &str = "portal.administrator-groups";
const SEPARATOR: &str = "portal.groups-separator";

/// The groups whose members are administrators, and the header that names the groups of
/// whoever is signed in.
#[derive(Debug)]
pub(crate) struct AdministratorGroups {
    header: HeaderName,
    separator: char,
    names: Vec<String>,
}

impl AdministratorGroups {
    /// By the three settings, of which the first two are of no use alone.
    pub(super) fn of(
        header: Option<&str>,
        names: &[String],
        separator: Option<&str>,
    ) -> Result<Option<Self>, SettingsError> {
        let separator = one_character(separator.unwrap_or(","))?;
        let incomplete = |key, with| Err(SettingsError::Incomplete { key, with });
        let header = match (header, names) {
            (None, []) => return Ok(None),
            (None, [_, ..]) => return incomplete(NAMES, "`groups-header`"),
            (Some(_), []) => return incomplete(HEADER, "`administrator-groups`"),
            (Some(header), [_, ..]) => header_name(HEADER, header)?,
        };
        let is_name = |name: &String| {
            let parts = !name.contains(separator) && name.trim() == name;
            parts && !name.is_empty() && !name.contains(char::is_control)
        };
        if !names.iter().all(is_name) {
            let problem = format!(
                "a group is a text without `{separator}`, control characters and spaces around it: \
                 see `groups-separator`"
            );
            return Err(SettingsError::bad(NAMES, problem));
        }
        Ok(Some(Self { header, separator, names: names.to_vec() }))
    }

    pub(crate) const fn header(&self) -> &HeaderName {
        &self.header
    }

    /// Whether the one header names a group of administrators.
    ///
    /// # Errors
    ///
    /// Why the header cannot be believed.
    pub(crate) fn are_named(&self, headers: &HeaderMap) -> Result<bool, &'static str> {
        let mut lines = headers.get_all(&self.header).iter();
        let Some(line) = lines.next() else { return Ok(false) };
        if lines.next().is_some() {
            return Err("it is there more than once");
        }
        let text = std::str::from_utf8(line.as_bytes()).map_err(|_| "it is not UTF-8")?;
        let mut groups = text.split(self.separator).map(str::trim);
        Ok(groups.any(|group| self.names.iter().any(|name| name == group)))
    }
}

/// What stands between two groups.
fn one_character(text: &str) -> Result<char, SettingsError> {
    let mut characters = text.chars();
    match (characters.next(), characters.next()) {
        (Some(one), None) if one == ' ' || one.is_ascii_punctuation() => Ok(one),
        _ => Err(SettingsError::bad(SEPARATOR, "it must be one character, such as `,` or `|`")),
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn groups(names: &[&str], separator: Option<&str>) -> AdministratorGroups {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        AdministratorGroups::of(Some("Remote-Groups"), &names, separator).unwrap().unwrap()
    }

    fn named(groups: &AdministratorGroups, lines: &[&[u8]]) -> Result<bool, &'static str> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append("remote-groups", HeaderValue::from_bytes(line).unwrap());
        }
        groups.are_named(&headers)
    }

    #[test]
    fn a_member_of_one_of_the_groups_is_an_administrator() {
        let groups = groups(&["admins", "on call"], None);
        for line in ["admins", "users,admins", "admins , users", "a, on call ,b"] {
            assert_eq!(named(&groups, &[line.as_bytes()]), Ok(true), "{line}");
        }
    }

    #[test]
    fn who_is_in_none_of_them_is_none() {
        let groups = groups(&["admins"], None);
        assert_eq!(named(&groups, &[]), Ok(false));
        for line in [
            "",
            ",",
            "users",
            "Admins",
            "admin",
            "admins2",
            "no admins",
            "admins|users",
            "\"admins\"",
        ] {
            assert_eq!(named(&groups, &[line.as_bytes()]), Ok(false), "{line}");
        }
    }

    #[test]
    fn a_header_that_is_repeated_or_unreadable_makes_nobody_an_administrator() {
        let groups = groups(&["admins"], None);
        assert!(named(&groups, &[b"users", b"admins"]).is_err());
        assert!(named(&groups, &[b"admins", b"admins"]).is_err());
        assert!(named(&groups, &[b"admins,\xe9"]).is_err());
    }

    #[test]
    fn a_name_may_hold_what_does_not_separate() {
        let dn = "cn=admins,dc=example";
        let groups = groups(&[dn], Some("|"));
        assert_eq!(named(&groups, &[b"cn=users,dc=example|cn=admins,dc=example"]), Ok(true));
        assert_eq!(named(&groups, &[b"cn=admins|dc=example"]), Ok(false));
    }
}
