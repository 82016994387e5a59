//! A plain model of one user's tokens, written from the table of the design and
//! not from the code under test: numbers instead of digests, strings instead of
//! errors, lists instead of slots where a list will do.

#[path = "model/act.rs"]
mod act;

use std::time::Duration;

use tower_api_token::account::{Account, Ending, Slot, TokenRecord};
use tower_api_token::rotation::Policy;

use self::act::method_set;
pub(crate) use self::act::{Act, code_digest, name, token_digest};

const DAY: u64 = 86_400_000;
const MINUTE: u64 = 60_000;

/// The lifetimes that a host may set, in milliseconds.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Lifetimes {
    pub(crate) token: Option<u64>,
    pub(crate) backup: Option<u64>,
}

impl Lifetimes {
    pub(crate) fn policy(self) -> Policy {
        let mut policy = Policy::default();
        if let Some(life) = self.token {
            policy = policy.token_lifetime(Duration::from_millis(life)).unwrap();
        }
        if let Some(life) = self.backup {
            policy = policy.backup_lifetime(Duration::from_millis(life)).unwrap();
        }
        policy
    }
}

/// What the rules know of the world, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct World {
    pub(crate) now: u64,
    pub(crate) primary_used: Option<u64>,
    pub(crate) backup_used: Option<u64>,
    pub(crate) lifetimes: Lifetimes,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) id: u64,
    pub(crate) digest: u64,
    since: u64,
    end: Option<u64>,
}

impl Token {
    pub(crate) fn is_live(&self, now: u64) -> bool {
        self.end.is_none_or(|end| now < end)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Waiting {
    pub(crate) token: Token,
    pub(crate) code: u64,
    code_made: u64,
    replacing: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(crate) id: u64,
    pub(crate) digest: u64,
    pub(crate) at: u64,
    pub(crate) ending: Ending,
    /// Whether the account may have forgotten it.
    pub(crate) is_forgotten: bool,
}

/// One user, as the model has it.
#[derive(Clone, Debug, Default)]
pub(crate) struct User {
    methods: Vec<&'static str>,
    pub(crate) primary: Option<Token>,
    pub(crate) backup: Option<Token>,
    pub(crate) waiting: Option<Waiting>,
    /// Every token that has ended, remembered by the account or not.
    pub(crate) ended: Vec<Ended>,
    pub(crate) confirmed: Option<(u64, u64)>,
    /// How many tokens there have been.
    tokens: u64,
    /// How many changes there have been.
    pub(crate) changes: u64,
}

type Outcome = Result<(), &'static str>;

fn guard(holds: bool, refusal: &'static str) -> Outcome {
    if holds { Ok(()) } else { Err(refusal) }
}

impl User {
    /// What the rules make of it; a refusal changes nothing.
    pub(crate) fn act(&mut self, act: &Act, world: World) -> Outcome {
        let mut next = self.clone();
        next.expire(world);
        next.try_to(act, world)?;
        next.changes += 1;
        next.forget(world);
        *self = next;
        Ok(())
    }

    /// What has expired ends first, and a backup that lives on takes the place
    /// of a primary that does not.
    fn expire(&mut self, world: World) {
        for slot in [&mut self.backup, &mut self.primary] {
            if let Some(token) = slot.take_if(|token| !token.is_live(world.now)) {
                let Token { id, digest, .. } = token;
                let (at, ending) = (world.now, Ending::Expired);
                self.ended.push(Ended { id, digest, at, ending, is_forgotten: false });
                self.changes += 1;
            }
        }
        if self.primary.is_none() {
            self.primary = self.backup.take().map(|backup| {
                let end = world.lifetimes.token.map(|life| world.now + life);
                Token { end: backup.end.into_iter().chain(end).min(), ..backup }
            });
        }
    }

    /// The latest 64 of each kind are remembered for 90 days, the last 16 for
    /// ever.
    fn forget(&mut self, world: World) {
        let mut counts = [0; 2];
        let remembered = self.ended.iter_mut().rev().filter(|ended| !ended.is_forgotten);
        for (place, ended) in remembered.enumerate() {
            let lived = !matches!(ended.ending, Ending::Superseded | Ending::Cancelled);
            let count = &mut counts[usize::from(lived)];
            *count += 1;
            let old = world.now.saturating_sub(ended.at) > 90 * DAY;
            ended.is_forgotten = *count > 64 || (old && place >= 16);
        }
    }

    /// Every ended token that the account remembers.
    fn remembered(&self) -> impl Iterator<Item = &Ended> {
        self.ended.iter().filter(|ended| !ended.is_forgotten)
    }

    fn try_to(&mut self, act: &Act, world: World) -> Outcome {
        match *act {
            Act::Grant(methods) if !methods.is_empty() => self.grant(methods),
            Act::Grant(_) | Act::RevokeAccess => {
                guard(!self.methods.is_empty() || self.has_tokens(), "AlreadyDone")?;
                self.methods.clear();
                self.end_everything(Ending::AccessRevoked, world)
            }
            Act::RevokeAll => {
                guard(self.has_tokens(), "AlreadyDone")?;
                self.end_everything(Ending::Revoked, world)
            }
            Act::Generate { digest, code, replacing } => {
                self.generate(digest, code, replacing, world)
            }
            Act::Resend { id, code } => self.resend(id, code, world),
            Act::Confirm { code } => self.confirm(code, world),
            Act::Cancel { id } => self.cancel(id, world),
            Act::Delete { id, even_if_in_use } => self.delete(id, even_if_in_use, world),
            Act::RollBack { id, even_if_in_use } => self.roll_back(id, even_if_in_use, world),
            Act::Issue { digest } => {
                guard(!self.methods.is_empty(), "NoAccess")?;
                guard(self.primary.is_none(), "PrimaryExists")?;
                self.primary = Some(self.make(digest, world, world.lifetimes.token)?);
                Ok(())
            }
            Act::Import { slot, digest } => self.import(slot, digest, world),
        }
    }

    fn has_tokens(&self) -> bool {
        self.primary.is_some() || self.backup.is_some() || self.waiting.is_some()
    }

    fn grant(&mut self, methods: &[&'static str]) -> Outcome {
        guard(self.methods != methods, "AlreadyDone")?;
        self.methods = methods.to_vec();
        Ok(())
    }

    fn generate(
        &mut self,
        digest: u64,
        code: u64,
        replacing: Option<u64>,
        world: World,
    ) -> Outcome {
        guard(!self.methods.is_empty(), "NoAccess")?;
        let backup = self.backup.as_ref().map(|backup| backup.id);
        let expired = |id| self.remembered().any(|it| it.id == id && it.ending == Ending::Expired);
        let replacing = replacing.filter(|id| !expired(*id));
        guard(backup.is_none() || replacing.is_some(), "BackupExists")?;
        guard(backup == replacing, "Stale")?;
        let token = self.make(digest, world, None)?;
        if let Some(former) = self.waiting.take() {
            self.end(&former.token, Ending::Superseded, world);
        }
        self.waiting = Some(Waiting { token, code, code_made: world.now, replacing });
        Ok(())
    }

    fn resend(&mut self, id: u64, code: u64, world: World) -> Outcome {
        let Some(waiting) = self.waiting.as_mut().filter(|waiting| waiting.token.id == id) else {
            return Err("Stale");
        };
        guard(world.now < waiting.token.since + DAY, "ExpiredCode")?;
        guard(world.now >= waiting.code_made + MINUTE, "TooSoon")?;
        (waiting.code, waiting.code_made) = (code, world.now);
        Ok(())
    }

    fn confirm(&mut self, code: u64, world: World) -> Outcome {
        let Some(waiting) = self.waiting.clone().filter(|waiting| waiting.code == code) else {
            let mut slots = self.primary.iter().chain(&self.backup);
            let known = self.confirmed.filter(|confirmed| confirmed.1 == code);
            let live = |token: &Token| known.is_some_and(|(id, _)| id == token.id);
            return Err(if slots.any(live) { "AlreadyConfirmed" } else { "UnknownCode" });
        };
        let in_time = world.now < waiting.code_made + 10 * MINUTE;
        guard(in_time && world.now < waiting.token.since + DAY, "ExpiredCode")?;
        let backup = self.backup.take();
        guard(backup.as_ref().is_none_or(|it| Some(it.id) == waiting.replacing), "Stale")?;
        if let Some(backup) = backup {
            self.end(&backup, Ending::Replaced, world);
        }
        self.backup = self.primary.take().map(|primary| {
            let end = world.lifetimes.backup.map(|life| world.now + life);
            let end = primary.end.into_iter().chain(end).min();
            Token { end, ..primary }
        });
        let end = world.lifetimes.token.map(|life| world.now + life);
        self.confirmed = Some((waiting.token.id, code));
        self.primary = Some(Token { since: world.now, end, ..waiting.token });
        self.waiting = None;
        Ok(())
    }

    fn cancel(&mut self, id: u64, world: World) -> Outcome {
        let waiting = self.waiting.take().filter(|waiting| waiting.token.id == id);
        let waiting = waiting.ok_or_else(|| self.gone(id, Ending::Cancelled))?;
        self.end(&waiting.token, Ending::Cancelled, world);
        Ok(())
    }

    fn delete(&mut self, id: u64, even_if_in_use: bool, world: World) -> Outcome {
        let backup = self.backup.take().filter(|backup| backup.id == id);
        let backup = backup.ok_or_else(|| self.gone(id, Ending::Deleted))?;
        guard(even_if_in_use || !in_use(&backup, world.backup_used, world.now), "InUse")?;
        self.end(&backup, Ending::Deleted, world);
        Ok(())
    }

    fn roll_back(&mut self, id: u64, even_if_in_use: bool, world: World) -> Outcome {
        let expired = self.remembered().any(|it| it.id == id && it.ending == Ending::Expired);
        guard(self.primary.is_some() || !expired, "NoLiveBackup")?;
        let primary = self.primary.take().filter(|primary| primary.id == id);
        let primary = primary.ok_or_else(|| self.gone(id, Ending::RolledBack))?;
        let backup = self.backup.take().ok_or("NoLiveBackup")?;
        guard(even_if_in_use || !in_use(&primary, world.primary_used, world.now), "InUse")?;
        self.end(&primary, Ending::RolledBack, world);
        let end = world.lifetimes.token.map(|life| world.now + life);
        self.primary = Some(Token { end, ..backup });
        Ok(())
    }

    fn import(&mut self, slot: Slot, digest: u64, world: World) -> Outcome {
        guard(!self.methods.is_empty(), "NoAccess")?;
        let taken = match slot {
            Slot::Primary => self.primary.is_some(),
            Slot::Backup => self.backup.is_some(),
        };
        guard(!taken, "SlotTaken")?;
        match slot {
            Slot::Primary => {
                self.primary = Some(self.make(digest, world, world.lifetimes.token)?);
            }
            Slot::Backup => {
                let token = self.make(digest, world, world.lifetimes.backup)?;
                guard(self.primary.is_some(), "NoLivePrimary")?;
                self.backup = Some(token);
            }
        }
        Ok(())
    }

    /// A new token, unless the account still names its digest.
    fn make(
        &mut self,
        digest: u64,
        world: World,
        life: Option<u64>,
    ) -> Result<Token, &'static str> {
        guard(!self.named().contains(&digest), "DigestInUse")?;
        self.tokens += 1;
        let end = life.map(|life| world.now + life);
        Ok(Token { id: self.tokens, digest, since: world.now, end })
    }

    /// Every digest that the account names.
    pub(crate) fn named(&self) -> Vec<u64> {
        let live = self.primary.iter().chain(&self.backup);
        let live = live.chain(self.waiting.iter().map(|waiting| &waiting.token));
        let remembered = self.remembered().map(|ended| ended.digest);
        live.map(|token| token.digest).chain(remembered).collect()
    }

    fn gone(&self, id: u64, effect: Ending) -> &'static str {
        let done = |ended: &Ended| ended.ending == effect || ended.ending == Ending::Expired;
        let done = self.remembered().any(|ended| ended.id == id && done(ended));
        if done { "AlreadyDone" } else { "Stale" }
    }

    fn end(&mut self, token: &Token, ending: Ending, world: World) {
        let Token { id, digest, .. } = *token;
        self.ended.push(Ended { id, digest, at: world.now, ending, is_forgotten: false });
    }

    fn end_everything(&mut self, ending: Ending, world: World) -> Outcome {
        let waiting = self.waiting.take().map(|waiting| waiting.token);
        for token in waiting.into_iter().chain(self.backup.take()).chain(self.primary.take()) {
            self.end(&token, ending, world);
        }
        Ok(())
    }

    /// Whether an account of the crate is this user, field by field.
    pub(crate) fn assert_is(&self, account: &Account) {
        assert_eq!(account.methods(), &method_set(&self.methods));
        assert_eq!(account.revision().as_u64(), self.changes);
        assert_eq!(account.next_token(), self.tokens + 1);
        let token = |token: &TokenRecord| {
            let end = token.expires_at.map(|end| end.unix_millis());
            (token.id.as_u64(), token.digest.digest, token.active_since.unix_millis(), end)
        };
        let same = |own: &Token| (own.id, token_digest(own.digest), own.since, own.end);
        assert_eq!(account.primary().map(token), self.primary.as_ref().map(same));
        assert_eq!(account.backup().map(token), self.backup.as_ref().map(same));
        let waiting = self.waiting.as_ref().map(|waiting| &waiting.token);
        let pending = account.pending().map(|pending| token(&pending.token));
        assert_eq!(pending, waiting.map(same));
        let code = self.waiting.as_ref().map(|it| code_digest(it.code, account.user()));
        assert_eq!(account.pending().map(|pending| pending.code), code);
        let confirmed = account.confirmed().map(|it| (it.id.as_u64(), it.code));
        let own = self.confirmed.map(|(id, code)| (id, code_digest(code, account.user())));
        assert_eq!(confirmed, own);
        let retired = account.retired().iter();
        let retired =
            retired.map(|it| (it.id.as_u64(), it.digest.digest, it.at.unix_millis(), it.ending));
        let ended = self.remembered();
        let ended = ended.map(|it| (it.id, token_digest(it.digest), it.at, it.ending));
        assert!(retired.eq(ended), "{:?}\n{:?}", account.retired(), self.ended);
    }
}

fn in_use(token: &Token, used: Option<u64>, now: u64) -> bool {
    match used {
        Some(used) => now < used.saturating_add(DAY),
        None => now < token.since + 20_000,
    }
}
