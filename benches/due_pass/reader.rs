//! A reader that looks tokens up at random.

use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tower_api_token::store::TokenStore;
use tower_api_token::token::TokenDigest;

/// Looks up one of the tokens after the other.
pub(crate) struct Reader<'a, S> {
    pub(crate) runtime: &'a Handle,
    pub(crate) store: &'a S,
    pub(crate) digests: &'a [TokenDigest],
    /// How long it sleeps after each look-up.
    pub(crate) pause: Duration,
}

impl<S: TokenStore> Reader<'_, S> {
    /// Until `ends`: the 99th percentile of what a look-up took, in microseconds.
    pub(crate) fn read(&self, ends: impl Fn() -> bool) -> f64 {
        let (mut random, mut times) = (0x9e37_79b9_7f4a_7c15_u64, Vec::new());
        while !ends() {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let digest = &self.digests[(random % self.digests.len() as u64) as usize];
            let begun = Instant::now();
            assert!(self.look_up(digest), "an account is missing");
            times.push(begun.elapsed().as_secs_f64() * 1e6);
            if !self.pause.is_zero() {
                std::thread::sleep(self.pause);
            }
        }
        times.sort_by(f64::total_cmp);
        times[(times.len() - 1) * 99 / 100]
    }

    /// As a request does.
    fn look_up(&self, digest: &TokenDigest) -> bool {
        let mut found = false;
        let known = self.store.peek(digest, &mut |account| found = account.is_some());
        if known {
            return found;
        }
        self.runtime.block_on(self.store.find(digest)).expect("an answer").is_some()
    }
}
