//! Cases: the recorded uses of tokens.

use std::time::Duration;

use super::Harness;
use super::sample::{NOW, account, built, change, everywhere, holder, retired, token, user};
use super::subject::Subject;
use crate::account::{Ending, LastUse, Revision};
use crate::store::{AccountStore, PageSize};
use crate::token::TokenId;
use crate::user::{ClientLabel, UserId};

/// A batch of uses changes no account, no revision and no history, and does not
/// reach the feed.
pub async fn recorded_uses_change_no_account<H: Harness>(harness: &H) {
    let rule = "recorded uses change no account, revision or history, and reach no feed";
    let subject = Subject::new(harness, rule).await;
    let (first, second) = (everywhere("alice"), holder("alice", 2, 4));
    subject.put(&first).await;
    subject.put(&second).await;
    let watch = subject.try_watch().await;
    let history = subject.history(&user("alice")).await;
    record(&subject, &[used("alice", 3, 1, None), used("alice", 4, 2, None)]).await;
    subject.has(&second).await;
    subject.rule.same(&subject.history(&user("alice")).await, &history, "the history");
    subject.silent(watch, "the feed").await;
    let third = holder("alice", 3, 6);
    subject.put(&third).await;
    subject.has(&third).await;
}

/// The latest use of a token is kept, in whichever order uses are recorded.
pub async fn the_latest_use_is_kept<H: Harness>(harness: &H) {
    let subject = Subject::new(harness, "the latest use of a token is kept").await;
    subject.put(&holder("alice", 1, 1)).await;
    let middle = used("alice", 1, 50, Some("curl/8.5.0"));
    record(&subject, std::slice::from_ref(&middle)).await;
    kept(&subject, &[&middle]).await;
    record(&subject, &[used("alice", 1, 10, Some("early"))]).await;
    kept(&subject, &[&middle]).await;
    let latest = used("alice", 1, 90, None);
    let batch = [used("alice", 1, 60, Some("a")), latest.clone(), used("alice", 1, 70, Some("b"))];
    record(&subject, &batch).await;
    kept(&subject, &[&latest]).await;
}

/// Uses are kept per user and token.
pub async fn uses_are_kept_per_token<H: Harness>(harness: &H) {
    let subject = Subject::new(harness, "uses are kept per user and token").await;
    subject.put(&everywhere("alice")).await;
    subject.put(&holder("bob", 1, 9)).await;
    let alice = [used("alice", 3, 1, Some("old client")), used("alice", 4, 2, None)];
    let bob = used("bob", 9, 3, Some("é".repeat(64).as_str()));
    record(&subject, &[alice[1].clone(), bob.clone(), alice[0].clone()]).await;
    kept(&subject, &[&alice[0], &alice[1]]).await;
    kept(&subject, &[&bob]).await;
}

/// A use by an unknown user or of an unknown token harms nothing: the other
/// uses of its batch are kept, and no account comes of it.
pub async fn a_use_by_an_unknown_user_is_harmless<H: Harness>(harness: &H) {
    let rule = "a use by an unknown user is dropped or kept, and nothing else comes of it";
    let subject = Subject::new(harness, rule).await;
    let alice = holder("alice", 1, 1);
    subject.put(&alice).await;
    let known = used("alice", 1, 2, None);
    record(&subject, &[used("nobody", 1, 1, None), known.clone()]).await;
    kept(&subject, &[&known]).await;
    subject.rule.same(&subject.load(&user("nobody")).await, &None, "the unknown user");
    subject.rule.same(&subject.list(PageSize::MAX).await, &vec![alice], "the list");
    let nobody = holder("nobody", 1, 2);
    subject.put(&nobody).await;
    subject.has(&nobody).await;
}

/// A change of an account leaves the uses of its tokens as they are.
pub async fn a_change_keeps_the_recorded_uses<H: Harness>(harness: &H) {
    let subject = Subject::new(harness, "a change keeps the uses of the account's tokens").await;
    subject.put(&holder("alice", 1, 1)).await;
    let token_use = used("alice", 1, 5, Some("curl/8.5.0"));
    record(&subject, std::slice::from_ref(&token_use)).await;
    subject.put(&holder("alice", 2, 1)).await;
    kept(&subject, &[&token_use]).await;
}

/// The uses of a token that its account names no longer are forgotten, and those of
/// a retired one that it still names are not.
pub async fn the_uses_of_a_forgotten_token_are_forgotten<H: Harness>(harness: &H) {
    let subject = Subject::new(harness, "uses are forgotten with their token").await;
    subject.put(&everywhere("alice")).await;
    subject.put(&holder("bob", 1, 9)).await;
    let uses = [1, 3, 4].map(|id| used("alice", id, id, None));
    record(&subject, &uses).await;
    record(&subject, &[used("bob", 9, 9, None)]).await;
    let parts = account("alice").revision(Revision::from_u64(2)).primary(token(4, 4));
    subject.put(&built(parts.retired([retired(1, 1, Ending::Deleted)]))).await;
    kept(&subject, &[&uses[0], &uses[2]]).await;
    kept(&subject, &[&used("bob", 9, 9, None)]).await;
    let emptied = account("alice").revision(Revision::from_u64(3)).next_token(9);
    subject.put(&built(emptied)).await;
    subject.rule.same(&subject.usage(&user("alice")).await, &vec![], "uses of no token");
}

/// A batch of uses by 500 users is recorded whole.
pub async fn a_long_batch_of_uses_is_recorded_whole<H: Harness>(harness: &H) {
    let subject = Subject::new(harness, "a batch of uses by 500 users is recorded whole").await;
    let name = |number| format!("user {number}");
    let accounts = (1..=500).map(|number| change(holder(&name(number), 1, number)));
    let written = subject.store.replace_many(accounts.collect()).await;
    subject.rule.answered(written, "writing the accounts");
    let batch = (1..=500).map(|number| used(&name(number), number, number, Some("curl")));
    let batch: Vec<_> = batch.collect();
    record(&subject, &batch).await;
    for token_use in &batch {
        kept(&subject, &[token_use]).await;
    }
}

/// A use of token `id`, that many seconds into the samples.
fn used(name: &str, id: u64, seconds: u64, client: Option<&str>) -> (UserId, LastUse) {
    let label = |text| ClientLabel::new(text).expect("the label of a sample is valid");
    let at = NOW + Duration::from_secs(seconds);
    let usage = LastUse::new(TokenId::from_u64(id), at, client.map(label));
    (user(name), usage)
}

async fn record<S: AccountStore>(subject: &Subject<S>, batch: &[(UserId, LastUse)]) {
    subject.rule.answered(subject.uses().record_usage(batch).await, "recording uses");
}

/// Holds that these, in the order of their ids, are the uses of their user.
async fn kept<S: AccountStore>(subject: &Subject<S>, expected: &[&(UserId, LastUse)]) {
    let (user, _) = expected[0];
    let expected = expected.iter().map(|(_, usage)| usage.clone()).collect();
    subject.rule.same(&subject.usage(user).await, &expected, format_args!("uses of {user:?}"));
}
