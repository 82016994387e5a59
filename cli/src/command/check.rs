//! `check`.

use std::future::poll_fn;
use std::pin::Pin;
use std::time::{Duration, Instant};

use clap::Args;
use futures_core::Stream;
use serde_json::{Value, json};
use tokio::time::timeout;
use tower_api_token::notify::visible;
use tower_api_token::store::{AccountStore, ChangeFeed, Feed, FeedItem, SqliteStore};
use tower_api_token::token::{PepperVersion, TokenScheme};

use crate::arguments::Common;
use crate::failure::Failure;
use crate::output::{Output, table};
use crate::serve::ServeError;
use crate::serve::guard::open;
use crate::settings::{Access, ListenerConfig, SettingsError, TokenSettings};
use crate::store::{COMMAND_PATIENCE, Database, Opened, StoreAddress};
use crate::text::counted;
use crate::world;

/// Check that the store can be trusted: that it opens, has its tables, keeps
/// what it is given, recognises the tokens in use, and tells of changes; and
/// who may ask the listeners of `serve`, where that is not bounded here.
///
/// It writes one heartbeat and changes nothing else.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  tower-api-token check --store sqlite:tokens.db && echo fine")]
pub(crate) struct CheckArguments {}

/// One thing that was looked at.
struct Finding {
    what: &'static str,
    verdict: Verdict,
    detail: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Fine,
    /// Fine if it is meant so.
    Warning,
    Wrong,
}

impl Finding {
    fn of(what: &'static str, said: Result<String, String>) -> Self {
        let (verdict, detail) = match said {
            Ok(detail) => (Verdict::Fine, detail),
            Err(detail) => (Verdict::Wrong, detail),
        };
        Self { what, verdict, detail }
    }

    /// Who may ask that listener, unless it is bounded.
    fn of_access(listener: &ListenerConfig) -> Option<Self> {
        let ListenerConfig { name, address, .. } = listener;
        let (verdict, detail) = match listener.access {
            Access::Bounded => return None,
            Access::Network => (Verdict::Warning, open(listener)),
            Access::Unbounded => {
                let refusal = ServeError::Public { name, address: address.clone() };
                (Verdict::Wrong, refusal.to_string())
            }
        };
        Some(Self { what: "access", verdict, detail })
    }
}

pub(crate) async fn run(common: &Common, output: Output) -> Result<(), Failure> {
    let settings = world::settings(common)?;
    let located = |error: SettingsError| error.located(&settings.origins);
    let scheme = settings.tokens.scheme().map_err(located)?;
    let address = StoreAddress::of(&settings).map_err(located)?;
    let listeners = settings.guarded().map_err(located)?;
    let mut findings: Vec<_> = listeners.iter().flatten().filter_map(Finding::of_access).collect();
    match Opened::open_small(&settings).await.map_err(Failure::from) {
        Err(failure) if failure.exit_code() == crate::failure::USAGE => {
            return Err(failure.located(&settings.origins));
        }
        Err(failure) => findings.push(Finding::of("store", Err(failure.advised()))),
        Ok(opened) => {
            findings.push(Finding::of("store", Ok(address.to_string())));
            let store = opened.accounts(&settings, COMMAND_PATIENCE);
            let tokens = recognised(&store, &scheme).await;
            let reads = tokens.is_ok();
            findings.push(Finding::of("tokens", tokens));
            if let Some(said) = peppers(&store, &settings.tokens, &scheme).await {
                findings.push(Finding::of("peppers", said));
            }
            findings.push(Finding::of("durability", durability(&opened).await));
            // Without its tables a store has no feed, and has said so.
            if reads {
                findings.push(Finding::of("feed", echo(&store).await));
            }
        }
    }
    let reported = report(&findings, output);
    // Whoever reads no further must not take it for fine.
    match findings.iter().filter(|finding| finding.verdict == Verdict::Wrong).count() {
        0 => reported,
        wrong => Err(Failure::CheckFailed(wrong)),
    }
}

fn report(findings: &[Finding], output: Output) -> Result<(), Failure> {
    if output.is_json() {
        let value = |finding: &Finding| {
            let ok = finding.verdict != Verdict::Wrong;
            let mut value = json!({ "check": finding.what, "ok": ok, "detail": finding.detail });
            if finding.verdict == Verdict::Warning {
                value["warning"] = true.into();
            }
            value
        };
        return findings.iter().try_for_each(|finding| output.value("", &value(finding)));
    }
    let row = |finding: &Finding| {
        let verdict = match finding.verdict {
            Verdict::Fine => "ok",
            Verdict::Warning => "WARNING",
            Verdict::Wrong => "WRONG",
        };
        vec![finding.what.to_owned(), verdict.to_owned(), visible(&finding.detail).to_string()]
    };
    let rows: Vec<_> = findings.iter().map(row).collect();
    output.value(&table(&["CHECK", "", "DETAIL"], &rows), &Value::Null)
}

/// Whether the tables are there, and every token in use can be recognised.
async fn recognised(store: &impl AccountStore, scheme: &TokenScheme) -> Result<String, String> {
    let explained = |error| Failure::Store(error).advised();
    let versions = store.pepper_versions().await.map_err(explained)?;
    let unknown = versions.iter().find(|(version, _)| !scheme.knows(*version));
    if let Some((version, count)) = unknown {
        return Err(format!("{count} in use under pepper version {version}, which is not set"));
    }
    let prefixes = store.prefixes().await.map_err(explained)?;
    let refused = prefixes.iter().filter(|(prefix, _)| !scheme.recognises(prefix.as_ref()));
    let refused: Vec<_> = refused
        .map(|(prefix, count)| match prefix {
            Some(prefix) => format!(
                "{count} in use have the prefix {}, which `tokens.former-prefixes` does not list",
                prefix.as_str()
            ),
            None => format!(
                "{count} in use are of a foreign form, or known by their digest alone, and \
                 `tokens.accept-foreign` is not set"
            ),
        })
        .collect();
    if !refused.is_empty() {
        return Err(refused.join("; "));
    }
    let count: u64 = versions.iter().map(|(_, count)| count).sum();
    Ok(format!("{count} in use, all of them recognised"))
}

/// Whether the peppers are those that the tokens were made with, and how many tokens
/// need each; nothing where there are neither peppers nor tokens of them.
async fn peppers(
    store: &impl AccountStore,
    settings: &TokenSettings,
    scheme: &TokenScheme,
) -> Option<Result<String, String>> {
    let explained = |error| Failure::Store(error).advised();
    // If they cannot be read, that has been said already.
    let Ok(in_use) = store.pepper_versions().await else { return None };
    let kept = match store.pepper_checks().await {
        Ok(kept) => kept,
        Err(error) => return Some(Err(explained(error))),
    };
    let count = |version: PepperVersion| {
        let of = in_use.iter().find(|(of, _)| *of == version);
        counted(of.map_or(0, |(_, count)| *count), "token", "tokens")
    };
    let (mut said, mut wrong) = (Vec::new(), false);
    for (version, check) in scheme.pepper_checks() {
        let verdict = match kept.of(version) {
            Some(kept) if *kept == check => "verified".to_owned(),
            Some(_) => {
                wrong = true;
                format!(
                    "another key than the store has seen by that version ({})",
                    settings.file_of(version.as_u16())
                )
            }
            None => "unverified".to_owned(),
        };
        said.push(format!("version {version}: {} in use, {verdict}", count(version)));
    }
    if said.is_empty() {
        return None;
    }
    if scheme.knows(PepperVersion::NONE) {
        said.push(format!("without a pepper: {} in use", count(PepperVersion::NONE)));
    }
    let said = said.join("; ");
    Some(if wrong { Err(said) } else { Ok(said) })
}

/// Whether the store keeps what it has acknowledged.
async fn durability(opened: &Opened) -> Result<String, String> {
    match opened {
        Opened::Sqlite(store) => durability_of_sqlite(store).await,
        Opened::Postgres(_, database) => durability_of_postgres(database).await,
        // Another server would not have been opened.
        Opened::Redis(_) => Ok("appendonly=yes, appendfsync=always, no eviction".to_owned()),
    }
}

async fn durability_of_sqlite(store: &SqliteStore) -> Result<String, String> {
    let durability = store.durability().await;
    let durability = durability.map_err(|error| Failure::Store(error).explained())?;
    let said = format!(
        "journal_mode={}, synchronous={}, SQLite {}",
        durability.journal_mode, durability.synchronous, durability.sqlite_version
    );
    if durability.survives_a_crash() { Ok(said) } else { Err(said) }
}

/// What PostgreSQL must be set to.
const POSTGRES_SETTINGS: [(&str, &[&str]); 4] = [
    ("fsync", &["on"]),
    ("full_page_writes", &["on"]),
    ("synchronous_commit", &["on", "local", "remote_write", "remote_apply"]),
    ("server_encoding", &["UTF8"]),
];

async fn durability_of_postgres(database: &Database) -> Result<String, String> {
    let client = database.connect().await.map_err(|error| error.to_string())?;
    let mut said = Vec::new();
    let mut wrong = false;
    for (setting, good) in POSTGRES_SETTINGS {
        let row = client.query_one(&format!("SHOW {setting}"), &[]).await;
        let found: String = row.map_err(|error| error.to_string())?.get(0);
        wrong |= !good.contains(&found.as_str());
        said.push(format!("{setting}={found}"));
    }
    let row = client.query_one("SELECT pg_is_in_recovery()", &[]).await;
    let standby: bool = row.map_err(|error| error.to_string())?.get(0);
    if standby {
        said.push("it is a standby, which answers by the past".to_owned());
    }
    let said = said.join(", ");
    if wrong || standby { Err(said) } else { Ok(said) }
}

/// How long a heartbeat may take to come back.
const ECHO_PATIENCE: Duration = Duration::from_secs(5);

/// Sends a heartbeat, and waits for its echo.
async fn echo(store: &impl ChangeFeed) -> Result<String, String> {
    let explained = |error| Failure::Store(error).explained();
    let mut feed = store.changes().await.map_err(explained)?;
    // Its own among those of others: the odds of a repetition are nil.
    let time = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let nanos = time.unwrap_or_default().as_nanos() as u64;
    let id = nanos.rotate_left(32) ^ u64::from(std::process::id());
    let sent = Instant::now();
    store.heartbeat(id).await.map_err(explained)?;
    match timeout(ECHO_PATIENCE, heard(&mut feed, id)).await {
        Ok(true) => Ok(format!("a heartbeat came back after {} ms", sent.elapsed().as_millis())),
        Ok(false) => Err("the feed ended".to_owned()),
        Err(_) => Err(format!("no heartbeat came back within {} s", ECHO_PATIENCE.as_secs())),
    }
}

async fn heard(feed: &mut Feed, id: u64) -> bool {
    loop {
        match poll_fn(|cx| Pin::new(&mut *feed).poll_next(cx)).await {
            Some(FeedItem::Heartbeat(heard)) if heard == id => return true,
            Some(_) => {}
            None => return false,
        }
    }
}
