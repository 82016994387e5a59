//! One task that acts on random users.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::task::yield_now;
use tower_api_token::account::{Account, LastUse, Revision, Slot, TokenRecord};
use tower_api_token::audit::AuditEntry;
use tower_api_token::rotation::{Facts, Transition, apply};
use tower_api_token::store::{AccountStore, Replacement, StoreErrorKind};
use tower_api_token::test_util::ManualClock;
use tower_api_token::time::Timestamp;
use tower_api_token::token::TokenId;
use tower_api_token::user::{Actor, UserId};

use crate::model::{Act, Lifetimes, World, code_digest, name, token_digest};
use crate::store_model::users;

const METHODS: [&[&str]; 3] = [&["GET"], &["GET", "PURGE"], &["PUT"]];

/// The digests that every task tries to bring in.
const SHARED_DIGESTS: u64 = 30;

/// What a task did.
#[derive(Default)]
pub(crate) struct Log {
    pub(crate) written: Vec<Written>,
    pub(crate) refused: Vec<Refused>,
    /// How often another task was faster.
    pub(crate) overtaken: usize,
}

/// An act that has had its effect.
pub(crate) struct Written {
    pub(crate) act: Act,
    pub(crate) world: World,
    pub(crate) entry: AuditEntry,
}

/// An act that the rules refused at that revision.
pub(crate) struct Refused {
    pub(crate) user: UserId,
    pub(crate) revision: u64,
    pub(crate) act: Act,
    pub(crate) world: World,
    pub(crate) refusal: &'static str,
}

impl Log {
    pub(crate) fn and(mut self, other: Self) -> Self {
        self.written.extend(other.written);
        self.refused.extend(other.refused);
        self.overtaken += other.overtaken;
        self
    }
}

/// What the tasks share beside the store.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) clock: Arc<ManualClock>,
    /// The numbers of the codes that were made, by their digests.
    pub(crate) codes: Arc<Mutex<HashMap<[u8; 32], u64>>>,
}

pub(crate) struct Worker<S> {
    store: Arc<S>,
    shared: Shared,
    actor: Actor,
    task: u64,
    random: u64,
    /// How many digests and codes it has made.
    made: u64,
    log: Log,
}

impl<S: AccountStore> Worker<S> {
    pub(crate) fn new(store: Arc<S>, shared: Shared, task: u64, seed: u64) -> Self {
        let actor = Actor::program(&format!("task {task}")).unwrap();
        Self { store, shared, actor, task, random: seed, made: 0, log: Log::default() }
    }

    pub(crate) async fn work(mut self, acts: usize) -> Log {
        for _ in 0..acts {
            let user = users()[self.below(3) as usize].clone();
            if self.below(4) == 0 {
                let step = Duration::from_millis(self.below(400_000));
                self.shared.clock.advance(step);
            }
            if self.below(8) == 0 {
                self.note_use(&user).await;
            }
            self.act(&user).await;
        }
        self.log
    }

    /// A random number below `bound` (splitmix64).
    fn below(&mut self, bound: u64) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.random ^ (self.random >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }

    /// A number that no other task makes.
    fn new_number(&mut self) -> u64 {
        self.made += 1;
        SHARED_DIGESTS + self.made * 8 + self.task
    }

    fn some_digest(&mut self) -> u64 {
        if self.below(3) == 0 { 1 + self.below(SHARED_DIGESTS) } else { self.new_number() }
    }

    async fn note_use(&mut self, user: &UserId) {
        let id = TokenId::from_u64(1 + self.below(20));
        let at = self.store.load(user).await.unwrap().now;
        let token_use = (user.clone(), LastUse::new(id, at, None));
        self.store.last_uses().unwrap().record_usage(&[token_use]).await.unwrap();
    }

    /// Acts until the store has taken the change or the rules have refused it.
    async fn act(&mut self, user: &UserId) {
        let mut chosen: Option<Act> = None;
        for _ in 0..1_000 {
            let usage = self.store.last_uses().unwrap().usage(user).await.unwrap();
            let loaded = self.store.load(user).await.unwrap();
            let account = loaded.account.as_deref().cloned();
            let account = account.unwrap_or_else(|| Account::absent(user.clone()));
            let act = match &chosen {
                Some(act) => act.clone(),
                None => chosen.insert(self.choose(&account)).clone(),
            };
            let world = world_of(&account, loaded.now, &usage);
            yield_now().await;
            if self.tried(&account, &act, world).await {
                return;
            }
        }
        panic!("no change gets through");
    }

    /// Whether that was the end of it.
    async fn tried(&mut self, before: &Account, act: &Act, world: World) -> bool {
        let (user, revision) = (before.user().clone(), before.revision());
        let policy = world.lifetimes.policy();
        let mut facts = Facts::new(Timestamp::from_unix_millis(world.now), &policy);
        facts.primary_used = world.primary_used.map(Timestamp::from_unix_millis);
        facts.backup_used = world.backup_used.map(Timestamp::from_unix_millis);
        let Transition { account, event, .. } = match apply(before, act.command(&user), &facts) {
            Ok(changed) => changed,
            Err(error) => {
                let (revision, refusal) = (revision.as_u64(), name(&error));
                let act = act.clone();
                self.log.refused.push(Refused { user, revision, act, world, refusal });
                return true;
            }
        };
        let expected = (revision != Revision::ABSENT).then_some(revision);
        let at = facts.now;
        let entry = AuditEntry::new(user, account.revision(), at, self.actor.clone(), event);
        let replacement = Replacement::new(account, expected, entry.clone());
        match self.write(replacement).await {
            Ok(()) => {
                self.log.written.push(Written { act: act.clone(), world, entry });
                true
            }
            Err(StoreErrorKind::Conflict) => self.conflicted(&entry.user, revision, act).await,
            Err(kind) => panic!("{kind:?}"),
        }
    }

    /// Writes by one of the two ways.
    async fn write(&mut self, replacement: Replacement) -> Result<(), StoreErrorKind> {
        let answer = if self.below(3) == 0 {
            self.store.replace_many(vec![replacement]).await.unwrap().remove(0)
        } else {
            self.store.replace(replacement).await
        };
        answer.map_err(|error| error.kind())
    }

    /// Whether it conflicted for good: not because another task was faster, but
    /// because another user has the digest.
    async fn conflicted(&mut self, user: &UserId, read: Revision, act: &Act) -> bool {
        let now = self.store.load(user).await.unwrap().account;
        let now = now.map_or(Revision::ABSENT, |account| account.revision());
        assert!(now >= read, "the revision went back");
        self.log.overtaken += usize::from(now > read);
        if now > read {
            return false;
        }
        let digest = token_digest(act.digest().expect("only a digest can be taken"));
        let owner = self.store.find(&digest).await.unwrap().expect("somebody has it");
        assert_ne!(owner.user(), user, "a conflict without a cause");
        true
    }

    /// An act about the tokens that the account has now.
    fn choose(&mut self, account: &Account) -> Act {
        let id = |token: Option<&TokenRecord>| token.map_or(99, |token| token.id.as_u64());
        let backup = account.backup().map(|backup| backup.id.as_u64());
        let waiting = id(account.pending().map(|pending| &pending.token));
        let even_if_in_use = self.below(2) == 0;
        match self.below(24) {
            0..=2 => Act::Grant(METHODS[self.below(3) as usize]),
            3..=6 => {
                let (digest, code) = (self.some_digest(), self.new_code(account.user()));
                Act::Generate { digest, code, replacing: backup }
            }
            7..=13 => Act::Confirm { code: self.code_of(account) },
            14 => Act::Resend { id: waiting, code: self.new_code(account.user()) },
            15 => Act::Cancel { id: waiting },
            16..=17 => Act::Delete { id: backup.unwrap_or(99), even_if_in_use },
            18..=19 => Act::RollBack { id: id(account.primary()), even_if_in_use },
            20 if self.below(4) == 0 => Act::RevokeAll,
            21 if self.below(4) == 0 => Act::RevokeAccess,
            20..=21 => Act::Issue { digest: self.some_digest() },
            22 => Act::Import { slot: Slot::Primary, digest: self.some_digest() },
            _ => Act::Import { slot: Slot::Backup, digest: self.some_digest() },
        }
    }

    fn new_code(&mut self, user: &UserId) -> u64 {
        let number = self.new_number();
        let digest = *code_digest(number, user).as_bytes();
        self.shared.codes.lock().unwrap().insert(digest, number);
        number
    }

    /// The code that the account waits for, whoever made it; 0 for none.
    fn code_of(&self, account: &Account) -> u64 {
        let Some(pending) = account.pending() else { return 0 };
        self.shared.codes.lock().unwrap()[pending.code.as_bytes()]
    }
}

/// What the rules know when an account is loaded.
fn world_of(account: &Account, now: Timestamp, usage: &[LastUse]) -> World {
    let used = |token: Option<&TokenRecord>| {
        let usage = usage.iter().find(|usage| Some(usage.id) == token.map(|token| token.id))?;
        Some(usage.at.unix_millis())
    };
    World {
        now: now.unix_millis(),
        primary_used: used(account.primary()),
        backup_used: used(account.backup()),
        lifetimes: Lifetimes::default(),
    }
}
