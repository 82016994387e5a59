//! Cases: user ids are kept and compared byte by byte.

use super::Harness;
use super::sample::{NOW, change, digest, holder, user};
use super::subject::{Logged, Subject};
use crate::account::Account;
use crate::store::{AccountStore, AuditItem, AuditPosition, Change, Due, PageSize};
use crate::user::UserId;

/// Names that a database, a pattern, a key or a collation could take for one
/// another, or for something else.
const ODD: [&str; 66] = [
    "alice",
    "Alice",
    "ALICE",
    "alíce",
    "ali\u{301}ce",
    "alice ",
    " alice",
    "alice\u{a0}",
    "alice\u{200b}",
    "\u{feff}alice",
    "alice\u{ad}",
    "\u{202e}ecila",
    "ⓐlice",
    "\u{ff41}lice",
    "o'brien",
    "o''brien",
    "o\\'brien",
    "\"quoted\"",
    "`ticks`",
    "back\\slash",
    "back\\\\slash",
    "' OR '1'='1",
    "'; DROP TABLE accounts; --",
    "$1",
    "?1",
    ":name",
    "@name",
    "{alice}",
    "{}",
    "*",
    "?",
    "a*",
    "a?",
    "[a-z]",
    "a:b",
    "a::b",
    "a",
    "%",
    "100%",
    "_",
    "a_",
    "a%",
    "%s",
    "%00",
    "a/b",
    "../a",
    "a,b",
    "a;b",
    "a=b",
    "a|b",
    "a&b",
    "a b",
    "a  b",
    "null",
    "NULL",
    "0",
    "00",
    "-1",
    "1e3",
    "ß",
    "ss",
    "SS",
    "K",
    "\u{212a}",
    "k",
    "i\u{307}",
];

/// Names at the lengths at which something may change: 24 bytes are kept
/// inline, 255 are the most.
fn long() -> Vec<String> {
    let ascii = [23, 24, 25, 63, 64, 127, 128, 254, 255].map(|length| "n".repeat(length));
    let wide = ["é".repeat(127), "é".repeat(127) + "x", "日".repeat(85), "😀".repeat(63)];
    ascii.into_iter().chain(wide).collect()
}

fn all() -> Vec<String> {
    let others =
        ["İ", "ı", "ﬁ", "fi", "Å", "å", "A\u{30a}", "👩\u{200d}👧", "\u{10ffff}", "\u{fffd}"];
    ODD.into_iter().chain(others).map(String::from).chain(long()).collect()
}

/// Each name is a user of its own: never folded, normalised, trimmed, cut, or
/// taken for a pattern.
pub async fn every_name_is_a_user_of_its_own<H: Harness>(harness: &H) {
    let rule = "names are compared byte by byte: each is a user of its own";
    let subject = Subject::new(harness, rule).await;
    let accounts = filled(&subject).await;
    for (number, account) in (1..).zip(&accounts) {
        subject.rule.same(&subject.load(account.user()).await.as_ref(), &Some(account), "loading");
        subject.finds(&digest(number), Some(account), "finding").await;
    }
}

/// A list orders every name by its bytes.
pub async fn every_name_is_listed_in_byte_order<H: Harness>(harness: &H) {
    let subject = Subject::new(harness, "a list orders every name by its bytes").await;
    let mut accounts = filled(&subject).await;
    accounts.sort_by(|a, b| a.user().as_str().as_bytes().cmp(b.user().as_str().as_bytes()));
    for size in [1, 10, 1_000] {
        let listed = subject.list(PageSize::clamped(size)).await;
        subject.rule.same(&listed, &accounts, format_args!("the list by pages of {size}"));
    }
}

/// Each name has a history and uses of its own.
pub async fn every_name_has_a_history_and_uses_of_its_own<H: Harness>(harness: &H) {
    use crate::account::LastUse;
    use crate::token::TokenId;

    let subject = Subject::new(harness, "each name has a history and uses of its own").await;
    let accounts = filled(&subject).await;
    let used = |account: &Account| {
        let id = account.primary().map_or(TokenId::from_u64(0), |token| token.id);
        (account.user().clone(), LastUse::new(id, NOW, None))
    };
    let batch: Vec<_> = accounts.iter().map(used).collect();
    subject.rule.answered(subject.uses().record_usage(&batch).await, "recording uses");
    for (user, usage) in &batch {
        subject.rule.same(&subject.usage(user).await, &vec![usage.clone()], user);
        let history = subject.history(user).await;
        let own = |entry: &crate::audit::AuditEntry| entry.user == *user;
        subject.rule.holds(history.len() == 1 && history.iter().all(own), user);
    }
}

/// Each name reaches the feed as it is.
pub async fn every_name_reaches_the_feed<H: Harness>(harness: &H) {
    let subject = Subject::new(harness, "each name reaches the feed as it is").await;
    let mut watch = subject.watch().await;
    for account in filled(&subject).await {
        let change = watch.change().await;
        let digests: Vec<_> = account.digests().map(|stored| stored.digest).collect();
        let expected = Change::new(account.user().clone(), account.revision(), digests);
        subject.rule.same(&change, &expected, account.user());
    }
}

/// Each name is in the audit log as it is.
pub async fn every_name_is_in_the_audit_log<H: Harness>(harness: &H) {
    let subject = Subject::new(harness, "each name is in the audit log as it is").await;
    let accounts = filled(&subject).await;
    let entry = |(_, item): &Logged| match item {
        AuditItem::Entry(entry) => Some(entry.user.clone()),
        AuditItem::Erased(_) | AuditItem::Unreadable { .. } => None,
    };
    let seen: Vec<_> =
        subject.log_after(AuditPosition::START, 10).await.iter().filter_map(entry).collect();
    let expected = accounts.iter().map(|account| account.user().clone()).collect();
    subject.rule.same(&sorted(seen), &sorted(expected), "the users of the log");
}

/// Each name is due by itself, and those of one time in the order of their bytes.
pub async fn every_name_is_due<H: Harness>(harness: &H) {
    let subject = Subject::new(harness, "each name is due by itself, in byte order").await;
    let accounts = filled(&subject).await;
    for account in &accounts {
        let next = Account { revision: account.revision().next(), ..account.clone() };
        subject.replace(change(next).with_due(Some(NOW))).await;
    }
    let users = sorted(accounts.iter().map(|account| account.user().clone()).collect());
    let expected = users.into_iter().map(|user| Due::new(NOW, user)).collect();
    for size in [1, 10, 1_000] {
        let due = subject.due_until(NOW, size).await;
        subject.rule.same(&due, &expected, format_args!("by pages of {size}"));
    }
}

/// The names in the order of their bytes.
fn sorted(mut users: Vec<UserId>) -> Vec<UserId> {
    users.sort_by(|a, b| a.as_str().as_bytes().cmp(b.as_str().as_bytes()));
    users
}

/// Creates an account for every name.
async fn filled<S: AccountStore>(subject: &Subject<S>) -> Vec<Account> {
    let accounts = (1..).zip(all()).map(|(number, name)| holder(user(&name).as_str(), 1, number));
    let accounts: Vec<_> = accounts.collect();
    for account in &accounts {
        subject.replace(change(account.clone())).await;
    }
    accounts
}
