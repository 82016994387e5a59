//! Whether the time that a refusal takes tells which tokens exist (case
//! store-038).
//!
//! ```text
//! cargo bench --features sqlite --bench timing
//! ```
//!
//! Two classes of tokens that nobody has: those whose digest begins with the
//! same two bytes as one that a store has, and those whose does not. Both are
//! asked for in random order, and Welch's t says whether their times differ;
//! beyond 5 they do. It counts after cropping, since the slowest times are the
//! system's. As a control the same is done with live tokens, which must differ.
//!
//! A statistic is no unit test; that every refusal asks the store for as much
//! as any other is one (`store_038_...` in `tests/layer/uniform.rs`).

use std::hint::black_box;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use futures_util::FutureExt;
use http::Request;
use http::request::Parts;
use tower_api_token::account::{Account, Revision, TokenRecord};
use tower_api_token::audit::{AuditEntry, Event};
use tower_api_token::authenticate::Authenticator;
use tower_api_token::identity::{Actor, UserId};
use tower_api_token::method::MethodSet;
use tower_api_token::store::{AccountStore, MemoryStore, Replacement, SqliteStore, TokenStore};
use tower_api_token::time::Timestamp;
use tower_api_token::token::{Token, TokenHint, TokenId, TokenScheme};

/// How many tokens exist: a quarter of all beginnings are taken.
const ACCOUNTS: u32 = 20_000;

/// How many requests of each class.
const REQUESTS: usize = 100_000;

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
    println!("| store | classes | t of all | of 99 % | of 90 % | of 50 % |");
    println!("|---|---|---|---|---|---|");
    let mut holds = true;
    holds &= world.judge("MemoryStore", Arc::new(memory));
    holds &= world.judge("SqliteStore", Arc::new(sqlite));
    println!("{}", if holds { "no class of refusals can be told" } else { "does not hold" });
    if holds { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Tokens that exist, and tokens that do not.
struct World {
    scheme: TokenScheme,
    live: Vec<String>,
    beginning_as_one: Vec<String>,
    beginning_as_none: Vec<String>,
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
        let scheme = TokenScheme::default().accept_foreign_tokens(true);
        let mut random = 2_026;
        let live: Vec<_> = (0..ACCOUNTS).map(|_| token(&mut random)).collect();
        let mut taken = vec![false; 1 << 16];
        for token in &live {
            taken[beginning(&scheme, token)] = true;
        }
        let (mut beginning_as_one, mut beginning_as_none) = (Vec::new(), Vec::new());
        while beginning_as_one.len().min(beginning_as_none.len()) < REQUESTS {
            let token = token(&mut random);
            match taken[beginning(&scheme, &token)] {
                true => beginning_as_one.push(token),
                false => beginning_as_none.push(token),
            }
        }
        Self { scheme, live, beginning_as_one, beginning_as_none }
    }

    async fn fill(&self, store: &impl AccountStore) {
        let accounts: Vec<_> = self.live.iter().zip(0..).map(|it| self.account(it)).collect();
        for result in store.replace_many(accounts).await.unwrap() {
            result.unwrap();
        }
    }

    fn account(&self, (token, number): (&String, u32)) -> Replacement {
        let (id, at) = (TokenId::from_u64(1), Timestamp::default());
        let digest = self.scheme.digest(&Token::parse(token).unwrap());
        let account = Account::builder(UserId::new(format!("user-{number}")).unwrap());
        let account =
            account.methods(MethodSet::new(["GET"]).unwrap()).revision(Revision::from_u64(1));
        let account = account.primary(TokenRecord::new(id, digest, TokenHint::unknown(), at));
        let account = account.build().unwrap();
        let (user, actor) = (account.user().clone(), Actor::program("bench").unwrap());
        let entry = AuditEntry::new(user, account.revision(), at, actor, Event::TokenIssued { id });
        Replacement::new(account, None, entry)
    }

    /// Whether no class of refusals differs, and the control does.
    fn judge(&self, name: &str, store: Arc<dyn TokenStore>) -> bool {
        let authenticator = Authenticator::new(store).scheme(self.scheme.clone());
        let [one, none] = [&self.beginning_as_one, &self.beginning_as_none];
        let unknown = compare(&authenticator, one, none);
        print(name, "begins as one that exists, as none", &unknown);
        let control = compare(&authenticator, &self.live, none);
        print(name, "control: lives, does not", &control);
        let seen = |ts: &[f64]| ts[1..].iter().any(|t| t.abs() >= BOUND);
        if !seen(&control) {
            println!("the control does not differ: nothing can be seen here");
        }
        !seen(&unknown) && seen(&control)
    }
}

/// The first two bytes of the token's digest.
fn beginning(scheme: &TokenScheme, token: &str) -> usize {
    let digest = scheme.digest(&Token::parse(token).unwrap()).digest;
    usize::from(u16::from_be_bytes([digest.as_bytes()[0], digest.as_bytes()[1]]))
}

fn print(store: &str, classes: &str, ts: &[f64]) {
    let ts: Vec<_> = ts.iter().map(|t| format!("{t:.1}")).collect();
    println!("| {store} | {classes} | {} |", ts.join(" | "));
}

/// Welch's t between the times of two classes, for each crop.
fn compare(authenticator: &Authenticator, one: &[String], other: &[String]) -> Vec<f64> {
    let mut times = [Vec::with_capacity(REQUESTS), Vec::with_capacity(REQUESTS)];
    let (mut random, mut asked) = (7, [0; 2]);
    while asked[0].min(asked[1]) < REQUESTS {
        let class = (next(&mut random) & 1) as usize;
        let tokens = [one, other][class];
        let mut request = request(&tokens[asked[class] % tokens.len()]);
        asked[class] += 1;
        let begun = Instant::now();
        let answer = authenticator.authenticate(&mut request).now_or_never();
        let nanos = begun.elapsed().as_nanos() as f64;
        black_box(answer.expect("no store waits here").is_ok());
        times[class].push(nanos);
    }
    let mut all: Vec<_> = times.iter().flatten().copied().collect();
    all.sort_by(f64::total_cmp);
    let crop = |share: f64| {
        let most = all[((all.len() - 1) as f64 * share) as usize];
        let [one, other] = times.each_ref().map(|times| {
            let kept = times.iter().copied().filter(|time| *time <= most);
            spread(&kept.collect::<Vec<_>>())
        });
        (one.0 - other.0) / (one.1 + other.1).sqrt()
    };
    CROPS.map(crop).to_vec()
}

/// The mean, and the variance of the mean.
fn spread(values: &[f64]) -> (f64, f64) {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let squares = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>();
    (mean, squares / (count - 1.0) / count)
}

fn request(token: &str) -> Parts {
    let request = Request::get("/items").header("authorization", format!("Bearer {token}"));
    request.body(()).unwrap().into_parts().0
}
