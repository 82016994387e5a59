//! Ten thousand users whose tokens come to their ends, and what each is to be told.

use std::time::Duration;

use tower_api_token::account::{Account, Expiry, Revision, TokenRecord};
use tower_api_token::audit::{AuditEntry, Event};
use tower_api_token::method::MethodSet;
use tower_api_token::store::{AccountStore, Replacement};
use tower_api_token::time::Timestamp;
use tower_api_token::token::{PepperVersion, StoredDigest, TokenDigest, TokenHint, TokenId};
use tower_api_token::user::{Actor, UserId};

use super::{STEP, STEPS};

pub(crate) const USERS: u32 = 10_000;

const DAY: Duration = Duration::from_secs(86_400);

/// The notices of the usual policy.
const NOTICES: [Duration; 3] =
    [DAY.saturating_mul(30), DAY.saturating_mul(7), DAY.saturating_mul(1)];

pub(crate) fn name(number: u32) -> String {
    format!("user-{number:05}")
}

/// How long the user's token lives from the start on. Something is due of each within
/// the simulated days: the first notice, or the second, or the last, and of some more.
fn lifetime(number: u32) -> Duration {
    let notice = NOTICES[number as usize % NOTICES.len()];
    notice + STEP * STEPS as u32 * (number + 1) / (USERS + 1)
}

/// The notices that the user is to be given within the simulated days, and whether the
/// token comes to its end.
pub(crate) fn expected(number: u32) -> (Vec<Duration>, bool) {
    let (lifetime, last) = (lifetime(number), STEP * STEPS as u32);
    let is_given = |notice: &Duration| lifetime.checked_sub(*notice).is_some_and(|at| at <= last);
    (NOTICES.into_iter().filter(is_given).collect(), lifetime <= last)
}

/// Keeps all of them, as if they had been given their tokens at `start`.
pub(crate) async fn keep(store: &dyn AccountStore, start: Timestamp) {
    let all: Vec<_> = (0..USERS).collect();
    for numbers in all.chunks(1_000) {
        let changes = numbers.iter().map(|number| first(*number, start)).collect();
        for kept in store.replace_many(changes).await.unwrap() {
            kept.unwrap();
        }
    }
}

fn first(number: u32, start: Timestamp) -> Replacement {
    let user = UserId::new(name(number)).unwrap();
    let mut digest = [0xd1; 32];
    digest[..4].copy_from_slice(&number.to_be_bytes());
    let digest = StoredDigest::new(TokenDigest::from_bytes(digest), PepperVersion::NONE);
    let (id, hint) = (TokenId::from_u64(1), TokenHint::unknown());
    let mut token = TokenRecord::new(id, digest, hint, start);
    let end = start + lifetime(number);
    let too_late = NOTICES.into_iter().filter(|notice| *notice > lifetime(number));
    let mut expiry = Expiry::default();
    (expiry.of_lifetime, expiry.notices_done) = (Some(end), too_late.min());
    (token.expires_at, token.expiry) = (Some(end), Some(Box::new(expiry)));
    let account = Account::builder(user.clone()).revision(Revision::from_u64(1));
    let account = account.methods(MethodSet::new(["GET"]).unwrap()).primary(token);
    let event = Event::TokenIssued { id };
    let entry = AuditEntry::new(user, Revision::from_u64(1), start, Actor::User, event);
    Replacement::new(account.build().unwrap(), None, entry)
}
