//! A flood of strings that look like tokens and are none.
//!
//! Each has a valid check sum, so that the layer cannot refuse it before the
//! store is asked. There are a million of them, ten seconds' worth at 100 000 a
//! second. And a flood of them where whoever holds a token may end it, from as many
//! addresses as there are strings. A program of its own, since the memory of the whole
//! process is measured; one test after the other, for the same reason.

#[expect(dead_code, reason = "this test needs less of it")]
#[path = "stores/cached/link.rs"]
mod link;

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::Request;
use http::request::Parts;
use http_body_util::Full;
use sha2::{Digest, Sha256};
use tokio::sync::Mutex;
use tower::ServiceExt;
use tower_api_token::TokenManager;
use tower_api_token::account::{Account, TokenRecord};
use tower_api_token::authenticate::Authenticator;
use tower_api_token::denial::DenialKind;
use tower_api_token::holder::HolderService;
use tower_api_token::manage::Confirmation;
use tower_api_token::method::MethodSet;
use tower_api_token::store::{CacheOptions, CachedStore, MemoryStore};
use tower_api_token::test_util::ManualClock;
use tower_api_token::time::Timestamp;
use tower_api_token::token::{PepperVersion, StoredDigest, TokenDigest, TokenHint, TokenId};
use tower_api_token::user::UserId;

use self::link::Link;

const STRINGS: u64 = 1_000_000;
const LIVE: u64 = 1_000;

/// What the remembered negative entries may take: 10 000 at 100 bytes each, and as
/// much again for the allocator's own.
const BOUND: usize = 2 << 20;

const LETTERS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// The number in base 62.
fn letters<const N: usize>(mut number: u64) -> [u8; N] {
    let mut letters = [b'0'; N];
    for letter in letters.iter_mut().rev() {
        *letter = LETTERS[(number % 62) as usize];
        number /= 62;
    }
    letters
}

/// The token of that number, in the generated form.
fn token(number: u64) -> String {
    let mut token = b"tat_".to_vec();
    token.extend(letters::<36>(number.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
    token.extend(letters::<6>(u64::from(crc32fast::hash(&token))));
    String::from_utf8(token).unwrap()
}

fn holder(number: u64) -> Account {
    let digest = TokenDigest::from_bytes(Sha256::digest(token(number)).into());
    let stored = StoredDigest::new(digest, PepperVersion::NONE);
    let hint = TokenHint::from_stored("tat_...x7Qz");
    let record = TokenRecord::new(TokenId::from_u64(1), stored, hint, Timestamp::default());
    let user = UserId::new(format!("user-{number}")).unwrap();
    let methods = MethodSet::new(["GET"]).unwrap();
    Account::builder(user).methods(methods).primary(record).build().unwrap()
}

fn request(token: &str) -> Parts {
    let request = http::Request::get("/").header("authorization", format!("Bearer {token}"));
    request.body(()).unwrap().into_parts().0
}

/// Bytes of this process in memory.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1_024
}

struct Flooded {
    layer: Authenticator,
    cache: Arc<CachedStore<Link>>,
    link: Link,
}

impl Flooded {
    /// A node whose clock of trust stands still, so that only a want of room can
    /// end an entry.
    async fn start(negative_entries: usize) -> Self {
        let store = MemoryStore::new();
        for number in 0..LIVE {
            store.insert(holder(number)).unwrap();
        }
        let link = Link::to(Arc::new(store));
        let options =
            CacheOptions::new().accounts(2 * LIVE as usize).negative_entries(negative_entries);
        let options = options.clock(ManualClock::default());
        let cache = Arc::new(CachedStore::start(link.clone(), options).unwrap());
        while !cache.is_trusted() {
            tokio::task::yield_now().await;
        }
        let node = Self { layer: Authenticator::new(Arc::clone(&cache)), cache, link };
        node.use_all().await;
        node
    }

    /// Uses every live token once.
    async fn use_all(&self) {
        for number in 0..LIVE {
            let identity = self.layer.authenticate(&mut request(&token(number))).await;
            assert!(identity.unwrap().is_some());
        }
    }

    /// Asks for each string, and now and then for a live token.
    async fn flood(&self, strings: &[String]) -> Duration {
        let start = Instant::now();
        for (place, string) in strings.iter().enumerate() {
            let denial = self.layer.authenticate(&mut request(string)).await.unwrap_err();
            assert_eq!(denial.kind(), DenialKind::InvalidToken);
            if place % 1_000 == 0 {
                let live = token(place as u64 / 1_000 % LIVE);
                self.layer.authenticate(&mut request(&live)).await.unwrap();
            }
        }
        start.elapsed()
    }
}

/// By how much the process grows in a flood.
async fn growth(node: &Flooded, strings: &[String]) -> usize {
    let before = resident();
    let took = node.flood(strings).await;
    let grown = resident().saturating_sub(before);
    let rate = strings.len() as f64 / took.as_secs_f64();
    println!("{} strings, {rate:.0} a second, {grown} bytes more", strings.len());
    grown
}

/// Held by the test that measures.
static MEASURING: Mutex<()> = Mutex::const_new(());

#[tokio::test]
async fn a_flood_of_unknown_strings_takes_bounded_memory_and_no_live_tokens_place() {
    let _measuring = MEASURING.lock().await;
    let strings: Vec<_> = (LIVE..LIVE + STRINGS).map(token).collect();
    let node = Flooded::start(10_000).await;
    // What the process needs for the first requests is not the flood's.
    node.flood(&strings[..20_000]).await;
    let grown = growth(&node, &strings[20_000..]).await;
    assert!(grown <= BOUND, "{grown} bytes");
    assert_eq!(node.link.finds() as u64, LIVE + STRINGS, "no string was ever asked twice");
    node.use_all().await;
    assert_eq!(node.link.finds() as u64, LIVE + STRINGS, "every live token has kept its place");
    assert_eq!(node.cache.statistics().entries, LIVE);

    // The same with room for all of them shows that the measure measures.
    let roomy = Flooded::start(STRINGS as usize).await;
    let grown = growth(&roomy, &strings[..strings.len() / 2]).await;
    assert!(grown > BOUND, "{grown} bytes");
}

/// How many of the strings reach those paths, each from a network of its own.
const ADDRESSES: u64 = 20_000;

/// What the limits of 4 096 addresses may take, and what else a request leaves behind.
const BOUND_OF_LIMITS: usize = 1 << 20;

/// An address in the network of that number.
fn address(number: u64) -> IpAddr {
    IpAddr::V6(Ipv6Addr::from_bits(0x2001_0db8 << 96 | u128::from(number) << 64))
}

/// Asks the service what the string is, or that it ends, from that address.
async fn present(service: &HolderService, string: &str, from: IpAddr, place: usize) -> u16 {
    let request = if place.is_multiple_of(2) {
        let form = Request::post("/revoke");
        form.header("content-type", "application/x-www-form-urlencoded")
            .body(Full::from(format!("token={string}")))
    } else {
        let question = Request::get("/token").header("authorization", format!("Bearer {string}"));
        question.body(Full::default())
    };
    let mut request = request.unwrap();
    request.extensions_mut().insert(from);
    service.clone().oneshot(request).await.unwrap().status().as_u16()
}

#[tokio::test]
async fn a_flood_where_tokens_are_ended_takes_bounded_memory_and_the_limits_look_ups() {
    let _measuring = MEASURING.lock().await;
    let link = Link::to(Arc::new(MemoryStore::new()));
    let manager = TokenManager::builder(link.clone()).confirmation(Confirmation::ByCaller);
    let manager = manager.build().await.unwrap();
    let service = HolderService::new(manager)
        .address_of(|request| request.extensions.get().copied())
        .rate_limit(3.try_into().unwrap(), Duration::from_secs(86_400))
        .least_time(Duration::ZERO);
    let strings: Vec<_> = (0..ADDRESSES).map(token).collect();
    let one = address(ADDRESSES);
    for (place, string) in strings.iter().enumerate().take(6_000) {
        let status = present(&service, string, one, place).await;
        assert!(place >= 3 || [200, 401].contains(&status), "{status}");
        assert!(place < 3 || status == 429, "{status}");
    }
    assert_eq!(link.finds(), 3, "one address, three look-ups");

    for (place, string) in strings.iter().enumerate().take(6_000) {
        present(&service, string, address(place as u64), place).await;
    }
    let (before, finds) = (resident(), link.finds());
    for (place, string) in strings.iter().enumerate().skip(6_000) {
        // With another check sum it is none of this system, and no store is asked.
        let (damaged, from) = (&string[..string.len() - 1], address(place as u64));
        assert_ne!(present(&service, damaged, from, place).await, 429);
        assert_ne!(present(&service, string, from, place).await, 429);
    }
    let grown = resident().saturating_sub(before);
    println!("{ADDRESSES} addresses, {grown} bytes more");
    assert!(grown <= BOUND_OF_LIMITS, "{grown} bytes");
    assert_eq!(link.finds() - finds, strings.len() - 6_000);
    assert_eq!(present(&service, &strings[0], one, 0).await, 429, "who asked most is remembered");

    // What it would take to remember all of them shows that the measure measures.
    let before = resident();
    let all: HashMap<_, _> = (0..ADDRESSES).map(|it| (address(it), Instant::now())).collect();
    let grown = resident().saturating_sub(before);
    assert!(grown > BOUND_OF_LIMITS, "{grown} bytes for {}", all.len());
}
