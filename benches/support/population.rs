//! Users and their tokens, the same in every run.

use tower_api_token::account::{Account, TokenRecord};
use tower_api_token::method::MethodSet;
use tower_api_token::store::MemoryStore;
use tower_api_token::time::Timestamp;
use tower_api_token::token::{StoredDigest, Token, TokenHint, TokenId, TokenScheme};
use tower_api_token::user::UserId;

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// What is added to a user's number for the number of their backup token.
pub(crate) const BACKUP: u64 = 1 << 40;

/// The methods that every user may perform.
pub(crate) const METHODS: [&str; 3] = ["GET", "POST", "PUT"];

/// A fixed sequence of numbers that look random (SplitMix64).
pub(crate) struct Sequence(u64);

impl Sequence {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) const fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}

/// The text of token `number`, in the form that the crate generates. It is
/// computed and not kept, so that ten million of them take no memory.
pub(crate) fn token(number: u64) -> String {
    let mut sequence = Sequence::new(number.wrapping_mul(0xd6e8_feb8_6659_fd93));
    let mut text = String::with_capacity(46);
    text.push_str("tat_");
    text.extend((0..36).map(|_| char::from(ALPHABET[sequence.below(62) as usize])));
    let check_sum = u64::from(crc32fast::hash(text.as_bytes()));
    let digits = (0..6).rev().map(|place| check_sum / 62_u64.pow(place) % 62);
    text.extend(digits.map(|digit| char::from(ALPHABET[digit as usize])));
    text
}

/// The digest under which the crate's default configuration stores a token.
pub(crate) fn digest(token: &str) -> StoredDigest {
    TokenScheme::default().digest(&Token::parse(token).expect("a well-formed token"))
}

pub(crate) fn user(number: u64) -> String {
    format!("user-{number:08}")
}

/// An account with a primary and, if asked for, a backup.
pub(crate) fn account(number: u64, with_backup: bool) -> Account {
    let record = |id, number| {
        let text = token(number);
        let hint = TokenHint::from_stored(&format!("tat_...{}", &text[42..]));
        let made_at = Timestamp::from_unix_millis(1_800_000_000_000);
        TokenRecord::new(TokenId::from_u64(id), digest(&text), hint, made_at)
    };
    let methods = MethodSet::new(METHODS).expect("standard methods");
    let account = Account::builder(UserId::new(user(number)).expect("a short name"))
        .methods(methods)
        .primary(record(2, number));
    let account = if with_backup { account.backup(record(1, number + BACKUP)) } else { account };
    account.build().expect("a sound account")
}

/// A store with `users` accounts.
pub(crate) fn memory_store(users: u64, with_backups: bool) -> MemoryStore {
    let store = MemoryStore::new();
    for number in 0..users {
        store.insert(account(number, with_backups)).expect("accounts of their own");
    }
    store
}
