//! What `POST /revoke` takes for tokens that cannot end any more, and for those that
//! nobody has: as it is, when no two classes may differ, and for a control without its
//! least time, when the work of the store must show.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::stream::iter;
use futures_util::{FutureExt, StreamExt};
use http::Request;
use http_body_util::Full;
use tokio::runtime::Runtime;
use tower::{Service, ServiceExt};
use tower_api_token::TokenManager;
use tower_api_token::account::{Account, Ending, Retired, Revision};
use tower_api_token::audit::{AuditEntry, Event};
use tower_api_token::holder::HolderService;
use tower_api_token::manage::Confirmation;
use tower_api_token::method::MethodSet;
use tower_api_token::store::{AccountStore, MemoryStore, Replacement, SqliteStore};
use tower_api_token::time::Timestamp;
use tower_api_token::token::{PepperVersion, StoredDigest, Token, TokenId, TokenScheme};
use tower_api_token::user::{Actor, UserId};

use super::{differ, next};

/// How many tokens there are of each class.
const EACH: usize = 60_000;

/// Requests under way at any time where each waits for the least time.
const IN_FLIGHT: usize = 64;

/// Tokens of each user that were retired, and as many that their holder has ended.
const OF_A_USER: usize = 5;

const CLASSES: [&str; 3] = ["unknown", "retired", "ended"];

/// Whether no two classes differ on any store.
pub(crate) fn judge(runtime: &Runtime) -> bool {
    let directory = tempfile::tempdir().unwrap();
    let sqlite = SqliteStore::open(directory.path().join("tokens.db")).unwrap();
    runtime.block_on(sqlite.migrate()).unwrap();
    let tokens = Tokens::new();
    let in_memory = tokens.judge(runtime, "MemoryStore", MemoryStore::new());
    tokens.judge(runtime, "SqliteStore", sqlite) && in_memory
}

/// Tokens by class, in the order of `CLASSES`.
struct Tokens([Vec<String>; 3]);

/// A random token of the form that the crate generates.
fn token(random: &mut u64) -> String {
    const LETTERS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut text = String::from("tat_");
    text.extend((0..36).map(|_| char::from(LETTERS[next(random) as usize % 62])));
    let check_sum = u64::from(crc32fast::hash(text.as_bytes()));
    let digits = (0..6).rev().map(|place| check_sum / 62_u64.pow(place) % 62);
    text.extend(digits.map(|digit| char::from(LETTERS[digit as usize])));
    text
}

impl Tokens {
    fn new() -> Self {
        let mut random = 16;
        Self([(); 3].map(|()| (0..EACH).map(|_| token(&mut random)).collect()))
    }

    async fn fill(&self, store: &impl AccountStore) {
        let [_, retired, ended] = &self.0;
        let pairs = retired.chunks(OF_A_USER).zip(ended.chunks(OF_A_USER)).zip(0..);
        let accounts = pairs.map(|((retired, ended), number)| account(number, retired, ended));
        for result in store.replace_many(accounts.collect()).await.unwrap() {
            result.unwrap();
        }
    }

    fn judge<S: AccountStore>(&self, runtime: &Runtime, name: &str, store: S) -> bool {
        let store = Arc::new(store);
        let service = runtime.block_on(async {
            self.fill(&store).await;
            let manager = TokenManager::builder(store).confirmation(Confirmation::ByCaller);
            HolderService::new(manager.build().await.unwrap())
        });
        let service = service.rate_limit(NonZeroU32::MAX, Duration::ZERO);
        let order = self.shuffled();
        let waiting = runtime.block_on(time_waiting(&service, &order));
        let told = differ_in_pairs(name, "revoke", &order, &waiting);
        let at_once = time(service.least_time(Duration::ZERO), &order);
        let seen = differ_in_pairs(name, "control: revoke without a wait", &order, &at_once);
        let [unknown_and_retired, unknown_and_ended, _] = seen;
        !told.contains(&true) && unknown_and_retired && unknown_and_ended
    }

    /// All tokens, each with its class, in random order.
    fn shuffled(&self) -> Vec<(usize, &String)> {
        let all = self.0.iter().enumerate();
        let all = all.flat_map(|(class, tokens)| tokens.iter().map(move |token| (class, token)));
        let (mut all, mut random) = (all.collect::<Vec<_>>(), 17);
        for place in (1..all.len()).rev() {
            all.swap(place, next(&mut random) as usize % (place + 1));
        }
        all
    }
}

/// Whether two classes differ: unknown and retired, unknown and ended, retired and ended.
fn differ_in_pairs(
    store: &str,
    what: &str,
    order: &[(usize, &String)],
    times: &[f64],
) -> [bool; 3] {
    [(0, 1), (0, 2), (1, 2)].map(|(one, other)| {
        let both = order.iter().zip(times).filter(|((class, _), _)| [one, other].contains(class));
        let (first, both): (Vec<_>, Vec<_>) =
            both.map(|((class, _), time)| (*class == one, *time)).unzip();
        let classes = format!("{what}: {}, {}", CLASSES[one], CLASSES[other]);
        differ(store, &classes, &both, &first)
    })
}

/// An account without a live token.
fn account(number: usize, retired: &[String], ended: &[String]) -> Replacement {
    let (at, scheme) = (Timestamp::now(), TokenScheme::default());
    let retired = retired.iter().map(|token| (token, Ending::Deleted));
    let ended = ended.iter().map(|token| (token, Ending::Ended));
    let pair =
        |(place, (one, other))| if place % 2 == number % 2 { [one, other] } else { [other, one] };
    let all = retired.zip(ended).enumerate().flat_map(pair).zip(1..);
    let all = all.map(|((token, ending), id)| {
        let stored: StoredDigest = scheme.digest(&Token::parse(token).unwrap());
        assert_eq!(stored.pepper, PepperVersion::NONE);
        Retired::new(TokenId::from_u64(id), stored, at, ending)
    });
    let user = UserId::new(format!("user-{number:06}")).unwrap();
    let account = Account::builder(user.clone()).methods(MethodSet::new(["GET"]).unwrap());
    let account = account.revision(Revision::from_u64(1)).retired(all).build().unwrap();
    let (actor, id) = (Actor::program("bench").unwrap(), TokenId::from_u64(1));
    let entry = AuditEntry::new(user, account.revision(), at, actor, Event::TokenIssued { id });
    Replacement::new(account, None, entry)
}

fn request(token: &str) -> Request<Full<Bytes>> {
    let request = Request::post("/revoke");
    let request = request.header("content-type", "application/x-www-form-urlencoded");
    request.body(Full::from(format!("token={token}"))).unwrap()
}

/// How long each answer takes, in nanoseconds, where none waits.
fn time(mut service: HolderService, order: &[(usize, &String)]) -> Vec<f64> {
    let mut one = |(_, token): &(usize, &String)| {
        let request = request(token);
        let begun = Instant::now();
        let answer = service.call(request).now_or_never();
        let nanos = begun.elapsed().as_nanos() as f64;
        let answer = answer.expect("no store waits here").unwrap_or_else(|never| match never {});
        assert_eq!(answer.status(), 200);
        nanos
    };
    order.iter().map(&mut one).collect()
}

/// The same of many that wait at a time.
async fn time_waiting(service: &HolderService, order: &[(usize, &String)]) -> Vec<f64> {
    let one = |(_, token): &(usize, &String)| {
        let (service, request) = (service.clone(), request(token));
        async move {
            let begun = Instant::now();
            let answer = service.oneshot(request).await;
            let nanos = begun.elapsed().as_nanos() as f64;
            assert_eq!(answer.unwrap_or_else(|never| match never {}).status(), 200);
            nanos
        }
    };
    iter(order.iter().map(one)).buffered(IN_FLIGHT).collect().await
}
