//! The host's choices about the life of tokens.

use std::time::Duration;

use crate::ConfigError;
use crate::time::Timestamp;

/// How long things last, and how much time must lie between them.
///
/// ```
/// use std::time::Duration;
/// use tower_api_token::rotation::Policy;
///
/// let policy = Policy::default().backup_lifetime(Duration::from_secs(30 * 86_400))?;
/// # Ok::<(), tower_api_token::ConfigError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Policy {
    pub(crate) code_lifetime: Duration,
    pub(crate) pending_lifetime: Duration,
    pub(crate) resend_interval: Duration,
    pub(crate) guard_window: Duration,
    pub(crate) usage_interval: Duration,
    pub(crate) retired_lifetime: Duration,
    pub(crate) token_lifetime: Option<Duration>,
    pub(crate) backup_lifetime: Option<Duration>,
    pub(crate) unused_lifetime: Option<Duration>,
    /// Each once, the longest first.
    pub(crate) notices: Vec<Duration>,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            code_lifetime: Duration::from_secs(10 * 60),
            pending_lifetime: Duration::from_secs(24 * 3_600),
            resend_interval: Duration::from_secs(60),
            guard_window: Duration::from_secs(24 * 3_600),
            usage_interval: Duration::from_secs(10),
            retired_lifetime: Self::SHORTEST_RETIRED_LIFETIME,
            token_lifetime: None,
            backup_lifetime: None,
            unused_lifetime: None,
            notices: [30, 7, 1].map(|days| Duration::from_secs(days * 86_400)).into(),
        }
    }
}

/// What a choice must not exceed: a hundred years, so that no sum overflows.
const LONGEST: Duration = Duration::from_secs(100 * 366 * 86_400);

fn within(time: Duration, shortest: Duration) -> Result<Duration, ConfigError> {
    if time < shortest {
        Err(ConfigError::TimeTooShort { shortest })
    } else if time > LONGEST {
        Err(ConfigError::TimeTooLong)
    } else {
        Ok(time)
    }
}

impl Policy {
    /// How many retired tokens of an account, the latest, are remembered whatever
    /// their age.
    pub const RETIRED_KEPT: usize = 16;

    /// How many retired tokens of an account that were live once are remembered
    /// at most, the latest.
    pub const LIVED_KEPT: usize = 64;

    /// How many retired tokens of an account that were never live (superseded or
    /// cancelled before their confirmation) are remembered at most, the latest.
    pub const NEVER_LIVED_KEPT: usize = 64;

    const SHORTEST_RETIRED_LIFETIME: Duration = Duration::from_secs(90 * 86_400);
    const SECOND: Duration = Duration::from_secs(1);

    /// How long a confirmation code can be used. Default: 10 minutes, the most
    /// that OWASP ASVS 6.5.5 allows for a code sent by mail.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] if it is under a second or over a hundred years.
    pub fn code_lifetime(mut self, time: Duration) -> Result<Self, ConfigError> {
        self.code_lifetime = within(time, Self::SECOND)?;
        Ok(self)
    }

    /// How long a generated token can be confirmed at all. Default: 24 hours.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] if it is under a second or over a hundred years.
    pub fn pending_lifetime(mut self, time: Duration) -> Result<Self, ConfigError> {
        self.pending_lifetime = within(time, Self::SECOND)?;
        Ok(self)
    }

    /// The least time between two codes for one pending token. Default: a
    /// minute.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] if it is over a hundred years.
    pub fn resend_interval(mut self, time: Duration) -> Result<Self, ConfigError> {
        self.resend_interval = within(time, Duration::ZERO)?;
        Ok(self)
    }

    /// How recent a use makes a token count as in use, so that deleting it
    /// needs an explicit word. Default: 24 hours; zero switches the guard off
    /// for tokens whose use is recorded. Any other time counts as at least twice
    /// the [`usage_interval`](Self::usage_interval): uses are known no sooner.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] if it is over a hundred years.
    pub fn guard_window(mut self, time: Duration) -> Result<Self, ConfigError> {
        self.guard_window = within(time, Duration::ZERO)?;
        Ok(self)
    }

    /// How often every node writes the last uses to the store. A token younger
    /// than twice this, without a recorded use, counts as in use. Default: 10
    /// seconds.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] if it is under a second or over a hundred years.
    pub fn usage_interval(mut self, time: Duration) -> Result<Self, ConfigError> {
        self.usage_interval = within(time, Self::SECOND)?;
        Ok(self)
    }

    /// How long a retired token is remembered: its use is told to its owner, and
    /// it cannot be imported again. The last [`RETIRED_KEPT`](Self::RETIRED_KEPT)
    /// are remembered for longer; of more than [`LIVED_KEPT`](Self::LIVED_KEPT)
    /// that were live and [`NEVER_LIVED_KEPT`](Self::NEVER_LIVED_KEPT) that never
    /// were, the earliest are forgotten sooner, so that an account stays small
    /// whatever its user does. Default, and least: 90 days.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] if it is under 90 days or over a hundred years.
    pub fn retired_lifetime(mut self, time: Duration) -> Result<Self, ConfigError> {
        self.retired_lifetime = within(time, Self::SHORTEST_RETIRED_LIFETIME)?;
        Ok(self)
    }

    /// How long a token works from the moment that it becomes active, in either
    /// slot. A grant may say less for one user, and never more. Its end is fixed then:
    /// nothing prolongs it. Default: until the user deletes it.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] if it is under a second or over a hundred years.
    pub fn token_lifetime(mut self, time: Duration) -> Result<Self, ConfigError> {
        self.token_lifetime = Some(within(time, Self::SECOND)?);
        Ok(self)
    }

    /// How long a token works from the moment that it becomes the backup, and
    /// stays it. One that becomes the primary because the primary has ended keeps this
    /// end; a roll-back takes it away. A grant may say less for one user, and never
    /// more. Default: until the user deletes it.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] if it is under a second or over a hundred years.
    pub fn backup_lifetime(mut self, time: Duration) -> Result<Self, ConfigError> {
        self.backup_lifetime = Some(within(time, Self::SECOND)?);
        Ok(self)
    }

    /// How long a token works that nobody uses. Its user is told before; a use until
    /// then keeps it. It is counted by the last uses that the store keeps, so it has
    /// no effect where none are kept; time in which the user is suspended does not
    /// count. Default: a token works whether or not it is used.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] if it is under a second or over a hundred years.
    pub fn unused_lifetime(mut self, time: Duration) -> Result<Self, ConfigError> {
        self.unused_lifetime = Some(within(time, Self::SECOND)?);
        Ok(self)
    }

    /// How long before its end a user is told that a token is going to end, each time
    /// once. Those for which a token's life is too short are left out. None: users
    /// are not told, except that a token which nobody uses is going to end: then at half
    /// of the [`unused_lifetime`](Self::unused_lifetime). Default: 30 days, 7 days and
    /// 1 day.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] if one is under a second or over a hundred years.
    pub fn expiry_notices(
        mut self,
        times: impl IntoIterator<Item = Duration>,
    ) -> Result<Self, ConfigError> {
        let times = times.into_iter().map(|time| within(time, Self::SECOND));
        self.notices = times.collect::<Result<_, _>>()?;
        self.notices.sort_unstable_by(|a, b| b.cmp(a));
        self.notices.dedup();
        Ok(self)
    }
}

impl Policy {
    /// How long an unused token works, and how long before its end its user is told
    /// first: by the longest notice that is shorter, or when half of it is over.
    pub(crate) fn unused_lifetime_and_notice(&self) -> Option<(Duration, Duration)> {
        let life = self.unused_lifetime?;
        let notice = self.notices.iter().copied().find(|notice| *notice < life);
        Some((life, notice.unwrap_or(life / 2)))
    }

    /// Whether a token that is active since then, and was last used at `used` as
    /// far as is recorded, counts as in use.
    pub(crate) fn is_in_use(
        &self,
        active_since: Timestamp,
        used: Option<Timestamp>,
        now: Timestamp,
    ) -> bool {
        // A use may take one interval to be recorded here and one more on
        // another node.
        let unrecorded = self.usage_interval * 2;
        match used {
            Some(_) if self.guard_window.is_zero() => false,
            Some(used) => now.since(used) < self.guard_window.max(unrecorded),
            None => now.since(active_since) < unrecorded,
        }
    }
}
