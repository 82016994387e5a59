//! The `serde` form of what may be shown of an account (feature `serde`). It
//! is only written: what a host reads back is no view any more.

use serde::{Serialize, Serializer};

use super::{AccountSummary, AccountView, HeldToken, PendingView, TokenView};
use crate::account::{Lifetimes, Revision, Slot};
use crate::audit::AuditEntry;
use crate::method::MethodSet;
use crate::store::Page;
use crate::time::Timestamp;
use crate::token::{PepperVersion, TokenHint, TokenId};
use crate::user::{ClientLabel, UserId};

#[derive(Serialize)]
#[serde(remote = "AccountView")]
struct AccountViewForm {
    user: UserId,
    methods: MethodSet,
    primary: Option<TokenView>,
    backup: Option<TokenView>,
    expired: Vec<TokenView>,
    pending: Option<PendingView>,
    lifetimes: Lifetimes,
    suspended_since: Option<Timestamp>,
    revision: Revision,
    now: Timestamp,
}

#[derive(Serialize)]
#[serde(remote = "TokenView")]
struct TokenViewForm {
    id: TokenId,
    hint: TokenHint,
    made_at: Timestamp,
    active_since: Timestamp,
    expires_at: Option<Timestamp>,
    ends_unless_used: bool,
    last_used_at: Option<Timestamp>,
    client: Option<ClientLabel>,
    in_use: bool,
    revealable: bool,
}

#[derive(Serialize)]
#[serde(remote = "PendingView")]
struct PendingViewForm {
    id: TokenId,
    hint: TokenHint,
    made_at: Timestamp,
    expires_at: Timestamp,
    code_expires_at: Timestamp,
    replacing_backup: Option<TokenId>,
    revealable: bool,
}

#[derive(Serialize)]
#[serde(remote = "HeldToken")]
struct HeldTokenForm {
    user: UserId,
    token: TokenId,
    slot: Slot,
    methods: MethodSet,
    suspended: bool,
    made_at: Timestamp,
    expires_at: Option<Timestamp>,
    last_used_at: Option<Timestamp>,
}

#[derive(Serialize)]
#[serde(remote = "AccountSummary")]
struct AccountSummaryForm {
    user: UserId,
    methods: MethodSet,
    primary: Option<TokenId>,
    backup: Option<TokenId>,
    pending: Option<TokenId>,
    expired: Vec<TokenId>,
    expires_at: Option<Timestamp>,
    suspended_since: Option<Timestamp>,
    pepper_versions: Vec<PepperVersion>,
    revision: Revision,
}

#[derive(Serialize)]
#[serde(remote = "Page<AccountSummary>")]
struct SummaryPageForm {
    #[serde(rename = "accounts")]
    items: Vec<AccountSummary>,
    next: Option<UserId>,
}

#[derive(Serialize)]
#[serde(remote = "Page<AuditEntry, Revision>")]
struct HistoryPageForm {
    #[serde(rename = "entries")]
    items: Vec<AuditEntry>,
    next: Option<Revision>,
}

/// Implements the trait by the form of the type.
macro_rules! by_its_form {
    ($($type:ty: $form:ty,)*) => {$(
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                <$form>::serialize(self, serializer)
            }
        }
    )*};
}

by_its_form! {
    AccountView: AccountViewForm,
    TokenView: TokenViewForm,
    PendingView: PendingViewForm,
    HeldToken: HeldTokenForm,
    AccountSummary: AccountSummaryForm,
    Page<AccountSummary>: SummaryPageForm,
    Page<AuditEntry, Revision>: HistoryPageForm,
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::{Value, json};

    use super::*;
    use crate::manage::{Confirmation, TokenManager};
    use crate::store::{MemoryStore, PageSize};
    use crate::test_util::ManualClock;
    use crate::user::Actor;

    fn value(shown: &impl Serialize) -> Value {
        serde_json::to_value(shown).unwrap()
    }

    #[tokio::test]
    async fn a_view_has_a_member_for_each_field() {
        let clock = ManualClock::new(Timestamp::from_unix_millis(1_000));
        let store = MemoryStore::with_clock(Arc::new(clock));
        let builder = TokenManager::builder(store).confirmation(Confirmation::ByCaller);
        let manager = builder.build().await.unwrap();
        let (alice, by) = (UserId::new("alice").unwrap(), Actor::administrator("root").unwrap());
        let methods = MethodSet::new(["POST", "GET"]).unwrap();
        manager.grant(&by, &alice, methods).await.unwrap();
        let issued = manager.issue(&by, &alice).await.unwrap();
        manager.generate_primary(&Actor::User, &alice).await.unwrap();
        let view = manager.view(&alice).await.unwrap();
        let hint = |hint: &TokenHint| hint.as_str().to_owned();
        let (primary, pending) = (view.primary.as_ref().unwrap(), view.pending.as_ref().unwrap());
        let expected = json!({
            "user": "alice",
            "methods": ["GET", "POST"],
            "primary": {
                "id": 1,
                "hint": hint(&primary.hint),
                "made_at": "1970-01-01T00:00:01.000Z",
                "active_since": "1970-01-01T00:00:01.000Z",
                "expires_at": null,
                "ends_unless_used": false,
                "last_used_at": null,
                "client": null,
                "in_use": true,
                "revealable": false,
            },
            "backup": null,
            "expired": [],
            "pending": {
                "id": 2,
                "hint": hint(&pending.hint),
                "made_at": "1970-01-01T00:00:01.000Z",
                "expires_at": "1970-01-02T00:00:01.000Z",
                "code_expires_at": "1970-01-01T00:10:01.000Z",
                "replacing_backup": null,
                "revealable": false,
            },
            "lifetimes": { "token": null, "backup": null },
            "suspended_since": null,
            "revision": 3,
            "now": "1970-01-01T00:00:01.000Z",
        });
        assert_eq!(value(&view), expected);
        assert!(!value(&view).to_string().contains(issued.token.expose_secret()));

        let held = manager.held_token(issued.token.expose_secret()).await.unwrap();
        let expected = json!({
            "user": "alice",
            "token": 1,
            "slot": "primary",
            "methods": ["GET", "POST"],
            "suspended": false,
            "made_at": "1970-01-01T00:00:01.000Z",
            "expires_at": null,
            "last_used_at": null,
        });
        assert_eq!(value(&held), expected);

        let account = json!({
            "user": "alice",
            "methods": ["GET", "POST"],
            "primary": 1,
            "backup": null,
            "pending": 2,
            "expired": [],
            "expires_at": null,
            "suspended_since": null,
            "pepper_versions": [0, 0],
            "revision": 3,
        });
        let page = manager.list(None, PageSize::default()).await.unwrap();
        assert_eq!(value(&page), json!({ "accounts": [account], "next": null }));

        let page = manager.history(&alice, None, PageSize::clamped(1)).await.unwrap();
        let entry = json!({
            "user": "alice",
            "revision": 3,
            "at": "1970-01-01T00:00:01.000Z",
            "actor": "user",
            "event": "primary_generated",
            "id": 2,
            "superseded": null,
        });
        assert_eq!(value(&page), json!({ "entries": [entry], "next": 3 }));
    }
}
