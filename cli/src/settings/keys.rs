//! Every key that there is, with what the README and the manual page say of it.

use super::Kind;

/// A setting. Its section and name are one text, as in `cache.enabled`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Key {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) default: DefaultValue,
    pub(crate) meaning: &'static str,
}

/// What counts where a key is not set.
#[derive(Clone, Copy, Debug)]
pub(crate) enum DefaultValue {
    Nothing,
    /// This value, as it would be written in a variable.
    Value(&'static str),
    /// What these words say.
    Words(&'static str),
}

use DefaultValue::{Nothing, Value, Words};

const fn key(name: &'static str, kind: Kind, default: DefaultValue, meaning: &'static str) -> Key {
    Key { name, kind, default, meaning }
}

impl Key {
    /// The key of that name.
    pub(crate) fn of(name: &str) -> Option<Self> {
        KEYS.iter().find(|key| key.name == name).copied()
    }
}

/// In the order of the README's table.
pub(crate) const KEYS: &[Key] = &[
    key(
        "store",
        Kind::Text,
        Nothing,
        "`sqlite:PATH`, `postgres://USER@HOST/DATABASE`, `redis://HOST`, or `rediss://HOST` for Redis over TLS. Needed.",
    ),
    key(
        "store-password-file",
        Kind::Text,
        Nothing,
        "File with the password of PostgreSQL or Redis.",
    ),
    key(
        "store-ca-file",
        Kind::Text,
        Words("the certificates that browsers trust"),
        "File with the certificates (PEM) that PostgreSQL's or Redis's is verified by. PostgreSQL: only with `sslmode=require`.",
    ),
    key(
        "store-timeout",
        Kind::Text,
        Words("2s in `serve`, 30s in commands"),
        "How long the store may take, at least 1ms.",
    ),
    key(
        "store-deployment",
        Kind::Text,
        Value("main"),
        "Redis: which of several deployments on one server; 1 to 64 of `A-Z a-z 0-9 - _`.",
    ),
    key(
        "store-replicas",
        Kind::Number,
        Value("0"),
        "Redis: how many replicas must have a change before it counts.",
    ),
    key(
        "tokens.prefix",
        Kind::Text,
        Value("tat"),
        "Prefix of generated tokens: 1 to 8 of `a-z0-9`. All keys of `[tokens]` are the same wherever the store is used.",
    ),
    key(
        "tokens.former-prefixes",
        Kind::List,
        Nothing,
        "Prefixes that were used before, whose tokens go on working.",
    ),
    key(
        "tokens.accept-foreign",
        Kind::Flag,
        Value("false"),
        "Whether tokens of another system are asked for, and SHA-256 digests imported.",
    ),
    key(
        "tokens.pepper-version",
        Kind::Number,
        Nothing,
        "Version of the pepper, 1 to 65535; with `pepper-file`.",
    ),
    key("tokens.pepper-file", Kind::Text, Nothing, "File with the pepper, at least 32 bytes."),
    key(
        "tokens.former-pepper-version",
        Kind::Number,
        Nothing,
        "Version of the pepper before, with `former-pepper-file`.",
    ),
    key("tokens.former-pepper-file", Kind::Text, Nothing, "File with the pepper before."),
    key("tokens.former-peppers", Kind::List, Nothing, "More of them, each as `VERSION:FILE`."),
    key(
        "tokens.formerly-without-pepper",
        Kind::Flag,
        Value("false"),
        "Whether tokens from before the first pepper go on working.",
    ),
    key(
        "policy.code-lifetime",
        Kind::Text,
        Value("10m"),
        "How long a confirmation code works; at most `pending-lifetime`.",
    ),
    key(
        "policy.pending-lifetime",
        Kind::Text,
        Value("24h"),
        "How long a generated token waits for its confirmation.",
    ),
    key(
        "policy.resend-interval",
        Kind::Text,
        Value("1m"),
        "Least time between two codes for one token.",
    ),
    key(
        "policy.guard-window",
        Kind::Text,
        Value("24h"),
        "How recent a use makes a token one in use; at least twice `usage-interval`, or `0s` for no guard.",
    ),
    key(
        "policy.usage-interval",
        Kind::Text,
        Value("10s"),
        "How often `serve` writes last uses, at least 1s.",
    ),
    key(
        "policy.retired-lifetime",
        Kind::Text,
        Value("90d"),
        "How long a token that has ended is remembered, at least 90d.",
    ),
    key(
        "policy.token-lifetime",
        Kind::Text,
        Nothing,
        "How long a token works at most; a grant may say less for one user. Without it, until its user deletes it.",
    ),
    key(
        "policy.backup-lifetime",
        Kind::Text,
        Nothing,
        "How long a backup works at most; a grant may say less for one user.",
    ),
    key(
        "policy.unused-lifetime",
        Kind::Text,
        Nothing,
        "How long a token works that nobody uses; its user is told before.",
    ),
    key(
        "policy.expiry-notices",
        Kind::List,
        Value("30d,7d,1d"),
        "How long before a token ends its user is told, each time once.",
    ),
    key(
        "requests.sources",
        Kind::List,
        Value("bearer"),
        "Where a request may carry its token: `bearer`, `tok`, `basic`, `header:NAME`.",
    ),
    key(
        "requests.realm",
        Kind::Text,
        Value("api"),
        "Realm of challenges, 1 to 100 printable ASCII characters without quotation marks and backslashes.",
    ),
    key(
        "requests.allow-preflight",
        Kind::Flag,
        Value("false"),
        "Whether CORS preflights pass without a token.",
    ),
    key("cache.enabled", Kind::Flag, Value("true"), "Whether `serve` answers from memory."),
    key(
        "cache.accounts",
        Kind::Number,
        Value("100000"),
        "For how many digests the account is remembered, 1 to 2^30; a user with a backup has two.",
    ),
    key(
        "cache.negative-entries",
        Kind::Number,
        Value("10000"),
        "How many digests are remembered that no account names, 1 to 2^30.",
    ),
    key(
        "cache.staleness-bound",
        Kind::Text,
        Value("5s"),
        "The longest that a revoked token may still pass, whatever is broken: 20ms to 1m.",
    ),
    key(
        "forward-auth.listen",
        Kind::Text,
        Nothing,
        "Address for gateways over HTTP: `127.0.0.1:9180` or `unix:PATH`. Nothing else is served there, any path is answered.",
    ),
    key(
        "forward-auth.profile",
        Kind::Text,
        Nothing,
        "`original-method` (nginx, HAProxy, Apache), `forwarded-method` (Caddy, Traefik), `method-header` (NGINX Gateway Fabric) or `own-request-line` (Envoy). Needed with `listen`.",
    ),
    key(
        "forward-auth.secret-file",
        Kind::Text,
        Nothing,
        "File with the secret that the gateway sends as `X-Gateway-Secret`: one line of 16 to 4096 bytes of visible ASCII. Needed where others than this machine reach the address, or `client-ca-file`, or `access`.",
    ),
    key(
        "forward-auth.former-secret-file",
        Kind::Text,
        Nothing,
        "File with the secret before, which need not exist.",
    ),
    key(
        "forward-auth.user-header",
        Kind::Text,
        Value("x-auth-user"),
        "Header that names the user to the gateway.",
    ),
    key(
        "forward-auth.slot-header",
        Kind::Text,
        Value("x-auth-slot"),
        "Header that names the slot of the token.",
    ),
    key(
        "forward-auth.tls-certificate",
        Kind::Text,
        Nothing,
        "File with the certificates (PEM) for TLS; with `tls-key`.",
    ),
    key("forward-auth.tls-key", Kind::Text, Nothing, "File with their key."),
    key(
        "forward-auth.access",
        Kind::Text,
        Nothing,
        "`network`: whoever reaches the listener may ask, which a NetworkPolicy, a mesh or a network of its own has to bound. In place of the secret and client certificates.",
    ),
    key(
        "forward-auth.client-ca-file",
        Kind::Text,
        Nothing,
        "File with the certificates (PEM) of those who vouch for gateways: without a certificate of theirs no connection comes about. With `tls-certificate`.",
    ),
    key(
        "forward-auth.client-names",
        Kind::List,
        Words("any"),
        "Names of gateways, one of which the certificate has to have: hosts as `gateway.example.com`, or URIs as `spiffe://example.com/gateway`.",
    ),
    key(
        "forward-auth.socket-owner",
        Kind::Text,
        Words("the user of `serve`"),
        "User, by name or number, whose the file of a Unix socket is.",
    ),
    key(
        "forward-auth.socket-group",
        Kind::Text,
        Words("the group of `serve`"),
        "Group of that file.",
    ),
    key(
        "forward-auth.socket-mode",
        Kind::Text,
        Value("0660"),
        "Permissions of that file: who may write to it may ask.",
    ),
    key("ext-authz.listen", Kind::Text, Nothing, "Address for Envoy over gRPC."),
    key(
        "ext-authz.secret-file",
        Kind::Text,
        Nothing,
        "As in `[forward-auth]`; the secret is metadata.",
    ),
    key("ext-authz.former-secret-file", Kind::Text, Nothing, "As in `[forward-auth]`."),
    key("ext-authz.tls-certificate", Kind::Text, Nothing, "As in `[forward-auth]`."),
    key("ext-authz.tls-key", Kind::Text, Nothing, "As in `[forward-auth]`."),
    key("ext-authz.access", Kind::Text, Nothing, "As in `[forward-auth]`."),
    key("ext-authz.client-ca-file", Kind::Text, Nothing, "As in `[forward-auth]`."),
    key("ext-authz.client-names", Kind::List, Words("any"), "As in `[forward-auth]`."),
    key(
        "ext-authz.socket-owner",
        Kind::Text,
        Words("the user of `serve`"),
        "As in `[forward-auth]`.",
    ),
    key(
        "ext-authz.socket-group",
        Kind::Text,
        Words("the group of `serve`"),
        "As in `[forward-auth]`.",
    ),
    key("ext-authz.socket-mode", Kind::Text, Value("0660"), "As in `[forward-auth]`."),
    key(
        "operations.listen",
        Kind::Text,
        Nothing,
        "Address of `/health`, `/ready` and `/metrics` (Prometheus).",
    ),
    key(
        "operations.socket-owner",
        Kind::Text,
        Words("the user of `serve`"),
        "As in `[forward-auth]`.",
    ),
    key(
        "operations.socket-group",
        Kind::Text,
        Words("the group of `serve`"),
        "As in `[forward-auth]`.",
    ),
    key("operations.socket-mode", Kind::Text, Value("0660"), "As in `[forward-auth]`."),
    key("portal.listen", Kind::Text, Nothing, "Address of the pages."),
    key(
        "portal.user-header",
        Kind::Text,
        Nothing,
        "Header by which the reverse proxy says who is signed in. Needed with `listen`.",
    ),
    key("portal.administrators", Kind::List, Nothing, "Users who administer others."),
    key(
        "portal.groups-header",
        Kind::Text,
        Nothing,
        "Header by which the reverse proxy names the groups of whoever is signed in; with `administrator-groups`.",
    ),
    key(
        "portal.administrator-groups",
        Kind::List,
        Nothing,
        "Groups whose members administer others, too.",
    ),
    key(
        "portal.groups-separator",
        Kind::Text,
        Value(","),
        "The one character between two groups in that header.",
    ),
    key("portal.secret-file", Kind::Text, Nothing, "As in `[forward-auth]`."),
    key("portal.former-secret-file", Kind::Text, Nothing, "As in `[forward-auth]`."),
    key(
        "portal.hosts",
        Kind::List,
        Nothing,
        "Names and addresses, without ports, that the pages are reached by, besides those of `link-base` and `listen`.",
    ),
    key("portal.path", Kind::Text, Value("/tokens"), "Path of the pages."),
    key("portal.title", Kind::Text, Value("API tokens"), "Title of the pages."),
    key(
        "portal.logo-file",
        Kind::Text,
        Words("a key"),
        "File with the image beside the title: SVG, PNG, JPEG or WebP, at most 1 MiB.",
    ),
    key(
        "portal.stylesheet-file",
        Kind::Text,
        Nothing,
        "File with a stylesheet that the pages load behind their own, at most 1 MiB.",
    ),
    key("portal.home", Kind::Text, Nothing, "Address that the title leads to."),
    key("portal.sign-in", Kind::Text, Nothing, "Address where people sign in."),
    key(
        "portal.form-key-file",
        Kind::Text,
        Words("a new key at each start"),
        "File with the key of forms, at least 32 bytes; the same on every node.",
    ),
    key(
        "portal.show-codes",
        Kind::Flag,
        Value("false"),
        "Whether the pages show confirmation codes, so that nothing is sent.",
    ),
    key("portal.tls-certificate", Kind::Text, Nothing, "As in `[forward-auth]`."),
    key("portal.tls-key", Kind::Text, Nothing, "As in `[forward-auth]`."),
    key("portal.access", Kind::Text, Nothing, "As in `[forward-auth]`."),
    key("portal.client-ca-file", Kind::Text, Nothing, "As in `[forward-auth]`."),
    key("portal.client-names", Kind::List, Words("any"), "As in `[forward-auth]`."),
    key("portal.socket-owner", Kind::Text, Words("the user of `serve`"), "As in `[forward-auth]`."),
    key(
        "portal.socket-group",
        Kind::Text,
        Words("the group of `serve`"),
        "As in `[forward-auth]`.",
    ),
    key("portal.socket-mode", Kind::Text, Value("0660"), "As in `[forward-auth]`."),
    key(
        "holder.listen",
        Kind::Text,
        Nothing,
        "Address of `/revoke`, `/token` and `/leaks`, for whoever holds a token or has found one. Anybody may ask there; over a network only with TLS, here or in front.",
    ),
    key(
        "holder.address-header",
        Kind::Text,
        Nothing,
        "Header by which a reverse proxy names the address of its client, such as `X-Real-IP`, over whatever that sent. Without it the limit is one for all behind the proxy.",
    ),
    key(
        "holder.requests-at-once",
        Kind::Number,
        Value("30"),
        "How many requests one address may make at once, at least 1; an IPv6 address counts with its network of 64 bits.",
    ),
    key(
        "holder.request-interval",
        Kind::Text,
        Value("1s"),
        "In which time one more may follow; `0s` for no limit.",
    ),
    key(
        "holder.leak-keys-file",
        Kind::Text,
        Nothing,
        "File with the keys of GitHub's secret scanning, as `https://api.github.com/meta/public_keys/secret_scanning` gives them; without it there is no `/leaks`.",
    ),
    key(
        "holder.leak-response",
        Kind::Text,
        Value("end-token"),
        "What is done about a token that was found: `tell` its user, `end-token` and tell, or `end-all` tokens of its user and tell.",
    ),
    key("holder.tls-certificate", Kind::Text, Nothing, "As in `[forward-auth]`."),
    key("holder.tls-key", Kind::Text, Nothing, "As in `[forward-auth]`."),
    key("holder.socket-owner", Kind::Text, Words("the user of `serve`"), "As in `[forward-auth]`."),
    key(
        "holder.socket-group",
        Kind::Text,
        Words("the group of `serve`"),
        "As in `[forward-auth]`.",
    ),
    key("holder.socket-mode", Kind::Text, Value("0660"), "As in `[forward-auth]`."),
    key(
        "notify.directory",
        Kind::Text,
        Nothing,
        "Directory in which messages become files, in place of mail.",
    ),
    key(
        "notify.link-base",
        Kind::Text,
        Nothing,
        "Address that mailed links begin with. Needed with `smtp`.",
    ),
    key(
        "notify.smtp",
        Kind::Text,
        Nothing,
        "`tls://HOST`, `starttls://HOST` (both with `:PORT` if you like) or `loopback:PORT`.",
    ),
    key(
        "notify.smtp-user",
        Kind::Text,
        Nothing,
        "User of the mail server, with `smtp-password-file`.",
    ),
    key("notify.smtp-password-file", Kind::Text, Nothing, "File with the password."),
    key(
        "notify.smtp-ca-file",
        Kind::Text,
        Words("the certificates that browsers trust"),
        "File with the certificates (PEM) that the mail server's is verified by.",
    ),
    key("notify.from", Kind::Text, Nothing, "Sender's address. Needed with `smtp`."),
    key(
        "notify.mail-domain",
        Kind::Text,
        Nothing,
        "Domain of users' addresses; without it, a name is an address.",
    ),
    key(
        "notify.service",
        Kind::Text,
        Words("the domain of `from`"),
        "Name of the service in mails, one line.",
    ),
    key(
        "notify.hello-name",
        Kind::Text,
        Words("this machine's, or the domain of `from`"),
        "Full name that the mail server is greeted with.",
    ),
    key(
        "webhook.url",
        Kind::Text,
        Nothing,
        "Address to which `serve` sends what happens, signed in the form of Standard Webhooks: `https`, or `http` of this machine.",
    ),
    key(
        "webhook.secret-file",
        Kind::Text,
        Nothing,
        "File with the secret of the signature: `whsec_` and the base64 of 24 to 64 random bytes. Needed with `url`.",
    ),
    key(
        "webhook.former-secret-file",
        Kind::Text,
        Nothing,
        "File with the secret before, by which messages are signed too; it need not exist.",
    ),
    key(
        "webhook.ca-file",
        Kind::Text,
        Words("the certificates that browsers trust"),
        "File with the certificates (PEM) that the receiver's is verified by.",
    ),
    key(
        "webhook.allow-private-addresses",
        Kind::Flag,
        Value("false"),
        "Whether the receiver may have an address that is not of the public Internet.",
    ),
    key(
        "webhook.events",
        Kind::List,
        Words("all"),
        "Names of the events that are sent, such as `token_ended,leak_reported`.",
    ),
    key(
        "audit.file",
        Kind::Text,
        Nothing,
        "File to which each change is appended as a line of JSON.",
    ),
    key(
        "log.filter",
        Kind::Text,
        Value("info"),
        "What is logged, as in `info,tower_api_token=debug`.",
    ),
    key("log.format", Kind::Text, Value("text"), "`text` or `json`."),
    key(
        "shutdown-delay",
        Kind::Text,
        Value("0s"),
        "How long `serve` still serves after it is told to stop, while `/ready` and `grpc.health.v1` say so already: as long as whoever sends requests needs to notice.",
    ),
    key(
        "shutdown-grace",
        Kind::Text,
        Value("10s"),
        "How long requests that run may take after that.",
    ),
    key(
        "head-timeout",
        Kind::Text,
        Value("30s"),
        "How long a connection may take for the whole head of a request, a TLS handshake included; more than 0s.",
    ),
];

#[cfg(test)]
mod tests {
    use redis::Client;
    use toml::Table;
    use tower_api_token::TokenManager;
    use tower_api_token::manage::Confirmation;
    use tower_api_token::store::{MemoryStore, RedisOptions};

    use super::super::layers::put;
    use super::super::{Settings, Time};
    use super::*;

    const README: &str = include_str!("../../README.md");

    fn row(key: &Key) -> String {
        let default = match key.default {
            Nothing => String::new(),
            Value(value) => format!("`{value}`"),
            Words(words) => words.to_owned(),
        };
        format!("| `{}` | {} | {default} | {} |", key.name, key.kind.name(), key.meaning)
    }

    #[test]
    fn the_readme_has_a_row_for_each_key() {
        let table = README.split_once("| key | value | default | meaning |\n|---|---|---|---|\n");
        let rows: Vec<_> = table.expect("the table").1.lines().take(KEYS.len()).collect();
        let expected: Vec<_> = KEYS.iter().map(row).collect();
        assert!(rows == expected, "the table should be:\n{}", expected.join("\n"));
    }

    /// The settings of a file that says each default that is a value.
    fn defaults() -> Settings {
        let mut table = Table::new();
        for key in KEYS {
            if let Value(value) = key.default {
                let value = key.kind.of_text(value).expect(key.name);
                key.kind.check(key.name, &value).expect(key.name);
                put(&mut table, key.name, value);
            }
        }
        table.try_into().expect("settings")
    }

    fn default_of(name: &str) -> &'static str {
        match Key::of(name).expect(name).default {
            Value(value) => value,
            other => panic!("{name}: {other:?}"),
        }
    }

    #[test]
    fn to_write_a_default_changes_nothing() {
        let (written, none) = (defaults(), Settings::default());
        assert_eq!(written.policy.policy().unwrap(), none.policy.policy().unwrap());
        assert_eq!(written.requests.sources().unwrap(), none.requests.sources().unwrap());
        assert_eq!(written.requests.allow_preflight, none.requests.allow_preflight);
        let scheme = |settings: &Settings| format!("{:?}", settings.tokens.scheme().unwrap());
        assert_eq!(scheme(&written), scheme(&none));
        let cache = |settings: &Settings| format!("{:?}", settings.cache.options());
        assert_eq!(cache(&written), cache(&none));
        let portal =
            |settings: &Settings| format!("{:?}", settings.portal.pages(manager()).unwrap());
        assert_eq!(portal(&written), portal(&none));
        assert_eq!(written.portal.show_codes, none.portal.show_codes);
        assert_eq!(written.holder.rate_limit(), none.holder.rate_limit());
        assert_eq!(written.holder.leak_response(), none.holder.leak_response());
        let headers = |settings: &Settings| {
            format!("{:?}", settings.forward_auth.identity_headers().unwrap())
        };
        assert_eq!(headers(&written), headers(&none));
        assert_eq!(format!("{:?}", written.log.format), format!("{:?}", none.log.format));
        assert_eq!(written.shutdown_delay, Some(Time::ZERO));
        assert_eq!(written.shutdown_grace, Some(Time(crate::serve::GRACE)));
        assert_eq!(written.head_timeout, Some(Time(crate::serve::progress::limits::HEAD)));
        let redis = format!("{:?}", RedisOptions::new(Client::open("redis://localhost").unwrap()));
        assert!(redis.contains(&format!("{:?}", default_of("store-deployment"))), "{redis}");
        assert_eq!((default_of("store-replicas"), default_of("requests.realm")), ("0", "api"));
    }

    fn manager() -> TokenManager {
        let builder = TokenManager::builder(MemoryStore::new());
        let built = builder.confirmation(Confirmation::ByCaller).build();
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(built).unwrap()
    }
}
