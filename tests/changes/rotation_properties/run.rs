//! One random life, and what must hold after each of its steps: the invariants
//! of `tests/adversarial` that the rules alone decide.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use tower_api_token::account::{Account, Ending, Place, Slot, TokenRecord};
use tower_api_token::audit::Event;
use tower_api_token::rotation::{Facts, Policy, Transition, apply, retire_expired};
use tower_api_token::time::Timestamp;
use tower_api_token::user::UserId;

use crate::model::{Act, Lifetimes, User, World, name, token_digest};
use crate::rotation_properties::{Step, What};

const START: u64 = 1_767_323_045_678;
const HOUR: u64 = 3_600_000;
const DAY: u64 = 24 * HOUR;
const METHODS: [&[&str]; 4] = [&["GET"], &["GET", "POST"], &["PUT", "PURGE"], &[]];

/// Three users, the accounts that a store would have of them, and the model's
/// word.
pub(crate) struct Run {
    users: [UserId; 3],
    accounts: [Account; 3],
    models: [User; 3],
    policy: Policy,
    lifetimes: Lifetimes,
    now: u64,
    /// When a token, by user and id, was last used.
    uses: HashMap<(usize, u64), u64>,
    /// Every code that was made for each user.
    codes: [Vec<u64>; 3],
    /// The next digest or code that nobody has.
    next: u64,
    steps: usize,
    /// What is delivered again, and before which step.
    late: Vec<(usize, usize, Act)>,
    /// The acts about one certain token that have had their effect.
    done: HashSet<String>,
    /// The end of a token, by user and id, and the notices of it that were given.
    notices: HashMap<(usize, u64), (Timestamp, HashSet<Duration>)>,
    /// What came of how many acts of each kind.
    pub(crate) seen: BTreeMap<(&'static str, &'static str), u64>,
}

impl Run {
    pub(crate) fn new(lifetimes: Lifetimes) -> Self {
        let users = ["alice", "bob", "carol"].map(|name| UserId::new(name).unwrap());
        Self {
            accounts: users.clone().map(Account::absent),
            users,
            models: Default::default(),
            policy: lifetimes.policy(),
            lifetimes,
            now: START,
            uses: HashMap::new(),
            codes: Default::default(),
            next: 1,
            steps: 0,
            late: Vec::new(),
            done: HashSet::new(),
            notices: HashMap::new(),
            seen: BTreeMap::new(),
        }
    }

    pub(crate) fn step(&mut self, step: &Step) {
        self.steps += 1;
        let steps = self.steps;
        let due: Vec<_> = self.late.extract_if(.., |(at, _, _)| *at <= steps).collect();
        for (_, user, act) in due {
            self.deliver(user, &act);
        }
        match *step {
            Step::Wait(time) => self.now += time,
            Step::SetBack(time) => self.now = self.now.saturating_sub(time),
            Step::Use { user, slot } => self.note_use(user, slot),
            Step::Ask { user, what, pick, again_after } => {
                let act = self.resolve(user, what, usize::from(pick));
                self.deliver(user, &act);
                self.late.push((steps + again_after, user, act));
            }
        }
    }

    pub(crate) fn deliver_what_is_late(&mut self) {
        for (_, user, act) in std::mem::take(&mut self.late) {
            self.deliver(user, &act);
        }
    }

    fn note_use(&mut self, user: usize, slot: Slot) {
        if let Some(token) = self.accounts[user].slot(slot) {
            self.uses.insert((user, token.id.as_u64()), self.now);
        }
    }

    /// The act about the tokens and codes that there are now.
    fn resolve(&mut self, user: usize, what: What, pick: usize) -> Act {
        let model = &self.models[user];
        let id = |token: Option<u64>| match (pick % 8, token) {
            (0, _) | (_, None) => pick as u64 / 8 % (self.next + 1),
            (_, Some(id)) => id,
        };
        let primary = model.primary.as_ref().map(|token| token.id);
        let backup = model.backup.as_ref().map(|token| token.id);
        let waiting = model.waiting.as_ref().map(|waiting| waiting.token.id);
        let even_if_in_use = pick.is_multiple_of(3);
        match what {
            What::Grant if pick % 5 == 1 => {
                let lives = [None, Some(HOUR / 2), Some(DAY), Some(9 * DAY), Some(40 * DAY)];
                let (token, backup) = (lives[pick / 5 % 5], lives[pick / 25 % 5]);
                Act::GrantFor { methods: METHODS[pick % 3], token, backup }
            }
            What::Grant => Act::Grant(METHODS[if pick < 8 { 3 } else { pick % 3 }]),
            What::RevokeAccess => Act::RevokeAccess,
            What::Cancel => Act::Cancel { id: id(waiting) },
            What::Delete => Act::Delete { id: id(backup), even_if_in_use },
            What::RollBack => Act::RollBack { id: id(primary), even_if_in_use },
            What::RevokeAll => Act::RevokeAll,
            What::Confirm => Act::Confirm { code: self.some_code(user, pick) },
            What::Resend => Act::Resend { id: id(waiting), code: self.new_code(user) },
            What::Generate => {
                let replacing = if pick % 4 == 1 { None } else { backup.map(|_| id(backup)) };
                let (digest, code) = (self.some_digest(pick), self.new_code(user));
                Act::Generate { digest, code, replacing }
            }
            What::Issue => Act::Issue { digest: self.some_digest(pick) },
            What::Import => {
                let slot = if pick.is_multiple_of(2) { Slot::Primary } else { Slot::Backup };
                Act::Import { slot, digest: self.some_digest(pick) }
            }
            What::Suspend => Act::Suspend,
            What::Resume => Act::Resume,
            What::EndToken => {
                Act::EndToken { id: id([primary, backup, waiting][pick / 8 % 3].or(primary)) }
            }
            What::ReportLeak => Act::ReportLeak { id: id(primary.or(waiting)) },
            What::Announce => Act::Announce { id: id(self.some_slot(user, pick)) },
            What::Lift => Act::Lift { id: id(self.some_slot(user, pick)) },
            What::RetireExpired => Act::RetireExpired,
        }
    }

    /// Mostly the primary's id.
    fn some_slot(&self, user: usize, pick: usize) -> Option<u64> {
        let model = &self.models[user];
        let backup = model.backup.as_ref().filter(|_| pick.is_multiple_of(3));
        backup.or(model.primary.as_ref()).map(|token| token.id)
    }

    fn new_code(&mut self, user: usize) -> u64 {
        self.next += 1;
        self.codes[user].push(self.next);
        self.next
    }

    /// Mostly the code of the pending token, else one of any user's.
    fn some_code(&self, user: usize, pick: usize) -> u64 {
        let waiting = self.models[user].waiting.as_ref().map(|waiting| waiting.code);
        let codes = &self.codes[if pick.is_multiple_of(2) { user } else { pick % 3 }];
        let any = codes.iter().rev().nth(pick % codes.len().max(1)).copied();
        waiting.filter(|_| !pick.is_multiple_of(4)).or(any).unwrap_or(0)
    }

    /// Mostly a digest that nobody has had, else any.
    fn some_digest(&mut self, pick: usize) -> u64 {
        let named: Vec<_> = self.models.iter().flat_map(User::named).collect();
        match named.get(pick / 8) {
            Some(named) if pick.is_multiple_of(8) => *named,
            _ => {
                self.next += 1;
                self.next
            }
        }
    }

    /// Carries out an act as a manager and its store would, and checks all that
    /// must hold.
    fn deliver(&mut self, user: usize, act: &Act) {
        if self.is_forgotten(act) {
            return;
        }
        let before = self.accounts[user].clone();
        let used =
            |token: Option<&TokenRecord>| self.uses.get(&(user, token?.id.as_u64())).copied();
        let (primary_used, backup_used) = (used(before.primary()), used(before.backup()));
        let world = World { now: self.now, primary_used, backup_used, lifetimes: self.lifetimes };
        let time = Timestamp::from_unix_millis;
        let mut facts = Facts::new(time(self.now), &self.policy);
        facts.primary_used = primary_used.map(time);
        facts.backup_used = backup_used.map(time);
        let answer = apply(&before, act.command(&self.users[user]), &facts);
        let mut model = self.models[user].clone();
        let expected = model.act(act, world);
        let outcome = match (&answer, expected) {
            (Err(error), Err(refusal)) if name(error) == refusal => refusal,
            (Ok(it), Ok(())) if self.is_taken(user, &it.account) => "taken by another",
            (Ok(_), Ok(())) => "done",
            _ => panic!("{act:?}: {answer:?}, and the model says {expected:?} of {before:?}"),
        };
        *self.seen.entry((kind(act), outcome)).or_insert(0) += 1;
        if let (Ok(transition), "done") = (answer, outcome) {
            let (primary_used, backup_used) = (facts.primary_used, facts.backup_used);
            self.check_expiry(act, &before, &transition, [primary_used, backup_used]);
            let events: Vec<_> = transition.events().map(|(_, event)| event.clone()).collect();
            self.accounts[user] = transition.account;
            self.models[user] = model;
            self.check(user, act, &before, events.len());
            self.check_notices(user, &events);
            self.check_ends(user, act, &before);
        }
    }

    /// Whether the act brings a token back that its account has forgotten: no
    /// manager does, which makes a new token each time.
    fn is_forgotten(&self, act: &Act) -> bool {
        let forgotten = |model: &User| {
            let mut forgotten = model.ended.iter().filter(|ended| ended.is_forgotten);
            forgotten.any(|ended| Some(ended.digest) == act.digest())
        };
        self.models.iter().any(forgotten)
    }

    /// Whether a store would refuse the account for a digest of another's.
    fn is_taken(&self, user: usize, after: &Account) -> bool {
        let others = self.accounts.iter().enumerate().filter(|(other, _)| *other != user);
        let named =
            |other: &Account| after.digests().any(|it| other.place_of(&it.digest).is_some());
        others.into_iter().any(|(_, other)| named(other))
    }

    /// Each token that had expired has ended by an event of its own, and no other, unless
    /// its use has kept it; what the account is shown as beforehand is what the act began
    /// with.
    fn check_expiry(
        &mut self,
        act: &Act,
        before: &Account,
        transition: &Transition,
        [primary_used, backup_used]: [Option<Timestamp>; 2],
    ) {
        if matches!(act, Act::Lift { .. }) {
            assert_eq!(transition.expired, []);
            return;
        }
        let now = Timestamp::from_unix_millis(self.now);
        let retired_alone = (*act == Act::RetireExpired).then_some(&transition.event);
        let events: Vec<_> = transition.expired.iter().chain(retired_alone).cloned().collect();
        let lifted: Vec<_> = events
            .iter()
            .filter(|event| matches!(event, Event::ExpiryLifted { .. }))
            .filter_map(Event::token)
            .collect();
        let slots = before.backup().into_iter().chain(before.primary());
        let expired: Vec<_> = slots.filter(|token| token.is_expired(now)).collect();
        let seen: Vec<_> = events
            .iter()
            .filter(|event| matches!(event, Event::TokenExpired { .. }))
            .filter_map(Event::token)
            .collect();
        let ended = |token: &&TokenRecord| seen.contains(&token.id) || lifted.contains(&token.id);
        assert!(expired.iter().all(ended), "{act:?}: {events:?}");
        assert!(seen.iter().all(|id| expired.iter().any(|token| token.id == *id)), "{events:?}");
        for id in &seen {
            let token = expired.iter().find(|token| token.id == *id).unwrap();
            assert_eq!(transition.account.slot_of(&token.digest.digest), None);
        }
        let mut facts = Facts::new(now, &self.policy);
        (facts.primary_used, facts.backup_used) = (primary_used, backup_used);
        let (shown, told) = retire_expired(before, &facts);
        assert_eq!(told, events);
        let mut slots = shown.primary().into_iter().chain(shown.backup());
        assert!(slots.all(|token| !token.is_expired(now)));
        assert!(shown.backup().is_none() || shown.primary().is_some());
        let promoted = expired.len() == 1 && before.backup().is_some() && shown.backup().is_none();
        for (happened, name) in [
            (!lifted.is_empty(), "kept by its use"),
            (expired.len() == 1, "one has expired"),
            (expired.len() == 2, "both have expired"),
            (promoted && expired[0].id == before.primary().unwrap().id, "the backup is promoted"),
        ] {
            *self.seen.entry(("Expire", name)).or_insert(0) += u64::from(happened);
        }
    }

    /// Each notice of an end is given once while the token has that end.
    fn check_notices(&mut self, user: usize, events: &[Event]) {
        for event in events {
            let Event::ExpiryAnnounced { id, expires_at, notice, .. } = event else { continue };
            let key = (user, id.as_u64());
            let (end, given) = self.notices.entry(key).or_insert((*expires_at, HashSet::new()));
            if end != expires_at {
                (*end, *given) = (*expires_at, HashSet::new());
            }
            assert!(given.insert(*notice), "{notice:?} before {expires_at} twice: {id}");
            let left = expires_at.since(Timestamp::from_unix_millis(self.now));
            assert!(left <= *notice, "told {left:?} before, which is sooner than {notice:?}");
        }
        let account = &self.accounts[user];
        let end_of = |id: u64| {
            let mut slots = account.primary().into_iter().chain(account.backup());
            slots.find(|token| token.id.as_u64() == id).and_then(|token| token.expires_at)
        };
        // An end that has moved is another one, even if it moves back.
        self.notices.retain(|(of, id), (end, _)| *of != user || end_of(*id) == Some(*end));
    }

    /// The end of a token's lifetime never moves back. While access is suspended no token
    /// is made, none becomes live and no code is sent. An access that is revoked has no
    /// lifetimes, and is suspended if it was.
    fn check_ends(&self, user: usize, act: &Act, before: &Account) {
        let after = &self.accounts[user];
        let life_of = |token: &TokenRecord| match &token.expiry {
            Some(expiry) => expiry.of_lifetime,
            None => token.expires_at,
        };
        for token in after.primary().into_iter().chain(after.backup()) {
            let was = before.primary().into_iter().chain(before.backup());
            let was = was.filter(|was| was.id == token.id).find_map(life_of);
            let is = life_of(token);
            assert!(was.is_none_or(|was| is.is_some_and(|is| is <= was)), "{act:?}: {before:?}");
        }
        let since = before.suspended_since();
        if since.is_some() {
            let makes = matches!(
                act,
                Act::Generate { .. }
                    | Act::Resend { .. }
                    | Act::Confirm { .. }
                    | Act::Issue { .. }
                    | Act::Import { .. }
            );
            assert!(!makes, "{act:?} while suspended");
        }
        if !matches!(act, Act::Suspend | Act::Resume) {
            assert_eq!(after.suspended_since(), since, "{act:?}");
        }
        if after.methods().is_empty() {
            assert_eq!(after.lifetimes(), tower_api_token::account::Lifetimes::default());
        }
    }

    fn check(&mut self, user: usize, act: &Act, before: &Account, events: usize) {
        let after = &self.accounts[user];
        self.models[user].assert_is(after);
        // I7: each event raises the revision by one.
        assert_eq!(after.revision().as_u64(), before.revision().as_u64() + events as u64);
        // I3: a backup implies a primary, and only these acts leave a user who
        // had a live token without one.
        assert!(after.backup().is_none() || after.primary().is_some(), "{act:?}");
        let ends = matches!(act, Act::RevokeAll | Act::RevokeAccess | Act::Grant([]));
        let now = Timestamp::from_unix_millis(self.now);
        let slots = before.primary().into_iter().chain(before.backup());
        let last = slots.filter(|token| !token.is_expired(now)).count() == 1;
        let ends = ends || (matches!(act, Act::EndToken { .. }) && last);
        assert!(ends || self.is_live(after) || !self.is_live(before), "{act:?}: {before:?}");
        self.check_digests();
        self.check_activation(act, before, after);
        self.check_endings(user, before);
        if is_about_one_token(act) {
            let act = format!("{user} {}", normal(act));
            assert!(self.done.insert(act.clone()), "{act} took effect twice");
        }
    }

    fn is_live(&self, account: &Account) -> bool {
        let now = Timestamp::from_unix_millis(self.now);
        let mut slots = account.primary().into_iter().chain(account.backup());
        slots.any(|token| !token.is_expired(now))
    }

    /// I2: a digest is named by one place of one account.
    fn check_digests(&self) {
        let digests = self.accounts.iter().flat_map(Account::digests);
        let digests: Vec<_> = digests.map(|stored| *stored.digest.as_bytes()).collect();
        let different: HashSet<_> = digests.iter().collect();
        assert_eq!(different.len(), digests.len());
    }

    /// I5: a token that was not live before has become so by the act that may
    /// do it: a confirmation of the one that waited, or an issue or import of
    /// it.
    fn check_activation(&self, act: &Act, before: &Account, after: &Account) {
        let slots = [Slot::Primary, Slot::Backup];
        let new = slots.into_iter().filter_map(|slot| after.slot(slot));
        for token in new.filter(|token| before.slot_of(&token.digest.digest).is_none()) {
            let digest = &token.digest.digest;
            let waited = before.place_of(digest) == Some(Place::Pending);
            let brought = act.digest().map(token_digest) == Some(*digest);
            match act {
                Act::Confirm { .. } => assert!(waited, "{act:?}"),
                Act::Issue { .. } | Act::Import { .. } => assert!(brought, "{act:?}"),
                _ => panic!("{act:?} has made a token live"),
            }
        }
        if let Some(pending) = after.pending() {
            assert_eq!(after.slot_of(&pending.token.digest.digest), None);
        }
    }

    /// I12: what has ended stays so, under its own id, and is remembered for
    /// ninety days and among the last sixteen. I14: at most 64 of each kind are,
    /// and none for longer but the last sixteen.
    fn check_endings(&self, user: usize, before: &Account) {
        let (account, model) = (&self.accounts[user], &self.models[user]);
        for ended in before.retired() {
            let place = account.place_of(&ended.digest.digest);
            assert!(place.is_none_or(|place| place == Place::Retired(ended.id)));
        }
        let young = |at: u64| self.now.saturating_sub(at) <= 90 * crate::rotation_properties::DAY;
        let lived = |ending| !matches!(ending, Ending::Superseded | Ending::Cancelled);
        let kinds = account.retired().iter().map(|retired| lived(retired.ending));
        let [of_live, all] = [kinds.clone().filter(|lived| *lived).count(), kinds.count()];
        assert!(of_live <= 64 && all - of_live <= 64);
        for (place, ended) in model.ended.iter().rev().enumerate() {
            let remembered = account.place_of(&token_digest(ended.digest)).is_some();
            let is_full = (if lived(ended.ending) { of_live } else { all - of_live }) == 64;
            let must_be = place < 16 || (young(ended.at) && !is_full);
            assert!(remembered || !must_be || ended.is_forgotten, "{ended:?} is forgotten");
            assert!(!remembered || place < 16 || young(ended.at), "{ended:?} is remembered");
        }
        let mut ids: Vec<_> = account.retired().iter().map(|retired| retired.id).collect();
        let slots = account.primary().into_iter().chain(account.backup());
        let slots = slots.chain(account.pending().map(|pending| &pending.token));
        ids.extend(slots.map(|token| token.id));
        ids.sort_unstable();
        assert!(ids.windows(2).all(|pair| pair[0] != pair[1]));
        assert!(ids.iter().all(|id| id.as_u64() < account.next_token()));
    }
}

const fn kind(act: &Act) -> &'static str {
    match act {
        Act::Grant(_) => "Grant",
        Act::RevokeAccess => "RevokeAccess",
        Act::Generate { .. } => "Generate",
        Act::Resend { .. } => "Resend",
        Act::Confirm { .. } => "Confirm",
        Act::Cancel { .. } => "Cancel",
        Act::Delete { .. } => "Delete",
        Act::RollBack { .. } => "RollBack",
        Act::RevokeAll => "RevokeAll",
        Act::Issue { .. } => "Issue",
        Act::Import { .. } => "Import",
        Act::GrantFor { .. } => "GrantFor",
        Act::Suspend => "Suspend",
        Act::Resume => "Resume",
        Act::EndToken { .. } => "EndToken",
        Act::ReportLeak { .. } => "ReportLeak",
        Act::Announce { .. } => "Announce",
        Act::Lift { .. } => "Lift",
        Act::RetireExpired => "RetireExpired",
    }
}

/// Whether an act can have its effect once only. A grant, a revocation and a
/// code sent again name no token that they end or begin.
const fn is_about_one_token(act: &Act) -> bool {
    matches!(
        act,
        Act::Generate { .. }
            | Act::Confirm { .. }
            | Act::Cancel { .. }
            | Act::Delete { .. }
            | Act::RollBack { .. }
            | Act::Issue { .. }
            | Act::Import { .. }
            | Act::EndToken { .. }
    )
}

/// The act as its effect names it.
fn normal(act: &Act) -> String {
    match *act {
        Act::Delete { id, .. } => format!("Delete {id}"),
        Act::RollBack { id, .. } => format!("RollBack {id}"),
        ref act => format!("{act:?}"),
    }
}
