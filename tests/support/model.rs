//! A plain model of one user's tokens, written from the table of the design and
//! not from the code under test: numbers instead of digests, strings instead of
//! errors, lists instead of slots where a list will do.

#[path = "model/act.rs"]
mod act;

use std::time::Duration;

use tower_api_token::account::{Account, Ending, Slot, TokenRecord};
use tower_api_token::rotation::Policy;
use tower_api_token::time::Timestamp;

use self::act::method_set;
pub(crate) use self::act::{Act, code_digest, name, token_digest};

const DAY: u64 = 86_400_000;
const MINUTE: u64 = 60_000;

/// The lifetimes that a host may set, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Lifetimes {
    pub(crate) token: Option<u64>,
    pub(crate) backup: Option<u64>,
    /// Of a token that nobody uses.
    pub(crate) unused: Option<u64>,
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
        if let Some(life) = self.unused {
            policy = policy.unused_lifetime(Duration::from_millis(life)).unwrap();
        }
        policy
    }

    /// How long before its end the user of an unused token is told first: by the longest
    /// notice that fits into the time, or when half of it is over.
    fn first_notice_of_unused(life: u64) -> u64 {
        NOTICES.into_iter().find(|notice| *notice < life).unwrap_or(life / 2)
    }
}

/// How long before an end its user is told, each time once.
const NOTICES: [u64; 3] = [30 * DAY, 7 * DAY, DAY];

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
    life_ends: Option<u64>,
    ends_as_backup: Option<u64>,
    /// When it ends unless it is used, and since when its user knows.
    idle: Option<(u64, u64)>,
    /// Since when it counts as unused, if nobody has used it later.
    unused_from: u64,
    /// The notices of its end that are still to be given.
    notices: Vec<u64>,
    /// Whether its user knows of its end.
    is_told: bool,
}

impl Token {
    pub(crate) fn is_live(&self, now: u64) -> bool {
        self.end().is_none_or(|end| now < end)
    }

    /// The first of its ends.
    fn end(&self) -> Option<u64> {
        let idle = self.idle.map(|(at, _)| at);
        self.life_ends.into_iter().chain(self.ends_as_backup).chain(idle).min()
    }

    /// Changes its ends. Of a sooner one those notices are not given that would come too
    /// late; of a later one nobody has been told.
    fn change_ends(&mut self, now: u64, change: impl FnOnce(&mut Self)) {
        let before = self.end();
        change(self);
        match (before, self.end()) {
            (before, Some(end)) if before.is_none_or(|before| end < before) => {
                self.notices.retain(|notice| *notice <= end.saturating_sub(now));
            }
            (before, end) if before != end => {
                self.notices = NOTICES.to_vec();
                self.is_told = false;
            }
            _ => {}
        }
    }

    fn live_at_most(&mut self, now: u64, life: Option<u64>) {
        self.change_ends(now, |token| token.life_ends = sooner(token.life_ends, now, life));
    }

    fn be_backup_at_most(&mut self, now: u64, life: Option<u64>) {
        self.change_ends(now, |token| {
            token.ends_as_backup = sooner(token.ends_as_backup, now, life);
        });
    }

    fn unused_since(&self, used: Option<u64>) -> u64 {
        self.since.max(self.unused_from).max(used.unwrap_or(0))
    }

    /// Whether it was to end unless it is used, and was.
    fn is_kept_by_use(&self, used: Option<u64>, life: Option<u64>) -> bool {
        let kept = |(at, told)| {
            life.is_none_or(|life| used.is_some_and(|used| used > told || used + life > at))
        };
        self.idle.is_some_and(kept)
    }

    fn lift(&mut self, now: u64) {
        self.change_ends(now, |token| token.idle = None);
        self.unused_from = now;
    }
}

/// The sooner of an end and the one that lies so far ahead.
fn sooner(end: Option<u64>, now: u64, life: Option<u64>) -> Option<u64> {
    end.into_iter().chain(life.map(|life| now + life)).min()
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
    /// How long its tokens live at most, as primary and as backup.
    granted: [Option<u64>; 2],
    suspended: Option<u64>,
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
    pub(crate) fn act(&mut self, act: &Act, mut world: World) -> Outcome {
        let mut next = self.clone();
        // Whatever is told of a use late, the token was used in time.
        if !matches!(act, Act::Lift { .. }) {
            next.expire(world);
            let backup = self.backup.as_ref().map(|token| token.id);
            if backup.is_some() && next.primary.as_ref().map(|token| token.id) == backup {
                // It has brought its use along.
                world.primary_used = world.backup_used.take();
            }
        }
        if *act == Act::RetireExpired {
            guard(next.changes > self.changes, "AlreadyDone")?;
        } else {
            next.try_to(act, world)?;
            next.changes += 1;
        }
        next.forget(world);
        *self = next;
        Ok(())
    }

    /// How long a token lives in that slot: as the grant says, never longer than the
    /// policy does.
    fn life(&self, slot: Slot, world: World) -> Option<u64> {
        let [primary, backup] = self.granted;
        let (granted, longest) = match slot {
            Slot::Primary => (primary, world.lifetimes.token),
            Slot::Backup => (backup, world.lifetimes.backup),
        };
        granted.into_iter().chain(longest).min()
    }

    /// What has expired ends first, and a backup that lives on takes the place
    /// of a primary that does not. A token that was used stays.
    fn expire(&mut self, world: World) {
        let slots = [&self.primary, &self.backup];
        if slots.into_iter().flatten().all(|token| token.is_live(world.now)) {
            return;
        }
        for slot in [Slot::Backup, Slot::Primary] {
            let (token, used) = match slot {
                Slot::Backup => (&mut self.backup, world.backup_used),
                Slot::Primary => (&mut self.primary, world.primary_used),
            };
            if let Some(token) = token
                && token.is_kept_by_use(used, world.lifetimes.unused)
            {
                token.lift(world.now);
                self.changes += 1;
            }
            if let Some(token) = token.take_if(|token| !token.is_live(world.now)) {
                self.end(&token, Ending::Expired, world);
                self.changes += 1;
            }
        }
        self.promote(world);
    }

    fn promote(&mut self, world: World) {
        if self.primary.is_none() {
            let life = self.life(Slot::Primary, world);
            self.primary = self.backup.take();
            self.primary.iter_mut().for_each(|token| token.live_at_most(world.now, life));
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
            Act::Grant(methods) if !methods.is_empty() => self.grant(methods, self.granted, world),
            Act::GrantFor { methods, token, backup } if !methods.is_empty() => {
                self.grant(methods, [token, backup], world)
            }
            Act::Grant(_) | Act::GrantFor { .. } | Act::RevokeAccess => {
                guard(!self.methods.is_empty() || self.has_tokens(), "AlreadyDone")?;
                self.methods.clear();
                self.granted = [None; 2];
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
                self.may_make_tokens()?;
                guard(self.primary.is_none(), "PrimaryExists")?;
                self.primary = Some(self.make_live(digest, world)?);
                Ok(())
            }
            Act::Import { slot, digest } => self.import(slot, digest, world),
            Act::Suspend => self.suspend(world),
            Act::Resume => self.resume(world),
            Act::EndToken { id } => self.end_token(id, world),
            Act::ReportLeak { id } => {
                let waiting = self.waiting.as_ref().map(|waiting| waiting.token.id);
                let slots = self.primary.iter().chain(&self.backup).map(|token| token.id);
                let known = slots.chain(waiting).any(|known| known == id);
                if known { Ok(()) } else { Err(self.gone(id, Ending::Ended)) }
            }
            Act::Announce { id } => self.announce(id, world),
            Act::Lift { id } => {
                let gone = self.gone(id, Ending::Expired);
                let token = self.slot_of(id).ok_or(gone)?.0;
                guard(token.idle.is_some(), "AlreadyDone")?;
                token.lift(world.now);
                Ok(())
            }
            Act::RetireExpired => unreachable!("it does nothing else than each act begins with"),
        }
    }

    fn may_make_tokens(&self) -> Outcome {
        guard(!self.methods.is_empty(), "NoAccess")?;
        guard(self.suspended.is_none(), "Suspended")
    }

    /// The token of that id in a slot.
    fn slot_of(&mut self, id: u64) -> Option<(&mut Token, Slot)> {
        let primary = self.primary.iter_mut().map(|token| (token, Slot::Primary));
        let backup = self.backup.iter_mut().map(|token| (token, Slot::Backup));
        primary.chain(backup).find(|(token, _)| token.id == id)
    }

    fn suspend(&mut self, world: World) -> Outcome {
        guard(!self.methods.is_empty(), "NoAccess")?;
        guard(self.suspended.is_none(), "AlreadyDone")?;
        self.suspended = Some(world.now);
        // Nobody can use them now.
        for token in self.primary.iter_mut().chain(&mut self.backup) {
            token.change_ends(world.now, |token| token.idle = None);
        }
        Ok(())
    }

    fn resume(&mut self, world: World) -> Outcome {
        let since = self.suspended.take().ok_or("AlreadyDone")?;
        let primary = self.primary.iter_mut().map(|token| (token, world.primary_used));
        let backup = self.backup.iter_mut().map(|token| (token, world.backup_used));
        for (token, used) in primary.chain(backup) {
            let counted = since.saturating_sub(token.unused_since(used));
            token.unused_from = world.now.saturating_sub(counted);
        }
        Ok(())
    }

    fn end_token(&mut self, id: u64, world: World) -> Outcome {
        if let Some(waiting) = self.waiting.take_if(|waiting| waiting.token.id == id) {
            self.end(&waiting.token, Ending::Cancelled, world);
            return Ok(());
        }
        let was_cancelled = |it: &Ended| it.id == id && it.ending == Ending::Cancelled;
        guard(!self.remembered().any(was_cancelled), "AlreadyDone")?;
        let mut token = self.backup.take_if(|token| token.id == id);
        if token.is_none() {
            token = self.primary.take_if(|token| token.id == id);
        }
        let token = token.ok_or_else(|| self.gone(id, Ending::Ended))?;
        self.end(&token, Ending::Ended, world);
        self.promote(world);
        Ok(())
    }

    fn announce(&mut self, id: u64, world: World) -> Outcome {
        let (gone, suspended) = (self.gone(id, Ending::Expired), self.suspended.is_some());
        let (token, slot) = self.slot_of(id).ok_or(gone)?;
        let used = match slot {
            Slot::Primary => world.primary_used,
            Slot::Backup => world.backup_used,
        };
        if token.is_kept_by_use(used, world.lifetimes.unused) {
            token.lift(world.now);
            return Ok(());
        }
        let left = token.end().map(|end| end.saturating_sub(world.now));
        let is_due = |notice: &&u64| left.is_some_and(|left| left <= **notice);
        let mut due = token.notices.iter().filter(is_due).min().copied();
        if let Some(life) = world.lifetimes.unused.filter(|_| !suspended && token.idle.is_none()) {
            let end = token.unused_since(used) + life;
            let first = Lifetimes::first_notice_of_unused(life);
            let is_sooner = token.end().is_none_or(|other| end < other);
            if is_sooner && end.saturating_sub(first) <= world.now {
                let idle = (end.max(world.now + first), world.now);
                token.change_ends(world.now, |token| token.idle = Some(idle));
                due = Some(first);
            }
        }
        let due = due.ok_or("AlreadyDone")?;
        token.notices.retain(|notice| *notice < due);
        token.is_told = true;
        Ok(())
    }

    fn has_tokens(&self) -> bool {
        self.primary.is_some() || self.backup.is_some() || self.waiting.is_some()
    }

    fn grant(
        &mut self,
        methods: &[&'static str],
        granted: [Option<u64>; 2],
        world: World,
    ) -> Outcome {
        guard(self.methods != methods || self.granted != granted, "AlreadyDone")?;
        self.methods = methods.to_vec();
        if granted == self.granted {
            return Ok(());
        }
        for (granted, longest) in
            granted.into_iter().zip([world.lifetimes.token, world.lifetimes.backup])
        {
            let fits = granted.is_none_or(|granted| longest.is_none_or(|most| granted <= most));
            guard(fits, "LifetimeTooLong")?;
        }
        self.granted = granted;
        let [life, as_backup] = [Slot::Primary, Slot::Backup].map(|slot| self.life(slot, world));
        for token in self.primary.iter_mut().chain(&mut self.backup) {
            token.live_at_most(world.now, life);
        }
        self.backup.iter_mut().for_each(|token| token.be_backup_at_most(world.now, as_backup));
        Ok(())
    }

    fn generate(
        &mut self,
        digest: u64,
        code: u64,
        replacing: Option<u64>,
        world: World,
    ) -> Outcome {
        self.may_make_tokens()?;
        let backup = self.backup.as_ref().map(|backup| backup.id);
        let expired = |id| self.remembered().any(|it| it.id == id && it.ending == Ending::Expired);
        let replacing = replacing.filter(|id| !expired(*id));
        guard(backup.is_none() || replacing.is_some(), "BackupExists")?;
        guard(backup == replacing, "Stale")?;
        let token = self.make(digest, world)?;
        if let Some(former) = self.waiting.take() {
            self.end(&former.token, Ending::Superseded, world);
        }
        self.waiting = Some(Waiting { token, code, code_made: world.now, replacing });
        Ok(())
    }

    fn resend(&mut self, id: u64, code: u64, world: World) -> Outcome {
        guard(self.suspended.is_none(), "Suspended")?;
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
        guard(self.suspended.is_none(), "Suspended")?;
        let in_time = world.now < waiting.code_made + 10 * MINUTE;
        guard(in_time && world.now < waiting.token.since + DAY, "ExpiredCode")?;
        let backup = self.backup.take();
        guard(backup.as_ref().is_none_or(|it| Some(it.id) == waiting.replacing), "Stale")?;
        if let Some(backup) = backup {
            self.end(&backup, Ending::Replaced, world);
        }
        let [life, as_backup] = [Slot::Primary, Slot::Backup].map(|slot| self.life(slot, world));
        self.backup = self.primary.take();
        self.backup.iter_mut().for_each(|token| token.be_backup_at_most(world.now, as_backup));
        self.confirmed = Some((waiting.token.id, code));
        let mut primary = Token { since: world.now, ..waiting.token };
        primary.live_at_most(world.now, life);
        self.primary = Some(primary);
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
        // What is left is the end that it has had since it became active.
        let mut primary = backup;
        let life = self.life(Slot::Primary, world);
        primary.change_ends(world.now, |token| {
            token.ends_as_backup = None;
            token.life_ends = sooner(token.life_ends, world.now, life);
        });
        self.primary = Some(primary);
        Ok(())
    }

    fn import(&mut self, slot: Slot, digest: u64, world: World) -> Outcome {
        self.may_make_tokens()?;
        let taken = match slot {
            Slot::Primary => self.primary.is_some(),
            Slot::Backup => self.backup.is_some(),
        };
        guard(!taken, "SlotTaken")?;
        let mut token = self.make_live(digest, world)?;
        match slot {
            Slot::Primary => self.primary = Some(token),
            Slot::Backup => {
                guard(self.primary.is_some(), "NoLivePrimary")?;
                token.be_backup_at_most(world.now, self.life(slot, world));
                self.backup = Some(token);
            }
        }
        Ok(())
    }

    /// A new token, unless the account still names its digest.
    fn make(&mut self, digest: u64, world: World) -> Result<Token, &'static str> {
        guard(!self.named().contains(&digest), "DigestInUse")?;
        self.tokens += 1;
        Ok(Token {
            id: self.tokens,
            digest,
            since: world.now,
            life_ends: None,
            ends_as_backup: None,
            idle: None,
            unused_from: 0,
            notices: NOTICES.to_vec(),
            is_told: false,
        })
    }

    /// A new token that is live from now on, in whichever slot.
    fn make_live(&mut self, digest: u64, world: World) -> Result<Token, &'static str> {
        let mut token = self.make(digest, world)?;
        token.live_at_most(world.now, self.life(Slot::Primary, world));
        Ok(token)
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
        let suspended = account.suspended_since().map(|since| since.unix_millis());
        assert_eq!(suspended, self.suspended);
        let granted = [account.lifetimes().token, account.lifetimes().backup];
        let granted = granted.map(|life| life.map(|life| life.as_millis() as u64));
        assert_eq!(granted, self.granted);
        let token = |token: &TokenRecord| {
            let millis = |time: Option<Timestamp>| time.map(Timestamp::unix_millis);
            let ends = [millis(token.expires_at), millis(token.announced_end())];
            let idle = token.expiry.as_ref().and_then(|expiry| expiry.unless_used);
            let idle = idle.map(|end| (end.at.unix_millis(), end.announced_at.unix_millis()));
            (token.id.as_u64(), token.digest.digest, token.active_since.unix_millis(), ends, idle)
        };
        let same = |own: &Token| {
            let ends = [own.end(), own.end().filter(|_| own.is_told)];
            (own.id, token_digest(own.digest), own.since, ends, own.idle)
        };
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
