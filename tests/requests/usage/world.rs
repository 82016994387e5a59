//! `alice`, whose tokens are used, and what notes it.

use std::sync::{Arc, Mutex};

use futures_util::FutureExt;
use http::{Request, Response};
use tower::{Layer, ServiceExt, service_fn};
use tower_api_token::TokenAuthLayer;
use tower_api_token::account::{Account, Ending, LastUse, Retired, TokenRecord};
use tower_api_token::audit::{AuditEntry, EventSink};
use tower_api_token::method::MethodSet;
use tower_api_token::test_util::ManualClock;
use tower_api_token::time::Timestamp;
use tower_api_token::token::{StoredDigest, Token, TokenHint, TokenId, TokenScheme};
use tower_api_token::usage::UsageRecorder;
use tower_api_token::user::UserId;

use super::store::Store;
use crate::generated;

/// `alice` (GET) with a primary (id 3), a backup (2) and a retired token (1).
pub(crate) struct World {
    pub(crate) primary: String,
    pub(crate) backup: String,
    pub(crate) retired: String,
    pub(crate) store: Arc<Store>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) usage: UsageRecorder,
    entries: Entries,
}

impl World {
    pub(crate) fn new() -> Self {
        let [primary, backup, retired] = ["tat"; 3].map(generated::token);
        let store = Store::of(alice(&primary, &backup, &retired));
        let clock = Arc::new(ManualClock::new(at(1)));
        let entries = Entries::default();
        let events = entries.clone();
        let usage = UsageRecorder::with(Arc::clone(&store), Arc::clone(&clock), events);
        Self { primary, backup, retired, store, clock, usage, entries }
    }

    /// A layer that notes uses where this world collects them.
    pub(crate) fn layer(&self) -> TokenAuthLayer {
        TokenAuthLayer::new(Arc::clone(&self.store)).usage(self.usage.clone())
    }

    /// Uses a token through such a layer, at `seconds`.
    pub(crate) fn use_at(&self, seconds: u64, token: &str) -> u16 {
        self.clock.set(at(seconds));
        send(&self.layer(), get(token))
    }

    /// A flush that needs no waiting.
    pub(crate) fn flush(&self) {
        self.usage.flush().now_or_never().expect("ready").expect("written");
    }

    pub(crate) fn take_entries(&self) -> Vec<AuditEntry> {
        std::mem::take(&mut self.entries.0.lock().expect("no panic"))
    }
}

#[derive(Clone, Default)]
struct Entries(Arc<Mutex<Vec<AuditEntry>>>);

impl EventSink for Entries {
    fn record(&self, entry: &AuditEntry) {
        self.0.lock().expect("no panic").push(entry.clone());
    }
}

fn alice(primary: &str, backup: &str, retired: &str) -> Account {
    let retired = Retired::new(TokenId::from_u64(1), digest(retired), at(0), Ending::Deleted);
    Account::builder(UserId::new("alice").expect("a name"))
        .methods(MethodSet::new(["GET"]).expect("a method"))
        .primary(record(3, primary))
        .backup(record(2, backup))
        .retired([retired])
        .build()
        .expect("a sound account")
}

fn record(id: u64, token: &str) -> TokenRecord {
    TokenRecord::new(TokenId::from_u64(id), digest(token), TokenHint::unknown(), at(0))
}

fn digest(token: &str) -> StoredDigest {
    TokenScheme::default().digest(&Token::parse(token).expect("a token"))
}

pub(crate) fn at(seconds: u64) -> Timestamp {
    Timestamp::from_unix_millis(seconds * 1_000)
}

pub(crate) fn get(token: &str) -> Request<String> {
    let request = Request::get("/").header("authorization", format!("Bearer {token}"));
    request.body(String::new()).expect("a request")
}

/// The status that `layer` answers with, without waiting.
pub(crate) fn send(layer: &TokenAuthLayer, request: Request<String>) -> u16 {
    let handler = async |_: Request<String>| Ok::<_, std::convert::Infallible>(Response::new(()));
    let response = layer.layer(service_fn(handler)).oneshot(request).now_or_never();
    response.expect("ready").unwrap_or_else(|no| match no {}).status().as_u16()
}

/// Token and second of each use, sorted.
pub(crate) fn uses(batch: &[(UserId, LastUse)]) -> Vec<(u64, u64)> {
    assert!(batch.iter().all(|(user, _)| user.as_str() == "alice"));
    let of = |(_, last): &(UserId, LastUse)| (last.id.as_u64(), last.at.unix_millis() / 1_000);
    let mut uses: Vec<_> = batch.iter().map(of).collect();
    uses.sort_unstable();
    uses
}
