//! What a user may be asked to do, in the model's words and in the crate's.

use std::time::Duration;

use tower_api_token::account::{Lifetimes, Slot};
use tower_api_token::method::MethodSet;
use tower_api_token::rotation::{Command, NewToken, RotationError};
use tower_api_token::token::{
    CodeDigest, ConfirmationCode, PepperVersion, StoredDigest, TokenDigest, TokenHint, TokenId,
};
use tower_api_token::user::UserId;

/// What a user may be asked to do. Tokens are named by their id, digests and
/// codes by numbers that nobody else has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    Grant(&'static [&'static str]),
    RevokeAccess,
    Generate {
        digest: u64,
        code: u64,
        replacing: Option<u64>,
    },
    Resend {
        id: u64,
        code: u64,
    },
    Confirm {
        code: u64,
    },
    Cancel {
        id: u64,
    },
    Delete {
        id: u64,
        even_if_in_use: bool,
    },
    RollBack {
        id: u64,
        even_if_in_use: bool,
    },
    RevokeAll,
    Issue {
        digest: u64,
    },
    Import {
        slot: Slot,
        digest: u64,
    },
    /// Lifetimes in milliseconds.
    GrantFor {
        methods: &'static [&'static str],
        token: Option<u64>,
        backup: Option<u64>,
    },
    Suspend,
    Resume,
    EndToken {
        id: u64,
    },
    ReportLeak {
        id: u64,
    },
    Announce {
        id: u64,
    },
    Lift {
        id: u64,
    },
    RetireExpired,
}

impl Act {
    /// The digest that it would bring in.
    pub(crate) fn digest(&self) -> Option<u64> {
        match *self {
            Self::Generate { digest, .. }
            | Self::Issue { digest }
            | Self::Import { digest, .. } => Some(digest),
            _ => None,
        }
    }

    pub(crate) fn command(&self, user: &UserId) -> Command {
        let id = TokenId::from_u64;
        match *self {
            Self::Grant(methods) => {
                Command::Grant { methods: method_set(methods), lifetimes: None }
            }
            Self::RevokeAccess => Command::RevokeAccess,
            Self::Generate { digest, code, replacing } => Command::GeneratePrimary {
                token: new_token(digest),
                code: code_digest(code, user),
                replacing_backup: replacing.map(id),
            },
            Self::Resend { id: token, code } => {
                Command::ResendConfirmation { id: id(token), code: code_digest(code, user) }
            }
            Self::Confirm { code } => Command::Confirm { code: code_digest(code, user) },
            Self::Cancel { id: token } => Command::CancelPending { id: id(token) },
            Self::Delete { id: token, even_if_in_use } => {
                Command::DeleteBackup { id: id(token), even_if_in_use }
            }
            Self::RollBack { id: token, even_if_in_use } => {
                Command::RollBack { give_up: id(token), even_if_in_use }
            }
            Self::RevokeAll => Command::RevokeAll,
            Self::Issue { digest } => Command::Issue { token: new_token(digest) },
            Self::Import { slot, digest } => {
                Command::Import { slot, token: new_token(digest), made_at: None }
            }
            Self::GrantFor { methods, token, backup } => {
                let [token, backup] = [token, backup].map(|life| life.map(Duration::from_millis));
                let lifetimes = Some(Lifetimes { token, backup });
                Command::Grant { methods: method_set(methods), lifetimes }
            }
            Self::Suspend => Command::Suspend,
            Self::Resume => Command::Resume,
            Self::EndToken { id: token } => Command::EndToken { id: id(token) },
            Self::ReportLeak { id: token } => {
                Command::ReportLeak { id: id(token), found: String::from("a commit") }
            }
            Self::Announce { id: token } => Command::AnnounceExpiry { id: id(token) },
            Self::Lift { id: token } => Command::LiftExpiry { id: id(token) },
            Self::RetireExpired => Command::RetireExpired,
        }
    }
}

pub(crate) fn method_set(methods: &[&str]) -> MethodSet {
    MethodSet::new(methods).unwrap()
}

fn new_token(digest: u64) -> NewToken {
    let stored = StoredDigest::new(token_digest(digest), PepperVersion::NONE);
    NewToken::new(stored, TokenHint::unknown())
}

/// The digest of that number, spread over its bytes.
pub(crate) fn token_digest(number: u64) -> TokenDigest {
    let mut bytes = [0xd1; 32];
    bytes[..8].copy_from_slice(&number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    TokenDigest::from_bytes(bytes)
}

/// The digest of the code of that number, as it is when `user` presents it.
pub(crate) fn code_digest(number: u64, user: &UserId) -> CodeDigest {
    ConfirmationCode::parse(&format!("tac_{number:032}")).unwrap().digest(user)
}

/// The name by which the model has a refusal.
pub(crate) fn name(error: &RotationError) -> &'static str {
    match error {
        RotationError::NoAccess => "NoAccess",
        RotationError::Suspended => "Suspended",
        RotationError::LifetimeTooLong { .. } => "LifetimeTooLong",
        RotationError::AlreadyDone => "AlreadyDone",
        RotationError::Stale => "Stale",
        RotationError::BackupExists { .. } => "BackupExists",
        RotationError::UnknownCode => "UnknownCode",
        RotationError::ExpiredCode => "ExpiredCode",
        RotationError::AlreadyConfirmed { .. } => "AlreadyConfirmed",
        RotationError::TooSoon { .. } => "TooSoon",
        RotationError::InUse { .. } => "InUse",
        RotationError::NoLivePrimary => "NoLivePrimary",
        RotationError::NoLiveBackup => "NoLiveBackup",
        RotationError::PrimaryExists => "PrimaryExists",
        RotationError::SlotTaken { .. } => "SlotTaken",
        RotationError::DigestInUse => "DigestInUse",
        error => panic!("the model does not know {error:?}"),
    }
}
