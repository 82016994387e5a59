//! When, and by which client, each token was last used.
//!
//! A use is noted off the request path: one relaxed load, and a short lock once
//! per token and interval. What was noted is written in batches, and a request
//! never waits for it. It can never undo or delay a change of an account.

mod adoption;
mod recorder;
#[cfg(feature = "tokio")]
mod task;

pub(crate) use self::adoption::UnverifiedPepper;
pub use self::recorder::UsageRecorder;
