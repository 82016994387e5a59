//! Every kind of change: what must be there before it, and how it is asked for,
//! of a manager and of a portal.

use axum::body::Body;
use http::Request;
use serde_json::{Value, json};
use tower_api_token::account::{Revision, Slot};
use tower_api_token::manage::{Delivery, Guard, ImportItem, ImportedToken, TokenManager};
use tower_api_token::method::MethodSet;
use tower_api_token::portal::PortalUser;
use tower_api_token::token::{ConfirmationCode, TokenId};
use tower_api_token::user::{Actor, UserId};

use crate::manager::world::root;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Grant,
    RevokeAccess,
    Generate,
    Resend,
    Confirm,
    Cancel,
    DeleteBackup,
    RollBack,
    RevokeAll,
    Reveal,
    Erase,
    Issue,
    Import,
    ImportMany,
}

impl Kind {
    pub(super) const ALL: [Self; 14] = [
        Self::Grant,
        Self::RevokeAccess,
        Self::Generate,
        Self::Resend,
        Self::Confirm,
        Self::Cancel,
        Self::DeleteBackup,
        Self::RollBack,
        Self::RevokeAll,
        Self::Reveal,
        Self::Erase,
        Self::Issue,
        Self::Import,
        Self::ImportMany,
    ];

    /// Those that can be asked of a portal.
    pub(super) const IN_A_PORTAL: &[Self] = Self::ALL.split_at(11).0;
}

/// A user for whom a change can be made.
pub(super) struct Prepared {
    pub(super) kind: Kind,
    pub(super) user: UserId,
    /// The account's revision before the change.
    pub(super) revision: Revision,
    primary: Option<TokenId>,
    backup: Option<TokenId>,
    pending: Option<TokenId>,
    code: Option<ConfirmationCode>,
}

fn get() -> MethodSet {
    MethodSet::new(["GET"]).unwrap()
}

fn id(token: Option<TokenId>) -> TokenId {
    token.expect("it was prepared")
}

impl Prepared {
    pub(super) async fn new(kind: Kind, user: UserId, quiet: &TokenManager) -> Self {
        let mut code = None;
        if kind != Kind::Grant && kind != Kind::ImportMany {
            quiet.grant(root(), &user, get()).await.unwrap();
        }
        if !matches!(kind, Kind::Grant | Kind::ImportMany | Kind::Issue | Kind::Import) {
            quiet.issue(root(), &user).await.unwrap();
        }
        if matches!(kind, Kind::DeleteBackup | Kind::RollBack | Kind::RevokeAll) {
            let made = quiet.generate_primary(root(), &user).await.unwrap();
            let Delivery::ToCaller(code) = made.delivery else { panic!("{:?}", made.delivery) };
            quiet.confirm(root(), &user, &code).await.unwrap();
        }
        if matches!(kind, Kind::Resend | Kind::Confirm | Kind::Cancel) {
            let made = quiet.generate_primary(root(), &user).await.unwrap();
            let Delivery::ToCaller(made) = made.delivery else { panic!("{:?}", made.delivery) };
            code = Some(made);
        }
        let summary = quiet.summary(&user).await.unwrap();
        let (revision, primary, backup, pending) = summary
            .map_or((Revision::ABSENT, None, None, None), |account| {
                (account.revision, account.primary, account.backup, account.pending)
            });
        Self { kind, user, revision, primary, backup, pending, code }
    }

    /// Asks a manager for the change.
    pub(super) fn make(&self, manager: TokenManager) -> impl Future<Output = ()> + Send + use<> {
        let Self { kind, user, primary, backup, pending, .. } = self;
        let (kind, user, code) = (*kind, user.clone(), self.code.clone());
        let (primary, backup, pending) = (*primary, *backup, *pending);
        let (owner, guard) = (&Actor::User, Guard::EvenIfInUse);
        async move {
            // It may be refused by a store that takes too long.
            match kind {
                Kind::Grant => drop(manager.grant(root(), &user, get()).await),
                Kind::RevokeAccess => drop(manager.revoke_access(root(), &user).await),
                Kind::Generate => drop(manager.generate_primary(owner, &user).await),
                Kind::Resend => {
                    drop(manager.resend_confirmation(owner, &user, id(pending)).await);
                }
                Kind::Confirm => {
                    drop(manager.confirm(owner, &user, &code.expect("a code")).await);
                }
                Kind::Cancel => drop(manager.cancel_pending(owner, &user, id(pending)).await),
                Kind::DeleteBackup => {
                    drop(manager.delete_backup(owner, &user, id(backup), guard).await);
                }
                Kind::RollBack => drop(manager.roll_back(owner, &user, id(primary), guard).await),
                Kind::RevokeAll => drop(manager.revoke_all(owner, &user).await),
                Kind::Reveal => drop(manager.reveal(owner, &user, id(primary)).await),
                Kind::Erase => drop(manager.erase(root(), &user).await),
                Kind::Issue => drop(manager.issue(owner, &user).await),
                Kind::Import => {
                    let token = foreign(&user, 0);
                    let import = manager.import(root(), &user, Slot::Primary, &token, None);
                    drop(import.await);
                }
                Kind::ImportMany => {
                    let mut items = [Slot::Primary, Slot::Backup].map(|slot| {
                        let token = foreign(&user, slot as u8);
                        ImportItem::new(user.clone(), slot, token)
                    });
                    items[0].methods = Some(get());
                    drop(manager.import_many(root(), &items).await);
                }
            }
        }
    }

    /// The same as an operation of a portal.
    pub(super) fn request(&self) -> Request<Body> {
        let number = |token: Option<TokenId>| token.map(TokenId::as_u64);
        let [primary, backup, pending] = [self.primary, self.backup, self.pending].map(number);
        let user = self.user.as_str();
        let (name, body) = match self.kind {
            Kind::Grant => ("admin/methods", json!({"user": user, "methods": ["GET"]})),
            Kind::RevokeAccess => {
                let revision = self.revision.as_u64();
                ("admin/methods", json!({"user": user, "methods": [], "revision": revision}))
            }
            Kind::Generate => ("generate", json!({"primary": primary})),
            Kind::Resend => ("resend", json!({"id": pending})),
            Kind::Confirm => {
                let code = self.code.as_ref().expect("a code").expose_secret();
                ("confirm", json!({"code": code}))
            }
            Kind::Cancel => ("cancel-pending", json!({"id": pending})),
            Kind::DeleteBackup => ("delete-backup", json!({"id": backup, "even_if_in_use": true})),
            Kind::RollBack => ("roll-back", json!({"id": primary, "even_if_in_use": true})),
            Kind::RevokeAll => {
                ("revoke-all", json!({"primary": primary, "backup": backup, "pending": pending}))
            }
            Kind::Reveal => ("reveal", json!({"id": primary})),
            Kind::Erase => {
                ("admin/erase", json!({"user": user, "revision": self.revision.as_u64()}))
            }
            Kind::Issue | Kind::Import | Kind::ImportMany => panic!("no portal does that"),
        };
        self.post(name, &body)
    }

    fn post(&self, name: &str, body: &Value) -> Request<Body> {
        let signed_in = if name.starts_with("admin") {
            PortalUser::administrator(UserId::new("root").unwrap())
        } else {
            PortalUser::new(self.user.clone())
        };
        Request::post(format!("/tokens/api/{name}"))
            .header("content-type", "application/json")
            .header("sec-fetch-site", "same-origin")
            .extension(signed_in)
            .body(Body::from(body.to_string()))
            .unwrap()
    }
}

/// A token of another system, one for each user and slot.
fn foreign(user: &UserId, slot: u8) -> ImportedToken {
    let mut sha256 = [slot; 32];
    for (place, byte) in sha256.iter_mut().zip(user.as_str().bytes()) {
        *place = byte;
    }
    ImportedToken::Sha256(sha256)
}
