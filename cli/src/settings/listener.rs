//! What the sections of all listeners have in common: where each listens, and who
//! may ask there.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer, de::Error};
use zeroize::Zeroizing;

use super::{HostName, Key, ListenAddress, Settings, SettingsError};
use crate::secret::{self, SecretError};

/// What the section of a listener may say beside its own keys. Which of these
/// keys it has stands in `KEYS`, by which others are refused.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub(super) struct ListenerSettings {
    listen: Option<ListenAddress>,
    access: Option<AccessName>,
    secret_file: Option<PathBuf>,
    former_secret_file: Option<PathBuf>,
    tls_certificate: Option<PathBuf>,
    tls_key: Option<PathBuf>,
    client_ca_file: Option<PathBuf>,
    client_names: Vec<String>,
    socket_owner: Option<String>,
    socket_group: Option<String>,
    socket_mode: Option<SocketMode>,
}

/// The one word for access that nothing bounds.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum AccessName {
    Network,
}

/// Permissions as they are written, such as `0660`.
#[derive(Clone, Copy, Debug)]
struct SocketMode(u32);

impl SocketMode {
    fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix('0').filter(|rest| rest.len() == 3).unwrap_or(text);
        let octal = digits.len() == 3 && digits.bytes().all(|byte| (b'0'..=b'7').contains(&byte));
        if octal { u32::from_str_radix(digits, 8).ok().map(Self) } else { None }
    }
}

impl<'de> Deserialize<'de> for SocketMode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let form = "permissions are three octal digits, such as \"0660\"";
        Self::parse(&text).ok_or_else(|| D::Error::custom(form))
    }
}

/// A listener, as its section says.
#[derive(Clone, Debug)]
pub(crate) struct ListenerConfig {
    /// The name of the section.
    pub(crate) name: &'static str,
    pub(crate) address: ListenAddress,
    pub(crate) access: Access,
    pub(crate) secrets: Option<SecretFiles>,
    pub(crate) tls: Option<TlsFiles>,
    pub(crate) socket: SocketOptions,
}

/// What bounds who may ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// The address, a secret or a client certificate.
    Bounded,
    /// Nothing here, as the settings say in as many words.
    Network,
    /// Nothing, and nobody has said so.
    Unbounded,
}

impl ListenerSettings {
    /// The listener, if there is to be one. What can never work is refused in either
    /// case.
    pub(super) fn config(
        &self,
        name: &'static str,
    ) -> Result<Option<ListenerConfig>, SettingsError> {
        let keys = Keys(name);
        let (secrets, tls) = (self.secrets(keys)?, self.tls(keys)?);
        let has_clients = tls.as_ref().is_some_and(|tls| tls.clients.is_some());
        let is_identified = secrets.is_some() || has_clients;
        if self.access.is_some() && is_identified {
            let problem = "`network` lets in whoever reaches the listener, and `secret-file` or \
                           `client-ca-file` does not: leave one of them out";
            return Err(SettingsError::bad(keys.of("access"), problem));
        }
        let socket = self.socket(keys)?;
        let Some(address) = self.listen.clone() else { return Ok(None) };
        let access = match self.access {
            _ if is_identified || address.is_private() => Access::Bounded,
            Some(AccessName::Network) => Access::Network,
            None => Access::Unbounded,
        };
        Ok(Some(ListenerConfig { name, address, access, secrets, tls, socket }))
    }

    fn secrets(&self, keys: Keys) -> Result<Option<SecretFiles>, SettingsError> {
        let names = ["secret-file", "former-secret-file"].map(|name| keys.of(name));
        SecretFiles::of(names, &self.secret_file, &self.former_secret_file)
    }

    fn tls(&self, keys: Keys) -> Result<Option<TlsFiles>, SettingsError> {
        let names = ["tls-certificate", "tls-key"].map(|name| keys.of(name));
        let tls = TlsFiles::of(names, &self.tls_certificate, &self.tls_key)?;
        match (tls, self.clients(keys)?) {
            (Some(tls), clients) => Ok(Some(TlsFiles { clients, ..tls })),
            (None, None) => Ok(None),
            (None, Some(ClientFiles { setting: key, .. })) => {
                Err(SettingsError::Incomplete { key, with: "`tls-certificate`" })
            }
        }
    }

    fn clients(&self, keys: Keys) -> Result<Option<ClientFiles>, SettingsError> {
        let names = keys.of("client-names");
        if let Some(name) = self.client_names.iter().find(|name| !is_client_name(name)) {
            let problem = format!(
                "{name:?} is no name that a certificate has: say a host's name, such as \
                 gateway.example.com, or a URI, such as spiffe://example.com/gateway"
            );
            return Err(SettingsError::bad(names, problem));
        }
        let Some(authorities) = self.client_ca_file.clone() else {
            if self.client_names.is_empty() {
                return Ok(None);
            }
            return Err(SettingsError::Incomplete { key: names, with: "`client-ca-file`" });
        };
        let (setting, names) = (keys.of("client-ca-file"), self.client_names.clone());
        Ok(Some(ClientFiles { setting, authorities, names }))
    }

    fn socket(&self, keys: Keys) -> Result<SocketOptions, SettingsError> {
        let set = [
            ("socket-owner", self.socket_owner.is_some()),
            ("socket-group", self.socket_group.is_some()),
            ("socket-mode", self.socket_mode.is_some()),
        ];
        if matches!(self.listen, Some(ListenAddress::Tcp(_)))
            && let Some((name, _)) = set.into_iter().find(|(_, is_set)| *is_set)
        {
            let problem = "only a listener on a Unix socket has it: leave it out";
            return Err(SettingsError::bad(keys.of(name), problem));
        }
        let named = |name, value: &Option<String>| Some((keys.of(name), value.clone()?));
        let owner = named("socket-owner", &self.socket_owner);
        let group = named("socket-group", &self.socket_group);
        let SocketMode(mode) = self.socket_mode.unwrap_or(SocketMode(MODE));
        Ok(SocketOptions { owner, group, mode })
    }
}

/// A host's name or a URI.
fn is_client_name(name: &str) -> bool {
    if name.contains("://") {
        return name.bytes().all(|byte| byte.is_ascii_graphic());
    }
    matches!(HostName::parse(name), Some(HostName::Name(_)))
}

/// The keys of a section.
#[derive(Clone, Copy)]
struct Keys(&'static str);

impl Keys {
    /// The whole name of that key; the section alone where it has no such key, which
    /// nobody can have set.
    fn of(self, name: &str) -> &'static str {
        Key::of(&format!("{}.{name}", self.0)).map_or(self.0, |key| key.name)
    }
}

impl Settings {
    /// How many listeners there are.
    pub(crate) fn listeners(&self) -> Result<usize, SettingsError> {
        let beside = [self.holder.listener()?, self.operations.listener()?];
        Ok(self.guarded()?.into_iter().chain(beside).flatten().count())
    }

    /// The listeners that not everybody may ask.
    pub(crate) fn guarded(&self) -> Result<[Option<ListenerConfig>; 3], SettingsError> {
        Ok([self.forward_auth.listener()?, self.ext_authz.listener()?, self.portal.listener()?])
    }
}

/// For a gateway in the owner's group, and nobody else.
const MODE: u32 = 0o660;

/// Whose the file of a Unix socket is, each with its setting, and its permissions.
#[derive(Clone, Debug)]
pub(crate) struct SocketOptions {
    pub(crate) owner: Option<(&'static str, String)>,
    pub(crate) group: Option<(&'static str, String)>,
    pub(crate) mode: u32,
}

/// A certificate and its key, which come together, and what a client's is verified
/// by.
#[derive(Clone, Debug)]
pub(crate) struct TlsFiles {
    pub(crate) certificate_setting: &'static str,
    pub(crate) certificate: PathBuf,
    pub(crate) key_setting: &'static str,
    pub(crate) key: PathBuf,
    pub(crate) clients: Option<ClientFiles>,
}

/// Who vouches for clients, and the names that they may have: any, where there are
/// none.
#[derive(Clone, Debug)]
pub(crate) struct ClientFiles {
    pub(crate) setting: &'static str,
    pub(crate) authorities: PathBuf,
    pub(crate) names: Vec<String>,
}

impl TlsFiles {
    /// The files that these two keys name.
    fn of(
        [certificate_setting, key_setting]: [&'static str; 2],
        certificate: &Option<PathBuf>,
        key: &Option<PathBuf>,
    ) -> Result<Option<Self>, SettingsError> {
        let needs = |key, with| Err(SettingsError::Incomplete { key, with });
        match (certificate.clone(), key.clone()) {
            (None, None) => Ok(None),
            (Some(certificate), Some(key)) => {
                let clients = None;
                Ok(Some(Self { certificate_setting, certificate, key_setting, key, clients }))
            }
            (Some(_), None) => needs(certificate_setting, "`tls-key`"),
            (None, Some(_)) => needs(key_setting, "`tls-certificate`"),
        }
    }
}

/// The file with the secret that a listener shares with its gateway, and one
/// with the secret that it replaces.
#[derive(Clone, Debug)]
pub(crate) struct SecretFiles {
    pub(crate) setting: &'static str,
    file: PathBuf,
    former: Option<(&'static str, PathBuf)>,
}

impl SecretFiles {
    pub(super) fn of(
        [setting, former_setting]: [&'static str; 2],
        file: &Option<PathBuf>,
        former: &Option<PathBuf>,
    ) -> Result<Option<Self>, SettingsError> {
        match (file.clone(), former.clone()) {
            (None, None) => Ok(None),
            (Some(file), former) => {
                let former = former.map(|former| (former_setting, former));
                Ok(Some(Self { setting, file, former }))
            }
            (None, Some(_)) => {
                Err(SettingsError::Incomplete { key: former_setting, with: "`secret-file`" })
            }
        }
    }

    pub(crate) fn paths(&self) -> Vec<PathBuf> {
        let former = self.former.iter().map(|(_, path)| path);
        std::iter::once(&self.file).chain(former).cloned().collect()
    }

    /// The secrets that are accepted.
    pub(crate) fn read(&self) -> Result<Vec<Zeroizing<String>>, SecretError> {
        self.read_by(secret::of_gateway)
    }

    /// What the files hold, read by the setting's name and the path. There is no former
    /// secret where its file does not exist.
    pub(super) fn read_by<T, E>(
        &self,
        read: impl Fn(&'static str, &Path) -> Result<T, E>,
    ) -> Result<Vec<T>, E> {
        let mut secrets = vec![read(self.setting, &self.file)?];
        if let Some((setting, path)) = &self.former
            && !path.try_exists().is_ok_and(|exists| !exists)
        {
            secrets.push(read(setting, path)?);
        }
        Ok(secrets)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> ListenerConfig {
        let settings: ListenerSettings = toml::from_str(text).expect(text);
        settings.config("forward-auth").expect(text).expect("a listener")
    }

    #[test]
    fn what_bounds_a_listener_is_its_address_or_what_its_gateway_shows() {
        let tls = "tls-certificate = \"c\"\ntls-key = \"k\"\n";
        for (more, public) in [
            (String::new(), Access::Unbounded),
            (tls.to_owned(), Access::Unbounded),
            ("access = \"network\"\n".to_owned(), Access::Network),
            ("secret-file = \"s\"\n".to_owned(), Access::Bounded),
            (format!("{tls}client-ca-file = \"ca\"\n"), Access::Bounded),
        ] {
            for (address, access) in [
                ("0.0.0.0:1", public),
                ("[::]:1", public),
                ("127.0.0.1:1", Access::Bounded),
                ("unix:a", Access::Bounded),
            ] {
                let text = format!("listen = \"{address}\"\n{more}");
                assert_eq!(config(&text).access, access, "{text}");
            }
        }
    }

    #[test]
    fn permissions_are_octal_and_those_of_the_table_by_default() {
        let unix = "listen = \"unix:a\"\n";
        let mode = |text: &str| config(&format!("{unix}socket-mode = \"{text}\"\n")).socket.mode;
        assert_eq!((mode("0660"), mode("660"), mode("0007")), (0o660, 0o660, 0o007));
        assert_eq!(mode("0660"), config(unix).socket.mode);
        let default = Key::of("forward-auth.socket-mode").unwrap().default;
        assert!(matches!(default, crate::settings::DefaultValue::Value("0660")), "{default:?}");
    }
}
