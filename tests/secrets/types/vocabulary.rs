//! Tokens, accounts, methods, users and time.

use std::time::Duration;

use tower_api_token::ConfigError;
use tower_api_token::ValueError;
use tower_api_token::account::{
    Account, Confirmed, Ending, Expiry, LastUse, Pending, Place, Revision, Slot, UnusedEnd,
};
use tower_api_token::audit::{AccountErased, Event};
use tower_api_token::rotation::{Command, Facts, NewToken, Policy, RotationError, apply};
use tower_api_token::test_util::ManualClock;
use tower_api_token::time::Timestamp;
use tower_api_token::token::{Pepper, PepperChecks, SealedToken, TokenPrefix, TokenScheme};
use tower_api_token::user::{Actor, ClientLabel};

use super::List;
use crate::life::Life;

pub(super) fn show(life: &Life, list: &mut List) {
    tokens(life, list);
    accounts(life, list);
    rules(life, list);
    list.add("UserId", &life.alice);
    list.add("ValueError", &ValueError::NameEmpty);
    list.add("Actor", &life.entries[0].actor);
    list.add("MethodSet", life.account.methods());
    list.add("ValueError", &ValueError::MethodWildcard);
    list.add("AuditEntry", &life.entries);
    let at = Timestamp::default();
    list.add("AccountErased", &AccountErased::new(life.account.user(), at, &Actor::User));
    list.add("Event", &life.entries.iter().map(|it| &it.event).collect::<Vec<&Event>>());
    list.add("Timestamp", &Timestamp::default());
    list.add("ManualClock", &ManualClock::default());
}

fn tokens(life: &Life, list: &mut List) {
    let stored = life.account.primary().expect("a primary").digest;
    let secret = life.issued.token.expose_secret().as_bytes();
    list.add("SealedToken", &SealedToken::from_bytes(secret));
    let pepper = Pepper::new(1, life.issued.token.expose_secret().as_bytes()).unwrap();
    let scheme = TokenScheme::default().pepper(pepper.clone()).unwrap();
    list.add("Token", &life.issued.token);
    list.add("ValueError", &ValueError::TokenSyntax);
    list.add("TokenId", &life.issued.id);
    list.add("TokenHint", &life.account.primary().expect("a primary").hint);
    list.add("TokenDigest", &stored.digest);
    list.add("StoredDigest", &stored);
    list.add("PepperVersion", &stored.pepper);
    list.add("Pepper", &pepper);
    list.add("PepperCheck", &pepper.check_value());
    let checks = PepperChecks::new(scheme.pepper_checks().collect());
    list.add("PepperChecks", &checks);
    list.add("ConfigError", &ConfigError::PepperKeyTooShort);
    list.add("TokenScheme", &scheme);
    list.add("ConfigError", &ConfigError::SamePepperVersion);
    list.add("TokenPrefix", &TokenPrefix::standard());
    list.add("ConfigError", &ConfigError::PrefixLength);
    list.add("ConfirmationCode", &life.code);
    list.add("CodeDigest", &life.code.digest(&life.alice));
}

fn accounts(life: &Life, list: &mut List) {
    let account = &life.account;
    let pending: &Pending = account.pending().expect("a pending token");
    let confirmed: &Confirmed = account.confirmed().expect("a confirmation");
    let builder = Account::builder(life.alice.clone())
        .primary(account.primary().expect("a primary").clone())
        .backup(account.backup().expect("a backup").clone())
        .pending(pending.clone())
        .confirmed(*confirmed);
    list.add("Account", account);
    list.add("AccountBuilder", &builder);
    list.add("ValueError", &ValueError::RepeatedDigest);
    list.add("TokenRecord", account.primary().expect("a primary"));
    list.add("Pending", pending);
    list.add("Retired", account.retired().first().expect("a retired token"));
    list.add("Confirmed", confirmed);
    list.add("Ending", &Ending::Deleted);
    list.add("Lifetimes", &account.lifetimes());
    let unless_used = UnusedEnd::new(Timestamp::default(), Timestamp::default());
    let mut expiry = Expiry::default();
    expiry.unless_used = Some(unless_used);
    list.add("Expiry", &expiry);
    list.add("UnusedEnd", &unless_used);
    list.add("Slot", &Slot::Backup);
    list.add("Place", &account.place_of(&pending.token.digest.digest).map(|it: Place| it));
    list.add("Revision", &Revision::ABSENT);
    let client = ClientLabel::new("curl/8.5.0").unwrap();
    let usage = LastUse::new(life.issued.id, Timestamp::default(), Some(client.clone()));
    list.add("ClientLabel", &client);
    list.add("ValueError", &ValueError::ClientLabelEmpty);
    list.add("LastUse", &usage);
}

fn rules(life: &Life, list: &mut List) {
    let token = life.account.backup().expect("a backup");
    let new = NewToken::new(token.digest, token.hint.clone());
    let code = life.code.digest(&life.alice);
    let commands = [
        Command::GeneratePrimary { token: new.clone(), code, replacing_backup: None },
        Command::ResendConfirmation { id: token.id, code },
        Command::Confirm { code },
        Command::Issue { token: new.clone() },
        Command::Import { slot: Slot::Backup, token: new.clone(), made_at: None },
    ];
    list.add("Command", &commands);
    list.add("NewToken", &new);
    let grant = Command::Grant {
        methods: tower_api_token::method::MethodSet::new(["PURGE"]).unwrap(),
        lifetimes: None,
    };
    let policy = Policy::default();
    let transition = apply(&life.account, grant, &Facts::new(Timestamp::default(), &policy));
    list.add("Transition", &transition.expect("she has other methods"));
    list.add("Facts", &Facts::new(Timestamp::default(), &Policy::default()));
    list.add("Policy", &Policy::default());
    list.add("ConfigError", &ConfigError::TimeTooShort { shortest: Duration::ZERO });
    list.add("RotationError", &RotationError::UnknownCode);
}
