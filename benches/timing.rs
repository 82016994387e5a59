//! Whether the time that a refusal takes tells which tokens exist (case
//! store-038).
//!
//! ```text
//! cargo bench --features holder,sqlite --bench timing
//! ```
//!
//! Tokens that nobody has are asked for. Welch's t says whether the time of one
//! whose digest begins with the same two bytes as one that the store has differs
//! from the time of another; beyond 5 it does. It counts after cropping, since
//! the slowest times are the system's. Half of all beginnings are taken: which
//! class a token is in is a coin's toss, and each is asked for once, from one
//! piece of memory in random order, so that the classes differ in nothing else.
//!
//! Two controls: the same times, divided by the beginnings of as many tokens
//! that no store has, must not differ, and those of live tokens must. What a
//! live token behind the name of another user takes, which the store finds, is
//! told for information.
//!
//! The same where whoever holds a token ends it: what `POST /revoke` takes for tokens
//! that nobody has, for those that were retired, and for those that a holder has ended.
//!
//! A statistic is no unit test; that every refusal asks the store for as much
//! as any other is one (`store_038_...` in `tests/requests/layer/uniform.rs`).

#[path = "timing/revoke.rs"]
mod revoke;

use std::hint::black_box;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::FutureExt;
use http::Request;
use tower_api_token::account::{Account, Revision, TokenRecord};
use tower_api_token::audit::{AuditEntry, Event};
use tower_api_token::authenticate::Authenticator;
use tower_api_token::credentials::CredentialSource;
use tower_api_token::method::MethodSet;
use tower_api_token::store::{AccountStore, MemoryStore, Replacement, SqliteStore, TokenStore};
use tower_api_token::time::Timestamp;
use tower_api_token::token::{Token, TokenHint, TokenId, TokenScheme};
use tower_api_token::user::{Actor, UserId};

/// How many tokens exist: 65 536 beginnings, of which these leave half free.
const ACCOUNTS: usize = 45_426;

/// How many requests: half as many of each class.
const REQUESTS: usize = 200_000;

/// Beyond it two classes differ.
const BOUND: f64 = 5.0;

/// What share of the times is kept.
const CROPS: [f64; 4] = [1.0, 0.99, 0.9, 0.5];

fn main() -> ExitCode {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let _entered = runtime.enter();
    let directory = tempfile::tempdir().unwrap();
    let world = World::new();
    let memory = MemoryStore::new();
    let sqlite = SqliteStore::open(directory.path().join("tokens.db")).unwrap();
    runtime.block_on(sqlite.migrate()).unwrap();
    runtime.block_on(world.fill(&memory));
    runtime.block_on(world.fill(&sqlite));
    println!("| store | classes | t of all | of 99 % | of 90 % | of 50 % | apart, ns |");
    println!("|---|---|---|---|---|---|---|");
    let mut holds = true;
    holds &= world.judge("MemoryStore", Arc::new(memory));
    holds &= world.judge("SqliteStore", Arc::new(sqlite));
    holds &= revoke::judge(&runtime);
    println!("{}", if holds { "no class of refusals can be told" } else { "does not hold" });
    if holds { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Tokens that exist, and tokens that do not.
struct World {
    scheme: TokenScheme,
    live: Vec<String>,
    /// As many that no store has.
    elsewhere: Vec<String>,
    unknown: Vec<String>,
}

/// A random token of the standard form, without the check sum: foreign ones are
/// accepted here.
fn token(random: &mut u64) -> String {
    let letters = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let letters = (0..36).map(|_| char::from(letters[next(random) as usize % letters.len()]));
    format!("rest_{}", letters.collect::<String>())
}

/// splitmix64.
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

impl World {
    fn new() -> Self {
        let mut random = 2_026;
        let mut tokens = |count| (0..count).map(|_| token(&mut random)).collect();
        Self {
            scheme: TokenScheme::default().accept_foreign_tokens(true),
            live: tokens(ACCOUNTS),
            elsewhere: tokens(ACCOUNTS),
            unknown: tokens(REQUESTS),
        }
    }

    async fn fill(&self, store: &impl AccountStore) {
        let accounts: Vec<_> = self.live.iter().zip(0..).map(|it| self.account(it)).collect();
        for result in store.replace_many(accounts).await.unwrap() {
            result.unwrap();
        }
    }

    fn account(&self, (token, number): (&String, usize)) -> Replacement {
        let (id, at) = (TokenId::from_u64(1), Timestamp::default());
        let digest = self.scheme.digest(&Token::parse(token).unwrap());
        let account = Account::builder(UserId::new(user(number)).unwrap());
        let account =
            account.methods(MethodSet::new(["GET"]).unwrap()).revision(Revision::from_u64(1));
        let account = account.primary(TokenRecord::new(id, digest, TokenHint::unknown(), at));
        let account = account.build().unwrap();
        let (user, actor) = (account.user().clone(), Actor::program("bench").unwrap());
        let entry = AuditEntry::new(user, account.revision(), at, actor, Event::TokenIssued { id });
        Replacement::new(account, None, entry)
    }

    /// Whether the classes of refusals do not differ and both controls are as
    /// they must be.
    fn judge(&self, name: &str, store: Arc<dyn TokenStore>) -> bool {
        let authenticator = Authenticator::new(store).scheme(self.scheme.clone());
        let times = time(&authenticator, self.unknown.iter().map(bearer));
        let (one, other) = (self.begin_as(&self.live), self.begin_as(&self.elsewhere));
        let told = differ(name, "begins as one that exists, as none", &times, &one);
        let chance = differ(name, "control: as one elsewhere, as none", &times, &other);

        let mut random = 7;
        let live: Vec<_> = (0..REQUESTS).map(|_| next(&mut random) & 1 == 0).collect();
        let tokens: Vec<_> = (0..REQUESTS).map(|place| self.either(place, live[place])).collect();
        let times = time(&authenticator, tokens.iter().copied().map(bearer));
        let seen = differ(name, "control: lives, does not", &times, &live);

        let authenticator = authenticator.sources([CredentialSource::Basic]);
        let of_others = tokens.iter().zip(1..).map(|(token, number)| basic(&user(number), token));
        let times = time(&authenticator, of_others);
        differ(name, "lives, but for another user; does not", &times, &live);
        !told && !chance && seen
    }

    /// Of each unknown token, whether its digest begins as that of one of these.
    fn begin_as(&self, tokens: &[String]) -> Vec<bool> {
        let mut taken = vec![false; 1 << 16];
        for token in tokens {
            taken[self.beginning(token)] = true;
        }
        self.unknown.iter().map(|token| taken[self.beginning(token)]).collect()
    }

    /// The first two bytes of the token's digest.
    fn beginning(&self, token: &str) -> usize {
        let digest = self.scheme.digest(&Token::parse(token).unwrap()).digest;
        usize::from(u16::from_be_bytes([digest.as_bytes()[0], digest.as_bytes()[1]]))
    }

    fn either(&self, place: usize, live: bool) -> &String {
        if live { &self.live[place % ACCOUNTS] } else { &self.unknown[place] }
    }
}

fn user(number: usize) -> String {
    format!("user-{number:06}")
}

fn bearer(token: &String) -> String {
    format!("Bearer {token}")
}

fn basic(user: &str, token: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{token}")))
}

/// How long the decision on each of these credentials takes, in nanoseconds.
fn time(authenticator: &Authenticator, credentials: impl Iterator<Item = String>) -> Vec<f64> {
    let mut credentials = credentials.peekable();
    let length = credentials.peek().unwrap().len();
    let all = credentials.collect::<String>();
    let one = |credential| {
        let request = Request::get("/items").header("authorization", credential);
        let mut request = request.body(()).unwrap().into_parts().0;
        let begun = Instant::now();
        let answer = authenticator.authenticate(&mut request).now_or_never();
        let nanos = begun.elapsed().as_nanos() as f64;
        black_box(answer.expect("no store waits here").is_ok());
        nanos
    };
    all.as_bytes().chunks_exact(length).map(one).collect()
}

/// Whether the times of two classes differ after cropping.
fn differ(store: &str, classes: &str, times: &[f64], first: &[bool]) -> bool {
    let apart = CROPS.map(|share| welch(times, first, share));
    let ts: Vec<_> = apart.iter().map(|(t, _)| format!("{t:.1}")).collect();
    println!("| {store} | {classes} | {} | {:.1} |", ts.join(" | "), apart[2].1);
    apart[1..].iter().any(|(t, _)| t.abs() >= BOUND)
}

/// Welch's t between the times of two classes, of which that share is kept, and
/// how many nanoseconds lie between their means.
fn welch(times: &[f64], first: &[bool], share: f64) -> (f64, f64) {
    let mut sorted = times.to_vec();
    sorted.sort_by(f64::total_cmp);
    let most = sorted[((sorted.len() - 1) as f64 * share) as usize];
    let [one, other] = [true, false].map(|class| {
        let kept =
            times.iter().zip(first).filter(|(time, first)| **time <= most && **first == class);
        spread(&kept.map(|(time, _)| *time).collect::<Vec<_>>())
    });
    let apart = one.0 - other.0;
    (apart / (one.1 + other.1).sqrt(), apart)
}

/// The mean, and the variance of the mean.
fn spread(values: &[f64]) -> (f64, f64) {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let squares = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>();
    (mean, squares / (count - 1.0) / count)
}
