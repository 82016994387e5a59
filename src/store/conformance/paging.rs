//! Cases: listing the accounts, a page at a time.

use super::Harness;
use super::sample::{change, holder, user};
use super::subject::Subject;
use crate::account::Account;
use crate::store::{AccountStore, PageSize};

const SIZES: [usize; 8] = [1, 2, 3, 7, 22, 23, 24, 1_000];

/// The pages of a list give every account once, in the byte order of the user
/// ids, whatever their size.
pub async fn a_list_is_complete_and_in_byte_order<H: Harness>(harness: &H) {
    let rule = "the pages of a list give every account once, in the byte order of user ids";
    let subject = Subject::new(harness, rule).await;
    let accounts = filled(&subject).await;
    for size in SIZES {
        let listed = subject.list(PageSize::clamped(size)).await;
        subject.rule.same(&listed, &accounts, format_args!("the list by pages of {size}"));
    }
}

/// A page says where to go on if, and only if, more accounts follow.
pub async fn a_page_says_whether_more_follow<H: Harness>(harness: &H) {
    let rule = "a page says where to go on if, and only if, more accounts follow";
    let subject = Subject::new(harness, rule).await;
    let page = subject.store.list(None, PageSize::clamped(1)).await;
    let page = subject.rule.answered(page, "listing an empty store");
    subject.rule.holds(page.items.is_empty() && page.next.is_none(), "an empty store has more");
    let accounts = filled(&subject).await;
    for size in SIZES {
        let page = subject.store.list(None, PageSize::clamped(size)).await;
        let page = subject.rule.answered(page, "listing the first page");
        let last = &accounts[size.min(accounts.len()) - 1];
        let next = (size < accounts.len()).then(|| last.user().clone());
        subject.rule.same(&page.next, &next, format_args!("after a page of {size}"));
    }
}

/// A list goes on after any name, whether or not it is a user's.
pub async fn a_list_goes_on_after_any_name<H: Harness>(harness: &H) {
    let rule = "a list goes on after any name, whether or not it is a user's";
    let subject = Subject::new(harness, rule).await;
    let accounts = filled(&subject).await;
    for name in ["0", "user 04", "user 04 and a half", "user 05", "v", "\u{10ffff}"] {
        let page = subject.store.list(Some(&user(name)), PageSize::MAX).await;
        let page = subject.rule.answered(page, "listing");
        let listed: Vec<_> = page.items.iter().map(|account| (**account).clone()).collect();
        let after = |account: &&Account| account.user().as_str() > name;
        let expected = accounts.iter().filter(after).cloned().collect();
        subject.rule.same(&listed, &expected, format_args!("listing after {name:?}"));
    }
}

/// A list gives each account as it is now.
pub async fn a_list_gives_each_account_as_it_is<H: Harness>(harness: &H) {
    let subject = Subject::new(harness, "a list gives each account as it is now").await;
    let mut accounts = filled(&subject).await;
    accounts[3] = holder(accounts[3].user().as_str(), 2, 103);
    subject.put(&accounts[3]).await;
    let claim = holder("user 07", 9, 107);
    subject.rule.conflicts(&subject.store.replace(change(claim)).await, "a stale change");
    subject.rule.same(&subject.list(PageSize::clamped(2)).await, &accounts, "the list");
}

/// Writes 23 accounts out of order; returns them in order.
async fn filled<S: AccountStore>(subject: &Subject<S>) -> Vec<Account> {
    let mut names: Vec<_> = (0..18).map(|number| format!("user {number:02}")).collect();
    names.extend(["User 00", "user", "üser", "user\u{301}", "日本"].map(String::from));
    let holder = |(number, name): (u64, &String)| holder(name, 1, number);
    let mut accounts: Vec<_> = (1..).zip(&names).map(holder).collect();
    for account in accounts.iter().rev().step_by(2).chain(accounts.iter().rev().skip(1).step_by(2))
    {
        subject.put(account).await;
    }
    accounts.sort_by(|a, b| a.user().as_str().as_bytes().cmp(b.user().as_str().as_bytes()));
    accounts
}
